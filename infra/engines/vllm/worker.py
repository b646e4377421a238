"""What runs inside vLLM's own processes: they end when the process that holds the engine ends.

Role: vLLM's hook for workers (`worker_extension_cls`), imported in every one of them. Invariant:
none outlives its host, however that dies. Measured without this: after a SIGKILL of the host, or
the out-of-memory killer's, vLLM's engine core stays for ever with the GPU's memory.
"""

from __future__ import annotations

import os
import select
import signal
import threading

from infra.engines.vllm.options import HOST_VARIABLE


class DiesWithHost:
    """Mixed into vLLM's worker class; being imported is all it does."""


def _watch(host: int) -> None:
    try:
        poller = select.poll()
        poller.register(os.pidfd_open(host), select.POLLIN)
        poller.poll()
    except ProcessLookupError:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if host := os.environ.get(HOST_VARIABLE):
    threading.Thread(target=_watch, args=(int(host),), name="litecot-host", daemon=True).start()
