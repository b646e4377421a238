"""The database of a Prefect home: made once a machine, not once a home.

Role: bringing a new database up to date takes Prefect five seconds of a core. The first that is
made is kept as a template beside the installed packages (or in the cache, where these cannot be
written), and a new home gets a copy. Invariants: a template is of one version of Prefect and has no
run in it; a home that another version brought up to date is Prefect's to look at; a database of
the user's own choice is left alone.

    python -m flows.server.database      # make the template now, as `make install` does
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from infra.settings import load_settings

FILE = "prefect.db"
MARK = "prefect.version"  # of the Prefect that brought the home's database up to date last


def prepare(home: Path) -> bool:
    """A new home gets a copy. Whether Prefect has nothing to bring up to date there any more.

    Ask and start the server under one lock (`starting_alone`).
    """
    file, mark = home / FILE, home / MARK
    if file.exists():
        return mark.is_file() and mark.read_text() == version("prefect")
    for template in _places():
        if not _is_whole(template):
            continue
        with suppress(OSError):
            home.mkdir(parents=True, exist_ok=True)
            _copy(template, file)
            mark.write_text(version("prefect"))
            return True
    return False


def brought_up_to_date(home: Path) -> None:
    """Note that Prefect's migrations have run in `home`; no template yet: keep this one, unless a
    run is in it."""
    with suppress(OSError):  # a full disk, a home that cannot be written: only the note is missing
        (home / MARK).write_text(version("prefect"))
    made = home / FILE
    if not any(map(_is_whole, _places())) and _is_whole(made) and _is_unused(made):
        _keep(made)


def is_default(url: str | None, home: Path) -> bool:
    """Whether a database's URL is the one Prefect takes where none is set."""
    return url is None or url.endswith(f"///{home / FILE}")


def _places() -> Iterator[Path]:
    name = f"prefect-{version('prefect')}.db"
    yield Path(sys.prefix) / "share" / "litecot" / name
    yield load_settings().cache.expanduser() / name


def _keep(database: Path) -> None:
    for template in _places():
        with suppress(OSError, sqlite3.Error):
            template.parent.mkdir(parents=True, exist_ok=True)
            _copy(database, template)
            template.chmod(0o644)  # whoever shares the environment may read it: it is empty
            return


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all, and what is still in the source's write-ahead log too."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    try:
        with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(name)) as written:
            read.backup(written)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_whole(database: Path) -> bool:
    """Whether migrations have run in it to their end."""
    return bool(_first(database, "select version_num from alembic_version"))


def _is_unused(database: Path) -> bool:
    return _first(database, "select count(*) from flow_run") == (0,)


def _first(database: Path, query: str) -> tuple[object, ...] | None:
    """The first row, without making or changing the file; None where there is none."""
    where = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(where, uri=True)) as opened:
            row: tuple[object, ...] | None = opened.execute(query).fetchone()
            return row
    except (sqlite3.Error, OSError):
        return None


def main() -> None:
    """Make the template, unless it is there."""
    if any(map(_is_whole, _places())):
        return
    import asyncio

    home = Path(tempfile.mkdtemp(prefix="litecot-prefect-"))
    try:
        os.environ |= {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        from prefect.server.database import provide_database_interface

        asyncio.run(provide_database_interface().create_db())
        brought_up_to_date(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
