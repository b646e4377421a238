"""Recipes: *what* to make. A TOML file, shipped (flows/recipes) or the user's own.

Invariant: a wrong key, an unknown stage or a stage without its model is one clear line before any
model loads. A run is identified by what decides its rows (infra/runs/fingerprints.py), and stores
the whole recipe beside that, every default filled in.

A sample: `load_recipe("nano", overrides=["generate.num_candidates=8"], seed=3)`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flows.recipes.assumptions import Assumptions
from flows.recipes.order import stage_order
from infra.engines import ENGINES, EngineConfig, EngineType
from infra.runs.plan import TRAIN
from infra.training.config import TrainConfig
from tasks.catalog import STAGES, stages_of
from tasks.compress import CompressConfig
from tasks.difficulty import DifficultyConfig
from tasks.errors import UsageError, near_names
from tasks.evaluate import EvaluateConfig
from tasks.forecasts.config import ForecastConfig
from tasks.generate import GenerateConfig
from tasks.intake.hygiene import HygieneConfig
from tasks.intake.problems import SourceConfig
from tasks.measure import MeasureConfig
from tasks.mix import MixConfig
from tasks.ports import Role
from tasks.rewrite import RewriteConfig
from tasks.score import ScoreConfig
from tasks.scorers import ALWAYS
from tasks.select import SelectConfig
from tasks.stage import Stage, StageConfig
from tasks.verify import VerifyConfig


class RecipeError(UsageError):
    """The recipe cannot be used; the message is one line a key, naming key and remedy."""


class Models(BaseModel):
    """Who plays which role. Equal entries share one loaded model; no compressor: the teacher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: EngineConfig
    teacher: EngineConfig | None = None
    compressor: EngineConfig | None = None


