"""The charts of the page, as Altair describes them.

Invariant: a chart shows the rows that it is given, a mark a row; colour is never all that tells two
marks apart: shape, place or words do too. All are WIDTH wide, their height follows their rows.

A sample: bars([{"step": "problems", "n": 320}], y="step", x="n", title="problems")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flows.page.drawing import BLUE, COLOURS, GREY, INK, ORANGE, SHAPES, WIDTH

Rows = Sequence[dict[str, Any]]
OURS, BASE, OTHERS = "of this run", "untrained", "others"
WHO = {OURS: BLUE, OTHERS: ORANGE, BASE: GREY}  # whose a point of the frontier is
ROW = 24  # pixels of a row of bars
WIDE_RANGE = 12  # longest over shortest, from which an axis is logarithmic
LEGEND = 40  # letters that a line of a legend has room for, four for each mark
LETTER = 0.03  # width of a letter, of that of the bars' room


def _base(rows: Rows) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(rows)))


def _sized(chart: Any, height: float) -> Any:
    import altair as alt

    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(width=WIDTH, height=height, autosize=fit)


def _order(rows: Rows, key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _colour(names: Sequence[Any], key: str, colours: Sequence[str] = COLOURS) -> Any:
    import altair as alt

    scale = alt.Scale(domain=names, range=[colours[n % len(colours)] for n in range(len(names))])
    return alt.Color(f"{key}:N", scale=scale, legend=alt.Legend(columns=_columns(names)))


def _columns(names: Sequence[Any]) -> int:
    """One where they have no room side by side."""
    return len(names) if sum(len(str(name)) + 4 for name in names) <= LEGEND else 1


def _legend_height(names: Sequence[Any]) -> int:
    return 18 * (len(names) if _columns(names) == 1 else 1)


def _room(rows: Rows, value: str, label: str) -> Any:
    """Of bars with words at their ends."""
    import altair as alt

    words = min(LETTER * max(len(row[label]) + 1 for row in rows), 0.6)
    return alt.Scale(domainMax=max(max(row[value] for row in rows), 1e-9) / (1 - words), nice=False)


def bars(rows: Rows, *, y: str, x: str, title: str, label: str, colour: str | None = None) -> Any:
    """A bar a row, with its number (`label`, text) at its end."""
    import altair as alt

    axis = alt.Axis(tickCount=4, format="~s")
    axis_x = alt.X(f"{x}:Q", title=title, scale=_room(rows, x, label), axis=axis)
    base = _base(rows).encode(y=alt.Y(f"{y}:N", sort=_order(rows, y), title=None), x=axis_x)
    names = _order(rows, colour) if colour else []
    kinds = {"color": _colour(names, colour)} if colour else {}
    marks = base.mark_bar(size=14, **({} if colour else {"color": BLUE})).encode(**kinds)
    told = base.mark_text(align="left", dx=4).encode(text=f"{label}:N")
    height = 62 + ROW * len(rows) + (8 + _legend_height(names) if colour else 0)
    return _sized(alt.layer(marks, told), height)


def boxes(rows: Rows, *, y: str, colour: str, title: str, is_share: bool = False) -> Any:
    """From p10 to p90 a line, from p25 to p75 a bar, the median a stroke; a box a row."""
    import altair as alt

    order = _order(rows, y)
    low, high = max(min(row["p10"] for row in rows), 1), max(row["p90"] for row in rows)
    is_wide = not is_share and high / low >= WIDE_RANGE
    scale = alt.Scale(domain=[0, 1]) if is_share else alt.Scale(type="log" if is_wide else "linear")
    axis = alt.Axis(tickCount=5, format=".0%" if is_share else "~s")

    def x(column: str) -> Any:
        name = f"{title}, logarithmic" if is_wide else title
        return alt.X(f"{column}:Q", title=name, scale=scale, axis=axis)

    base = _base(rows).encode(
        y=alt.Y(f"{y}:N", sort=order, title=None),
        yOffset=alt.YOffset(f"{colour}:N", sort=_order(rows, colour)),
        color=_colour(_order(rows, colour), colour),
    )
    lines = base.mark_rule(strokeWidth=1.5).encode(x=x("p10"), x2="p90:Q")
    middle = base.mark_bar(size=9).encode(x=x("p25"), x2="p75:Q")
    median = base.mark_tick(thickness=2.5, size=15, color=INK).encode(
        x=x("median"), color=alt.value(INK)
    )
    num_boxes = len(order) * len(_order(rows, colour))
    return _sized(alt.layer(lines, middle, median), 90 + 18 * num_boxes)


def histogram(rows: Rows, *, x: str, y: str, colour: str, title: str) -> Any:
    """Shares by bin, a line and a shape a colour."""
    import altair as alt

    names = _order(rows, colour)
    bins = sorted({row[x] for row in rows})
    base = _base(rows).encode(
        x=alt.X(f"{x}:O", sort=bins, title=title, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y(f"{y}:Q", title="share of the chains", axis=alt.Axis(format=".0%", tickCount=5)),
        color=_colour(names, colour),
    )
    shape = alt.Shape(
        f"{colour}:N", scale=alt.Scale(domain=names, range=list(SHAPES[: len(names)]))
    )
    points = base.mark_point(filled=True, size=50, opacity=1).encode(shape=shape)
    return _sized(alt.layer(base.mark_line(), points), 260)


def waterfall(rows: Rows, *, title: str) -> Any:
    """`step`, `low`, `high`, `label`, and `is_total`: a bar from the axis, another colour."""
    import altair as alt

    y = alt.Y("step:N", sort=_order(rows, "step"), title=None)
    room = _room(rows, "high", "label")
    x = alt.X("low:Q", title=title, scale=room, axis=alt.Axis(tickCount=4, format="~s"))
    base = _base(rows).encode(y=y)
    totals = alt.condition(alt.datum.is_total, alt.value(BLUE), alt.value(COLOURS[1]))
    marks = base.mark_bar(size=14).encode(x=x, x2="high:Q", color=totals)
    told = base.mark_text(align="left", dx=4).encode(x=alt.X("high:Q", scale=room), text="label:N")
    return _sized(alt.layer(marks, told), 62 + ROW * len(rows))


def curves(rows: Rows) -> Any:
    """Loss by share of the training: on its own tokens a line, held out points on a dashed one."""
    import altair as alt

    names = _order(rows, "model")
    colour = _colour(names, "model")
    x = alt.X(
        "share_done:Q", title="share of the training", axis=alt.Axis(format=".0%", tickCount=5)
    )
    scale = alt.Scale(zero=False, nice=True)
    learnt = _base([row for row in rows if row["loss"] is not None])
    lines = learnt.mark_line(strokeWidth=1.4, opacity=0.85).encode(
        x=x, y=alt.Y("loss:Q", title="loss, nats a token", scale=scale), color=colour
    )
    held = _base([row for row in rows if row["held_out_loss"] is not None]).encode(
        x=x, y=alt.Y("held_out_loss:Q", scale=scale), color=colour
    )
    shape = alt.Shape("model:N", scale=alt.Scale(domain=names, range=list(SHAPES[: len(names)])))
    points = held.mark_point(filled=True, size=45, opacity=1).encode(shape=shape)
    layers = alt.layer(lines, held.mark_line(strokeDash=[4, 3], strokeWidth=1.4), points)
    return _sized(layers, 260 + _legend_height(names))


def frontier(rows: Rows) -> Any:
    """Accuracy against tokens with both intervals; the frontier's points have their number."""
    import altair as alt

    low, high = max(min(r["tokens_low"] for r in rows), 1), max(r["tokens_high"] for r in rows)
    is_wide = high / low >= WIDE_RANGE
    title = f"mean tokens of an answer{', logarithmic' if is_wide else ''}"
    x_scale = alt.Scale(type="log" if is_wide else "linear", zero=False, padding=16)
    x = alt.X("tokens:Q", title=title, scale=x_scale, axis=alt.Axis(tickCount=5, format="~s"))
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False, padding=12),
              axis=alt.Axis(format=".0%", tickCount=6))  # fmt: skip
    colour = _colour(list(WHO), "who", tuple(WHO.values()))
    base = _base(rows).encode(color=colour)
    ranges = [
        base.mark_rule(opacity=0.55).encode(x=x, y=alt.Y("accuracy_low:Q", title="accuracy"),
                                            y2="accuracy_high:Q"),
        base.mark_rule(opacity=0.55).encode(x="tokens_low:Q", x2="tokens_high:Q", y=y),
    ]  # fmt: skip
    shape = alt.Shape(
        "prompt:N", legend=alt.Legend(orient="bottom", symbolFillColor=INK),
        scale=alt.Scale(domain=["plain", "<compress>"], range=["circle", "triangle-up"]),
    )  # fmt: skip
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, shape=shape)
    best = _base([row for row in rows if row["number"]])
    line = best.mark_line(interpolate="step-after", color=INK, opacity=0.5, strokeDash=[4, 3])
    told = best.mark_text(align="right", baseline="bottom", dx=-5, dy=-3, fontWeight="bold")
    layers = [line.encode(x=x, y=y), *ranges, points, told.encode(x=x, y=y, text="mark:N")]
    return _sized(alt.layer(*layers), 350)


def forecasts(rows: Rows, *, title: str, is_share: bool) -> Any:
    """The interval a line, the forecast a stroke on it, what came a diamond."""
    import altair as alt

    axis = alt.Axis(format=".0%" if is_share else "~s", tickCount=5)
    y = alt.Y("asked:N", sort=_order(rows, "asked"), title=None)
    base = _base(rows).encode(y=y)

    def x(column: str) -> Any:
        return alt.X(f"{column}:Q", title=title, axis=axis, scale=alt.Scale(zero=False, padding=10))

    interval = base.mark_rule(strokeWidth=3, color=GREY).encode(x=x("low"), x2="high:Q")
    told = base.mark_tick(thickness=2.5, size=14, color=INK).encode(x=x("predicted"))
    inside = alt.condition(alt.datum.is_inside, alt.value(COLOURS[2]), alt.value(COLOURS[4]))
    came = base.mark_point(filled=True, size=70, opacity=1, shape="diamond").encode(
        x=x("truth"), color=inside
    )
    return _sized(alt.layer(interval, told, came), 62 + ROW * len(rows))
