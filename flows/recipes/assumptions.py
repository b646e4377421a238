"""What `--plan` assumes about lengths, shares and speeds: the table `[estimate]` of a recipe.

Invariant: no row depends on it, so it is in no fingerprint and no run's identity; what the corpus
has measured goes before it. Each description names the figure's source: [given] the project's
brief, [ours] a choice of ours, [measured] see docs/recipes.md.

A sample: `litecot run liter-7b --plan --set estimate.long_tokens=6000`
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tasks.ports import Role


def _share(default: float, description: str) -> float:
    value: float = Field(default=default, gt=0, le=1, description=description)
    return value


class Price(BaseModel):
    """Of an endpoint, per million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(
        default="USD", pattern=r"^\w{1,8}$", description="by which sums are kept apart; any word"
    )
    input: float = Field(default=0.0, ge=0, description="a million tokens of prompts")
    output: float = Field(default=0.0, ge=0, description="a million tokens it writes")


class Assumptions(BaseModel):
    """Tokens are of the model that reads or writes them; shares are 0..1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    problems: int = Field(default=1000, ge=1, description="where no file and no limit says")
    held_out: int = Field(default=500, ge=1, description="evaluation problems, where no file says")
    imported: float = Field(default=4, gt=0, description="imported rationales a problem [ours]")
    characters_per_token: float = Field(
        default=3.0, ge=0.1, description="of mathematics in English and LaTeX [ours]"
    )
    question_tokens: float = Field(
        default=65, ge=0, description="a question; MATH-500's mean of 196 characters [measured]"
    )
    long_tokens: float = Field(
        default=10_535, gt=0, description="a long chain; mean of ReasonFlux [given]"
    )
    rewritten_tokens: float = Field(
        default=720, gt=0, description="a rewritten chain; LiteCoT's mean [given]"
    )
    thinking_tokens: float = Field(
        default=0, ge=0,
        description="what a reasoning teacher thinks before a verdict or a rewrite",
    )  # fmt: skip
    verdict_tokens: float = Field(default=20, gt=0, description="a verdict, after thinking [ours]")
    rounds: float = Field(default=3, gt=0, description="compression rounds a chain [ours]")
    round_ratio: float = _share(0.8, "length of a round by the one before [ours]")
    share_correct: float = _share(0.75, "candidates with the gold answer [ours]")
    share_solved: float = _share(0.9, "problems with a correct candidate [ours]")
    rewrite_attempts: float = Field(default=1.2, ge=1, description="attempts a rewrite [ours]")
    share_accepted: float = _share(0.9, "rewrites accepted in the end [ours]")
    share_kept: float = _share(0.9, "chains below max_rd and no near-duplicates [ours]")
    base_eval_tokens: float = Field(
        default=15_000, gt=0, description="an answer of the untrained student, AIME24 [given]"
    )
    trained_eval_tokens: float = Field(
        default=5_000, gt=0, description="an answer of the trained student, AIME24 [given]"
    )
    decode_7b: float = Field(
        default=3_000, ge=1,
        description="tokens/s that one GPU writes with 7e9 parameters; scaled by size [ours]",
    )  # fmt: skip
    tokens_per_s: dict[Role, Annotated[float, Field(gt=0)]] = Field(
        default={}, description="the same by role, where you have measured it"
    )
    peak_tflops: float = Field(
        default=989, gt=0, description="a GPU's dense bfloat16 TFLOP/s; H100 SXM's data sheet"
    )
    read_utilization: float = _share(0.4, "of the peak, reading prompts and scoring [ours]")
    train_utilization: float = _share(0.35, "of the peak, training [ours]")
    price: dict[Role, Price] = Field(default={}, description="of endpoints, by role")
