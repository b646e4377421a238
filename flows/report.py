"""The end of a run in one page: for a stranger on the terminal, and as artifacts in Prefect's UI.

Invariant: every number comes from a mart of sql/, so the same question asked with `litecot sql`
gives the same answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from flows.progress.text import plain, shown
from flows.progress.training import left_out
from flows.recipes.extensions import own_prompts, plugins_in_use
from infra.runs.plan import TRAIN
from tasks.compress_methods import STOP_REASONS
from tasks.errors import LitecotError

if TYPE_CHECKING:
    from flows.session import Session
    from sql.database import Database

Records = list[dict[str, Any]]
MAX_QUESTION = 300  # characters of a prompt that is shown
TRAINED = {"base": "before training", "trained": "after training"}


class Report(BaseModel):
    """What a run came to."""

    recipe: str
    corpus: str
    kinds: tuple[str, ...]  # of rationale, in the order they are made
    plugins: tuple[str, ...]  # "scorer brevity (./mine.py)"
    prompts: tuple[str, ...] = ()  # of the user's own: "rewrite (shorter.jinja)"
    funnel: Records
    tokens: Records
    rounds: Records
    selection: Records
    rejections: Records
    evaluation: Records
    training: Records = []
    student: str | None = None  # folder of its weights
    question: str | None = None  # a prompt it was trained on
    max_length: int = 0  # tokens an example may have, its prompt included
    usage: Records
    disagreements: int
    stage_seconds: dict[str, float]
    stage_rows: dict[str, int]
    num_requests: int
    num_repeated: int
    total_seconds: float
    example_id: str | None
    page: str | None = None  # where the HTML page is; None where there is none


@dataclass(frozen=True, kw_only=True)
class Line:
    """One figure of the summary."""

    name: str
    value: str
    note: str = ""


def make_report(opened: Session) -> Report:
    """Ask the marts."""
    from flows.session import invocation

    opened.run.writer.flush()
    database = opened.run.latest()
    now = invocation(opened)
    training = _mart(database, "training_summary") if TRAIN in opened.recipe.stages else []
    return Report(
        recipe=opened.recipe.name,
        corpus=opened.order.corpus,
        kinds=tuple(dict.fromkeys(k for s in opened.run.stages.values() for k in s.stage.makes)),
        plugins=tuple(plugins_in_use(opened.recipe)),
        prompts=tuple(own_prompts(opened.recipe)),
        funnel=_mart(database, "funnel"),
        tokens=_mart(database, "tokens_by_level"),
        rounds=_mart(database, "compression_by_round"),
        selection=_mart(database, "selection_by_filter"),
        rejections=_mart(database, "rejections_by_reason"),
        evaluation=_mart(database, "evaluation_summary"),
        training=training,
        student=str(opened.run.corpus.store.folder / training[0]["path"]) if training else None,
        question=_first(database, "prompt_to_show"),
        max_length=opened.recipe.train.max_length,
        usage=_mart(database, "usage_by_model"),
        disagreements=len(_mart(database, "verdict_disagreements")),
        stage_seconds=json.loads(now.stage_seconds),
        stage_rows=json.loads(now.stage_rows),
        num_requests=now.num_requests,
        num_repeated=now.num_repeated,
        total_seconds=opened.elapsed_s(),
        example_id=_first(database, "problem_to_show"),
    )


def _mart(database: Database, name: str) -> Records:
    return database.rows_of(name).records()


def _first(database: Database, name: str) -> str | None:
    rows = database.run_file("runs", name).rows
    return str(rows[0][0]) if rows else None


def summary_lines(report: Report) -> list[Line]:
    """The figures a stranger asks for, in the order of the line of production."""
    funnel = {row["stage"]: row for row in report.funnel}
    lines = [Line(name="problems", value=str(funnel["problems"]["num_problems"]))]
    lines += _answered(report, funnel)
    lines += _levels(report)
    lines += _tokens(report)
    lines += _cut_off(report)
    lines += _rounds(report)
    lines += _kept(report, funnel)
    lines += _trained(report)
    if report.plugins:
        lines.append(Line(name="plug-ins", value=" · ".join(report.plugins)))
    if report.prompts:
        lines.append(Line(name="own prompts", value=" · ".join(report.prompts)))
    if report.disagreements:
        note = "our verdict against the source's record: from verdict_disagreements"
        lines.append(Line(name="disagreements", value=str(report.disagreements), note=note))
    return lines


def _answered(report: Report, funnel: dict[str, dict[str, Any]]) -> list[Line]:
    chains = [row for row in report.tokens if row["kind"] == "long"]
    total = sum(row["num_rationales"] for row in chains)
    if not total:
        return []
    right = funnel["answered_correctly"]
    problems = "1 problem" if right["num_problems"] == 1 else f"{right['num_problems']} problems"
    note = f"{right['num_rows']} of {total} candidates, for {problems}"
    return [Line(name="answered correctly", value=f"{right['num_rows'] / total:.1%}", note=note)]


def _levels(report: Report) -> list[Line]:
    counts = {row["level"]: row["num_problems"] for row in report.tokens if row["kind"] == "long"}
    graded = {level: n for level, n in counts.items() if level != "ungraded"}
    if not graded:
        return []
    return [Line(name="levels", value=" · ".join(f"{n} {level}" for level, n in graded.items()))]


def _mean_tokens(rows: Records) -> float:
    total = sum(row["num_rationales"] for row in rows)
    return float(sum(row["mean_tokens"] * row["num_rationales"] for row in rows) / total)


def _tokens(report: Report) -> list[Line]:
    by_kind = {
        kind: rows
        for kind in report.kinds
        if (rows := [row for row in report.tokens if row["kind"] == kind])
    }
    means = {kind: _mean_tokens(rows) for kind, rows in by_kind.items()}
    if not means:
        return []
    value = " -> ".join(f"{mean:.0f} {kind}" for kind, mean in means.items())
    return [Line(name="mean tokens", value=value)]


def _cut_off(report: Report) -> list[Line]:
    """Chains that reached their limit of tokens, by kind; a large share says: raise max_tokens."""
    told = []
    for kind in report.kinds:
        rows = [row for row in report.tokens if row["kind"] == kind]
        total = sum(row["num_rationales"] for row in rows)
        if total:
            told.append(f"{sum(row['num_cut_off'] for row in rows) / total:.1%} {kind}")
    note = "rationales that reached the limit of tokens"
    return [Line(name="cut off", value=" · ".join(told), note=note)] if told else []


def _rounds(report: Report) -> list[Line]:
    if not report.rounds:
        return []
    chosen = " · ".join(
        f"{row['num_chosen']} kept round {row['round']}"
        for row in report.rounds
        if row["num_chosen"]
    )
    chains = report.rounds[0]["num_chains"]
    ends = Counter[str]()
    for row in report.rounds:
        ends.update(row["stop_reasons"] or {})
    told = [f"{n} {STOP_REASONS.get(reason, reason)}" for reason, n in ends.most_common()]
    if told:
        told[0] = told[0].replace(" ", f" of {chains} chains ", 1)
    return [Line(name="compression", value=chosen or "nothing shorter", note="; ".join(told))]


def _kept(report: Report, funnel: dict[str, dict[str, Any]]) -> list[Line]:
    total = sum(row["num_rationales"] for row in report.selection)
    if not total:
        return []
    kept = sum(row["num_rationales"] for row in report.selection if row["filter"] == "kept")
    note = f"{kept} of {total} rationales; {funnel['examples']['num_rows']} training examples"
    return [Line(name="kept", value=f"{kept / total:.0%}", note=note)]


def _trained(report: Report) -> list[Line]:
    if not report.training:
        return []
    trained, too_long = _fitting(report)
    held_out = report.training[0].get("num_held_out") or 0
    of = trained + held_out + too_long
    value = f"{trained} of {of} examples" if of > trained else f"{trained} examples"
    notes = [f"{held_out} held out"] if held_out else []
    notes += [f"{too_long} too long"] if too_long else []
    return [Line(name="trained on", value=value, note=", ".join(notes)), *_training(report)]


def _training(report: Report) -> list[Line]:
    """With what it was trained; rows of older versions do not say."""
    latest = report.training[0]
    if not latest.get("engine"):
        return []
    ranks = "1 rank" if latest["world_size"] == 1 else f"{latest['world_size']} ranks"
    value = f"{latest['engine']}, ZeRO-{latest['zero_stage']}, {ranks} on {latest['device']}"
    notes = [f"loss {latest['train_loss']:.3f}"]
    notes += [] if latest["held_out_loss"] is None else [f"held-out {latest['held_out_loss']:.3f}"]
    notes += [f"{latest['num_attempts']} attempts"] if latest["num_attempts"] > 1 else []
    return [Line(name="training", value=value, note=", ".join(notes))]


def _fitting(report: Report) -> tuple[int, int]:
    """Examples trained on and left out; rows of older versions do not say what was too long."""
    latest = report.training[0]
    return latest["num_examples"], latest["num_too_long"] or 0


def _left_out(report: Report) -> str:
    """What training left out, in a line; "" where it was nothing."""
    trained, too_long = _fitting(report) if report.training else (0, 0)
    if not too_long:
        return ""
    of = trained + too_long + (report.training[0].get("num_held_out") or 0)
    return f"{left_out(too_long, of)} (it is {report.max_length} tokens)"


def student_lines(report: Report) -> list[str]:
    """Where the student is, and Python that asks it; none where it cannot be told."""
    if report.student is None or not (Path(report.student) / "tokenizer_config.json").is_file():
        return []
    from infra.publishing.usage import QUESTION_OF_OURS, is_chat, python_lines

    fits = report.question is not None and len(report.question) <= MAX_QUESTION
    asked = report.question if fits and report.question else QUESTION_OF_OURS
    code = python_lines(report.student, asked, chat=is_chat(Path(report.student)))
    readme = "its README says how <compress> is placed"
    return [
        f"the student is in {report.student} ({readme}); in Python:",
        *(f"  {line}" for line in code),
        f"to share it: {command_name()} publish-model FOLDER{_corpus_option(report)}",
    ]


def render(report: Report) -> Group:
    """The page for a terminal."""
    parts: list[Any] = [_summary_table(report)]
    if report.evaluation:
        parts.append(_evaluation_table(report))
    if report.stage_seconds:
        parts.append(_stage_table(report))
    if left_out := _left_out(report):
        parts.append(Text(left_out))
    if report.rejections:
        parts.append(_rejections(report))
    parts.append(_footer(report))
    return Group(*parts)


def _plain_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold", title_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _summary_table(report: Report) -> Table:
    table = Table(
        title=shown(f"recipe {report.recipe}"),
        title_justify="left",
        title_style="bold",
        show_header=False,
    )
    for line in summary_lines(report):
        table.add_row(*map(shown, (line.name, line.value, line.note)))
    return table


def _evaluation_table(report: Report) -> Table:
    """A row a student, set, prompt and, where there are several, settings: never a mean of them."""
    rows = report.evaluation
    has_several = len({row.get("settings") for row in rows}) > 1
    columns = ["student", "set", "prompt", "problems", "accuracy", "mean tokens", "cut off",
               "mean wait, s"]  # fmt: skip
    table = _plain_table("held-out problems", *columns, *["settings"] * has_several)
    for row in rows:
        table.add_row(
            shown(TRAINED.get(row["role"], row["role"])),
            shown(row["benchmark"]),
            "with <compress>" if row["compress"] else "plain",
            str(row["num_problems"]),
            f"{row['accuracy']:.1%}",
            f"{row['mean_tokens']:.0f}",
            f"{row['share_cut_off']:.1%}",
            f"{row['mean_seconds']:.2f}",
            *[shown(row["settings"] or "not said")] * has_several,
        )
    return table


def _stage_table(report: Report) -> Table:
    table = _plain_table("this time", "stage", "new rows", "wall seconds")
    for stage, seconds in report.stage_seconds.items():
        table.add_row(shown(stage), str(report.stage_rows.get(stage, 0)), f"{seconds:.1f}")
    table.add_row("model requests, scoring aside", str(report.num_requests), "")
    table.add_row("  of these, again after lost replies", str(report.num_repeated), "")
    table.add_row("all", "", f"{report.total_seconds:.1f}")
    return table


def _rejections(report: Report) -> Text:
    """What was refused, why, and how to see all of it; the details are others' words."""
    lines = [
        f"{row['num_records']} rejected: {row['reason']} ({row['stage']})"
        + (f", e.g. {row['sample_detail']}" if row["sample_detail"] else "")
        for row in report.rejections
    ]
    query = f"{command_name()} sql 'from stg_rejections'{_corpus_option(report)}"
    return shown("\n".join([*lines, f"  {query}"]))


