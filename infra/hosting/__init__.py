"""Pools of replicas and who is asked what; only the modules ray_* here know Ray.

Invariant: Ray's settings are in the environment before any module here imports it, because it reads
some of them (its own handler of SIGTERM) only then.
"""

from __future__ import annotations

import os

_QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "error",  # no warnings of its C++ part between our lines
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # SIGTERM is ours: save, say how to resume
    "RAY_prestart_worker_first_driver": "0",  # engines have an environment no such worker has
    "RAY_worker_niceness": "0",  # by default engines yield to everything else on the machine
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run litecot` must not rebuild the environment
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def quiet_ray() -> None:
    """What Ray's processes must not do on their own, for those that start from here on."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


quiet_ray()
