"""Training on real GPUs: one rank a device, bf16."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.training.config import TrainConfig, Zero
from infra.training.launch import train
from infra.training.reports import StepReport, TrainingExample
from tests.tiny_models import save_tiny_model

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
EXAMPLES = [
    TrainingExample(prompt=f"1) right {number % 9}", completion=f"3 + {number % 9} = 7")
    for number in range(32)
]


@pytest.mark.parametrize("zero", ["zero2", "zero3"])
def test_the_loss_falls_on_cuda(zero: Zero, tmp_path: Path) -> None:
    steps: list[StepReport] = []
    config = TrainConfig(
        num_ranks=torch.cuda.device_count(),
        zero=zero,
        epochs=5,
        learning_rate=1e-2,
        per_rank_batch_size=4,
        gradient_checkpointing=True,
    )
    base = save_tiny_model(tmp_path / "base", width=64)
    result = train(
        config, base=base, examples=EXAMPLES, output=tmp_path / "out", on_progress=steps.append
    )
    assert steps[-1].loss < steps[0].loss / 2
    assert result.world_size == torch.cuda.device_count()

    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert model.num_parameters() == result.num_parameters
