"""From an Altair chart to an SVG that stands in the page: plain, small, legible by day and night.

Role: vl-convert draws, without a browser; what it drew is read again and written bare. Invariants:
no script, no link, no style; text and lines have the page's font and colour (`currentColor`), marks
one of COLOURS, which can be told from a white and from a dark page; ids are the chart's own; to a
screen reader it is one picture with a name and what it shows in words.

A sample: drawn(chart, key="funnel", title="Problems at each step", told="Of 320 problems ...")
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup, escape

WIDTH = 356  # pixels of a whole chart: a phone's page; a wide one shows it larger
BLUE, ORANGE, GREEN, RED = "#3d7cc9", "#c0650f", "#2f8f4e", "#cc4455"
PURPLE, TEAL, GREY, BROWN = "#9166c7", "#17889b", "#7d858e", "#a06a45"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, TEAL, BROWN, GREY)
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
INK = "currentColor"
THEME: dict[str, Any] = {
    "background": None,
    "font": "DejaVu Sans, Verdana, sans-serif",  # room is measured for wide letters
    "padding": {"left": 8, "right": 4, "top": 2, "bottom": 2},
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK, "titleColor": INK, "tickColor": INK, "domainColor": INK,
        "gridColor": INK, "gridOpacity": 0.14, "tickOpacity": 0.4, "domainOpacity": 0.4,
        "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "labelLimit": 180,
    },
    "legend": {
        "labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11,
        "orient": "top", "title": None, "labelLimit": 240, "columnPadding": 12, "offset": 6,
        "symbolOpacity": 1,
    },
    "text": {"color": INK, "fontSize": 11},
}  # fmt: skip
SVG = "http://www.w3.org/2000/svg"
ALLOWED = {"svg", "g", "path", "line", "rect", "circle", "text", "tspan", "defs", "clipPath"}
DROPPED = (
    "aria-",
    "role",
    "class",
    "pointer-events",
    "font-family",
)  # one picture, not hundreds of symbols


def drawn(chart: Any, *, key: str, title: str, told: str) -> Markup:
    """The SVG. `key`: of the page's figures, unique; `told`: what it shows, in words."""
    import vl_convert

    spec = chart.to_dict()
    spec["config"] = THEME
    return Markup(bare(vl_convert.vegalite_to_svg(spec), key=key, title=title, told=told))


def bare(svg: str, *, key: str, title: str, told: str) -> str:
    """The same picture of the elements that a picture needs. Raises ValueError for another."""
    root = ElementTree.fromstring(svg)
    _strip(root, key)
    width, height = root.attrib["width"], root.attrib["height"]
    root.attrib.clear()
    root.attrib |= {"viewBox": f"0 0 {width} {height}", "width": width, "height": height}
    inner = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    attributes = " ".join(f'{name}="{escape(value)}"' for name, value in root.attrib.items())
    labels = f'role="img" aria-labelledby="{key}-title" aria-describedby="{key}-told"'
    words = f'<title id="{key}-title">{escape(title)}</title>'
    words += f'<desc id="{key}-told">{escape(told)}</desc>'
    return f'<svg xmlns="{SVG}" {attributes} {labels}>{words}{inner}</svg>'


def _strip(element: ElementTree.Element, key: str) -> None:
    """Names without their namespace, ids of the chart's own, nothing hidden, nothing foreign."""
    element.tag = element.tag.removeprefix(f"{{{SVG}}}")
    if element.tag not in ALLOWED:
        raise ValueError(f"an SVG with <{element.tag}>")
    for name, value in list(element.attrib.items()):
        if name.startswith(DROPPED) or ":" in name or name.startswith(("on", "{")):
            del element.attrib[name]
        elif name == "id":
            element.attrib[name] = f"{key}-{value}"
        elif value.startswith("url(#"):
            element.attrib[name] = value.replace("url(#", f"url(#{key}-")
    for child in list(element):
        is_hidden = child.attrib.get("display") == "none" or not _shows(child)
        element.remove(child) if is_hidden else _strip(child, key)


def _shows(element: ElementTree.Element) -> bool:
    """Vega draws backgrounds and foregrounds that have neither fill nor stroke."""
    is_ground = element.attrib.get("class") in ("background", "foreground")
    return not is_ground or bool(element.attrib.keys() & {"fill", "stroke"})
