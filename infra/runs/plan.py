"""A run as planned: its stages with their fingerprints and models, decided before anything starts.

Invariant: immutable; made by flows/recipes/plan.py from a recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.engines import EngineConfig
from infra.engines.model_size import size_of
from infra.hosting.nodes import nodes as nodes_here
from infra.placement.plan import Node, Placement, PlacementMode, StageDemand, place
from tasks.prompts import PromptFile
from tasks.stage import Stage, StageConfig

TRAIN = "train"  # no Stage: its records are not rows
TRAIN_REVISION = 1  # raised where the same settings give other weights


@dataclass(frozen=True, kw_only=True)
class StageRun:
    """A stage as one run does it."""

    stage: Stage[Any, Any]
    config: Any
    fingerprint: str
    models: Mapping[str, EngineConfig] = field(default_factory=dict)  # role -> engine
    names: Mapping[str, str] = field(default_factory=dict)  # role -> name in rows, if another
    prompts: Mapping[str, PromptFile] = field(default_factory=dict)  # by step, read when planned

    def pending_query(self, shard: int | None = None) -> dict[str, Any]:
        """What sql/pending.py is told to find its inputs, and which of them are left."""
        return {
            "reads": self.stage.reads,
            "query": self.stage.query,
            "table": self.stage.writes.table,
            "fingerprint": self.fingerprint,
            "config": config_json(self.config),
            "shard": shard,
        }


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Everything decided before anything starts; made by flows/recipes/plan.py from a recipe."""

    run_id: str
    recipe: str
    resolved: str  # JSON, what of the recipe identifies the run
    settings: str = "{}"  # JSON, all of it
    fingerprints: Mapping[str, str]  # stage -> fingerprint
    stages: Mapping[str, StageRun]
    counter: EngineConfig  # whose tokenizer counts tokens
    seed: int
    train_gpus: int = 0  # that training wants for itself

    def prompts(self) -> dict[str, str]:
        """Prompt -> its hash, of all stages; two files of one name are told apart by it."""
        found: dict[str, str] = {}
        for file in self._prompt_files():
            known = found.setdefault(file.key, file.sha)
            if known != file.sha:
                found[f"{file.key}@{file.sha}"] = file.sha
        return found

    def prompt_texts(self) -> dict[str, str]:
        """A prompt's hash -> its text, of all stages."""
        return {file.sha: file.text for file in self._prompt_files()}

    def _prompt_files(self) -> list[PromptFile]:
        return [file for run in self.stages.values() for file in run.prompts.values()]

    def demands(self) -> list[StageDemand]:
        """The stages in order, as placement sees them."""
        names = [name for name in self.fingerprints if name in self.stages or name == TRAIN]
        return [
            StageDemand(
                name=name,
                models=self.stages[name].models if name in self.stages else {},
                num_gpus=self.train_gpus if name == TRAIN else 0,
                is_alone=name == TRAIN or self.stages[name].stage.phase == "evaluation",
            )
            for name in names
        ]

    def place(
        self, nodes: Sequence[Node] | None = None, *, mode: PlacementMode = "auto"
    ) -> Placement:
        """Where and when its models run: on `nodes`, or on what is here. Raises PlacementError."""
        demands = self.demands()
        asked = {config for demand in demands for config in demand.models.values()}
        sizes = {config: size_of(config) for config in asked if config.engine_type.is_hosted}
        return place(demands, sizes=sizes, nodes=nodes or nodes_here(), mode=mode)


def config_json(config: StageConfig) -> str:
    """What a query sees of a stage's settings, through getvariable('config')."""
    return config.for_query()
