"""What `litecot replicate` compares: arms, budgets and claims, read from design.toml.

Role: the declaration and its checks, and the order of each variant (an arm under a budget with a
seed). Invariants: every claim names arms there are, and is of their paper; an arm is the shipped
recipe with settings changed, so what trains and evaluates is the product's own.

A sample: Asked(papers=("litecot",), num_seeds=1).variants()[0].name == "raw steps 1"
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.names import names_in
from flows.session import Order
from tasks.errors import UsageError

FILE = Path(__file__).with_name("design.toml")
Paper = Literal["litecot", "macc", "morsd"]
Budget = Literal["steps", "tokens"]
PAPERS: tuple[Paper, ...] = get_args(Paper)
BUDGETS: tuple[Budget, ...] = get_args(Budget)
TITLES: dict[Paper, str] = {"litecot": "LiteCoT", "macc": "MACC", "morsd": "MoRSD"}

MOST_AT_ONCE = 8  # students in training or evaluation


def cores() -> int:
    """Those that students train and answer on."""
    return min(MOST_AT_ONCE, len(os.sched_getaffinity(0)))


def nano_at_once() -> int:
    """Two a core: a nano student is no faster on more than one, and half of its time it waits for
    what another generates, or for processes that start."""
    return min(MOST_AT_ONCE, 2 * cores())


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Part):
    """One way to make the training set."""

    papers: tuple[Paper, ...] = Field(min_length=1)
    words: str = Field(min_length=1)
    like: str  # of [sets]
    tokens: bool = False  # trained at equal tokens, too
    set: dict[str, Any] = {}


class Claim(_Part):
    """What a paper says of `a` against `b`."""

    paper: Paper
    section: str
    words: str
    a: str
    b: str
    metric: Literal["accuracy", "tokens"]
    direction: Literal["more", "less"]
    a_compress: bool = False
    b_compress: bool = False
    level: Literal["easy", "medium", "hard"] | None = None


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An arm under a budget with a seed: one student."""

    arm: str
    budget: Budget
    seed: int
    order: Order

    @property
    def name(self) -> str:
        """As progress says it."""
        return f"{self.arm} {self.budget} {self.seed}"


class Asked(_Part):
    """What a person asked for; `limit` and `overrides` make it smaller, for a pilot."""

    papers: tuple[Paper, ...] = PAPERS
    arms: tuple[str, ...] = ()  # only these; empty: all of the papers
    num_seeds: int | None = None
    corpus: str = "corpus"
    limit: int | None = None
    overrides: tuple[str, ...] = ()

    def variants(self) -> list[Variant]:
        """Of the design that ships. Raises UsageError."""
        return read_design().variants(self)


class Design(_Part):
    """All of design.toml."""

    recipe: str
    seeds: tuple[int, ...] = Field(min_length=1)
    margin: float = Field(gt=0)
    confidence: float = Field(gt=0.5, lt=1)
    budgets: dict[Budget, dict[str, Any]]
    common: dict[str, Any]
    sets: dict[str, dict[str, Any]]
    arms: dict[str, Arm]
    claims: tuple[Claim, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name, arm in self.arms.items():
            if arm.like not in self.sets:
                raise ValueError(f"arm {name!r} is like {arm.like!r}, which [sets] has not")
        for claim in self.claims:
            for name in (claim.a, claim.b):
                if name not in self.arms or claim.paper not in self.arms[name].papers:
                    raise ValueError(f"{claim.words!r}: no arm {name!r} of {claim.paper}")
        return self

    def claims_of(self, papers: Iterable[Paper]) -> list[Claim]:
        """In the file's order."""
        return [claim for claim in self.claims if claim.paper in papers]

    def budgets_of(self, claim: Claim) -> list[Budget]:
        """Those that both arms are trained under."""
        has_tokens = self.arms[claim.a].tokens and self.arms[claim.b].tokens
        return ["steps", "tokens"] if has_tokens else ["steps"]

    def variants(self, asked: Asked) -> list[Variant]:
        """Seed by seed, an arm's budgets behind one another: they share all but the training.

        Raises UsageError for more seeds than there are, or an arm there is not.
        """
        if unknown := [name for name in asked.arms if name not in self.arms]:
            raise UsageError(f"--arms {unknown[0]}: there are {', '.join(self.arms)}")
        num_seeds = asked.num_seeds
        if num_seeds is not None and not 1 <= num_seeds <= len(self.seeds):
            raise UsageError(f"--seeds {num_seeds}: the design has {len(self.seeds)}")
        return [
            Variant(
                arm=name, budget=budget, seed=seed,
                order=Order(
                    recipe=self.recipe, corpus=asked.corpus, seed=seed, limit=asked.limit,
                    overrides=(*self._settings(name, budget, seed), *self._of(budget, asked)),
                ),
            )
            for seed in self.seeds[:num_seeds]
            for name, arm in self.arms.items()
            if set(arm.papers) & set(asked.papers) and name in (asked.arms or self.arms)
            for budget in BUDGETS
            if budget == "steps" or arm.tokens
        ]  # fmt: skip

    def _of(self, budget: Budget, asked: Asked) -> Iterator[str]:
        """What was changed, without what is another budget's to say."""
        others = {key for name, keys in self.budgets.items() if name != budget for key in keys}
        return (one for one in asked.overrides if one.partition("=")[0].strip() not in others)

    def _settings(self, arm: str, budget: Budget, seed: int) -> list[str]:
        """As --set takes them; what comes later counts."""
        merged = {
            **self.common, **self.sets[self.arms[arm].like], **self.arms[arm].set,
            **self.budgets[budget], "train.seed": seed, "name": f"replicate-{arm}",
        }  # fmt: skip
        return [f"{key}={json.dumps(value)}" for key, value in merged.items()]


@cache
def read_design() -> Design:
    """The design that ships."""
    return Design.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def papers_of(names: str) -> tuple[Paper, ...]:
    """ "litecot,morsd" -> the papers. Raises UsageError."""
    asked = names_in([names])
    if not asked or (unknown := set(asked) - set(PAPERS)):
        named = ", ".join(sorted(unknown)) if asked else "none"
        raise UsageError(f"--papers {named}: there are {', '.join(PAPERS)}")
    return tuple(paper for paper in PAPERS if paper in asked)
