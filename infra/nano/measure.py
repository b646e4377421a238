"""Measure the nano models on held-out problems: `python -m infra.nano.measure`.

Role: the proof that the embedded models can play their roles. Invariant: every problem is held out
(never seen in any wording), replies come through the pipeline's own engine, and what is right is
decided by the world, not by a model. The result is `metrics.json`.

A sample entry: {"teacher": {"solve": {"greedy": {"easy": 0.998, "easy_tokens": 95.1, ...}, ...}}}
"""

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.engines import EngineConfig, open_engine
from infra.nano import chains, lessons, world
from tasks import prompts
from tasks.ports import Prompt, Sampling

FOLDER = Path(__file__).parent
MAX_NEW_TOKENS = 448
TEMPERATURES = {"greedy": 0.0, "t0.7": 0.7, "t1.0": 1.0}

Metrics = dict[str, "float | Metrics"]


@dataclass(frozen=True)
class Trial:
    """One prompt and the judge of its reply."""

    prompt: str
    is_right: Callable[[str], bool]
    compress: bool = False


class Speaker:
    """A nano model behind the engine that the pipeline uses, answering many prompts at once."""

    def __init__(self, folder: Path) -> None:
        config = EngineConfig(
            model=str(folder.resolve()), dtype="float64", device="cpu", max_batch_size=192,
            max_batch_tokens=4096,
        )  # fmt: skip
        self._engine = open_engine(config)

    def ask(self, trials: list[Trial], temperature: float = 0.0) -> list[str]:
        """The replies, in the order of the trials."""
        return asyncio.run(self._ask_all(trials, temperature))

    async def _ask_all(self, trials: list[Trial], temperature: float) -> list[str]:
        replies = await asyncio.gather(
            *(self._reply(trial, temperature, seed) for seed, trial in enumerate(trials))
        )
        return list(replies)

    async def _reply(self, trial: Trial, temperature: float, seed: int) -> str:
        prompt = Prompt(text=trial.prompt, compress=trial.compress)
        sampling = Sampling(temperature=temperature, max_tokens=MAX_NEW_TOKENS, seed=seed)
        (completion,) = await self._engine.complete(prompt, sampling)
        return completion.text


def solve_trial(problem: world.Problem, *, compress: bool = False) -> Trial:
    """Solving counts by the answer alone, as in the pipeline."""
    prompt = prompts.render("generate", lessons.VARIANT, question=problem.question)
    return Trial(prompt, lambda reply: chains.find_answer(reply) == problem.answer, compress)


def compress_trial(rng: random.Random, problem: world.Problem) -> Trial:
    """One round, from any stage but the minimal one, each as likely."""
    long = rng.random() < 0.5
    start = (
        chains.long_style(rng)
        if long
        else chains.rewrite_style(lessons.rewritten_level(rng, problem))
    )
    before = chains.render(problem, rng.choice(chains.stages(start)[:-1]))
    return _chain_trial(
        "compress", problem, before, lambda reply: chains.is_right_round(before, reply)
    )


def stretch_trial(_rng: random.Random, problem: world.Problem) -> Trial:
    """Squeezing a minimal chain must lengthen it."""
    before = chains.render(problem, chains.MINIMAL)
    return _chain_trial(
        "compress",
        problem,
        before,
        lambda reply: chains.count_pieces(reply) > chains.count_pieces(before),
    )


def rewrite_trial(rng: random.Random, problem: world.Problem) -> Trial:
    """A rewrite by the problem's level: right, shorter than the long chain, with its headings."""
    level, before = problem.level, chains.render(problem, chains.long_style(rng))
    marks = {"easy": "Method:", "medium": "Reflection:", "hard": "Integration:"}

    def is_right(reply: str) -> bool:
        shorter = chains.count_pieces(reply) < chains.count_pieces(before)
        return chains.is_right_solution(problem, reply) and shorter and marks[level] in reply

    return _chain_trial("rewrite", problem, before, is_right, level=level)


def judge_trial(_rng: random.Random, problem: world.Problem) -> Trial:
    """Name the level."""
    prompt = prompts.render("judge", lessons.VARIANT, question=problem.question)
    return Trial(prompt, lambda reply: reply == problem.level)


