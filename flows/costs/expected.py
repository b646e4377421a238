"""How many records each stage will have, and what one of them asks of its model.

Invariant: pure; a figure the corpus or the input files know goes before an assumed one, and every
assumption used is noted in `used`.

A sample: Expected(recipe, Inputs(num_problems=320), Observed()).records("rewrite") == 288.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf

from flows.recipes.recipe import Recipe
from tasks import rewrite
from tasks.prompts import load_prompt

CONDITIONS = 2  # of an evaluation: without and with <compress>


@dataclass(frozen=True, kw_only=True)
class ExpectedUsage:
    """Requests and tokens, of one record or of many."""

    requests: float = 0
    prompt_tokens: float = 0
    completion_tokens: float = 0

    def times(self, factor: float) -> ExpectedUsage:
        return ExpectedUsage(
            requests=self.requests * factor,
            prompt_tokens=self.prompt_tokens * factor,
            completion_tokens=self.completion_tokens * factor,
        )


@dataclass(frozen=True, kw_only=True)
class Chains:
    """What the corpus knows of the chains of one kind."""

    num_tokens: float
    share_correct: float
    share_solved: float


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the input files say. None: not known."""

    num_problems: int | None = None
    num_held_out: int | None = None
    question_characters: float | None = None
    candidates: float | None = None
    candidate_characters: float | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the corpus has already, by stage: usage of a record, and records done of this run."""

    usage: Mapping[str, ExpectedUsage] = field(default_factory=dict)
    chains: Mapping[str, Chains] = field(default_factory=dict)  # by kind
    done: Mapping[str, int] = field(default_factory=dict)
    share_accepted: float | None = None


class Expected:
    """Looks figures up, the corpus' before the assumed, and notes which were assumed."""

    def __init__(self, recipe: Recipe, inputs: Inputs, observed: Observed) -> None:
        self.recipe, self.inputs, self.observed = recipe, inputs, observed
        self.used: set[str] = set()
        self.is_counted = inputs.num_problems is not None
        counted = inputs.num_problems
        if counted is None:
            counted = recipe.limit or recipe.estimate.problems
        self.num_problems = min(counted, recipe.limit or counted)

    def assume(self, name: str) -> float:
        self.used.add(name)
        return float(getattr(self.recipe.estimate, name))

    # --- lengths, tokens

    def template(self, step: str, name: str) -> float:
        """The words around what a prompt is filled with."""
        text = load_prompt(step, name).text
        return len(text) / self.recipe.estimate.characters_per_token

    @property
    def question(self) -> float:
        if (known := self.inputs.question_characters) is not None:
            return known / self.assume("characters_per_token")
        return self.assume("question_tokens")

    def length(self, kind: str) -> float:
        """Of a chain of this kind."""
        if kind in self.observed.chains:
            return self.observed.chains[kind].num_tokens
        if kind == "compressed":
            shorter: float = self.assume("round_ratio") ** max(1.0, self.rounds - 1)
            return self.length(self.recipe.compress.source) * shorter
        if kind == "long" and (known := self.inputs.candidate_characters) is not None:
            return known / self.assume("characters_per_token")
        if kind == "long":
            return min(self.assume("long_tokens"), self.recipe.generate.max_tokens)
        return min(self.assume("rewritten_tokens"), self.recipe.rewrite.max_tokens)

    @property
    def rounds(self) -> float:
        config = self.recipe.compress
        if config.method == "until_rebound":
            return min(self.assume("rounds"), config.max_rounds)
        return config.num_rounds if config.method == "fixed_rounds" else 1

    def reply(self, words: float, most: int) -> float:
        """A reply of `words` tokens behind what the teacher thinks first."""
        return min(self.assume("thinking_tokens") + words, most)

    # --- records

    @property
    def candidates(self) -> float:
        if "generate" in self.recipe.stages:
            return self.recipe.generate.num_candidates
        return self.inputs.candidates or self.assume("imported")

    @property
    def solved(self) -> float:
        """Problems with a correct long chain."""
        known = self.observed.chains.get("long")
        return self.num_problems * (known.share_solved if known else self.assume("share_solved"))

    def chains(self, kind: str) -> float:
        """Correct chains of this kind, of compressed ones the kept rounds."""
        if kind == "long":
            known = self.observed.chains.get("long")
            share = known.share_correct if known else self.assume("share_correct")
            return self.num_problems * self.candidates * share
        if kind == "rewritten":
            if "rewrite" not in self.recipe.stages:
                return 0
            accepted = self.observed.share_accepted
            return self.solved * (accepted or self.assume("share_accepted"))
        is_made = "compress" in self.recipe.stages
        return self.chains(self.recipe.compress.source) if is_made else 0

    def records(self, stage: str) -> float:
        """Inputs of a stage."""
        if stage.startswith("evaluate-"):
            held_out = self.inputs.num_held_out or self.assume("held_out")
            limited = min(held_out, self.recipe.evaluate.limit or held_out)
            return limited * CONDITIONS * self.recipe.evaluate.num_samples
        if stage == "rewrite":
            return self.solved
        if stage == "compress":
            return self.chains(self.recipe.compress.source)
        if stage == "score":
            return sum(self.chains(kind) for kind in self.recipe.score.kinds)
        return self.examples() if stage == "train" else self.num_problems

    def examples(self) -> float:
        """Training examples, original and compressed."""
        if "mix" not in self.recipe.stages:
            return 0
        select = self.recipe.select
        originals = sum(self.chains(kind) for kind in select.original_kinds)
        found = self._kept(originals)
        if select.with_compressed:
            found += self._kept(self.chains("compressed"))
        return found

    def _kept(self, considered: float) -> float:
        select = self.recipe.select
        share = 1.0 if isinf(select.max_rd) else self.assume("share_kept")
        bounds = [considered * share]
        if select.keep_fraction is not None:
            bounds.append(considered * select.keep_fraction)
        if select.keep_per_problem is not None:
            bounds.append(self.solved * select.keep_per_problem)
        return min(bounds)

    # --- what one record asks

    def usage(self, stage: str) -> ExpectedUsage:
        """Of one record, as assumed."""
        if stage.startswith("evaluate-"):
            return self._evaluate(stage)
        ask: dict[str, Callable[[], ExpectedUsage]] = {
            "generate": self._generate, "difficulty": self._judge, "rewrite": self._rewrite,
            "compress": self._compress, "score": self._score, "train": self._train,
        }  # fmt: skip
        return ask[stage]()

    def _generate(self) -> ExpectedUsage:
        return ExpectedUsage(
            requests=1,
            prompt_tokens=self.question + self.template("generate", self.recipe.generate.prompt),
            completion_tokens=self.candidates * self.length("long"),
        )

    def _judge(self) -> ExpectedUsage:
        config = self.recipe.difficulty
        return ExpectedUsage(
            requests=1,
            prompt_tokens=self.question + self.template("judge", config.prompt),
            completion_tokens=self.reply(self.assume("verdict_tokens"), config.max_tokens),
        )

    def _rewrite(self) -> ExpectedUsage:
        config, length = self.recipe.rewrite, self.length("rewritten")
        write = ExpectedUsage(
            requests=1,
            prompt_tokens=self.question
            + self.length("long")
            + self.template("rewrite", config.prompt),
            completion_tokens=self.reply(length, config.max_tokens),
        )
        checks = int(config.teacher_check)
        words = self.assume("verdict_tokens")
        verify = self.template("verify", rewrite.STAGE.prompt_name("verify", config))
        both = ExpectedUsage(
            requests=1 + checks,
            prompt_tokens=write.prompt_tokens + checks * (self.question + length + verify),
            completion_tokens=write.completion_tokens
            + checks * self.reply(words, config.max_tokens_check),
        )
        return both.times(min(self.assume("rewrite_attempts"), config.max_attempts))

    def _compress(self) -> ExpectedUsage:
        config, rounds = self.recipe.compress, self.rounds
        source, ratio = self.length(config.source), self.assume("round_ratio")
        is_teacher = self.recipe.models.compressor is None
        thought = self.assume("thinking_tokens") if is_teacher else 0
        read = source * _mean_power(ratio, rounds)
        return ExpectedUsage(
            requests=rounds,
            prompt_tokens=rounds
            * (self.question + self.template("compress", config.prompt) + read),
            completion_tokens=rounds * min(read * ratio + thought, config.max_tokens),
        )

    def _score(self) -> ExpectedUsage:
        """Behind its question; for some scorers also without it, or step by step in windows."""
        config = self.recipe.score
        passes = 1 + ("ifd" in config.scorers)
        passes += (1 + config.window_steps) * ("naturalness" in config.scorers)
        return ExpectedUsage(
            requests=1, prompt_tokens=self.question + passes * self._mean_length(config.kinds)
        )

    def _mean_length(self, kinds: Sequence[str]) -> float:
        counts = {kind: self.chains(kind) for kind in kinds}
        total = sum(counts.values()) or 1
        return sum(n * self.length(kind) for kind, n in counts.items() if n) / total

    def _train(self) -> ExpectedUsage:
        """`prompt_tokens`: what is trained on, all epochs."""
        select = self.recipe.select
        kinds = [*select.original_kinds, *(["compressed"] if select.with_compressed else [])]
        length = self._mean_length(kinds)
        return ExpectedUsage(prompt_tokens=(self.question + length) * self.recipe.train.epochs)

    def _evaluate(self, stage: str) -> ExpectedUsage:
        role = stage.removeprefix("evaluate-")
        config = self.recipe.evaluate
        return ExpectedUsage(
            requests=1,
            prompt_tokens=self.question + self.template("generate", config.prompt),
            completion_tokens=min(self.assume(f"{role}_eval_tokens"), config.max_tokens),
        )


def _mean_power(ratio: float, rounds: float) -> float:
    """Mean of 1, ratio, ratio squared ... over so many rounds."""
    return rounds and (rounds if ratio == 1 else (1 - ratio**rounds) / (1 - ratio)) / rounds
