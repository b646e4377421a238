"""Hooks of mkdocs: the first page is the README, and nothing is fetched from outside.

Invariant: there is one text, the README, with its links as seen from docs/; nothing is written into
docs/. The theme would fetch the script that lets a page on disk search: it lies in docs/assets.
A link that is called by its file, as on a code host, is called by the page's title.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"
_NAMED_BY_FILE = re.compile(r"\[(?:docs/)?([\w-]+\.md)\]\((?!https?:)")


SHIM = "https://unpkg.com/iframe-worker/shim"
OWN_SHIM = "assets/iframe-worker.js"


def start_page(readme: str) -> str:
    """`](docs/sql.md)` is `](sql.md)` on the page."""
    return re.sub(r"\]\(docs/", "](", readme)


def on_files(files: Any, config: Any) -> Any:
    """See mkdocs: Files in, Files out."""
    from mkdocs.structure.files import File

    text = start_page(README.read_text(encoding="utf-8"))
    files.append(File.generated(config, "index.md", content=text))
    return files


def titled(markdown: str) -> str:
    """`[sql.md](sql.md)` is `[Asking the corpus](sql.md)`."""
    return _NAMED_BY_FILE.sub(lambda found: f"[{_title(found[1])}](", markdown)


def _title(file: str) -> str:
    try:
        first = (DOCS / file).read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        return file
    return first.removeprefix("# ").partition(":")[0]


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """See mkdocs: a page's text in and out."""
    return titled(markdown)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """See mkdocs: a page's HTML in and out."""
    above = "../" * page.url.count("/")
    return output.replace(SHIM, f"{above}{OWN_SHIM}")


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """See mkdocs: of pages that are no document, as the one for what is not found."""
    return output_content.replace(SHIM, f"/{OWN_SHIM}")
