"""The frontier as a picture: accuracy against inference tokens, a panel for each set of questions.

Role: Altair describes the chart, vl-convert draws it, without a browser or a network. Invariants:
in a panel are only rows that may be compared (same benchmark, settings and questions); what
anybody named is text, escaped; the file holds no script and no link to elsewhere.

A sample: draw(frontier(database), Path("frontier.svg"))
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from flows.evaluations.metrics import Measured
from flows.progress.text import plain
from tasks.errors import UsageError

TITLE = "Accuracy against inference tokens"
PROMPTS = {False: "plain", True: "<compress>"}
FORMATS = (".svg", ".png", ".html")
WIDTH, HEIGHT = 460, 320  # of a panel, pixels
PANELS_A_ROW = 2
MAX_COLOURS = 10  # models told apart by colour; more: those of the frontier by number
MAX_LABEL = 40  # characters of a name
MAX_NUMBERED = 12  # points of the frontier listed above a panel
WIDE_RANGE = 4  # longest over shortest, from which the axis is logarithmic
NEAR, NEAR_ACCURACY = 1.06, 0.04  # of two points whose numbers would cover one another
PNG_SCALE = 2
GREY, BLUE = "#9a9a9a", "#1f5fa8"


def check_file(path: Path) -> None:
    """Raises UsageError where no plot can be written there."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--plot {path}: name a file that ends in {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--plot {path}: there is no folder {path.absolute().parent}")


def draw(rows: Sequence[Measured], path: Path) -> None:
    """Write the picture. Raises UsageError, OSError."""
    check_file(path)
    if path.suffix.lower() == ".png":
        import vl_convert

        path.write_bytes(vl_convert.svg_to_png(svg_of(rows), scale=PNG_SCALE))
        return
    text = svg_of(rows)
    path.write_text(text if path.suffix.lower() == ".svg" else _page(text), encoding="utf-8")


def svg_of(rows: Sequence[Measured]) -> str:
    """An SVG with title and description."""
    import vl_convert

    text = vl_convert.vegalite_to_svg(chart_of(rows).to_dict())
    told = f"<title>{escape(TITLE)}</title><desc>{escape(_described(rows))}</desc>"
    return re.sub(r"(<svg\b[^>]*)>", lambda m: f'{m[1]} role="img">{told}', str(text), count=1)


def chart_of(rows: Sequence[Measured]) -> Any:
    """The Altair chart."""
    import altair as alt

    alt.data_transformers.disable_max_rows()
    groups = [list(some) for _, some in groupby(sorted(rows, key=_group), key=_group)]
    models = sorted({_name(one.row["model_id"]) for one in rows})
    panels = [_panel(some, models) for some in groups]
    laid = alt.concat(*panels, columns=PANELS_A_ROW, spacing=80, bounds="flush").properties(
        title=alt.TitleParams(
            TITLE, subtitle=["bars: 95% intervals; line: no other is as accurate and shorter"],
            anchor="start", fontSize=16, offset=14,
        ),
        background="white", padding=14,
    )  # fmt: skip
    laid = laid.configure_view(stroke="#dddddd").configure_axis(
        gridColor="#eeeeee", labelFontSize=11, titleFontSize=12, titleFontWeight="normal"
    )
    return laid.configure_legend(
        labelFontSize=11, titleFontSize=11, labelLimit=260, symbolSize=90
    )  # fmt: skip


def _group(one: Measured) -> tuple[str, str, str]:
    row = one.row
    return row["benchmark"], row["settings"], row["question_set"]


def _name(model_id: object) -> str:
    """As it is shown: its end says more than its beginning, and is no control code."""
    name = plain(model_id).replace("\n", "\\n").replace("\t", "\\t")
    return name if len(name) <= MAX_LABEL else f"…{name[1 - MAX_LABEL :]}"


def _point(one: Measured) -> dict[str, Any]:
    row = one.row
    told = {
        "model": _name(row["model_id"]),
        "prompt": PROMPTS[row["compress"]],
        "accuracy": row["accuracy"],
        "tokens": row["mean_tokens"],
        "best": row["is_on_frontier"],
    }
    for column, name in (("accuracy", "accuracy"), ("mean_tokens", "tokens")):
        ends = one.intervals.get(column) or (row[column], row[column])
        told |= {f"{name}_low": ends[0], f"{name}_high": ends[1]}
    return told


