"""The dataset card of a snapshot: Markdown with the front matter that dataset hubs read.

Invariant: it holds counts, names and hashes only, no text a model wrote and no path of this machine
(infra/publishing/public_names.py); names from outside cannot break its tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.publishing.licences import identifier
from infra.publishing.methods import filter_settings, methods, model_name, other_prompts
from infra.publishing.public_names import PublicNames
from sql.database import Database
from tasks.prompts import prompt_sha, steps, variants
from tasks.scorers import SCORERS

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FACTS = (
    "run", "size", "lengths", "conditions", "levels", "filters", "scores", "prompts", "sources",
    "funnel", "left_out",
)  # fmt: skip
REASONS = {  # those that are no words yet when their underscores are gone
    "rd_above_threshold": "RD above the threshold",
    "beyond_threshold": "beyond the threshold of what was selected by",
    "beyond_keep_per_problem": "beyond the number kept per problem",
    "outside_keep_fraction": "outside the share kept",
    "near_duplicate": "nearly repeats a better chain of the problem",
    "near_duplicate_question": "nearly repeats the question of another problem",
    "shares_ngram_with_evaluation": "quotes the question of an evaluation set",
    "rationale_shares_ngram_with_evaluation": "its rationale quotes an evaluation set",
    "in_evaluation_set": "is in an evaluation set",
    "no_correct_candidate": "no candidate is right",
    "no_whole_candidate": "each right candidate was cut off",
    "content_filter": "cut off by a content filter",
    "unclosed_thought": "its thought has no end",
    "nothing_behind_thought": "nothing behind its thought",
    "parent_cut_off": "made of a chain that was cut off",
    "conflicting_answer": "the same question with another answer",
    "too_long_for_easy": "too long for an easy problem",
    "not_an_object": "not a JSON object",
    "not_json": "not JSON",
    "broken_json": "broken JSON",
    "broken_csv": "broken CSV",
    "invalid_utf8": "invalid UTF-8",
}
ORIGINS = {  # where no prompt wrote a chain
    "imported": "*none: imported with the problems*",
    "kept": "*none: the chain itself, its rewrite was given up*",
}
COLUMNS = {
    "messages": "the example as a conversation: user, assistant",
    "compress": "whether the user turn begins with the control token `<compress>` in training",
    "question": "the problem as a person would read it",
    "rationale": "the chain of thought, answer included",
    "answer": "the gold answer, and `answer_type` how it is compared",
    "subject": "topic, where the source names one",
    "level": "easy, medium or hard, and `difficulty` the score it is read from, 0 to 1",
    "condition": "original or compressed: the use it was selected for",
    "kind": "long, rewritten or compressed; `round` is the compression round",
    "num_tokens": "length of the completion; `original_tokens` of the chain it goes back to",
    "rd": "Rationale Difficulty (RD) for the student, lower is more helpful",
    "teacher": "model that wrote the original chain; `writer` the model that wrote this one;"
    " brought: the source does not say",
    "prompt_sha": "hash of the prompt file that asked for it; null where none did",
    "source": "file or data set of the problem",
    "example_id": "identity; also `problem_id`, `rationale_id`, `parent_id`",
}


def card_text(database: Database, licences: Mapping[str, str], *, content: str) -> str:
    """The card of the selected run. `licences`: source -> licence, of every source; `content`: a
    hash of the data."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=False,
        autoescape=False,  # Markdown; what comes from outside goes through `cell`
    )
    facts = {name: database.run_file("analyses", f"published_{name}").records() for name in FACTS}
    run, size = facts.pop("run")[0], facts.pop("size")[0]
    recipe = json.loads(run["resolved"] or "{}").get("recipe", {})
    prompts = json.loads(run["prompts"] or "{}")
    names = PublicNames(recipe, licences)
    environment.filters |= {
        "cell": cell, "words": _words, "model": names.model, "source": names.source,
    }  # fmt: skip
    return environment.get_template("card.md.jinja").render(
        **facts,
        run_id=run["run_id"],
        content=content,
        recipe=cell(run["recipe"]),
        columns=COLUMNS,
        scorers={name: SCORERS[name] for name in SCORERS},
        student=cell(model_name(recipe, "student")),
        licences=dict(licences),
        license=identifier(licences),
        methods=told_together(
            methods(prompts=facts["prompts"], filters=facts["filters"], recipe=recipe)
        ),
        filter_settings=filter_settings(recipe.get("select", {})),
        prompt_names={**{sha: cell(key) for key, sha in prompts.items()}, **_prompt_names()},
        origins=ORIGINS,
        other_prompts=other_prompts(recipe, prompts),
        prompt_hashes=prompts,
        **size,
        size_category=_size(size["num_examples"]),
    )


def _words(reason: str) -> str:
    """A snake_case reason for people."""
    return REASONS.get(reason, reason.replace("_", " "))


def _prompt_names() -> dict[str, str]:
    """Hash -> name of the prompt files of this version."""
    names = ((step, variant) for step in steps() for variant in variants(step))
    return {prompt_sha(step, variant): f"{step}__{variant}" for step, variant in names}


def told_together(parts: list[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _size(count: int) -> str:
    return next((name for below, name in SIZES if count < below), "1M<n<10M")


def cell(text: Any) -> str:
    """One Markdown table cell: no line break, no column border."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
