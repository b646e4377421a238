"""`litecot report`: the page of a run, for a browser.

Invariant: read-only but for the page itself; importing this loads nothing heavy.

    $ litecot report --output report.html
    report.html: 220 KB
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import DEFAULT_CORPUS, CorpusOption, RunOption, clear_errors


def report(
    corpus: CorpusOption = DEFAULT_CORPUS,
    run_id: RunOption = None,
    output: Annotated[
        Path | None, typer.Option(help="Write it here; default: report.html in the corpus.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the --output there is.")] = False,
) -> None:
    """One HTML page of all that a run came to: open it in a browser, offline, or send it on.

    Each run of `litecot run` leaves it in its corpus too.
    """
    from flows.cli.output import check_target
    from flows.page.writing import keep_text, page_of

    with clear_errors():
        if output is not None:
            check_target(output, force=force)
    with clear_errors(corpus):
        from flows.cli.readers import open_corpus
        from flows.progress.text import say
        from infra.storage import Corpus

        with open_corpus(corpus, run_id=run_id) as database:
            text = page_of(database, corpus=corpus)
        if output is None:
            where = keep_text(Corpus(corpus), text)
        else:
            where = _write(output, text, force=force)
        say(f"{where}: {len(text.encode()) / 1000:.0f} KB; open it in a browser")


def _write(output: Path, text: str, *, force: bool) -> str:
    from flows.cli.output import whole_file

    with whole_file(output, force=force) as growing:
        growing.write_text(text, encoding="utf-8")
    return str(output)
