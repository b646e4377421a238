"""A Prefect server and a Ray for all workers of a test session, started when first asked for.

Role: pytest's workers come and go, so what they share belongs to the process that outlives them,
the controller (conftest.py). They talk through a folder: an empty file `NAME.wanted` asks, the
file `NAME.address` answers. Invariants: nothing starts that nobody wants; everything ends with
`close`, and with this process however it dies.

A sample: `SharedServices.address(folder, "ray")` -> "10.0.0.2:6379"
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from flows.server.environment import settle_environment
from flows.server.temporary import TemporaryServer, server_answers
from infra.settings import load_settings

LIMIT_S = 180.0
LOOK_EVERY_S = 0.2
NUM_SLOTS = 16  # for engines, not cores: one a configuration stays


class SharedServices:
    """Starts what is wanted in `folder`, from a thread: Ray's processes end with their thread."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="litecot-shared-"))
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="shared services", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End them."""
        self._is_closing.set()
        self._thread.join(LIMIT_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def address(folder: Path, name: str) -> str:
        """Of the service, which is started where it is not there yet: "prefect" or "ray"."""
        (folder / f"{name}.wanted").touch()
        deadline = time.monotonic() + LIMIT_S
        while not (answer := folder / f"{name}.address").exists():
            assert time.monotonic() < deadline, f"no {name} within {LIMIT_S:g} s"
            time.sleep(LOOK_EVERY_S)
        kind, _, said = answer.read_text().partition(" ")
        assert kind == "at", f"{name} did not start: {said}"
        return said

    def _serve(self) -> None:
        starts: dict[str, Callable[[ExitStack], str]] = {
            "prefect": _start_prefect, "ray": _start_ray,
        }  # fmt: skip
        with ExitStack() as started:
            while not self._is_closing.wait(LOOK_EVERY_S):
                for name in [name for name in starts if (self.folder / f"{name}.wanted").exists()]:
                    self._answer(name, starts.pop(name), started)

    def _answer(self, name: str, start: Callable[[ExitStack], str], started: ExitStack) -> None:
        try:
            said = f"at {start(started)}"
        except Exception as error:  # told to those who wait
            said = f"failed {type(error).__name__}: {error}"
        unfinished = self.folder / f"{name}.unfinished"
        unfinished.write_text(said)
        unfinished.rename(self.folder / f"{name}.address")


def _start_prefect(started: ExitStack) -> str:
    with patch.dict(os.environ):
        settle_environment(load_settings())
        server = TemporaryServer()
    started.callback(server.stop)
    api = server.address()[1]
    deadline = time.monotonic() + LIMIT_S
    while not server_answers(api):
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(LOOK_EVERY_S)
    return api


def _start_ray(started: ExitStack) -> str:
    from ray.cluster_utils import Cluster

    from infra.hosting import quiet_ray
    from infra.hosting.ray_cluster import LOCAL_OBJECT_STORE_BYTES

    quiet_ray()
    cluster = Cluster(
        initialize_head=True,
        shutdown_at_exit=False,  # it would set signal handlers, and this is no main thread
        head_node_args={
            "num_cpus": NUM_SLOTS, "object_store_memory": LOCAL_OBJECT_STORE_BYTES,
            "include_dashboard": False,
        },
    )  # fmt: skip
    started.callback(cluster.shutdown)
    return str(cluster.address)
