"""A new home's database is a copy of one that Prefect brought up to date once."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from flows.server import database

VERSION = version("prefect")


@pytest.fixture(autouse=True)
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment without a template, and a cache of its own."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "environment"))
    monkeypatch.setenv("LITECOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "environment"


def migrated(home: Path, *, num_runs: int = 0, head: str | None = "abc") -> Path:
    """A home with a database as Prefect's migrations leave it."""
    home.mkdir(parents=True)
    with closing(sqlite3.connect(home / "prefect.db")) as made:
        made.execute("pragma journal_mode = wal")
        made.execute("create table alembic_version (version_num)")
        made.execute("create table flow_run (id)")
        if head:
            made.execute("insert into alembic_version values (?)", [head])
        made.executemany("insert into flow_run values (?)", [[one] for one in range(num_runs)])
        made.commit()
    return home


def heads(home: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(home / "prefect.db")) as opened:
        return opened.execute("select version_num from alembic_version").fetchall()


def test_the_second_new_home_is_a_copy_of_the_first(tmp_path: Path, prefix: Path) -> None:
    first = migrated(tmp_path / "first")
    assert not database.prepare(first)
    database.brought_up_to_date(first)
    assert database.prepare(first)
    assert [file.name for file in (prefix / "share/litecot").iterdir()] == [f"prefect-{VERSION}.db"]
    second = tmp_path / "new" / "second"
    assert database.prepare(second)
    assert heads(second) == [("abc",)]
    assert {file.name for file in second.iterdir()} == {"prefect.db", "prefect.version"}


def test_what_another_version_brought_up_to_date_is_prefects_to_look_at(tmp_path: Path) -> None:
    home = migrated(tmp_path / "home")
    (home / "prefect.version").write_text("2.0.0")
    assert not database.prepare(home)
    database.brought_up_to_date(home)
    assert database.prepare(home)


@pytest.mark.parametrize(("num_runs", "head"), [(1, "abc"), (0, None)])
def test_a_database_with_a_run_or_half_made_is_no_template(
    tmp_path: Path, num_runs: int, head: str | None
) -> None:
    database.brought_up_to_date(migrated(tmp_path / "first", num_runs=num_runs, head=head))
    assert not database.prepare(tmp_path / "second")
    assert not (tmp_path / "second" / "prefect.db").exists()


def test_a_torn_template_is_passed_over_and_replaced(tmp_path: Path, prefix: Path) -> None:
    torn = prefix / "share" / "litecot" / f"prefect-{VERSION}.db"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"SQLite format 3\0" + b"x" * 100)
    assert not database.prepare(tmp_path / "second")
    database.brought_up_to_date(migrated(tmp_path / "first"))
    assert database.prepare(tmp_path / "second")


def test_where_the_environment_cannot_be_written_the_cache_keeps_it(
    tmp_path: Path, prefix: Path
) -> None:
    prefix.write_text("a file where a folder should be")
    database.brought_up_to_date(migrated(tmp_path / "first"))
    assert [file.name for file in (tmp_path / "cache").iterdir()] == [f"prefect-{VERSION}.db"]
    assert database.prepare(tmp_path / "second")


@pytest.mark.parametrize(
    ("url", "is_default"),
    [
        (None, True),
        ("sqlite+aiosqlite:////srv/litecot/prefect.db", True),
        ("sqlite+aiosqlite:////other/prefect.db", False),
        ("postgresql+asyncpg://someone@host/prefect", False),
    ],
)
def test_a_database_of_the_users_choice_is_left_alone(url: str | None, is_default: bool) -> None:
    assert database.is_default(url, Path("/srv/litecot")) is is_default
