"""What the page says of a run, section by section, each number by a query of sql/.

Role: asks the marts and sql/report, and says in words what each chart shows. Invariants: nothing is
counted here that a query counts; a section without rows says so in a line; only reads.

A sample: contents(database).sections[0].figures[0].title == "Problems at each step"
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.page import charts
from flows.page.cost import cost
from flows.page.examples import Example, examples
from flows.page.faults import faults
from flows.page.figures import (
    NONE,
    Columns,
    Figure,
    Rows,
    Section,
    amount,
    count,
    figure,
    listed,
    plainly,
    rows_of,
    share,
    spoken,
    table,
    words,
)
from flows.page.models import compared, forecasts, trained
from flows.page.provenance import Provenance, provenance

if TYPE_CHECKING:
    from sql.database import Database

STEPS = {
    "with_candidates": "with candidates",
    "answered_correctly": "answered right",
    "examples": "in examples",
}
KINDS = ("long", "rewritten", "compressed")


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of the headline."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Contents:
    sentence: str
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    examples: Sequence[Example]
    provenance: Provenance


def contents(database: Database) -> Contents:
    """Of the selected run."""
    head = database.run_file("report", "headline").records()[0]
    gains = database.run_file("analyses", "student_gain").records()
    makers: list[Callable[[Database], Section]] = [
        _funnel,
        _lengths,
        _compression,
        _scores,
        trained,
        compared,
        forecasts,
        cost,
        faults,
    ]
    return Contents(
        sentence=sentence(head, gains),
        tiles=[*_tiles(head), *_gains(gains)],
        sections=[make(database) for make in makers],
        examples=examples(database),
        provenance=provenance(database),
    )


def sentence(head: dict[str, Any], gains: Rows) -> str:
    """The run in a line."""
    made = f"{count(head['num_problems'])} problems became {count(head['num_examples'])} examples"
    told = [f"{made} to learn from"]
    if head["share_saved"] is not None:
        told.append(f"compression took {share(head['share_saved'])} of the tokens away")
    for gain in gains[:1]:
        told.append(
            f"the student answers {share(gain['accuracy_after'])} of {words(gain['benchmark'])} "
            f"right, before training {share(gain['accuracy_before'])}"
        )
    return f"{'; '.join(told)}."


def _tiles(head: dict[str, Any]) -> list[Tile]:
    lengths = [(kind, head[f"mean_{kind}"]) for kind in KINDS if head[f"mean_{kind}"] is not None]
    tiles = [Tile(name="problems", value=count(head["num_problems"]))]
    if head["num_long"]:
        note = f"{count(head['num_correct'])} of {count(head['num_long'])} rationales"
        tiles.append(Tile(name="answered correctly", value=share(head["share_correct"]), note=note))
    if lengths:
        tiles.append(
            Tile(
                name="mean tokens",
                value=" → ".join(f"{mean:.0f}" for _, mean in lengths),
                note=" → ".join(kind for kind, _ in lengths),
            )
        )
    if head["num_considered"]:
        note = f"{count(head['num_kept'])} of {count(head['num_considered'])} rationales"
        tiles.append(Tile(name="kept", value=share(head["share_kept"]), note=note))
    note = f"{amount(head['mean_example_tokens'])} tokens each" if head["num_examples"] else ""
    return [*tiles, Tile(name="examples", value=count(head["num_examples"]), note=note)]


def _gains(gains: Rows) -> list[Tile]:
    """How the student did, asked plainly and with <compress>."""
    return [
        Tile(
            name=f"{words(gain['benchmark'])}{', <compress>' if gain['compress'] else ''}",
            value=f"{share(gain['accuracy_before'])} → {share(gain['accuracy_after'])}",
            note="accuracy; "
            f"{amount(gain['tokens_before'])} → {amount(gain['tokens_after'])} tokens",
        )
        for gain in gains[:6]
    ]


def _funnel(database: Database) -> Section:
    rows = [
        {**row, "step": STEPS.get(row["stage"], words(row["stage"]))}
        for row in rows_of(database, "marts", "funnel")
    ]
    shown = [{**row, "label": count(row["num_problems"])} for row in rows if row["num_rows"]]
    came = [
        f"{row['label']} {row['step']} ({share(row['share_of_problems'])})" for row in shown[1:]
    ]
    told = f"Of {count(rows[0]['num_problems'])} problems: {listed(came or ['none came further'])}."
    chart = None
    if not shown:
        told = "There are no problems."
    else:
        chart = charts.bars(shown, y="step", x="num_problems", title="problems", label="label")
    columns: Columns = {
        "step": "step",
        "num_problems": ("problems", count),
        "num_rows": ("rows", count),
        "share_of_problems": ("share of problems", share),
    }
    return Section(
        key="funnel",
        title="From problems to examples",
        figures=[
            figure(
                "funnel",
                "Problems at each step",
                told,
                table(rows, "Problems at each step", columns),
                chart,
            )
        ],
    )


BOXES = (
    "Lines run from the 10th to the 90th percentile, bars from the 25th to the 75th; strokes are "
    "medians."
)
QUANTILES = {
    "p10": ("10%", amount),
    "p25": ("25%", amount),
    "median": ("median", amount),
    "p75": ("75%", amount),
    "p90": ("90%", amount),
}


def _lengths(database: Database) -> Section:
    rows = plainly(rows_of(database, "report", "token_quantiles"), "kind", "level")
    if not rows:
        return Section(key="lengths", title="Lengths", nothing="There are no rationales.")
    told = "; ".join(
        f"{kind}: " + listed([f"{row['level']} {amount(row['median'])}" for row in some])
        for kind in dict.fromkeys(row["kind"] for row in rows)
        if (some := [row for row in rows if row["kind"] == kind])
    )
    columns: Columns = {
        "kind": "kind",
        "level": "level",
        "num_chains": ("rationales", count),
        "mean_tokens": ("mean", amount),
        **QUANTILES,
        "max_tokens": ("most", amount),
    }
    by_level = figure(
        "lengths",
        "Tokens by kind and level",
        f"Median tokens: {told}.",
        table(rows, "Tokens by kind and level", columns),
        charts.boxes(rows, y="level", colour="kind", title="tokens"),
    )
    return Section(
        key="lengths",
        title="Lengths",
        intro=f"{BOXES} Of compressed rationales the kept round counts.",
        figures=[by_level, _histogram(database)],
    )


def _histogram(database: Database) -> Figure:
    rows = plainly(rows_of(database, "analyses", "length_histogram"), "kind")
    shown = [
        {**row, "bin": f"{row['tokens_from']}–{row['tokens_to']}"}  # noqa: RUF001
        for row in rows
    ]
    most = {row["kind"]: row for row in sorted(shown, key=lambda row: row["share"])}
    told = listed(
        [
            f"most {kind} rationales ({share(row['share'])}) have {row['bin']} tokens"
            for kind, row in most.items()
        ]
    )
    columns: Columns = {
        "kind": "kind",
        "bin": "tokens",
        "num_chains": ("rationales", count),
        "share": ("share", share),
    }
    chart = charts.histogram(shown, x="tokens_from", y="share", colour="kind", title="tokens, from")
    return figure(
        "histogram",
        "How long they are",
        f"{told[:1].upper()}{told[1:]}.",
        table(shown, "Rationales by length", columns),
        chart,
    )


def _compression(database: Database) -> Section:
    title = "Compression"
    steps = rows_of(database, "report", "compression_waterfall")
    if not steps:
        return Section(key="compression", title=title, nothing="This run compressed nothing.")
    return Section(key="compression", title=title, figures=[_waterfall(steps), _rounds(database)])


def _waterfall(steps: Rows) -> Figure:
    last = steps[-1]
    before = {
        "step": "before",
        "low": 0,
        "high": steps[0]["change"],
        "is_total": True,
        "label": count(steps[0]["change"]),
    }
    rounds = [
        {
            "step": words(row["step"]),
            "low": row["tokens_left"],
            "high": row["tokens_left"] - row["change"],
            "is_total": False,
            "label": count(row["change"]),
        }
        for row in steps[1:]
    ]
    after = {
        **before,
        "step": "after",
        "high": last["tokens_left"],
        "label": f"{count(last['tokens_left'])} ({share(last['share_left'])})",
    }
    told = (
        f"{count(steps[0]['num_chains'])} rationales had {before['label']} tokens and have "
        f"{count(last['tokens_left'])} after compression, {share(last['share_left'])}"
    )
    if len(steps) > 1:
        largest = min(steps[1:], key=lambda row: row["change"])
        told += f"; {words(largest['step'])} took most away, {count(-largest['change'])}"
    columns: Columns = {
        "step": "step",
        "num_chains": ("rationales", count),
        "change": ("change", count),
        "tokens_left": ("tokens left", count),
        "share_left": ("share left", share),
    }
    return figure(
        "waterfall",
        "Tokens by round",
        f"{told}.",
        table(steps, "Tokens by round of compression", columns),
        charts.waterfall([before, *rounds, after], title="tokens of all rationales"),
    )


def _rounds(database: Database) -> Figure:
    rows = [
        {
            **row,
            "name": f"round {row['round']}",
            "label": f"{share(row['share_rebounded'])} of {count(row['num_chains'])}",
            "ends": listed(
                [
                    f"{count(n)} {spoken(reason)}"
                    for reason, n in sorted((row["stop_reasons"] or {}).items())
                ]
            ),
        }
        for row in rows_of(database, "marts", "compression_by_round")
    ]
    told = "; ".join(f"{row['name']} {share(row['share_rebounded'])}" for row in rows)
    columns: Columns = {
        "round": ("round", count),
        "num_chains": ("rationales", count),
        "mean_tokens": ("mean tokens", amount),
        "num_chosen": ("kept as it left them", count),
        "num_rebounded": ("grew again", count),
        "share_rebounded": ("share", share),
        "ends": "ended for",
    }
    return figure(
        "rebounds",
        "Rebounds by round",
        f"Rationales that grew again, which ended their compression: {told}.",
        table(rows, "Rounds of compression", columns),
        charts.bars(
            rows, y="name", x="num_rebounded", label="label", title="rationales that grew again"
        ),
    )


def _scores(database: Database) -> Section:
    rows = plainly(rows_of(database, "report", "score_ranks"), "scorer", "condition")
    rows = [{**row, "outcome": "kept" if row["kept"] else "dropped"} for row in rows]
    if not rows:
        return Section(
            key="scores",
            title="Scores of kept and dropped",
            nothing="Nothing was scored and selected.",
        )
    figures = []
    for number, condition in enumerate(dict.fromkeys(row["condition"] for row in rows)):
        some = [row for row in rows if row["condition"] == condition]
        medians = {(row["scorer"], row["outcome"]): share(row["median"]) for row in some}
        told = "; ".join(
            f"{scorer}: kept {medians.get((scorer, 'kept'), NONE)}, dropped "
            f"{medians.get((scorer, 'dropped'), NONE)}"
            for scorer in dict.fromkeys(row["scorer"] for row in some)
        )
        ranks = {key: (title, share) for key, (title, _) in QUANTILES.items()}
        columns: Columns = {
            "scorer": "scorer",
            "outcome": "outcome",
            "num_rationales": ("rationales", count),
            **ranks,
            "median_value": ("median value", amount),
        }
        title = f"Selected as {condition}"
        figures.append(
            figure(
                f"scores-{number}",
                title,
                f"Rank of the median rationale by each score: {told}.",
                table(some, title, columns),
                charts.boxes(
                    some,
                    y="scorer",
                    colour="outcome",
                    is_share=True,
                    title="rank among the scored: 0% lowest, 100% highest",
                ),
            )
        )
    intro = (
        "Scores have different units, so a rationale is shown by its rank: the share of the scored "
        f"that have a lower value. {BOXES}"
    )
    return Section(key="scores", title="Scores of kept and dropped", intro=intro, figures=figures)
