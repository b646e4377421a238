"""`litecot corpus check`: is a corpus sound, and if not, what is lost and what does it cost?

Invariant: without --heal nothing is changed; all that is wrong is said on stdout, a line each, then
what only takes room, then what a rerun makes again.

    rationales: corpus/rationales/part-000000000128-9c0e12-3fa2c1.parquet (shards 0 to 2): holds
    other bytes than were written; a rerun makes its 96 rows again (nano: generate 80, verify 16)
"""

from __future__ import annotations

from flows.progress.slow import shown_if_slow
from flows.progress.text import plain, print_json
from infra.care.checking import Report, check
from infra.care.healing import heal
from infra.care.words import size
from infra.storage.corpus import Corpus
from infra.storage.manifest import ManifestError


def check_corpus(location: str, *, with_healing: bool = False, as_json: bool = False) -> int:
    """Say on stdout what is wrong; how much that is, after healing if that was asked.

    Raises CorpusError: none there, its store is away, or, to heal, somebody else writes it.
    """
    corpus = Corpus(location)
    try:
        report = _checked(corpus)
    except ManifestError as error:
        if as_json:
            print_json({"sound": False, "faults": [str(error)]})
        else:
            print(plain(error))
        return 1
    if as_json:
        print_json(_told(report))
        return len(report.faults)
    _print(location, report)
    if not with_healing or not report.faults:
        return len(report.faults)
    with shown_if_slow("reading the parts") as advance:
        for line in heal(location, advance):
            print(plain(f"healed: {line}"))
    left = _checked(corpus).faults
    for fault in left:
        print(plain(f"left: {fault}"))
    return len(left)


def _told(report: Report) -> dict[str, object]:
    rows, taken = (sum(getattr(part, name) for part in report.parts) for name in ("rows", "bytes"))
    counts = {"parts": len(report.parts), "rows": rows, "bytes": taken}
    lost = str(report.lost)
    return {
        "sound": not report.faults, "faults": report.faults, "notes": report.notes,
        "rerun_makes": lost or None, **counts,
    }  # fmt: skip


def _checked(corpus: Corpus) -> Report:
    with shown_if_slow("reading the parts") as advance:
        return check(corpus, advance)


def _print(location: str, report: Report) -> None:
    for fault in report.faults:
        print(plain(fault))
    if not report.faults:
        print(plain(_sound(location, report)))
    for note in report.notes:
        print(plain(f"note: {note}"))
    if lost := str(report.lost):
        print(plain(f"to heal: run the recipe again; it makes {lost}"))


def _sound(location: str, report: Report) -> str:
    rows, taken = (sum(getattr(part, name) for part in report.parts) for name in ("rows", "bytes"))
    said = f"{location}: {len(report.parts)} parts, {rows} rows, {size(taken)}: sound"
    if report.num_unsummed:
        said += (
            f"\n{report.num_unsummed} of the parts are of an earlier version, without a checksum: "
            "the checksums of their pages are right, and the next run keeps one of the whole"
        )
    return said
