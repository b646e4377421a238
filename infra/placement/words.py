"""A placement in words, for the person who starts the run.

A sample: "teacher deepseek-ai/DeepSeek-R1-Distill-Qwen-32B: 2 replicas, each on 4 GPUs (vLLM,
tensor parallel 4), weights 59.6 GiB"
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from infra.engines import EngineConfig
from infra.engines.model_size import GIB
from infra.placement.footprints import Footprint
from infra.placement.nodes import Node


class Demand(Protocol):
    """A stage as the placement sees it (infra.placement.StageDemand)."""

    @property
    def name(self) -> str: ...
    @property
    def models(self) -> Mapping[str, EngineConfig]: ...
    @property
    def num_gpus(self) -> int: ...
    @property
    def is_alone(self) -> bool: ...


def words_of(
    stages: Sequence[Demand],
    groups: Sequence[Sequence[str]],
    *,
    kind: str,
    mode: str,
    prints: Mapping[EngineConfig, Footprint],
    placed: Mapping[EngineConfig, EngineConfig],
    nodes: Sequence[Node],
) -> tuple[str, ...]:
    """A line a model, then how they share the cluster, then what follows the corpus."""
    roles = _roles(stages)
    lines = [
        f"{_and(names)} {config.model}: {_hosting(config, prints, placed)}"
        for config, names in roles.items()
    ]
    corpus = {config for stage in stages if not stage.is_alone for config in stage.models.values()}
    hosted = [one for config, one in prints.items() if config in corpus]
    if kind == "together":
        lines += ["all models stay loaded"] if len(hosted) > 1 else []
    else:
        by_name = {stage.name: stage for stage in stages}
        turns = [_doing([by_name[name] for name in group]) for group in groups]
        why = "LITECOT_PLACEMENT=turns" if mode == "turns" else _shortage(hosted, nodes)
        how = f"in {_sleepers(hosted)} sleep mode, shards in groups"
        how = how if kind == "sleep" else "all shards at each"
        lines.append(f"{why}: the stages take turns ({how}): first {', then '.join(turns)}")
    return (*lines, *_after(stages))


def _roles(stages: Sequence[Demand]) -> dict[EngineConfig, list[str]]:
    found: dict[EngineConfig, list[str]] = {}
    for stage in stages:
        for role, config in stage.models.items():
            names = found.setdefault(config, [])
            names.extend([role] if role not in names else [])
    return found


def _hosting(
    config: EngineConfig,
    prints: Mapping[EngineConfig, Footprint],
    placed: Mapping[EngineConfig, EngineConfig],
) -> str:
    engine = config.engine_type
    if not engine.is_hosted:
        return f"at {engine.address(config) if engine.address else engine.title}"
    one, now = prints[config], placed[config]
    where = f"{_count(one.gpus, 'GPU')}" if one.gpus else "the CPU"
    each = "each on " if now.replicas > 1 else "on "
    how, sleep = [engine.title], engine.needs.sleep
    how += [f"tensor parallel {one.gpus}"] if one.gpus > 1 else []
    how += ["sleep mode"] if sleep is not None and sleep.is_on(now) else []
    size = "size not known, not counted"
    if one.weights is not None:
        size = f"weights {_size(one.weights)}"
    words = f"{_count(now.replicas, 'replica')}, {each}{where} ({', '.join(how)}), {size}"
    if now.replicas < config.replicas:
        verb = "fits" if now.replicas == 1 else "fit"
        words += f"; {config.replicas} replicas are asked for and {now.replicas} {verb}"
    return words


def _sleepers(hosted: Iterable[Footprint]) -> str:
    return _and(list(dict.fromkeys(f"{o.config.engine_type.title}'s" for o in hosted if o.gpus)))


def _shortage(hosted: Iterable[Footprint], nodes: Sequence[Node]) -> str:
    ones = list(hosted)
    wanted = sum(one.gpus * one.config.replicas for one in ones)
    there = sum(node.num_gpus for node in nodes)
    if wanted > there:
        return f"{_count(wanted, 'GPU')} are asked for and {there} {_is_are(there)} there"
    if wanted:
        return f"the {_count(there, 'GPU')} there cannot hold all models at once"
    return "the memory does not hold all models at once"


def _doing(group: Sequence[Demand]) -> str:
    names = ", ".join(stage.name for stage in group)
    roles = dict.fromkeys(role for stage in group for role in stage.models)
    return f"{names} with the {_and(list(roles))}" if roles else names


def _after(stages: Sequence[Demand]) -> list[str]:
    alone = [stage for stage in stages if stage.is_alone]
    if not alone:
        return []
    said = []
    for stage in alone:
        if stage.models:
            said.append(_doing([stage]))
        else:
            on_gpus = f"on {_count(stage.num_gpus, 'GPU')} with no model loaded"
            said.append(f"{stage.name} {on_gpus if stage.num_gpus else 'on the CPU'}")
    behind = "after the corpus: " if len(alone) < len(stages) else ""
    return [f"{behind}{', then '.join(said)}"]


def _size(num_bytes: int) -> str:
    if num_bytes < GIB / 10:
        return f"{num_bytes / 2**20:.1f} MiB"
    return f"{num_bytes / GIB:.1f} GiB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _is_are(number: int) -> str:
    return "is" if number == 1 else "are"


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
