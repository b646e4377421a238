"""What a child process that runs a model gets of our environment: what it needs, and no key.

Role: for training ranks (infra/training/launch.py) and engine actors (infra/hosting). Invariant: a
variable comes through because it is on the list, never because nobody thought of it; of those on
the list none that is named like a secret, and none with a password in a URL but a proxy's. Keys of
endpoints and of buckets stay in the driver, which alone asks them.

    child_environment({"PATH": "/bin", "HF_HOME": "/m", "OPENAI_API_KEY": "sk-1"})
        == {"PATH": "/bin", "HF_HOME": "/m"}
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

KEEP = "LITECOT_KEEP_ENV"  # names of more variables, separated by commas: for engines from outside
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

_NAMES = {
    # the system
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "HOSTNAME", "LANG", "LANGUAGE", "TZ",
    "TERM", "TMPDIR", "TMP", "TEMP", "VIRTUAL_ENV", "DO_NOT_TRACK", "NO_COLOR", "FORCE_COLOR",
    "KRB5CCNAME",
    # ours: what we tell a child
    "LITECOT_CACHE", "LITECOT_KEEP_ENV", "LITECOT_ENGINE_HOST",
    # the network
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    # compilers
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "MAX_JOBS", "CMAKE_BUILD_TYPE", "CPATH",
    "LIBRARY_PATH", "VERBOSE", "NVCC_THREADS",
    # ranks
    "RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "WANDB_DISABLED",
}  # fmt: skip
_PREFIXES = (
    "LC_", "XDG_", "LD_", "DYLD_", "PYTHON", "CONDA_", "MAMBA_", "GRPC_",
    # devices and how they talk
    "CUDA", "NVIDIA_", "NV_", "HIP_", "ROCR_", "ROCM_", "HSA_", "AMD_", "GPU_", "NEURON_", "TPU_",
    "HABANA_", "ASCEND_", "ONEAPI_", "ZE_", "NCCL_", "RCCL_", "GLOO_", "UCX_", "UCC_", "FI_",
    "IBV_", "MLX5_", "OMPI_", "PMIX_", "PMI_", "MPI_", "I_MPI_",
    # threads
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMEXPR_", "VECLIB_", "MALLOC_",
    "MIMALLOC_", "JEMALLOC_", "TCMALLOC_",
    # libraries
    "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "SAFETENSORS_", "DATASETS_", "TORCH",
    "PYTORCH_", "TORCHINDUCTOR_", "TRITON_", "ACCELERATE_", "DS_", "DEEPSPEED_", "BNB_", "VLLM_",
    "FLASHINFER_", "FLASH_ATTENTION_", "CUTLASS_", "CUDNN_", "CUBLAS_", "XFORMERS_", "JAX_",
    "XLA_", "LMCACHE_", "MOONCAKE_",
    # who started us
    "RAY_", "SLURM_", "KUBERNETES_",
)  # fmt: skip
_SECRET = re.compile(
    r"(^|_)(API_?KEYS?|ACCESS_?KEYS?|KEYS?|TOKEN|SECRETS?|PASS|PASSWORDS?|PASSWD|PASSPHRASE|"
    r"CREDENTIALS?|AUTH|AUTHORIZATION|COOKIE|JWT)(_(ID|FILE|PATH|VALUE|STRING|HEADER|\d+))?$"
    r"|SECRET|PASSWORD|API_?KEY",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"\w://[^/\s]*:[^/\s]*@")
_OURS = ("RAY_",)  # Ray's token is what a worker answers its own cluster with


def child_environment(
    environment: Mapping[str, str], *, keep: Collection[str] = ()
) -> dict[str, str]:
    """The part of `environment` a model's process gets; `keep`: names that come through as well,
    beside those in LITECOT_KEEP_ENV."""
    named = {*keep, *kept_names(environment)}
    return {
        name: value
        for name, value in environment.items()
        if name in named or _is_needed(name, value)
    }


def kept_names(environment: Mapping[str, str]) -> list[str]:
    """What LITECOT_KEEP_ENV names."""
    return [name.strip() for name in environment.get(KEEP, "").split(",") if name.strip()]


def hub_tokens(*, needs_hub: bool) -> tuple[str, ...]:
    """To keep where the model is a hub id: it may be gated. A local folder needs none."""
    return HUB_TOKENS if needs_hub else ()


def forget_the_rest(*, keep: Collection[str] = ()) -> None:
    """Take from this process what `child_environment` would not have given it.

    For processes that somebody else starts: Ray's workers have the environment of Ray's daemon,
    which is the one of whoever started it. What the system shows of a process (/proc/PID/environ)
    is the memory it began with, so the values are wiped there too.
    """
    kept = child_environment(os.environ, keep=keep)
    for name in os.environ.keys() - kept.keys():
        del os.environ[name]
    with suppress(OSError, ValueError, IndexError):  # no Linux
        _wipe_first_memory(kept)


def _is_needed(name: str, value: str) -> bool:
    if name.startswith(_OURS):
        return True
    is_listed = name.upper() in _NAMES or name.startswith(_PREFIXES)
    has_password = _PASSWORD_IN_URL.search(value) and not name.upper().endswith("_PROXY")
    return is_listed and not has_password and not _SECRET.search(name)


def _wipe_first_memory(kept: Collection[str]) -> None:
    """Overwrite the values of all but `kept` in the memory that this process began with."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = (int(fields[number - 3]) for number in (50, 51))  # proc(5): env_start, env_end
    names = {os.fsencode(name) for name in kept}
    place = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        if entry.partition(b"=")[0] not in names:
            ctypes.memset(place, 0, len(entry))
        place += len(entry) + 1
