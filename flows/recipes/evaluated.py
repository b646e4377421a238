"""Which models `litecot evaluate` asks, and how: from what a person named to orders.

Role: a MODEL is a student of the corpus (its id, or the start of it), a folder, a hub id, a model
that ships, or a server's (http://host:8000/v1#name). Invariant: nothing starts; a name that is
nothing of these is one line with what there is.

A sample: "http://127.0.0.1:8000/v1#qwen" -> EvaluatedModel(name="qwen", settings={"engine":
"endpoint", "model": "qwen", "endpoint": {"base_url": "http://127.0.0.1:8000/v1"}}).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.names import names_in
from flows.recipes.loading import load_recipe
from infra.engines import ENGINES, smollm2
from infra.engines.chat import COMPRESS, COMPRESS_AS_TEXT
from infra.engines.config import at_server, engine_for
from infra.engines.model_files import NANO_PREFIX, model_folder
from infra.hosting.nodes import nodes as nodes_here
from infra.nano.files import resolve_nano
from infra.runs.weights import kept_weights
from infra.storage import Corpus
from sql.database import Database
from tasks.benchmarks import load_benchmark, shipped_benchmarks
from tasks.errors import UsageError, near_names
from tasks.intake.sources import find_sources

RECIPE = "evaluate"
NANO_RECIPE = "nano"
ASKED = ("prompt", "temperature", "top_p", "max_tokens")  # what two models have to share
OWN = ("model", "revision")  # of a student, not of its base
SHOWN = 5  # students named where one is looked for


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """A model to ask. `settings`: of the recipe's [models.student]; `asked`: of its [evaluate]."""

    name: str | None  # in rows; None: as the model itself is called
    settings: Mapping[str, Any]
    asked: Mapping[str, Any] = field(default_factory=dict)


def find_model(named: str, corpus: str, database: Database | None) -> EvaluatedModel:
    """The model that a person means. Raises UsageError, CorpusError."""
    if named.startswith(("http://", "https://")):
        return _served(named)
    if trained := _trained(named, database):
        return _student(trained, Corpus(corpus))
    folder = model_folder(named)
    if named.startswith(NANO_PREFIX):  # a world of its own, with prompts of its own
        return _as_in(load_recipe(NANO_RECIPE).model_dump(), named, name=None)
    if folder is None and "/" not in named:
        raise UsageError(_unknown(named, database))
    return EvaluatedModel(name=None, settings={"engine": _engine_here(), "model": named})


def asks_compress(model: EvaluatedModel) -> bool:
    """Whether its tokenizer knows <compress>; of a hub id or a server that is not known: no."""
    folder = model_folder(str(model.settings["model"]))
    if folder is None or not ENGINES[model.settings["engine"]].has_checkpoint:
        return False
    marks = {"tokenizer.json": COMPRESS, "tokenizer_config.json": COMPRESS_AS_TEXT}
    files = [(folder / name, json.dumps(mark)) for name, mark in marks.items()]
    return any(path.is_file() and mark in path.read_text("utf-8") for path, mark in files)


def overrides(
    model: EvaluatedModel,
    *,
    benchmarks: Sequence[str],
    asked: Mapping[str, Any],
    given: Sequence[str],
) -> tuple[str, ...]:
    """Changes to the recipe `evaluate`; `given`, what a person set, comes last."""
    tables: dict[str, dict[str, Any]] = {
        "models.student": dict(model.settings),
        "evaluate": {**asked, "problems": list(benchmarks)},
    }
    if model.name is not None:
        tables["evaluate"]["name"] = model.name
    told = [f"{key}={value}" for name, table in tables.items() for key, value in _flat(table, name)]
    return (*told, *given)


def check_benchmarks(names: Sequence[str]) -> tuple[str, ...]:
    """Those of --on, comma-separated or repeated. Raises UsageError where there is none."""
    found = names_in(names)
    if not found:
        known = ", ".join(shipped_benchmarks())
        raise UsageError(f"--on: name benchmarks, e.g. --on aime24,math500; there are: {known}")
    return tuple(found)


def benchmark_names(names: Sequence[str]) -> list[str]:
    """What these are called in rows."""
    return [source.name for source in find_sources(map(resolve_nano, names))]


def benchmark_rows() -> list[dict[str, str]]:
    """What ships, for a table."""
    told = [load_benchmark(name) for name in shipped_benchmarks()]
    return [
        {"name": one.name, "title": one.title, "licence": one.licence, "data": _shown(one.data)}
        for one in told
    ]


def _shown(data: str) -> str:
    return "ships with the package" if Path(data).exists() else data


def _served(named: str) -> EvaluatedModel:
    url, _, model = named.partition("#")
    if not model:
        raise UsageError(f"{named}: add the server's name of the model: {url.rstrip('/')}#NAME")
    return EvaluatedModel(name=model, settings=at_server(url, model))


def _trained(named: str, database: Database | None) -> dict[str, Any] | None:
    """The row of the student whose id is, or starts with, `named`. Raises UsageError."""
    if database is None or not named:
        return None
    found = database.run_file("runs", "students", variables={"prefix": named}).records()
    exact = [row for row in found if row["model_id"] == named]
    if len(exact or found) > 1:
        ids = ", ".join(row["model_id"] for row in found[:3])
        raise UsageError(f"{named!r} is the start of several students: {ids}")
    return next(iter(exact or found), None)


def _student(row: Mapping[str, Any], corpus: Corpus) -> EvaluatedModel:
    """With the engine, and the sampling, of the recipe that trained it."""
    weights = kept_weights(corpus.store, row["path"])
    if weights is None:
        raise UsageError(
            f"the weights of {row['model_id']} are not in {corpus.store}: {row['path']} is gone"
        )
    recipe = json.loads(row["settings"] or "{}")
    return _as_in(recipe, str(weights.resolve()), name=row["model_id"])


def _as_in(recipe: Mapping[str, Any], model: str, *, name: str | None) -> EvaluatedModel:
    base, evaluate = recipe.get("models", {}).get("student", {}), recipe.get("evaluate", {})
    settings = {key: value for key, value in base.items() if key not in OWN and value is not None}
    asked = {key: evaluate[key] for key in ASKED if key in evaluate}
    if not settings:  # stored before runs kept their settings
        settings = {"engine": _engine_here()}
    return EvaluatedModel(name=name, settings={**settings, "model": model}, asked=asked)


def _engine_here() -> str:
    has_gpu = bool(os.environ.get("RAY_ADDRESS")) or any(node.num_gpus for node in nodes_here())
    return engine_for(has_gpu=has_gpu)


def _unknown(named: str, database: Database | None) -> str:
    rows = database.run_file("runs", "students", variables={"prefix": ""}).rows if database else []
    ids = [str(row[0]) for row in rows]
    near = near_names(named, ids)
    have = ", ".join(ids[:SHOWN]) or "none"
    told = f" (did you mean {near}?)" if near else f"; this corpus trained {have}"
    return (
        f"no model {named!r}{told}; or give a folder (./NAME), a hub id (org/name), nano:student, "
        f"{smollm2.NAME}, or a server's model (http://host:8000/v1#NAME)"
    )


def _flat(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    """Dotted key and TOML value (JSON's are TOML's, for what is written here)."""
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat({k: v for k, v in value.items() if v is not None}, f"{above}.{name}")
        else:
            yield f"{above}.{name}", json.dumps(value, ensure_ascii=False)
