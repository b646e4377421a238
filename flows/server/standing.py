"""`make ui`: a standing Prefect server whose address runs find by themselves.

Invariant: the address is written only once the server answers, and removed when it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from flows.errors import ServerError
from flows.server.environment import settle_environment
from flows.server.temporary import (
    LOOPBACK,
    SERVER_FILE,
    START_TIMEOUT_S,
    starting_alone,
    wait_for_server,
)
from infra.settings import load_settings


def main() -> int:
    """Start the server, print its address, stay until it ends."""
    settings = load_settings()
    settle_environment(settings)
    host, port = LOOPBACK, settings.ui_port
    try:
        _check_free(host, port)
    except ServerError as error:
        print(f"litecot: {error}", file=sys.stderr)
        return 1
    api = f"http://{host}:{port}/api"
    environment = {**os.environ, "PREFECT_UI_API_URL": api, "PREFECT_API_URL": api}
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", host, "--port", str(port)]
    file = settings.home / SERVER_FILE
    server = None
    try:
        with starting_alone(Path(os.environ["PREFECT_HOME"])):
            server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
            wait_for_server(api, server, limit_s=START_TIMEOUT_S)
        file.write_text(api)
        print(f"Prefect UI: http://{host}:{port}")
        print("runs started in this folder appear there; Ctrl-C ends it", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    except ServerError as error:
        print(f"litecot: {error}", file=sys.stderr)
        return 1
    finally:
        file.unlink(missing_ok=True)
        if server is not None:
            server.terminate()
            server.wait()


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"port {port} is taken: end what uses it, or choose another with LITECOT_UI_PORT"
            ) from error


if __name__ == "__main__":
    sys.exit(main())
