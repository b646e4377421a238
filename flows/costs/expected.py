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
MOST_MOVED = 2.0  # a trend is believed that far


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
class StageRecords:
    """The inputs of a stage as the corpus has them now, by the query that the run will ask.

    `num_done`: of those, found under the stage's fingerprint. `num_open`: training problems of
    which stages before it have work left, so that more inputs will come; `num_inputs_open`: inputs
    that they have already. `rate`: inputs a problem of the others. `is_final`: none will come.
    """

    num_inputs: int
    num_done: int
    num_open: float = 0
    num_inputs_open: int = 0
    rate: float | None = None
    is_final: bool = False
    question_characters: float | None = None


@dataclass(frozen=True, kw_only=True)
class Trend:
    """How what a record asks grows with its question: around their mean, a character more."""

    question_characters: float
    slope: ExpectedUsage


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Training examples, a training problem, and tokens of one, prompt and completion."""

    per_problem: float
    num_tokens: float


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the corpus has already, by stage.

    `usage` of a record under the same settings; of `similar` a run under other settings, with the
    same models: usage, and in `rates` the inputs a problem. `trends`: of either usage. `chains` by
    kind. `trained`: the student of these settings is there.
    """

    usage: Mapping[str, ExpectedUsage] = field(default_factory=dict)
    similar: Mapping[str, ExpectedUsage] = field(default_factory=dict)
    trends: Mapping[str, Trend] = field(default_factory=dict)
    records: Mapping[str, StageRecords] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=dict)
    chains: Mapping[str, Chains] = field(default_factory=dict)
    share_accepted: float | None = None
    examples: Examples | None = None
    trained: bool = False


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
        """Inputs of a stage, or of training: those that are there, and those that will come."""
        if stage == TRAIN:
            return self.examples()
        found = self.observed.records.get(stage)
        if found is None:
            return self._expected_records(stage)
        if found.is_final:
            return found.num_inputs
        if self.stages[stage].is_global or self.stages[stage].phase == "evaluation":
            return max(found.num_inputs, self._expected_records(stage))
        to_come = found.num_open * self._rate(stage, found)
        return found.num_inputs - found.num_inputs_open + max(found.num_inputs_open, to_come)

    def _rate(self, stage: str, found: StageRecords) -> float:
        """Inputs a problem: of these that are done, else of a run before, else assumed."""
        rate = self.observed.rates.get(stage) if found.rate is None else found.rate
        return self._expected_records(stage) / self.num_problems if rate is None else rate

    def _expected_records(self, stage: str) -> float:
        expects = self.stages[stage].expects
        return expects.records(self, self._settings(stage)) if expects else 0

    def usage_left(self, stage: str, mean: ExpectedUsage) -> ExpectedUsage:
        """Of one record that is left, where `mean` is that of those measured: by its question."""
        trend, found = self.observed.trends.get(stage), self.observed.records.get(stage)
        if trend is None or found is None or found.question_characters is None:
            return mean
        longer = found.question_characters - trend.question_characters

        def moved(value: float, slope: float) -> float:
            return min(max(value + slope * longer, value / MOST_MOVED), value * MOST_MOVED)

        return ExpectedUsage(
            requests=moved(mean.requests, trend.slope.requests),
            prompt_tokens=moved(mean.prompt_tokens, trend.slope.prompt_tokens),
            completion_tokens=moved(mean.completion_tokens, trend.slope.completion_tokens),
        )

    def num_done(self, stage: str) -> float:
        """Of its records, those that the run will not ask for."""
        if stage == TRAIN:  # once, on all
            return self.examples() if self.observed.trained else 0
        found = self.observed.records.get(stage)
        return found.num_done if found else 0

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
        if (known := self.observed.examples) is not None:
            return known.per_problem * self.num_problems
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
        if (known := self.observed.examples) is not None:
            return self.examples(), known.num_tokens
        select = self.recipe.select
        kinds = [*select.original_kinds, *(["compressed"] if select.with_compressed else [])]
        return self.examples(), self.question + self.mean_length(kinds)

    def _train(self) -> ExpectedUsage:
        """`prompt_tokens`: what is trained on, all epochs."""
        return ExpectedUsage(prompt_tokens=self.training_data()[1] * self.recipe.train.epochs)
