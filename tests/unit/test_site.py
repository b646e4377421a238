"""The documentation as a site: it builds without a warning, and asks for nothing from outside."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flows.cli.docs.commands import PAGE, page

ROOT = Path(__file__).parents[2]
LOADS = {"src", "srcset", "poster", "data"}


class Loaded(HTMLParser):
    """Addresses that a browser fetches by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            fetched = name in LOADS or (tag == "link" and name == "href")
            is_link = tag == "link" and ("rel", "canonical") in attrs
            if fetched and value and not is_link:
                self.found.append(value)


@pytest.mark.timeout(240)
def test_the_site_builds_strictly_and_is_whole_offline(tmp_path: Path) -> None:
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed: make site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=220,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    pages = sorted(tmp_path.rglob("*.html"))
    assert {"index.html", "tutorial.html", "howto.html", "concepts.html", "commands.html"} <= {
        one.name for one in pages
    }
    for one in pages:
        parser = Loaded()
        parser.feed(one.read_text(encoding="utf-8"))
        outside = [link for link in parser.found if re.match(r"(https?:)?//", link)]
        assert outside == [], one.name
    start = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'href="tutorial.html"' in start
    assert 'href="docs/' not in start
    assert 'href="sql.html">Asking the corpus</a>' in start


def test_the_page_of_commands_is_current() -> None:
    """`make docs` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
