"""Which evaluated models a person means: by id, its start, or the part they have in a run.

`:plain` or `:compress` behind a name takes the answers to that prompt alone.

Invariant: a name means one model or is refused in a line that says which there are.

    find_models(database, ["base", "3f2a"]) == [Named(model_id="nano:student", ...),
                                                Named(model_id="3f2a91bc...", role="trained", ...)]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sql.database import Database, did_you_mean
from tasks.errors import UsageError

ROLES = ("base", "trained")
PROMPTS = ("plain", "compress")
SHORT_ID = 8
MAX_NAMED = 12


class UnknownModelError(UsageError):
    """No evaluated model, or several, are called so."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """A model of the corpus; `base`: what a trained one started from."""

    model_id: str
    role: str
    base: str | None
    num_answered: int  # questions, over all benchmarks and prompts
    is_of_run: bool  # whether the selected run asked it
    prompt: str | None = None  # plain | compress, where a person asks for one

    @property
    def name(self) -> str:
        """Short enough for a table."""
        return self.model_id[:SHORT_ID] if self.role == "trained" else self.model_id

    @property
    def title(self) -> str:
        """For a sentence."""
        return f"the trained student {self.name}" if self.role == "trained" else self.model_id


def find_models(database: Database, names: Sequence[str]) -> list[Named]:
    """A model a name, in their order. Raises UnknownModelError."""
    models = evaluated_models(database)
    found = [_with_prompt(models, name) for name in names]
    for place, model in enumerate(found):
        if model in found[:place]:
            raise UnknownModelError(f"{names[place]}: {model.name} is named twice")
        if not model.num_answered:
            raise UnknownModelError(f"{model.name} was trained, but nobody evaluated it")
    return found


def evaluated_models(database: Database) -> list[Named]:
    """Every model of the corpus that was evaluated or trained."""
    models: dict[str, Named] = {}
    for row in database.run_file("comparisons", "evaluated_models").records():
        known = models.get(row["model_id"])
        models[row["model_id"]] = Named(
            model_id=row["model_id"],
            role=row["role"],
            base=row["base"],
            num_answered=row["num_questions"] + (known.num_answered if known else 0),
            is_of_run=row["is_of_run"],
        )
    return list(models.values())


def _with_prompt(models: Sequence[Named], name: str) -> Named:
    start, _, prompt = name.rpartition(":")
    if prompt in PROMPTS and all(model.model_id != name for model in models):
        return replace(_find(models, start), prompt=prompt)
    return _find(models, name)


def _find(models: Sequence[Named], name: str) -> Named:
    exact = [model for model in models if model.model_id == name]
    if exact:
        return exact[0]
    if name in ROLES:
        matched = [model for model in models if model.is_of_run and model.role == name]
        fault = f"the run evaluated {len(matched) or 'no'} {name} models; --run names another"
    else:
        matched = [model for model in models if name and model.model_id.startswith(name)]
        fault = "several models start so" if matched else "no model of this corpus"
    if len(matched) != 1:
        if matched and name not in ROLES:
            models = matched
        near = "" if matched else did_you_mean(name, [model.model_id for model in models])
        raise UnknownModelError(f"{name}: {fault}. {near}{_there_are(models)}")
    return matched[0]


def _there_are(models: Sequence[Named]) -> str:
    evaluated = [model for model in models if model.num_answered]
    if not evaluated:
        return "None was evaluated yet"
    ids = [model.model_id for model in evaluated]
    more = f" and {len(ids) - MAX_NAMED} more" if len(ids) > MAX_NAMED else ""
    return f"Evaluated are {', '.join(ids[:MAX_NAMED])}{more}"
