"""What the checks share: the device they run on, the model of real text, and a place for figures.

`GPU_KIT_DEVICE`: cuda, cpu or auto (cuda where there is one, else cpu); unset: cuda, or all skip.
`GPU_KIT_FIGURES`: the file that a check's figures go to, as JSON; unset: they are printed.
`GPU_KIT_CACHE`: a folder for models made here, shared by all checks of a run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.bare.models import Made, made_qwen, made_smollm2

DEVICE, FIGURES, CACHE = "GPU_KIT_DEVICE", "GPU_KIT_FIGURES", "GPU_KIT_CACHE"


@pytest.fixture(scope="session")
def device() -> str:
    """cuda or cpu."""
    torch = pytest.importorskip("torch")
    wanted = os.environ.get(DEVICE, "cuda")
    has_gpu = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if has_gpu else "cpu"
    if wanted == "cuda" and not has_gpu:
        pytest.skip("no CUDA device")
    return wanted


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Filled by a test, kept under its name whether or not it passes."""
    found: dict[str, Any] = {}
    yield found
    path = os.environ.get(FIGURES)
    if path is None:
        print(f"\n{request.node.name}: {json.dumps(found, indent=1)}")
        return
    known = json.loads(Path(path).read_text()) if Path(path).exists() else {}
    Path(path).write_text(json.dumps(known | {request.node.name: found}))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made models."""
    path = Path(os.environ.get(CACHE) or tmp_path_factory.mktemp("models"))
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def smollm2(device: str, cache: Path) -> Made:
    """SmolLM2-135M, or a random model of its shape where its weights did not travel."""
    return made_smollm2(cache)


@pytest.fixture
def qwen(device: str, cache: Path) -> Made:
    """A random model of Qwen2.5-1.5B's shape; on a CPU 2 of its layers and a fifth of its words."""
    return made_qwen(cache, is_whole=device == "cuda")