def valid_trial(rng: random.Random, problem: world.Problem) -> Trial:
    """Accept a right rewrite."""
    style = chains.rewrite_style(lessons.rewritten_level(rng, problem))
    return _chain_trial(
        "verify", problem, chains.render(problem, style), lambda reply: reply == "valid"
    )


def invalid_trial(rng: random.Random, problem: world.Problem) -> Trial:
    """Reject a corrupted rewrite."""
    style = chains.rewrite_style(lessons.rewritten_level(rng, problem))
    return _chain_trial(
        "verify", problem, chains.corrupt(problem, style, rng), lambda reply: reply == "invalid"
    )


def _chain_trial(
    step: str, problem: world.Problem, chain: str, is_right: Callable[[str], bool], **values: str
) -> Trial:
    return Trial(
        prompts.render(step, lessons.VARIANT, question=problem.question, rationale=chain, **values),
        is_right,
    )


CHAIN_TRIALS: dict[str, Callable[[random.Random, world.Problem], Trial]] = {
    "compress_one_round": compress_trial,
    "minimal_gets_longer": stretch_trial,
    "rewrite": rewrite_trial,
    "judge": judge_trial,
    "verify_accepts_right": valid_trial,
    "verify_rejects_wrong": invalid_trial,
}


def draw_levels(count: int) -> dict[str, list[world.Problem]]:
    """Held-out problems of each level."""
    return {
        level: world.draw_distinct(
            random.Random(1), count, steps=world.LEVEL_STEPS[level], held_out=True
        )
        for level in world.LEVELS
    }


def share_right(
    speaker: Speaker, trials: list[Trial], temperature: float = 0.0
) -> tuple[float, float]:
    """The share of right replies and their mean length in tokens."""
    replies = speaker.ask(trials, temperature)
    right = sum(trial.is_right(reply) for trial, reply in zip(trials, replies, strict=True))
    return round(right / len(trials), 4), round(_mean(map(chains.count_pieces, replies)), 1)


def _mean(numbers: Iterable[float]) -> float:
    values = list(numbers)
    return sum(values) / len(values)


def measure_solving(
    speaker: Speaker, count: int, temperature: float, *, compress: bool = False
) -> Metrics:
    """Accuracy and mean tokens of solutions by level."""
    found: Metrics = {}
    for level, problems in draw_levels(count).items():
        trials = [solve_trial(problem, compress=compress) for problem in problems]
        found[level], found[f"{level}_tokens"] = share_right(speaker, trials, temperature)
    return found


def measure_roles(speaker: Speaker, count: int) -> Metrics:
    """Every other role of the teacher by level, greedy."""
    found: Metrics = {}
    for name, make in CHAIN_TRIALS.items():
        rng = random.Random(2)
        scores = {
            level: share_right(speaker, [make(rng, problem) for problem in problems])
            for level, problems in draw_levels(count).items()
        }
        found[name] = {level: right for level, (right, _) in scores.items()}
        if name == "rewrite":
            found["rewrite_tokens"] = {level: tokens for level, (_, tokens) in scores.items()}
    return found


def measure(weights: Path, count: int) -> Metrics:
    """Teacher in all its roles, and the untrained student as the base line."""
    teacher, student = Speaker(weights / "teacher"), Speaker(weights / "student")
    solve: Metrics = {
        name: measure_solving(teacher, count, value) for name, value in TEMPERATURES.items()
    }
    return {
        "problems_per_level": count,
        "teacher": {
            "training": _training(weights / "teacher"),
            "solve": solve,
            **measure_roles(teacher, count),
        },
        "student_base": {
            "training": _training(weights / "student"),
            "solve": measure_solving(student, count, 0.0),
            "solve_compress": measure_solving(student, count, 0.0, compress=True),
        },
    }


def _training(folder: Path) -> Metrics:
    loaded: Metrics = json.loads((folder / "training.json").read_text())
    return loaded


def main() -> None:
    """Measure and write the metrics."""
    parser = argparse.ArgumentParser(description="Measure the nano models on held-out problems.")
    parser.add_argument("--count", type=int, default=500, help="problems per level")
    parser.add_argument("--weights", type=Path, default=FOLDER / "weights")
    parser.add_argument("--output", type=Path, default=FOLDER / "metrics.json")
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments.weights, arguments.count), indent=2)
    arguments.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