def _corpus_option(report: Report) -> str:
    return "" if report.corpus == "corpus" else f" --corpus {report.corpus}"


def command_name() -> str:
    """How this person can call `litecot`: by name where it is on PATH, else as they did."""
    if shutil.which("litecot"):
        return "litecot"
    called = Path(sys.argv[0])
    return os.path.relpath(called) if called.name == "litecot" else "litecot"


def _footer(report: Report) -> Text:
    corpus = _corpus_option(report)
    question = "selection_by_filter" if report.selection else "funnel"
    question = "compression_by_round" if report.rounds else question
    program = command_name()
    commands = [
        f"{program} sql 'from {question}'{corpus}",
        f"{program} show {report.example_id or 'ID'}{corpus}",
        f"{program} status{corpus}",
    ]
    lines = "\n".join(f"  {command}" for command in commands)
    return shown(f"the corpus is in {report.corpus}; try next:\n{lines}")


def print_report(report: Report, console: Console) -> None:
    """To a terminal, or a pipe, without markup in what models or files wrote."""
    console.print(render(report))
    for line in student_lines(report):  # whole lines, to be pasted
        console.print(shown(line), soft_wrap=True)
    if report.page is not None:
        console.print(shown(f"the report is {report.page}: open it in a browser"), soft_wrap=True)


