"""This driver's tie to a Ray cluster: joined where one stands, else started here, quietly.

Invariants: Ray starts with the first request for a model and not before; it says nothing of its own
on the terminal but errors.

A sample: `start_ray(); cluster_nodes()[0].num_gpus == 8`
"""

from __future__ import annotations

import logging
import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import ray

from infra.placement.machine import MIN_SLOTS, ray_node
from infra.placement.nodes import Node
from tasks.errors import LitecotError
from tasks.ports import TransientError

NAMESPACE = "litecot"

LOCAL_OBJECT_STORE_BYTES = 256 * 1024**2  # requests and replies are small

STDERR = 2  # where C++ writes

_NOTE = re.compile(rb"\[[\d-]+ [\d:,]+ [DIW] \d+ \d+\] ")  # of C++, below an error

_HOST_AND_PORT = re.compile(r"\[?([^\[\]/]+)\]?:(\d+)")  # not "auto"
LISTENS_S = 10.0

_STARTING = threading.Lock()

# Ray puts the driver's folder first on its workers' path: a `tasks.py` there must not be ours; and
# workers have the environment of Ray's daemon, keys included (infra/environment.py).
_WORKERS = {"worker_process_setup_hook": "litecot._names.enter_worker"}
_keepers: list[object] = []  # who wants Ray to outlive the run that started it
_joined = False  # a cluster that stood before this driver came


class ClusterError(LitecotError):
    """The cluster at RAY_ADDRESS cannot be joined."""


def has_joined() -> bool:
    """Whether the cluster stood before this driver came, and outlives it."""
    return _joined


def start_ray(
    *, num_cpus: int | None = None, temp_dir: Path | None = None, address: str | None = None
) -> None:
    """Join the cluster at `address` or RAY_ADDRESS, or start a quiet one here. Idempotent.

    `temp_dir` must be short: Ray's sockets lie in it and a socket's path may have 107 bytes.
    """
    with _STARTING:
        if not ray.is_initialized():
            _call_on_lasting_thread(partial(_init_ray, num_cpus, temp_dir, address))


def _call_on_lasting_thread(call: Callable[[], None]) -> None:
    """Linux kills Ray's processes when the *thread* that started them ends, and threads of an
    event loop's executor end with the loop: so they are started by one that never does."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            call()
        except BaseException as error:
            outcome.set_exception(error)
        else:
            outcome.set_result(None)
            threading.Event().wait()

    threading.Thread(target=run, name="litecot-ray", daemon=True).start()
    outcome.result()


def _init_ray(num_cpus: int | None, temp_dir: Path | None, address: str | None) -> None:
    try:
        with _without_first_words():
            _join_or_start(num_cpus, temp_dir, address)
    except LitecotError:
        ray.shutdown()
        raise
    except Exception as error:  # a busy machine: Ray gives its own processes 30 s
        ray.shutdown()
        raise TransientError(f"Ray did not start: {_first_line(error)}") from error


@contextmanager
def _without_first_words() -> Iterator[None]:
    """What Ray's C++ part notes before it heeds its log level (the level itself, that there is
    no internet) stays unsaid; all else on stderr is passed on."""
    with tempfile.TemporaryFile() as said:
        stderr = os.dup(STDERR)
        os.dup2(said.fileno(), STDERR)
        try:
            yield
        finally:
            os.dup2(stderr, STDERR)
            os.close(stderr)
            said.seek(0)
            for line in said:
                if not _NOTE.match(line):
                    os.write(STDERR, line)


def _join_or_start(num_cpus: int | None, temp_dir: Path | None, address: str | None) -> None:
    global _joined
    if where := address or os.environ.get("RAY_ADDRESS"):
        _joined = True
        _join(where)
        return
    _joined = False
    ray.init(
        num_cpus=num_cpus or max(MIN_SLOTS, os.cpu_count() or 1),
        runtime_env=_WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        _temp_dir=str(temp_dir or Path(tempfile.gettempdir()) / f"litecot-ray-{os.getuid()}"),
    )


def _join(where: str) -> None:
    """Raises ClusterError: at once where nothing listens, Ray itself would try for minutes."""
    if listens := _HOST_AND_PORT.fullmatch(where):
        try:
            socket.create_connection((listens[1], int(listens[2])), timeout=LISTENS_S).close()
        except OSError as error:
            raise ClusterError(
                f"no Ray cluster answers at {where} ({error.strerror or error}): start one "
                "(`ray start --head`), or unset RAY_ADDRESS to use this machine alone"
            ) from error
    try:
        ray.init(
            address=where, runtime_env=_WORKERS, log_to_driver=False, logging_level=logging.ERROR
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterError(why_not_joined(where, error)) from error


def why_not_joined(where: str, error: BaseException) -> str:
    """One line of what Ray says in many: the reason is somewhere in the errors behind it."""
    chain, said = error, str(error)
    while chain := chain.__cause__ or chain.__context__:  # type: ignore[assignment]
        said += str(chain)
    if "InvalidAuthToken" not in said:
        return f"the Ray cluster at {where} cannot be joined: {_first_line(error)}"
    if os.environ.get("RAY_AUTH_MODE", "").lower() == "token":
        return (f"the Ray cluster at {where} refuses the token: put that of its head node "
                "(~/.ray/auth_token there) into RAY_AUTH_TOKEN or ~/.ray/auth_token")  # fmt: skip
    return (f"the Ray cluster at {where} wants a token: set RAY_AUTH_MODE=token; the token of its "
            "head node is read from RAY_AUTH_TOKEN or ~/.ray/auth_token")  # fmt: skip


def stop_ray() -> None:
    """Leave the cluster, unless it is kept; a local one stops with its actors."""
    if ray.is_initialized() and not _keepers:
        ray.shutdown()


@contextmanager
def ray_kept() -> Iterator[None]:
    """Runs inside, one after another or at once, leave Ray up for the next; its end stops it."""
    keeper = object()
    _keepers.append(keeper)
    try:
        yield
    finally:
        _keepers.remove(keeper)
        stop_ray()


def ray_address() -> str | None:
    """Where other processes join the cluster of this one; None before it has one."""
    return str(ray.get_runtime_context().gcs_address) if ray.is_initialized() else None


def cluster_nodes() -> list[Node]:
    """The nodes of the cluster at RAY_ADDRESS, which this driver joins. Raises ClusterError."""
    start_ray()
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [ray_node(node) for node in nodes if node["Alive"]]


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
