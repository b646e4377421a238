"""Recipes: *what* to make. A TOML file, shipped (flows/recipes) or the user's own.

Invariant: a wrong key, an unknown stage or a stage without its model is one clear line before any
model loads; the resolved recipe (defaults filled in) is what the run stores and what identifies it.

A sample: `load_recipe("nano", overrides=["generate.num_candidates=8"], seed=3)`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flows.recipes.assumptions import Assumptions
from flows.recipes.paths import anchor
from infra.engines import EngineConfig
from infra.training.config import TrainConfig
from tasks.compress import MADE_BY, CompressConfig
from tasks.difficulty import DifficultyConfig
from tasks.evaluate import EvaluateConfig
from tasks.generate import GenerateConfig
from tasks.intake.hygiene import HygieneConfig
from tasks.intake.problems import SourceConfig
from tasks.mix import MixConfig
from tasks.ports import Role
from tasks.rewrite import RewriteConfig
from tasks.score import ScoreConfig
from tasks.select import SelectConfig
from tasks.verify import VerifyConfig

FOLDER = Path(__file__).parent

StageName = Literal[
    "generate", "verify", "difficulty", "rewrite", "compress", "score", "select", "mix",
    "train", "evaluate",
]  # fmt: skip
STAGE_ORDER: tuple[StageName, ...] = get_args(StageName)
ROLE_OF: dict[str, Role] = {
    "generate": "teacher", "difficulty": "teacher", "rewrite": "teacher", "compress": "compressor",
    "score": "student", "train": "student", "evaluate": "student",
}  # fmt: skip


STRUCTURED = {"difficulty": "structured", "rewrite": "structured_check"}  # replies by a schema
OWN_TABLES = ("vllm", "endpoint")  # of a model: options of one engine


class RecipeError(ValueError):
    """The recipe cannot be used; the message is one line a key, naming key and remedy."""


class Models(BaseModel):
    """Who plays which role. Equal entries share one loaded model; no compressor: the teacher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    student: EngineConfig
    teacher: EngineConfig | None = None
    compressor: EngineConfig | None = None


