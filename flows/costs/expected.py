"""How many records each stage will have, and what one of them asks of its model.

Invariant: pure; a figure the corpus or the input files know goes before an assumed one, and every
assumption used is noted in `used`.

A sample: Expected(recipe, Inputs(num_problems=320), Observed()).records("rewrite") == 288.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf

from flows.recipes.recipe import Recipe
from infra.runs.plan import TRAIN
from tasks.costs import ExpectedUsage
from tasks.prompts import load_prompt
from tasks.stage import StageConfig

UNKNOWN_LENGTH = "long_tokens"  # of a chain whose maker does not say


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
    """The CostBook of a recipe (tasks/costs.py): looks figures up, the corpus' before the assumed.

    `used`: names of the assumptions that were needed.
    """

    def __init__(self, recipe: Recipe, inputs: Inputs, observed: Observed) -> None:
        self.recipe, self.inputs, self.observed = recipe, inputs, observed
        self.used: set[str] = set()
        self.stages = {stage.name: stage for stage in recipe.all_stages()}
        self._makers = {kind: stage for stage in self.stages.values() for kind in stage.makes}
        self.is_counted = inputs.num_problems is not None
        counted = inputs.num_problems
        if counted is None:
            counted = recipe.limit or recipe.estimate.problems
        self.num_problems = min(counted, recipe.limit or counted)

    def assume(self, name: str) -> float:
        """See CostBook."""
        self.used.add(name)
        return float(getattr(self.recipe.estimate, name))

    # --- lengths, tokens

    def template(self, step: str, name: str) -> float:
        """See CostBook."""
        text = load_prompt(step, name).text
        return len(text) / self.recipe.estimate.characters_per_token

    @property
    def question(self) -> float:
        """See CostBook."""
        if (known := self.inputs.question_characters) is not None:
            return known / self.assume("characters_per_token")
        return self.assume("question_tokens")

    def imported_length(self) -> float | None:
        """See CostBook."""
        known = self.inputs.candidate_characters
        return None if known is None else known / self.assume("characters_per_token")

    def length(self, kind: str) -> float:
        """See CostBook."""
        if kind in self.observed.chains:
            return self.observed.chains[kind].num_tokens
        maker = self._makers.get(kind)
        if maker is None or maker.expects is None or maker.expects.length is None:
            return self.assume(UNKNOWN_LENGTH)
        return maker.expects.length(self, self.recipe.settings_of(maker))

    def mean_length(self, kinds: Sequence[str]) -> float:
        """See CostBook."""
        counts = {kind: self.chains(kind) for kind in kinds}
        total = sum(counts.values()) or 1
        return sum(n * self.length(kind) for kind, n in counts.items() if n) / total

    def reply(self, words: float, most: int) -> float:
        """See CostBook."""
        return min(self.assume("thinking_tokens") + words, most)

    @property
    def compressor_thinks(self) -> bool:
        """See CostBook."""
        return self.recipe.models.compressor is None

    # --- records

    @property
    def num_held_out(self) -> float:
        """See CostBook."""
        return self.inputs.num_held_out or self.assume("held_out")

    @property
    def num_candidates(self) -> float:
        """See CostBook."""
        if "generate" in self.recipe.stages:
            return self.recipe.generate.num_candidates
        return self.inputs.candidates or self.assume("imported")

    @property
    def share_correct(self) -> float:
        """See CostBook."""
        known = self.observed.chains.get("long")
        return known.share_correct if known else self.assume("share_correct")

    @property
    def num_solved(self) -> float:
        """See CostBook."""
        known = self.observed.chains.get("long")
        return self.num_problems * (known.share_solved if known else self.assume("share_solved"))

    @property
    def share_accepted(self) -> float:
        """See CostBook."""
        return self.observed.share_accepted or self.assume("share_accepted")

    def chains(self, kind: str) -> float:
        """See CostBook."""
        maker = self._makers.get(kind)
        if maker is None or maker.expects is None or maker.expects.chains is None:
            return 0
        return maker.expects.chains(self, self.recipe.settings_of(maker))

    def records(self, stage: str) -> float:
        """Inputs of a stage, or of training."""
        if stage == TRAIN:
            return self.examples()
        expects = self.stages[stage].expects
        return expects.records(self, self._settings(stage)) if expects else 0

    def usage(self, stage: str) -> ExpectedUsage:
        """Of one record, as assumed."""
        if stage == TRAIN:
            return self._train()
        expects = self.stages[stage].expects
        return expects.usage(self, self._settings(stage)) if expects else ExpectedUsage()

    def _settings(self, stage: str) -> StageConfig:
        return self.recipe.settings_of(self.stages[stage])

    # --- training

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
            bounds.append(self.num_solved * select.keep_per_problem)
        return min(bounds)

    def training_data(self) -> tuple[float, float]:
        """Examples, and tokens of one, prompt and completion."""
        select = self.recipe.select
        kinds = [*select.original_kinds, *(["compressed"] if select.with_compressed else [])]
        return self.examples(), self.question + self.mean_length(kinds)

    def _train(self) -> ExpectedUsage:
        """`prompt_tokens`: what is trained on, all epochs."""
        return ExpectedUsage(prompt_tokens=self.training_data()[1] * self.recipe.train.epochs)
