"""A PostgreSQL server of a test's own on loopback, where one is installed.

A sample: with postgres() as url: ...   # postgresql+asyncpg://litecot:...@127.0.0.1:40123/litecot
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_S = 60.0
PASSWORD = "no secret"  # a blank, as a URL has to quote it
INSTALLED = "/usr/lib/postgresql/*/bin/initdb"
ACCOUNT = "postgres"  # it will not run as root


def binaries() -> Path | None:
    """Where initdb and postgres are; None: nowhere."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    installed = sorted(Path("/").glob(INSTALLED.lstrip("/")))
    return installed[-1].parent if installed else None


@contextmanager
def postgres() -> Iterator[str]:
    """Its URL for Prefect; ended, and all it wrote gone, at the end."""
    programs = binaries()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="litecot-postgres-"))
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, ACCOUNT)
        as_whom = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": [], "cwd": folder}
    try:
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        data = folder / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "litecot", "--pwfile", password,
             "--auth", "scram-sha-256", "--no-sync"],
            check=True, capture_output=True, **as_whom,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = [
            "listen_addresses=127.0.0.1",
            f"port={port}",
            f"unix_socket_directories={folder}",
        ]
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-F", *(p for o in options for p in ("-c", o))],
            stdout=subprocess.DEVNULL, stderr=(folder / "log").open("wb"), **as_whom,
        )  # fmt: skip
        try:
            _wait(server, programs, port, as_whom)
            quoted = PASSWORD.replace(" ", "%20")
            yield f"postgresql+asyncpg://litecot:{quoted}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(LIMIT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], programs: Path, port: int, as_whom: Any) -> None:
    command = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    deadline = time.monotonic() + LIMIT_S
    while subprocess.run(command, **as_whom).returncode:
        assert server.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
