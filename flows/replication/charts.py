"""The plots of the page: static SVG, drawn by Altair and vl-convert without a browser.

Invariant: a chart shows what it is given, a row a mark, with its interval; the same rows give the
same file.

A sample row: {"arm": "levels", "budget": "steps", "level": "hard", "accuracy": 0.61, "low": 0.55,
"high": 0.67}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Rows = Sequence[dict[str, Any]]
WIDTH, HEIGHT = 230, 180
COLOURS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac"]


def levels_chart(rows: Rows) -> str:
    """Accuracy by level, a colour an arm, a panel a budget."""
    import altair as alt

    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X("level:N", sort=["easy", "medium", "hard"], title=None),
        xOffset=alt.XOffset("arm:N"),
        color=alt.Color("arm:N", scale=alt.Scale(range=COLOURS), title=None),
    )
    points = base.mark_point(filled=True, size=45).encode(
        y=alt.Y("accuracy:Q", title="accuracy", axis=alt.Axis(format="%"))
    )
    return _svg(_panels(alt.layer(base.mark_rule().encode(y="low:Q", y2="high:Q"), points)))


def frontier_chart(rows: Rows) -> str:
    """Accuracy against the tokens of an answer, with both intervals, a panel a budget."""
    import altair as alt

    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        x=alt.X("tokens:Q", title="tokens of an answer", scale=alt.Scale(zero=False)),
        y=alt.Y(
            "accuracy:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
        ),
        color=alt.Color("asked:N", scale=alt.Scale(range=COLOURS), title="asked"),
    )
    across = base.mark_rule(opacity=0.5).encode(x="tokens_low:Q", x2="tokens_high:Q")
    up = base.mark_rule(opacity=0.5).encode(y="low:Q", y2="high:Q")
    points = base.mark_point(filled=True, size=45)
    names = base.mark_text(align="left", dx=6, dy=-5, fontSize=9).encode(text="arm:N")
    return _svg(_panels(alt.layer(across, up, points, names)))


def arms_chart(rows: Rows) -> str:
    """Accuracy by arm, the best on top, a panel a budget."""
    import altair as alt

    order = [row["arm"] for row in sorted(rows, key=lambda row: -row["accuracy"])]
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        y=alt.Y("arm:N", sort=list(dict.fromkeys(order)), title=None)
    )
    points = base.mark_point(filled=True, size=45, color=COLOURS[0]).encode(
        x=alt.X("accuracy:Q", title="accuracy", axis=alt.Axis(format="%"),
                scale=alt.Scale(zero=False))
    )  # fmt: skip
    rules = base.mark_rule(color=COLOURS[0]).encode(x="low:Q", x2="high:Q")
    return _svg(_panels(alt.layer(rules, points)))


def claims_chart(rows: Rows, title: str) -> str:
    """Effects with their intervals, in the direction that speaks for the claim to the right."""
    import altair as alt

    words = ["holds", "does not hold", "undecided"]
    base = alt.Chart(alt.InlineData(values=list(rows))).encode(
        y=alt.Y("claim:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
        color=alt.Color(
            "word:N", scale=alt.Scale(domain=words, range=["#54a24b", "#e45756", "#9d9d9d"]),
            title=None,
        ),
    )  # fmt: skip
    none = (
        alt.Chart(alt.InlineData(values=[{"at": 0}])).mark_rule(strokeDash=[4, 3]).encode(x="at:Q")
    )
    rules = base.mark_rule().encode(x="low:Q", x2="high:Q")
    points = base.mark_point(filled=True, size=55).encode(x=alt.X("effect:Q", title=title))
    return _svg(alt.layer(none, rules, points).properties(width=2 * WIDTH))


def _panels(layer: Any) -> Any:
    import altair as alt

    sized = layer.properties(width=WIDTH, height=HEIGHT)
    return sized.facet(column=alt.Column("budget:N", title=None, sort=["steps", "tokens"]))


def _svg(chart: Any) -> str:
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.to_json())
    return drawn if drawn.endswith("\n") else drawn + "\n"
