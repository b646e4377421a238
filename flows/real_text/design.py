"""What `litecot replicate-real` compares: sizes, arms and claims, read from design.toml.

Role: the declaration and its checks, and the order of each run. Invariants: every claim names arms
and scorers there are; an arm is the shipped recipe with settings changed, so what scores, chooses,
trains and answers is the product's own; students differ in nothing but what they are taught.

A sample: Asked(data=Path("data"), num_seeds=1).students()[0].name == "all 1"
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.real_text.sources import Files
from flows.session import Order
from tasks.errors import UsageError
from tasks.scorers import SCORERS

FILE = Path(__file__).with_name("design.toml")
Size = Literal["reduced", "full"]
Among = Literal["all", "right"]
Measure = Literal["answer", "solution", "accuracy"]
Settings = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Margins(_Part):
    """A difference within it is none."""

    auc: float = Field(gt=0)
    nats: float = Field(gt=0)
    accuracy: float = Field(gt=0)


class Scale(_Part):
    """How much of everything: what a machine has time for."""

    seeds: int = Field(ge=1)
    labelled: int = Field(ge=2)
    pool: int = Field(ge=1)
    read: int = Field(ge=1)
    answered: int = Field(ge=1)
    set: Settings = {}
    arms: tuple[str, ...] = ()  # none: all


class Arm(_Part):
    """One way to choose the training set."""

    words: str = Field(min_length=1)
    set: Settings = {}


class ScorerClaim(_Part):
    """A scorer's AUC is above a coin's, or above another's."""

    words: str
    scorer: str
    against: str | None = None  # none: a coin
    among: Among


class StudentClaim(_Part):
    """Students of `a` are better than students of `b`."""

    words: str
    a: str
    b: str
    measure: Measure


@dataclass(frozen=True, kw_only=True)
class Student:
    """An arm with a seed."""

    arm: str
    seed: int
    order: Order

    @property
    def name(self) -> str:
        """As progress says it."""
        return f"{self.arm} {self.seed}"


class Design(_Part):
    """All of design.toml."""

    recipe: str
    seeds: tuple[int, ...] = Field(min_length=1)
    margins: Margins
    sizes: dict[Size, Scale]
    common: Settings
    labelled: Settings
    reading: Settings
    chosen: Settings
    arms: dict[str, Arm]
    scorer_claims: tuple[ScorerClaim, ...]
    student_claims: tuple[StudentClaim, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for claim in self.scorer_claims:
            for name in filter(None, (claim.scorer, claim.against)):
                SCORERS.entry(name)  # raises an error that names those there are
        named = {name for claim in self.student_claims for name in (claim.a, claim.b)}
        for size in self.sizes.values():
            named |= set(size.arms)
            if size.seeds > len(self.seeds):
                raise ValueError(f"{size.seeds} seeds, and there are {len(self.seeds)}")
        if unknown := sorted(named - set(self.arms)):
            raise ValueError(f"no arm {unknown[0]!r}; there are {', '.join(self.arms)}")
        return self


class Asked(_Part):
    """What a person asked for; `scale` and `overrides` make it smaller, for a pilot."""

    data: Path
    corpus: str = "corpus"
    size: Size = "reduced"
    num_seeds: int | None = None
    arms: tuple[str, ...] = ()  # none: all of the size
    scale: tuple[tuple[str, int], ...] = ()  # of Scale's numbers, instead of the size's
    overrides: tuple[str, ...] = ()

    @property
    def scaled(self) -> Scale:
        """The size with what was changed. Raises UsageError."""
        design = read_design()
        numbers = dict(self.scale)
        if self.num_seeds is not None:
            numbers["seeds"] = self.num_seeds
        if not 1 <= numbers.get("seeds", 1) <= len(design.seeds):
            raise UsageError(f"--seeds {numbers['seeds']}: the design has {len(design.seeds)}")
        return design.sizes[self.size].model_copy(update=numbers)

    @property
    def is_pilot(self) -> bool:
        """Whether it is less than the size as it is declared."""
        is_smaller = self.num_seeds not in (None, read_design().sizes[self.size].seeds)
        return bool(is_smaller or self.arms or self.scale or self.overrides)

    @property
    def files(self) -> Files:
        """The problems' files, beside the corpus."""
        return Files(Path(f"{self.corpus}-problems") / self._scale_name())

    def _scale_name(self) -> str:
        scale = self.scaled
        return f"{scale.labelled}-{scale.pool}-{scale.read}-{scale.answered}"

    @property
    def seeds(self) -> tuple[int, ...]:
        """Those of the size."""
        return read_design().seeds[: self.scaled.seeds]

    def students(self) -> list[Student]:
        """Seed by seed. Raises UsageError for an arm there is not."""
        design, wanted = read_design(), self.arms or self.scaled.arms
        if unknown := [name for name in wanted if name not in design.arms]:
            raise UsageError(f"--arms {unknown[0]}: there are {', '.join(design.arms)}")
        return [
            Student(arm=name, seed=seed, order=self._chosen(name, seed))
            for seed in self.seeds
            for name in design.arms
            if name in (wanted or design.arms)
        ]

    def _chosen(self, arm: str, seed: int) -> Order:
        design = read_design()
        own = {"train.seed": seed, "evaluate.problems": [str(self.files.answered)]}
        settings = {**design.chosen, **design.arms[arm].set, **own}
        return self._order(self.files.pool(seed), settings, name=arm, seed=seed)

    def labelled_order(self) -> Order:
        """The scores of human-labelled rationales."""
        return self._order(self.files.labelled, read_design().labelled, name="labelled", seed=0)

    def reading_order(self, student: Path | None) -> Order:
        """The held-out solutions read by a student; None: by the base."""
        order = self._order(self.files.read, read_design().reading, name="reading", seed=0)
        if student is None:
            return order
        named = as_overrides({"models.student.model": str(student)})  # behind what was changed
        return order.model_copy(update={"overrides": (*order.overrides, *named)})

    def _order(self, file: Path, settings: Settings, *, name: str, seed: int) -> Order:
        design = read_design()
        merged = {
            **design.common, **self.scaled.set, **settings, "name": f"replicate-real-{name}"
        }  # fmt: skip
        return Order(
            recipe=design.recipe, corpus=self.corpus, rationales=(str(file),), seed=seed,
            overrides=(*as_overrides(merged), *self.overrides),
        )  # fmt: skip


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """As --set takes them."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


@cache
def read_design() -> Design:
    """The design that ships."""
    return Design.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
