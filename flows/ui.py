"""`make ui`: a standing Prefect server whose address runs find by themselves.

Invariant: the address is written only once the server answers, and removed when it ends.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from flows.launch import SERVER_FILE, server_answers, settle_environment
from flows.messages import ServerError
from infra.settings import load_settings

START_TIMEOUT_S = 180


def main() -> int:
    """Start the server, print its address, stay until it ends."""
    settings = load_settings()
    settle_environment(settings, find_server=False)
    host, port = "127.0.0.1", settings.ui_port
    try:
        _check_free(host, port)
    except ServerError as error:
        print(f"litecot: {error}", file=sys.stderr)
        return 1
    api = f"http://{host}:{port}/api"
    environment = {**os.environ, "PREFECT_UI_API_URL": api, "PREFECT_API_URL": api}
    command = [sys.executable, "-m", "prefect", "server", "start"]
    command += ["--host", host, "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    file = settings.home / SERVER_FILE
    try:
        _wait_for(api, server)
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


def _wait_for(api: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server_answers(api):
        if server.poll() is not None:
            raise ServerError(f"the Prefect server ended with status {server.returncode}")
        if time.monotonic() > deadline:
            raise ServerError(f"the Prefect server did not answer within {START_TIMEOUT_S} s")
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