def markdown(report: Report) -> str:
    """The summary as an artifact."""
    rows = [f"| {line.name} | {line.value} | {line.note} |" for line in summary_lines(report)]
    text = [f"# {report.recipe}", "", "| | | |", "|---|---|---|", *rows, ""]
    if left_out := _left_out(report):
        text += [left_out, ""]
    if report.evaluation:
        text += ["## Held-out problems", "", _markdown_table(_evaluated(report)), ""]
    if report.rejections:
        text += ["## Rejected", "", *map(_rejection_line, report.rejections), ""]
    return "\n".join(text)


def _rejection_line(row: dict[str, Any]) -> str:
    """No table: the details are as long as servers like, and a page is cut at its right."""
    detail = f": {_cell(row['sample_detail'])}" if row["sample_detail"] else ""
    return f"- {row['num_records']} {_cell(row['reason'])} ({_cell(row['stage'])}){detail}"


def _evaluated(report: Report) -> Records:
    """The columns that fit the width of a page; `evaluation_summary` has all."""
    return [
        {
            "student": TRAINED.get(row["role"], row["role"]),
            "set": row["benchmark"],
            "prompt": "with <compress>" if row["compress"] else "plain",
            "problems": row["num_problems"],
            "accuracy": f"{row['accuracy']:.1%}",
            "mean tokens": f"{row['mean_tokens']:.0f}",
            "cut off": f"{row['share_cut_off']:.1%}",
        }
        for row in report.evaluation
    ]


