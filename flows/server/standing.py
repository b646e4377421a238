"""`make ui`: a standing Prefect server whose address runs find by themselves.

Invariants: the address is written only once the server answers, and removed when it ends; the
server ends with this process, however that dies (it reads its stdin, as a temporary one does). Its
database is Prefect's own choice: a file in the project's home, or what
PREFECT_API_DATABASE_CONNECTION_URL says (PostgreSQL, docs/cockpit.md).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

from flows.errors import ServerError
from flows.server import database
from flows.server.environment import settle_environment
from flows.server.temporary import (
    LOOPBACK,
    SERVER_FILE,
    SOURCE_ROOT,
    START_TIMEOUT_S,
    end_with_parent,
    starting_alone,
    wait_for_server,
)
from infra.settings import load_settings

STOP_S = 10.0  # an open browser's connections are closed after it
DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")


def main() -> int:
    """Start the server, print its address, stay until it ends."""
    settings = load_settings()
    settle_environment(settings)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    host, port = LOOPBACK, settings.ui_port
    api = f"http://{host}:{port}/api"
    file = settings.home / SERVER_FILE
    server: subprocess.Popen[bytes] | None = None
    try:
        _check_free(host, port)
        with starting_alone(Path(os.environ["PREFECT_HOME"])):
            said = _database(Path(os.environ["PREFECT_HOME"]))
            server = _start(api, host, port)
            wait_for_server(api, server, limit_s=START_TIMEOUT_S)
        file.write_text(api)
        print(f"Prefect UI: http://{host}:{port} ({said})")
        print("runs started in this folder appear there; Ctrl-C ends it", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    except ServerError as error:
        print(f"litecot: {error}", file=sys.stderr)
        return 1
    finally:
        if server is not None:
            file.unlink(missing_ok=True)
            _end(server)


def _start(api: str, host: str, port: int) -> subprocess.Popen[bytes]:
    """In a session of its own: a terminal's Ctrl-C is for us, who end it in order."""
    path = os.pathsep.join(filter(None, [str(SOURCE_ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "flows.server.standing", host, str(port)],
        env={**os.environ, "PREFECT_UI_API_URL": api, "PREFECT_API_URL": api, "PYTHONPATH": path},
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _database(home: Path) -> str:
    """Which it is, in words without a password; a new file is made ready."""
    chosen = next((os.environ[name] for name in DATABASES if os.environ.get(name)), None)
    if database.is_default(chosen, home):
        database.prepare(home)
        return f"its database is in {home}"
    parts = urlsplit(chosen or "")
    where = f" at {parts.hostname}" if parts.hostname else ""
    return f"its database is {parts.scheme.partition('+')[0]}{where}, {parts.path.lstrip('/')}"


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"port {port} is taken: end what uses it, or choose another with LITECOT_UI_PORT"
            ) from error


def serve(host: str, port: str) -> None:
    """The server itself, Prefect's own command, until it is told to end or left alone."""
    import runpy
    import threading

    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = ["prefect", "server", "start", "--host", host, "--port", port]
    with suppress(KeyboardInterrupt):
        runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(*sys.argv[1:])
    else:
        sys.exit(main())
