"""A recipe for somebody's own case: a few facts in, a commented TOML file out.

Role: what `litecot init` writes. Invariants: every value that is written is one the shipped recipes
use or that follows from the case; the text is whole TOML and loads; columns are those that the
first rows of the files show.

A sample: Case(method="litecot", problems=("sums.jsonl",), teacher=model_of("nano", num_gpus=0))
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2

from infra.engines import EngineConfig, smollm2
from infra.engines.config import at_server, engine_for
from infra.engines.model_files import NANO_PREFIX
from infra.nano.files import resolve_nano
from tasks.errors import UsageError, near_names
from tasks.intake.problems import ColumnMapping, SourceConfig, resolve_sources
from tasks.intake.sources import find_sources, is_file_name

TEMPLATE = Path(__file__).parent / "own_recipe.jinja"
DATA = ("score", "select", "mix")
METHODS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "litecot": (
        "a teacher's chains, rewritten to a length that fits (LiteCoT)",
        ("generate", "difficulty", "rewrite", *DATA),
    ),
    "macc": (
        "chains compressed until the length rebounds (MACC)",
        ("generate", "difficulty", "compress", *DATA),
    ),
    "morsd": ("chains selected by the student (MoRSD)", ("generate", *DATA)),
    "all": (
        "rewritten, compressed and selected: all three methods",
        ("generate", "difficulty", "rewrite", "compress", *DATA),
    ),
}
IMPORTED = ("verify", *DATA)  # rationales that are there already
GPU_STUDENT = "Qwen/Qwen2.5-1.5B"
BIG_MODEL_GPUS = 4  # of one replica of a teacher named by its hub id, where there are so many
NANO_TOKENS, CHAIN_TOKENS = 600, 8192
COMMENT_AT = 28  # column

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a person has and wants. `columns`: of `problems`, as they are to be written."""

    name: str
    method: str
    problems: tuple[str, ...]
    student: Settings
    teacher: Settings | None = None
    compressor: Settings | None = None
    evaluated: tuple[str, ...] = ()
    rationales: bool = False  # `problems` bring them
    train: bool = True
    columns: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    key_env: str | None = None
    num_gpus: int = 0

    @property
    def stages(self) -> list[str]:
        """Of the recipe, in order."""
        made = IMPORTED if self.rationales else METHODS[self.method][1]
        return [*made, *(["train"] * self.train), *(["evaluate"] if self.evaluated else [])]

    @property
    def speaks_nano(self) -> bool:
        """Whether its models know the embedded world's wording alone."""
        asked = [self.teacher or self.student, self.compressor or self.student, self.student]
        is_nano = [str(one["model"]).startswith(NANO_PREFIX) for one in asked]
        return all(is_nano) and not self.rationales


def student_for(teacher: str | None, *, num_gpus: int) -> str:
    """Whom to train where a person names nobody: one that knows the teacher's words, and fits."""
    if teacher is not None and not teacher.rpartition("#")[2].startswith("nano"):
        return GPU_STUDENT if num_gpus else smollm2.NAME
    return "nano"


def model_of(named: str, *, num_gpus: int, role: str = "student") -> Settings:
    """The settings of a model that a person names. Raises UsageError."""
    if named in ("nano", f"{NANO_PREFIX}{role}"):
        own = "student" if role == "student" else "teacher"
        return {"model": f"{NANO_PREFIX}{own}", "dtype": "float64", "threads": 1}
    if named.startswith(("http://", "https://")):
        url, _, model = named.partition("#")
        if not model:
            raise UsageError(f"--{role} {named}: add the server's name of it: {url}#NAME")
        if role == "student":
            raise UsageError(
                f"--student {named}: a student is scored and trained here, which no server does: "
                "name a hub id or a folder"
            )
        return at_server(url, model)
    if named == smollm2.NAME:
        return {"model": named}
    if "/" not in named and not Path(named).is_dir():
        raise UsageError(_unknown_model(named, role))
    settings = {"engine": engine_for(has_gpu=num_gpus > 0), "model": named}
    return {**settings, "dtype": "bfloat16"} if num_gpus else settings


def address_of(settings: Settings | None) -> str | None:
    """Where the server of a model is; None: it is hosted here."""
    config = None if settings is None else EngineConfig.model_validate(settings)
    if config is None or config.engine_type.address is None:
        return None
    return config.engine_type.address(config)


def _unknown_model(named: str, role: str) -> str:
    near = near_names(named, ["nano", smollm2.NAME])
    told = f" (did you mean {near}?)" if near else ""
    server = "" if role == "student" else ", or a server's model: http://host:8000/v1#NAME"
    return (
        f"--{role} {named}: no such model{told}; give nano (embedded, for a try), {smollm2.NAME}, "
        f"a hub id (org/name), a folder (./NAME){server}"
    )


def look_at(
    problems: Sequence[str], given: ColumnMapping, *, rationales: bool
) -> tuple[dict[str, str | Sequence[str]], list[str]]:
    """The columns to be written, and a line a file of what serves as what. Raises IngestError.

    Hub ids are not asked, and files that differ in their columns keep the guess at each run.
    """
    sources = find_sources([resolve_nano(name) for name in problems])
    if any(source.kind == "hub" for source in sources):
        told = given.model_dump(exclude_defaults=True)
        return told, ["a hub data set: its columns are read when it is, at the first run"]
    config = SourceConfig(columns=given, candidates="require" if rationales else "ignore")
    found = resolve_sources([resolve_nano(name) for name in problems], config)
    shown = [one.columns.model_dump(exclude_defaults=True) for one in found]
    lines = [one.describe() for one in found]
    return (shown[0] if all(one == shown[0] for one in shown) else {}), lines


def recipe_text(case: Case, *, beside: Path) -> str:
    """The file's text; paths as seen from the folder `beside`."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters |= {"toml": _toml, "comment": _comment}
    roles = {"teacher": case.teacher, "compressor": case.compressor, "student": case.student}
    models = {role: model for role, model in roles.items() if model is not None}
    compresses, rewrites = "compress" in case.stages, "rewrite" in case.stages
    original = "rewritten" if rewrites else "long"
    url = next(filter(None, map(address_of, models.values())), "")
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        case=case, name=case.name, method=case.method, stages=case.stages, models=models,
        title=METHODS[case.method][0][:1].upper() + METHODS[case.method][0][1:],
        problems=[_from(beside, name) for name in case.problems],
        evaluated=[_from(beside, name) for name in case.evaluated],
        rationales=case.rationales, columns=case.columns, key_env=case.key_env,
        is_local=urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"),
        speaks_nano=case.speaks_nano, num_gpus=case.num_gpus,
        tensor_parallel=BIG_MODEL_GPUS if case.num_gpus >= BIG_MODEL_GPUS else 0,
        candidates=1 if case.method == "macc" else 4,
        chain_tokens=NANO_TOKENS if case.speaks_nano else CHAIN_TOKENS,
        scored=[original, *(["compressed"] * compresses)], originals=[original],
        comments={
            "teacher": "writes the chains",
            "compressor": "shortens them; left out, the teacher does",
            "student": "is scored with, and trained",
        },
    )  # fmt: skip
    return text


def _from(folder: Path, name: str) -> str:
    if not is_file_name(name) or Path(name).is_absolute() or name.startswith("~"):
        return name
    return Path(os.path.relpath(name, folder)).as_posix()


def _toml(value: object) -> str:
    """JSON's values are TOML's, but for DEL, which has to be escaped."""
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str, width: int) -> str:
    return " " * max(1, COMMENT_AT - width) + f"# {text}"