def _markdown_table(rows: Records) -> str:
    header = list(rows[0])
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(row[name]) for name in header) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


async def publish_report(report: Report) -> None:
    """The funnel as a table artifact, the summary as markdown."""
    from flows.progress.artifacts import show_markdown, show_table

    await show_table(
        f"{report.recipe}-funnel", report.funnel, "Problems and rows left by each stage"
    )
    await show_markdown(f"{report.recipe}-summary", markdown(report), f"What {report.recipe} made")


async def with_page(report: Report, run_id: str) -> Report:
    """The HTML page of the run, kept in its corpus and linked in Prefect; once the run is closed,
    for then all of it is stored. Whatever fails is a line: no run fails for its page."""
    from prefect import get_run_logger

    from flows.page.writing import keep_page
    from flows.progress.artifacts import show_markdown
    from flows.session import terminal_here

    try:
        where = await asyncio.to_thread(keep_page, report.corpus, run_id=run_id)
        await show_markdown(f"{report.recipe}-report", page_link(where), "The report of the run")
    except Exception as error:
        line = f"the report was not made: {plain(one_line(error))}"
        terminal_here().say(f"  {line}")
        get_run_logger().warning("%s", line)
        return report
    get_run_logger().info("report: %s", where)
    return report.model_copy(update={"page": where})


def page_link(where: str) -> str:
    """Where the page is, as Markdown: a link on the machine that has it."""
    if "://" in where:
        return f"The report of the run is `{where}`."
    path = Path(where).absolute()
    return f"[{path.name}]({path.as_uri()}): `{path}`, on the machine that ran it"


def one_line(error: Exception) -> str:
    """What is shown of it: of an error of ours the message alone."""
    first = next(iter(str(error).strip().splitlines()), "")
    return first if isinstance(error, LitecotError) else f"{type(error).__name__}: {first}"
