"""The page in a real browser, narrow and wide, by day and by night: it fits, and nothing fails.

AXE=.../axe.min.js (npm's package axe-core) has axe look for what shuts people out, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.page.writing import page_of
from sql.database import connect
from tests.browser import CHROMIUM, DRIVER, WHY_NOT, Browser, browser
from tests.unit import sample_corpus as sample
from tests.unit.test_page import hostile_rows

AXE = Path(os.environ.get("AXE", "axe.min.js"))
ASK_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations
  .filter(one => ["serious", "critical"].includes(one.impact))
  .map(one => one.id + ": " + one.nodes.slice(0, 3).map(node => node.html).join(" | "))));
"""
VIEWS = [(390, False), (390, True), (1440, False), (1440, True)]

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=WHY_NOT)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of the sample, and of one whose every word is hostile."""
    folder = tmp_path_factory.mktemp("pages")
    made = {"sample": list(sample.EVERYTHING), "hostile": hostile_rows()}
    for name, rows in made.items():
        database = connect(sample.write_rows(folder / name, rows))
        (folder / f"{name}.html").write_text(page_of(database, corpus=name), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.fixture(scope="module")
def shown() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.mark.parametrize("name", ["sample", "hostile"])
def test_it_fits_and_nothing_fails(shown: Browser, pages: dict[str, Path], name: str) -> None:
    for width, is_dark in VIEWS:
        shown.show(pages[name], width=width, is_dark=is_dark)
        assert shown.run("return document.documentElement.scrollWidth") <= width
        shown.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert shown.run("return document.documentElement.scrollWidth") <= width
        ground = shown.run("return getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(21, 24, 28)" if is_dark else "rgb(255, 255, 255)")
        drawn: list[Any] = shown.run(
            "return [...document.querySelectorAll('figure svg')]"
            ".map(one => one.getBoundingClientRect().width)"
        )
        assert len(drawn) >= 8
        assert all(300 <= one <= width for one in drawn)
        assert shown.run("return performance.getEntriesByType('resource').length") == 0
    assert shown.faults() == []


def test_the_first_key_leads_past_the_links(shown: Browser, pages: dict[str, Path]) -> None:
    shown.show(pages["sample"], width=1440)
    shown.press_tab()
    assert shown.run("return document.activeElement.textContent") == "Skip to the content"
    assert shown.run("return document.activeElement.getBoundingClientRect().left") >= 0
    shown.press_tab()
    outline = shown.run("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.skipif(not AXE.is_file(), reason="AXE names no axe.min.js (npm pack axe-core)")
@pytest.mark.parametrize("name", ["sample", "hostile"])
def test_axe_finds_nothing_serious(shown: Browser, pages: dict[str, Path], name: str) -> None:
    for width, is_dark in VIEWS:
        shown.show(pages[name], width=width, is_dark=is_dark)
        shown.run("document.querySelectorAll('details').forEach(one => one.open = true)")
        shown.run(AXE.read_text(encoding="utf-8"))
        assert shown.wait_for(ASK_AXE) == []
