"""Where rows live: Parquet parts, a journal of what is not folded yet, one manifest.

Invariant: a record whose `finish` returned is never lost and never stored twice, whatever is
killed whenever; readers see whole parts only, all of one moment.

    corpus/_manifest.json            the live parts and how far the journal is folded
    corpus/_journal/journal.sqlite   finished records on their way to parts, paid requests
    corpus/rationales/part-000000000001-9c0e12-3fa2c1.parquet    what any Parquet reader may glob
    corpus/_parts/rationales/...     the same files, and for some minutes those they replaced

The same in a bucket (s3://bucket/prefix), but the journal, which stays on this machine's disk.
"""

from infra.storage.corpus import Corpus
from infra.storage.corpus_writer import CorpusWriter
from infra.storage.errors import CorpusError

__all__ = ["Corpus", "CorpusError", "CorpusWriter"]
