"""Which Prefect server a run reports to, and a temporary one where there is none.

Invariant: a temporary server ends with the process that started it, however that dies: it reads its
stdin, whose other end is held by that process only and closed by the kernel. (Prefect's own
temporary server outlives a `kill -9`.) Its address is in the environment before Prefect is
imported, so that Prefect starts none itself. Servers of one home start one after the other: each
brings the database up to date, and two doing so at once break it.

A sample:
    server = find_server(home)  # None: another server is there
    if server is not None:
        server.wait()
"""

from __future__ import annotations

import atexit
import base64
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from filelock import FileLock

from flows.errors import ServerError
from flows.server import database

SERVER_FILE = "server.url"
STARTING_FILE = "starting.lock"
API_URL = "PREFECT_API_URL"
KEY, SERVER_KEY = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
LIMIT = "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 180
HEALTH_TIMEOUT_S = 2.0
UNAUTHORIZED = 401
POLL_S = 0.1
STOP_S = 5.0
LOG_LINES = 12
TEMPORARY, CONFIGURED = "temporary", "configured"
SOURCE_ROOT = Path(__file__).resolve().parents[2]


def find_server(home: Path) -> TemporaryServer | None:
    """Put the address of the run's server into PREFECT_API_URL; a temporary one is handed out.

    In order: PREFECT_API_URL, the server of `make ui`, the address in Prefect's own settings
    (a profile, prefect.toml), a temporary server, which is starting. Raises ServerError.
    """
    if key := os.environ.get(SERVER_KEY):  # of a server that is started in this environment
        os.environ.setdefault(KEY, key)
    if url := os.environ.get(API_URL) or standing_server(home):
        if not server_answers(url):
            raise ServerError(f"no Prefect server answers at {url}: start it with `make ui`, or "
                              f"unset {API_URL} to run with a temporary one")  # fmt: skip
        os.environ[API_URL] = url
        _check_key(url)
        return None
    server = TemporaryServer()
    kind, os.environ[API_URL] = server.address()
    return server if kind == TEMPORARY else None


def standing_server(home: Path) -> str | None:
    """The API address `make ui` left, if that server still answers."""
    file = home / SERVER_FILE
    url = file.read_text().strip() if file.is_file() else ""
    return url if url and server_answers(url) else None


def server_answers(url: str) -> bool:
    """Whether a Prefect API is healthy at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=HEALTH_TIMEOUT_S) as reply:
            return bool(reply.status == 200)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _check_key(url: str) -> None:
    """Raises ServerError where the server wants a key, and not the one that is set."""
    if _status(url, os.environ.get(KEY)) != UNAUTHORIZED:
        return
    from prefect.settings import PREFECT_API_AUTH_STRING  # a profile's, prefect.toml's

    key = PREFECT_API_AUTH_STRING.value()
    if key is None:
        raise ServerError(f"the Prefect server at {url} wants a key: set {KEY}")
    if _status(url, key) == UNAUTHORIZED:
        raise ServerError(f"the Prefect server at {url} refuses the key in {KEY}: set it anew")


def _status(url: str, key: str | None) -> int:
    request = urllib.request.Request(f"{url}/admin/version")
    if key:
        request.add_header("Authorization", f"Basic {base64.b64encode(key.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=HEALTH_TIMEOUT_S) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0  # the run itself will say


def starting_alone(prefect_home: Path) -> AbstractContextManager[object]:
    """Held while a server brings the database of its home up to date; waits for the one before."""
    prefect_home.mkdir(parents=True, exist_ok=True)
    return FileLock(prefect_home / STARTING_FILE)


def wait_for_server(api: str, process: subprocess.Popen[bytes], *, limit_s: float) -> None:
    """Until `process` answers at `api`. Raises ServerError where it ends or takes too long."""
    deadline = time.monotonic() + limit_s
    while not server_answers(api):
        if process.poll() is not None or time.monotonic() > deadline:
            raise _not_started(process, limit_s=limit_s)
        time.sleep(POLL_S)


def _not_started(process: subprocess.Popen[bytes], *, limit_s: float) -> ServerError:
    if process.poll() is None:
        return ServerError(f"the Prefect server did not answer within {limit_s:g} s")
    return ServerError(f"the Prefect server ended with status {process.returncode}")


class TemporaryServer:
    """A Prefect server without UI on a free port of the loopback, for this process only.

    Starts at once and says its address early, so that its start and our imports overlap. A session
    of its own keeps the terminal's Ctrl-C from it: the run still has its end to report.
    """

    def __init__(self) -> None:
        self._limit_s = _limit_s()
        path = os.pathsep.join(filter(None, [str(SOURCE_ROOT), os.environ.get("PYTHONPATH")]))
        # Errors only, shown if it does not start; -P: a folder `flows` of the user's is not ours.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the server)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.server.temporary"],
            env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, start_new_session=True,
        )  # fmt: skip
        atexit.register(self.stop)  # after Prefect's threads have sent their last events

    def address(self) -> tuple[str, str]:
        """Kind and API address, to be read once. Raises ServerError."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], self._limit_s)
        line = self._process.stdout.readline().decode() if readable else ""
        if not line:
            if readable:  # closed: it is ending
                self._process.wait()
            raise self._with_log(_not_started(self._process, limit_s=self._limit_s))
        kind, api = line.split()
        return kind, api

    def wait(self) -> None:
        """Until it answers. Raises ServerError with the end of its log."""
        try:
            wait_for_server(os.environ[API_URL], self._process, limit_s=self._limit_s)
        except ServerError as error:
            raise self._with_log(error) from None

    def stop(self) -> None:
        """End it; harmless where it has ended."""
        self._process.terminate()
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _with_log(self, error: ServerError) -> ServerError:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-LOG_LINES:]
        hint = "try again, or start a standing one with `make ui`"
        return ServerError("\n".join([f"{error}: {hint}", *lines]))


def _limit_s() -> float:
    said = os.environ.get(LIMIT) or START_TIMEOUT_S
    try:
        return float(said)
    except ValueError:
        raise ServerError(f"{LIMIT} is {said!r}: give it a number of seconds") from None


def main() -> None:
    """The temporary server itself: say the address, serve until told to end or left alone."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME

    if configured := PREFECT_API_URL.value():
        print(CONFIGURED, configured, flush=True)
        return
    listener = socket.create_server((LOOPBACK, 0))
    print(TEMPORARY, f"http://{LOOPBACK}:{listener.getsockname()[1]}/api", flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nobody reads the pipe any more
    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            with starting_alone(PREFECT_HOME.value()), database_at_hand():
                await super().startup(sockets)

    app = create_app(ephemeral=True, final=True)
    server = Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    server.run(sockets=[listener])  # ends the process with a status of its own if it cannot start


@contextmanager
def database_at_hand() -> Iterator[None]:
    """A server starts inside: without migrations where the home's database needs none."""
    from prefect.settings import (
        PREFECT_API_DATABASE_CONNECTION_URL,
        PREFECT_API_DATABASE_MIGRATE_ON_START,
        PREFECT_HOME,
        temporary_settings,
    )

    home = PREFECT_HOME.value()
    if not database.is_default(PREFECT_API_DATABASE_CONNECTION_URL.value(), home):
        yield
        return
    is_ready = database.prepare(home)
    changes = {PREFECT_API_DATABASE_MIGRATE_ON_START: False} if is_ready else {}
    with temporary_settings(changes):
        yield
    if not is_ready:
        database.brought_up_to_date(home)


def end_with_parent() -> None:
    """End this process, in whatever state, once the other end of its stdin is closed."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