class Recipe(BaseModel):
    """Everything that determines the rows. Where it runs is not here (infra/settings)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    description: str = ""
    seed: int = Field(default=0, ge=0)
    stages: tuple[StageName, ...]
    shard_size: int = Field(default=1000, ge=1, description="problems a shard")
    problems: tuple[str, ...] = Field(default=(), description="files or hub ids; nano:train ships")
    limit: int | None = Field(default=None, ge=1, description="use only the first problems")
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
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    estimate: Assumptions = Field(default=Assumptions(), exclude=True)  # for --plan; in no identity

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if not self.stages or list(self.stages) != [s for s in STAGE_ORDER if s in self.stages]:
            raise ValueError(f"stages must be some of, in this order: {', '.join(STAGE_ORDER)}")
        for stage in self.stages:
            role = self.role_of(stage)
            if role and self.model_of(role) is None:
                raise ValueError(f"stage {stage!r} needs models.{role}")
        if "evaluate" in self.stages and not self.evaluate.problems:
            raise ValueError("stage 'evaluate' needs evaluate.problems")
        if "rewrite" in self.stages:
            self._check_rewrite()
        if "compress" in self.stages:
            self._check_compress()
        self._check_engines()
        return self

    def _check_rewrite(self) -> None:
        if self.rewrite.variant == "two_step" and "difficulty" not in self.stages:
            raise ValueError(
                "rewrite.variant 'two_step' rewrites by the level that the stage 'difficulty' "
                "grades: add it, or set rewrite.variant = 'single_prompt'"
            )

    def _check_compress(self) -> None:
        source = self.compress.source
        if not set(MADE_BY[source]) & set(self.stages):
            remedy = {
                "long": "add the stage 'generate', or 'verify' for imported rationales",
                "rewritten": "add the stage 'rewrite', or set compress.source = 'long'",
            }
            raise ValueError(
                f"stage 'compress' reads chains of kind {source!r}, and no stage makes them: "
                f"{remedy[source]}"
            )

    def _check_engines(self) -> None:
        if self.models.student.engine == "endpoint":
            raise ValueError(
                "models.student: its tokenizer counts tokens and it is scored and trained here: "
                "give a local folder or hub id with engine transformers or vllm"
            )
        asks_teacher = self.models.teacher and self.models.teacher.engine == "transformers"
        for table, key in STRUCTURED.items():
            if asks_teacher and table in self.stages and getattr(getattr(self, table), key, False):
                raise ValueError(
                    f"{table}.{key}: the teacher's engine 'transformers' cannot hold a reply to a "
                    "schema: set models.teacher.engine = 'vllm' or 'endpoint', or leave it out"
                )

    def roles(self) -> dict[str, EngineConfig]:
        """The roles that its stages have, and who plays them."""
        names = filter(None, map(self.role_of, self.stages))
        found = {name: self.model_of(name) for name in dict.fromkeys(names)}
        return {name: config for name, config in found.items() if config is not None}

    def role_of(self, stage: str) -> Role | None:
        """Whom a stage asks; None: nobody, as the difficulty stage where it only measures."""
        if stage == "difficulty" and self.difficulty.signal == "measured":
            return None
        return ROLE_OF.get(stage)

    def held_out(self) -> tuple[str, ...]:
        """Evaluation sets: nothing in them is trained on, whether or not they are evaluated."""
        return tuple(dict.fromkeys((*self.evaluate.problems, *self.hygiene.evaluation_sets)))

    def model_of(self, role: str) -> EngineConfig | None:
        """The engine of a role; the teacher also compresses where no compressor is named."""
        if role == "compressor":
            return self.models.compressor or self.models.teacher
        model: EngineConfig | None = getattr(self.models, role)
        return model


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def recipe_file(name: str) -> Path:
    """A shipped recipe's name or a TOML file's path -> the file."""
    shipped = shipped_recipes()
    if name in shipped:
        return shipped[name]
    path = Path(name).expanduser()
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise RecipeError(f"no recipe file {name}")
    raise RecipeError(f"no recipe {name!r}; shipped are {', '.join(shipped)}, or give a .toml file")


def load_recipe(name: str, *, overrides: Sequence[str] = (), **fields: Any) -> Recipe:
    """Read, override (`key=value`, dotted, the value in TOML), set `fields` not None, and check.

    Paths in the file are relative to it, others to the working directory. Raises RecipeError.
    """
    path = recipe_file(name)
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path}: {error}") from error
    anchor(tree, path.parent)
    for override in overrides:
        _apply(tree, override)
    tree.update({key: value for key, value in fields.items() if value is not None})
    anchor(tree, Path())
    try:
        recipe = Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError("\n  ".join(_lines(path.name, error))) from None
    for key in _nan_keys(recipe.model_dump()):
        raise RecipeError(f"recipe {path.name}: {key}: nan is no value, nothing compares with it")
    return recipe


def _nan_keys(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _nan_keys(value, f"{above}{name}.")
        elif any(each != each for each in (value if isinstance(value, tuple | list) else (value,))):
            yield f"{above}{name}"


def _apply(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise RecipeError(f"--set {override!r}: write key=value, e.g. generate.num_candidates=8")
    *parents, last = key.strip().split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise RecipeError(f"--set {override!r}: {parent!r} is a value, not a table")
    tree[last] = _value(text.strip())
    if parents[:1] == ["models"] and last == "engine":  # another engine's options go with it
        for table in OWN_TABLES:
            if table != tree[last]:
                tree.pop(table, None)


def _value(text: str) -> Any:
    """A TOML value, or the text itself where it is not one (so quotes are not needed)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _lines(name: str, error: ValidationError) -> list[str]:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = f"unknown key; {_known_keys(item['loc'][:-1])}"
        lines.append(f"recipe {name}: {key + ': ' if key else ''}{text}")
    return lines


def _known_keys(parents: tuple[int | str, ...]) -> str:
    model: Any = Recipe
    for parent in parents:
        model = (
            model.model_fields[str(parent)].annotation if hasattr(model, "model_fields") else None
        )
        candidates = [model, *get_args(model)]
        model = next((c for c in candidates if hasattr(c, "model_fields")), None)
        if model is None:
            return "remove it"
    return f"known are {', '.join(sorted(model.model_fields))}"