def _panel(rows: Sequence[Measured], models: Sequence[str]) -> Any:
    import altair as alt

    points = [_point(one) for one in sorted(rows, key=lambda one: one.row["mean_tokens"])]
    _number([point for point in points if point["best"]])
    chart = alt.Chart(alt.InlineData(values=points))
    x, y = _axes(points)
    colour = _colour(models)
    shape = alt.Shape("prompt:N", title="prompt", scale=alt.Scale(
        domain=list(PROMPTS.values()), range=["circle", "triangle-up"]))  # fmt: skip
    best = alt.datum.best
    line = chart.transform_filter(best).mark_line(
        interpolate="step-after", color="#555555", strokeDash=[4, 3], opacity=0.7
    )
    bars = [
        chart.mark_rule(opacity=0.55).encode(x=x, y="accuracy_low:Q", y2="accuracy_high:Q",
                                             color=colour),
        chart.mark_rule(opacity=0.55).encode(x="tokens_low:Q", x2="tokens_high:Q", y=y,
                                             color=colour),
    ]  # fmt: skip
    marks = chart.mark_point(filled=True, size=110, opacity=1, stroke="white", strokeWidth=0.8)
    layers = [line.encode(x=x, y=y), *bars, marks.encode(x=x, y=y, color=colour, shape=shape)]
    if len(models) > MAX_COLOURS:  # above and to the left of the frontier nothing else is
        layers += _numbers(chart, x, y)
    heading = _heading(rows, _numbered(points) if len(models) > MAX_COLOURS else [])
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=heading)


def _number(best: Sequence[dict[str, Any]]) -> None:
    """Along the frontier; one that the next would cover stands below its point, not above."""
    for number, point in enumerate(best, start=1):
        after = best[number] if number < len(best) else None
        is_near = after is not None and (
            after["tokens"] < point["tokens"] * NEAR
            and after["accuracy"] - point["accuracy"] < NEAR_ACCURACY
        )
        was_below = number > 1 and best[number - 2]["place"] == "below"
        point |= {"number": str(number), "place": "below" if is_near and not was_below else "above"}


def _numbers(chart: Any, x: Any, y: Any) -> list[Any]:
    """Each twice: white and broad below, so that it can be read on a bar."""
    import altair as alt

    layers = []
    for place, baseline, dy in (("above", "bottom", -4), ("below", "top", 6)):
        chosen = (alt.datum.best) & (alt.datum.place == place)
        words = chart.transform_filter(chosen).encode(x=x, y=y, text="number:N")
        told: dict[str, Any] = {"align": "right", "baseline": baseline, "dx": -5, "dy": dy}
        layers += [
            words.mark_text(**told, fontSize=12, stroke="white", strokeWidth=3),
            words.mark_text(**told, fontSize=12, color=BLUE, fontWeight="bold"),
        ]
    return layers


def _numbered(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """The points of the frontier, a line each, the shortest first."""
    best = [point for point in points if point["best"]]
    lines = [
        f"{point['number']} {point['model']}, {point['prompt']}: {point['accuracy']:.1%} with "
        f"{point['tokens']:.0f} tokens"
        for point in best[:MAX_NUMBERED]
    ]
    more = len(best) - len(lines)
    return [*lines, f"and {more} more: litecot frontier"] if more else lines


def _axes(points: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    import altair as alt

    lows, highs = zip(*((p["tokens_low"], p["tokens_high"]) for p in points), strict=True)
    low, high = max(min(lows), 1.0), max(*highs, 2.0)
    is_wide = high / low >= WIDE_RANGE
    scale = alt.Scale(type="log" if is_wide else "linear", zero=False, nice=not is_wide, padding=24)
    title = "tokens an answer, mean" + (" (logarithmic)" if is_wide else "")
    x = alt.X("tokens:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6, format="~s"))
    y = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(zero=False, nice=True),
              axis=alt.Axis(format=".0%", labelFlush=True))  # fmt: skip
    return x, y


def _colour(models: Sequence[str]) -> Any:
    """By model; where they are too many by whether the frontier has them."""
    import altair as alt

    if len(models) <= MAX_COLOURS:
        return alt.Color(
            "model:N", title="model", legend=alt.Legend(symbolOpacity=1, symbolType="square"),
            scale=alt.Scale(domain=list(models), scheme="tableau10"),
        )  # fmt: skip
    return alt.condition(alt.datum.best, alt.value(BLUE), alt.value(GREY))


def _heading(rows: Sequence[Measured], lines: Sequence[str]) -> Any:
    import altair as alt

    row = rows[0].row
    told = f"{row['num_questions']} question{'s' * (row['num_questions'] != 1)}"
    told += f", {row['num_samples']} samples each" if row["num_samples"] > 1 else ""
    return alt.TitleParams(
        _name(row["benchmark"]), subtitle=[told, *lines], anchor="start", fontSize=13, offset=10
    )


def _described(rows: Sequence[Measured]) -> str:
    """The picture in words, for who does not see it."""
    lines = (
        f"{plain(row['benchmark'])}: {plain(row['model_id'])}, {PROMPTS[row['compress']]}: "
        f"accuracy {row['accuracy']:.3f}, {row['mean_tokens']:.1f} tokens"
        f"{', on the frontier' if row['is_on_frontier'] else ''}"
        for row in (one.row for one in rows)
    )
    return ". ".join(lines)


def _page(svg: str) -> str:
    """A page that is the picture: as a data URI, so that nothing in it is run."""
    held = base64.b64encode(svg.encode("utf-8")).decode("ascii")
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{escape(TITLE)}</title>\n'
        f'<img alt="{escape(TITLE)}" src="data:image/svg+xml;base64,{held}">\n</html>\n'
    )