class Recipe(BaseModel):
    """Everything that determines the rows. Where it runs is not here (infra/settings.py)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="what runs of it are called")
    description: str = Field(default="", description="a line for `litecot recipes`")
    seed: int = Field(
        default=0, ge=0, description="of all that is drawn; another one is another run"
    )
    stages: tuple[str, ...] = Field(description="what is done, in this order; see docs/recipes.md")
    shard_size: int = Field(default=1000, ge=1, description="problems a shard")
    problems: tuple[str, ...] = Field(default=(), description="files or hub ids; nano:train ships")
    limit: int | None = Field(default=None, ge=1, description="use only the first problems")
    plugins: tuple[str, ...] = Field(
        default=(), exclude=True, description="Python files; what uses one hashes its source"
    )
    source: SourceConfig = SourceConfig()
    hygiene: HygieneConfig = HygieneConfig()
    models: Models
    generate: GenerateConfig = GenerateConfig()
    verify: VerifyConfig = VerifyConfig()
    difficulty: DifficultyConfig = DifficultyConfig()
    rewrite: RewriteConfig = RewriteConfig()
    compress: CompressConfig = CompressConfig()
    score: ScoreConfig = ScoreConfig()
    select: SelectConfig = SelectConfig()
    mix: MixConfig = MixConfig()
    measure: MeasureConfig = MeasureConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    estimate: Assumptions = Field(default=Assumptions(), exclude=True)  # for --plan; in no identity
    forecast: ForecastConfig = Field(default=ForecastConfig(), exclude=True)  # in no identity

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        self._check_stages()
        for stage in self.stages:
            role = self.role_of(stage)
            if role and self.model_of(role) is None:
                raise ValueError(f"stage {stage!r} needs models.{role}")
        if "evaluate" in self.stages and not self.evaluate.problems:
            raise ValueError("stage 'evaluate' needs evaluate.problems")
        if "rewrite" in self.stages:
            self._check_rewrite()
        self._check_kinds()
        if "select" in self.stages:
            self._check_select()
        self._check_engines()
        return self

    def _check_stages(self) -> None:
        order = stage_order()
        if unknown := [name for name in self.stages if name not in order]:
            near = near_names(unknown[0], order)
            hint = f" (did you mean {near}?)" if near else ""
            raise ValueError(f"no stage {unknown[0]!r}{hint}; there are: {', '.join(order)}")
        if not self.stages or list(self.stages) != [s for s in order if s in self.stages]:
            raise ValueError(f"stages must be some of, in this order: {', '.join(order)}")

    def _check_rewrite(self) -> None:
        if self.rewrite.variant == "two_step" and "difficulty" not in self.stages:
            raise ValueError(
                "rewrite.variant 'two_step' rewrites by the level that the stage 'difficulty' "
                "grades: add it, or set rewrite.variant = 'single_prompt'"
            )

    def _check_kinds(self) -> None:
        """Kinds that it names are made by some stage, those that it needs by one of the recipe."""
        made = {kind for stage in self.all_stages() for kind in stage.makes}
        for stage in self.all_stages():
            settings = self.settings_of(stage)
            for kind in settings.read_kinds():
                makers = makers_of(kind)
                if not makers:
                    known = dict.fromkeys(kind for one in STAGES.values() for kind in one.makes)
                    raise ValueError(
                        f"stage {stage.name!r}: no stage makes chains of kind {kind!r}; there are: "
                        f"{', '.join(known)}"
                    )
                is_from_outside = all(STAGES.entry(maker.name).sha for maker in makers)
                if kind not in made and (is_from_outside or kind in settings.needed_kinds()):
                    raise ValueError(
                        f"stage {stage.name!r} reads chains of kind {kind!r}, and no stage makes "
                        f"them: {_remedy(kind)}"
                    )
                if is_from_outside and not self._is_made_before(stage, makers):
                    raise ValueError(
                        f"stage {stage.name!r} reads chains of kind {kind!r}, which stage "
                        f"{makers[0].name!r} makes after it: leave the kind out, or change the "
                        f"stage's upstream ({STAGES.entry(makers[0].name).origin})"
                    )

    def _is_made_before(self, stage: Stage[Any, Any], makers: Sequence[Stage[Any, Any]]) -> bool:
        names = [one.name for one in self.all_stages()]
        return any(one.name in names[: names.index(stage.name) + 1] for one in makers)

    def _check_select(self) -> None:
        if (
            "accuracy" not in self.select.filters
            and "difficulty" in self.select.filters
            and ("score" in self.stages and self.score.only_correct)
        ):
            raise ValueError(
                "select.filters without 'accuracy' keeps chains of every verdict, and those that "
                "are not correct are not scored: set score.only_correct = false"
            )
        have = (*ALWAYS, *self.score.scorers)
        if lacking := [name for name in self.select.weights if name not in have]:
            names = json.dumps([*self.score.scorers, *lacking])
            needed = "it" if lacking == [self.select.by] else " and ".join(map(repr, lacking))
            raise ValueError(
                f"select.by = {self.select.measure!r} needs {needed} in score.scorers: "
                f"set score.scorers = {names}"
            )

    def _check_engines(self) -> None:
        student = self.models.student
        if self.makes_data and not student.engine_type.has_checkpoint:
            raise ValueError(
                "models.student: its tokenizer counts tokens and it is scored and trained here, "
                f"and engine {student.engine!r} has no checkpoint for that: give a local folder or "
                f"hub id with {_engines_that(lambda engine: engine.has_checkpoint)}"
            )
        reading = [stage for stage in ("score", "measure") if stage in self.stages]
        if reading and not student.engine_type.can_score:
            able = _engines_that(lambda engine: engine.has_checkpoint and engine.can_score)
            raise ValueError(
                f"models.student: stage {reading[0]!r} reads with it, and engine "
                f"{student.engine!r} cannot score: set {able}"
            )
        for stage in self.all_stages():
            key = stage.schema_setting
            if not key or not getattr(self.settings_of(stage), key):
                continue
            for role in stage.asked(self.settings_of(stage)):
                config = self.model_of(role)
                if config is not None and not config.engine_type.can_hold_schema:
                    able = _engines_that(lambda engine: engine.can_hold_schema)
                    raise ValueError(
                        f"{stage.settings}.{key}: the {role}'s engine {config.engine!r} cannot "
                        f"hold a reply to a schema: set models.{role}.{able}, or leave it out"
                    )

    @property
    def makes_data(self) -> bool:
        """Whether it does more than evaluate, so needs problems to work on."""
        corpus = any(stage.phase == "corpus" for stage in self.all_stages())
        return corpus or TRAIN in self.stages

    def all_stages(self) -> list[Stage[Any, Any]]:
        """What the tables it names as stages stand for, in order; training is not among them."""
        return [
            stage
            for table in self.stages
            for stage in stages_of(table)
            if stage.is_wanted(getattr(self, table), self.stages)
        ]

    def settings_of(self, stage: Stage[Any, Any]) -> StageConfig:
        """The table that configures `stage`."""
        settings: StageConfig = getattr(self, stage.settings)
        return settings

    def roles(self) -> dict[str, EngineConfig]:
        """The roles that its stages have, and who plays them."""
        names = filter(None, map(self.role_of, self.stages))
        found = {name: self.model_of(name) for name in dict.fromkeys(names)}
        return {name: config for name, config in found.items() if config is not None}

    def role_of(self, table: str) -> Role | None:
        """Whom the stages of a table ask; None: nobody, as where difficulty is only measured."""
        if table == TRAIN:
            return "student"
        asked = [
            role for stage in stages_of(table) for role in stage.asked(self.settings_of(stage))
        ]
        return asked[0] if asked else None

    def held_out(self) -> tuple[str, ...]:
        """Evaluation sets: nothing in them is trained on, whether or not they are evaluated."""
        return tuple(dict.fromkeys((*self.evaluate.problems, *self.hygiene.evaluation_sets)))

    def model_of(self, role: str) -> EngineConfig | None:
        """The engine of a role; the teacher also compresses where no compressor is named."""
        if role == "compressor":
            return self.models.compressor or self.models.teacher
        model: EngineConfig | None = getattr(self.models, role)
        return model


def makers_of(kind: str) -> list[Stage[Any, Any]]:
    """The stages that make chains of this kind."""
    return [stage for stage in STAGES.values() if kind in stage.makes]


def _remedy(kind: str) -> str:
    if kind == "long":
        return "add the stage 'generate', or 'verify' for imported rationales"
    remedy = f"add the stage {makers_of(kind)[0].settings!r}"
    return f"{remedy}, or set compress.source = 'long'" if kind == "rewritten" else remedy


def _engines_that(can: Callable[[EngineType], bool]) -> str:
    return "engine = " + " or ".join(repr(name) for name in ENGINES if can(ENGINES[name]))
