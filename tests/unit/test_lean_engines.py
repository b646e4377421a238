"""What an engine and a rank import: nothing that costs a second and is never used."""

from __future__ import annotations

import subprocess
import sys

import pytest

AFTERWARDS = """
import sys
import transformers.generation.candidate_generator
assert "sklearn" not in sys.modules
import sklearn.linear_model
"""
FIRST = {
    "engine": "import infra.engines.transformers.engine as engine; "
    "from infra.engines import EngineConfig; "
    "engine.load_model(EngineConfig(model='nano:student'))",
    "rank": "from infra.training.engine import settle_process; "
    "from infra.training.config import TrainConfig; "
    "settle_process(TrainConfig(device='cpu', dtype='float32')); "
    "import sys, deepspeed.runtime.zero.muon.muon_optimizer; "
    "assert 'torch._inductor.compile_fx' not in sys.modules",
}


@pytest.mark.parametrize("who", FIRST)
def test_it_starts_without_what_it_never_uses(who: str) -> None:
    code = FIRST[who] + AFTERWARDS
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
