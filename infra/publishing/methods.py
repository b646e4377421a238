"""What was done to the published chains, in words: from the stored recipe and the run's own rows.

Invariant: a method is credited only where it changed or dropped something; what a recipe merely
allows is not told.

A sample: methods(prompts=[{"kind": "compressed", ...}], filters=[], recipe=...)
== ["compressed round by round until their length rebounded (MACC, arXiv 2509.22144)"]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.publishing.public_names import public_name
from tasks.prompts import prompt_named

Records = Sequence[Mapping[str, Any]]
Settings = Mapping[str, Any]
REWRITTEN = "rewritten by the difficulty of their problems (LiteCoT, arXiv 2505.19716)"
COMPRESSED = {  # compress.method -> what it did to a chain
    "until_rebound": "compressed round by round until their length rebounded (MACC, arXiv"
    " 2509.22144)",
    "fixed_rounds": "compressed in a fixed number of rounds",
    "fixed_ratio": "compressed to given shares of their length",
    "one_round": "compressed in one round",
}
SELECTED = "selected by how much they help the student (MoRSD, arXiv 2509.23574)"
SELECTED_BY = "selected by {}, as the student sees them"
FILTERED = "filtered for right answers and against near-duplicates"


def methods(*, prompts: Records, filters: Records, recipe: Settings) -> list[str]:
    """Past participles. `prompts`, `filters`: rows of published_prompts and published_filters."""
    kinds = {row["kind"] for row in prompts if row["origin"] == "written"}
    dropped = {row["filter"]: row["num_dropped"] for row in filters}
    told = [REWRITTEN] if "rewritten" in kinds else []
    if "compressed" in kinds:
        told.append(COMPRESSED.get(recipe.get("compress", {}).get("method"), "compressed"))
    if dropped:
        by = measure(recipe.get("select", {}))
        selected = SELECTED if by == "RD" else SELECTED_BY.format(by)
        told.append(selected if dropped.get("difficulty") else FILTERED)
    return told


def filter_settings(select: Settings) -> dict[str, str]:
    """Filter -> what it keeps, of the filters that are on. `select`: the recipe's table.

    A threshold that is infinite is null in a stored recipe: the filter is off.
    """
    size, limit = select.get("ngram", "n"), select.get("max_similarity", "a threshold")
    kept = {
        "accuracy": "right answers that the student could score",
        "completeness": "whole chains: none that was cut off, or whose thought has no end",
        "diversity": f"of chains of a problem with {size}-gram similarity (Jaccard) from {limit}"
        f" on, the one with the {_best(select)}",
    }
    if difficulty := list(_difficulty(select)):
        kept["difficulty"] = "; ".join(difficulty)
    return kept


def measure(select: Settings) -> str:
    """What was selected by: "RD", "ifd", "0.5 rd + 0.5 rsr"."""
    by = select.get("by", "rd")
    if isinstance(by, str):
        return "RD" if by == "rd" else by
    return " + ".join(f"{weight:g} {name}" for name, weight in sorted(by.items()))


def _best(select: Settings) -> str:
    """Which way is better is the scorer's to say, and a plug-in's may not be here."""
    by = measure(select)
    if by == "RD":
        return "lowest RD"
    return f"best {by}" if isinstance(select["by"], str) else f"best rank by {by}"


def _difficulty(select: Settings) -> Iterable[str]:
    if measure(select) == "RD" and (max_rd := select.get("max_rd")) is not None:
        yield f"RD up to {max_rd:g}"
    if (threshold := select.get("threshold")) is not None:
        yield f"{measure(select)} no worse than {threshold:g}"
    if (num := select.get("keep_per_problem")) is not None:
        lowest = "one" if num == 1 else num
        yield f"per problem and condition the {lowest} with the {_best(select)}"
    if (share := select.get("keep_fraction")) is not None:
        yield f"of the run's right answers the {100 * share:g}% with the {_best(select)}"


def model_name(recipe: Settings, role: str) -> str:
    """As the recipe names it, with the revision where one is pinned."""
    config = recipe.get("models", {}).get(role) or {}
    parts = (config.get("model") and public_name(config["model"]), config.get("revision"))
    return "@".join(part for part in parts if part) or "not recorded"


def other_prompts(recipe: Settings, stored: Settings | None = None) -> list[tuple[str, str, str]]:
    """(use, model, prompt file) of the prompts that wrote no chain; `stored`: the run's prompts."""
    teacher, student = model_name(recipe, "teacher"), model_name(recipe, "student")
    asked = [
        ("difficulty", "grading the problems", teacher, "judge", "prompt"),
        ("rewrite", "checking the rewrites", teacher, "verify", "check_prompt"),
        ("score", "scoring the chains", student, "generate", "prompt"),
        ("mix", "the user turn of `messages`", "-", "generate", "prompt"),
    ]
    return [
        (use, model, _prompt_key(step, recipe.get(stage, {}), setting, stored or {}))
        for stage, use, model, step, setting in asked
        if stage in recipe.get("stages", ()) and _is_asked(stage, recipe.get(stage, {}))
    ]


def _prompt_key(step: str, table: Settings, setting: str, stored: Settings) -> str:
    """As the run stores it: of a file of the user's ("mine.jinja@sha256:4a1f...") by its stem."""
    beside = table.get("prompt", "default")
    if setting not in table and f"{step}__{beside}" in stored:
        return f"{step}__{beside}"
    name = prompt_named(step, named=table.get(setting), beside=beside, default="instruct")
    file, is_own, sha = name.partition("@sha256:")
    key = f"{step}__{file.removesuffix('.jinja')}"
    return f"{key}@{sha}" if is_own and f"{key}@{sha}" in stored else key


def _is_asked(stage: str, table: Settings) -> bool:
    """Whether the stage uses its prompt: problems can be graded, rewrites checked without."""
    if stage == "difficulty":
        return bool(table.get("signal") != "measured")
    return stage != "rewrite" or bool(table.get("teacher_check"))
