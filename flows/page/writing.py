"""The page as HTML, and as a file.

Role: the template (page.html.jinja) with its style inside, filled with what the corpus says.
Invariants: one file that asks for nothing else, in which nothing runs: its policy forbids scripts,
pictures, fonts and connections; all text is escaped but what flows/page made as HTML itself; the
file appears whole or not at all.

A sample: keep_page("corpus", run_id=None) == "corpus/report.html"
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from flows.page.contents import contents
from flows.progress.text import plain
from infra.storage.corpus import Corpus
from infra.storage.store import REPORT
from sql.database import Database, connect
from tasks.errors import UsageError

if TYPE_CHECKING:
    from jinja2 import Template

FOLDER = Path(__file__).parent


class NoRunError(UsageError):
    """The corpus has no run to report."""


def page_of(database: Database, *, corpus: str) -> str:
    """The page of the selected run. Raises NoRunError."""
    from markupsafe import Markup

    if not database.run_id:
        raise NoRunError(f"{corpus} has no run to report: `litecot run` makes one")
    css = (FOLDER / "page.css").read_text(encoding="utf-8")
    return _template().render(
        made=contents(database),
        css=Markup(css),
        corpus=plain(corpus),
        made_at=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=version("litecot"),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, autoescape=True)
    text = (FOLDER / "page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def keep_page(location: str, *, run_id: str | None = None) -> str:
    """Make the page and keep it in the corpus; where it is. Raises CorpusError, OSError."""
    corpus = Corpus(location)
    with connect(corpus.sound_parts(), through=corpus.store.files, run_id=run_id) as database:
        text = page_of(database, corpus=location)
    return keep_text(corpus, text)


def keep_text(corpus: Corpus, text: str) -> str:
    """Where it is. Raises CorpusError, OSError."""
    with corpus.store.explained():
        corpus.store.scratch(REPORT).write_text(text, encoding="utf-8")
        corpus.store.publish(REPORT)
    return corpus.store.where(REPORT)
