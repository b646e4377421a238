"""The dataset card of a snapshot: Markdown with the front matter that dataset hubs read.

Invariant: it holds counts, names and hashes only, no text a model wrote; names from outside cannot
break its tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sql.database import Database

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
FACTS = ("lengths", "conditions", "levels", "prompts", "sources")
COLUMNS = {
    "messages": "the example as a conversation: user, assistant",
    "compress": "whether the user turn begins with the control token `<compress>` in training",
    "question": "the problem as a person would read it",
    "rationale": "the chain of thought, answer included",
    "answer": "the gold answer, and `answer_type` how it is compared",
    "level": "easy, medium or hard, and `difficulty` the score it is read from, 0 to 1",
    "condition": "original or compressed: the use it was selected for",
    "kind": "long, rewritten or compressed; `round` is the compression round",
    "num_tokens": "length of the completion; `original_tokens` of the chain it goes back to",
    "rd": "Rationale Difficulty for the student, lower is more helpful",
    "teacher": "model that wrote the original chain; `writer` the model that wrote this one",
    "prompt_sha": "hash of the prompt file",
    "source": "file or data set of the problem",
    "example_id": "identity; also `problem_id`, `rationale_id`, `parent_id`",
}


def card_text(database: Database, licences: Mapping[str, str]) -> str:
    """The card of the selected run. `licences`: source -> licence."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=False,
        autoescape=False,  # Markdown; what comes from outside goes through `cell`
    )
    environment.filters["cell"] = _cell
    facts = {name: database.run_file("analyses", f"published_{name}").records() for name in FACTS}
    facts["funnel"] = database.run("from funnel where num_rows > 0").records()
    (run,) = database.run("select run_id, recipe from stg_runs limit 1").records()
    num_examples = sum(row["num_examples"] for row in facts["sources"])
    (num_problems,) = database.run("select count(distinct problem_id) from stg_examples").rows[0]
    return environment.get_template("card.md.jinja").render(
        **facts,
        run_id=run["run_id"],
        recipe=_cell(run["recipe"]),
        columns=COLUMNS,
        licences=dict(licences),
        num_examples=num_examples,
        num_problems=num_problems,
        size_category=_size(num_examples),
    )


def _size(count: int) -> str:
    return next((name for below, name in SIZES if count < below), "1M<n<10M")


def _cell(text: Any) -> str:
    """One Markdown table cell: no line break, no column border."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")
