"""Pages that need nothing else: tables, and plots drawn as SVG, in one HTML file.

Bars and lines of a few hundred points need no library of plots; the ones there are bring numpy or a script of megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 640, 200, 44, 24, 8
_BARS, _LINES = "ab", "acdeb"
"""Colours, in their order."""
_STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--dim:#5b6675;--edge:#d9dee5;--bg:#fff;
--a:#2b6cb0;--b:#1a365d;--c:#b7791f;--d:#c53030;--e:#2f855a}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--dim:#9aa6b4;--edge:#364150;--bg:#141a21;
--a:#63a4e8;--b:#2c5282;--c:#d69e2e;--d:#fc8181;--e:#68d391}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--bg);max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}p.dim,figcaption{color:var(--dim)}
table{border-collapse:collapse}td,th{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--edge);text-align:right}
td:first-child,th:first-child{text-align:left}figure{margin:1rem 0}svg{width:100%;height:auto;max-width:640px}
.sets{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr));gap:0 2rem}.sets>*{min-width:0}
@media(max-width:520px){body{font-size:13px}td,th{padding-right:.4rem}svg text{font-size:14px}}
.wide{overflow-x:auto}
svg text{fill:var(--dim);font-size:11px}svg .axis{stroke:var(--edge)}@media print{body{margin:0}}
svg polyline{fill:none;stroke-width:1.6}.key{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .8em}
"""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot, or several where values are missing: points that are None part them."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Axis:
    """Where values stand: `place` maps a value to a share of the axis from 0 to 1; `ticks` are marked, with these words."""

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def page(title: str, about: str, body: str) -> str:
    """A whole page of sections beside each other."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f'<p class="dim">{escape(about)}</p><div class="sets">{body}</div></html>\n'
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is words, and the others figures."""
    heads = "".join(f"<th>{escape(each)}" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(each)}" for each in line) for line in lines)
    return f'<div class="wide"><table><thead><tr>{heads}<tbody>{body}</table></div>'


def bars(title: str, bars: Sequence[tuple[str, tuple[float, ...]]], names: Sequence[str], top: float = 0.0) -> str:
    """Bars, one value over the other; values are told on each for who points at it."""
    if not bars:
        return ""
    most = max(top, max(max(values) for _, values in bars)) or 1.0
    step = (_WIDTH - _LEFT) / len(bars)
    every = max(1, round(34 / step))
    drawn = []
    free = 0
    for place, (label, values) in enumerate(bars):
        x = _LEFT + place * step
        said = f"{label} " + ", ".join(f"{name} {value:g}" for name, value in zip(names, values, strict=True))
        drawn.append(f"<g><title>{escape(said.strip())}</title>")
        for colour, value in zip(_BARS, values, strict=False):
            height = value / most * (_HEIGHT - _BELOW - _ABOVE)
            drawn.append(
                f'<rect x="{x:.1f}" y="{_HEIGHT - _BELOW - height:.1f}" width="{max(step - 1, 0.6):.1f}" '
                f'height="{height:.1f}" style="fill:var(--{colour})"/>'
            )
        drawn.append("</g>")
        if label and place >= free:
            free = place + every
            drawn.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}">{escape(label)}</text>')
    return _figure(title, _across(from_zero(most)) + "".join(drawn))


def lines(title: str, x: Axis, y: Axis, drawn: Sequence[Line]) -> str:
    """Lines over two axes; what lies beyond an axis is drawn at its end. Nothing where no line has a point."""
    shapes = []
    for colour, line in zip(_LINES, drawn, strict=False):
        for part in _parts(line.points):
            points = " ".join(f"{_x(x.place(at)):.1f},{_y(y.place(value)):.1f}" for at, value in part)
            shapes.append(
                f'<polyline points="{points}" style="stroke:var(--{colour})"/>'
                if len(part) > 1
                else f'<circle cx="{points.partition(",")[0]}" cy="{points.partition(",")[2]}" r="2" style="fill:var(--{colour})"/>'
            )
    if not shapes:
        return ""
    marks = "".join(
        f'<line class="axis" x1="{_x(x.place(at)):.1f}" x2="{_x(x.place(at)):.1f}" y1="{_ABOVE}" y2="{_HEIGHT - _BELOW}"/>'
        f'<text x="{_x(x.place(at)):.1f}" y="{_HEIGHT - 8}" text-anchor="{"end" if x.place(at) > 0.97 else "middle"}">'
        f"{escape(said)}</text>"
        for at, said in x.ticks
    )
    keys = "".join(
        f'<span class="key" style="background:var(--{colour})"></span>{escape(line.name)}'
        for colour, line in zip(_LINES, drawn, strict=False)
    )
    return _figure(title, marks + _across(y) + "".join(shapes), keys if len(drawn) > 1 else "")


def from_zero(most: float, ticks: int = 2) -> Axis:
    """An axis from 0 to the greatest value."""
    most = most or 1.0
    return Axis(
        lambda value: value / most, [(most * tick / ticks, f"{most * tick / ticks:g}") for tick in range(ticks + 1)]
    )


def logarithmic(least: float, most: float, unit: str = "") -> Axis:
    """An axis of powers of ten around the values, both above 0."""
    low = math.floor(math.log10(least))
    high = max(math.ceil(math.log10(most)), low + 1)
    ticks = [(10.0**power, f"{10.0**power:g}{unit}") for power in range(low, high + 1)]
    return Axis(lambda value: (math.log10(max(value, 10.0**low)) - low) / (high - low), ticks)


def _parts(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[]]
    for at, value in points:
        if value is not None:
            parts[-1].append((at, value))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _x(share: float) -> float:
    return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT)


def _y(share: float) -> float:
    return _HEIGHT - _BELOW - min(max(share, 0.0), 1.0) * (_HEIGHT - _BELOW - _ABOVE)


def _across(axis: Axis) -> str:
    return "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{_y(axis.place(at)):.1f}" y2="{_y(axis.place(at)):.1f}"/>'
        f'<text x="0" y="{_y(axis.place(at)) + 4:.1f}">{escape(said)}</text>'
        for at, said in axis.ticks
    )


def _figure(title: str, shapes: str, keys: str = "") -> str:
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{shapes}'
        f"</svg><figcaption>{escape(title)}{keys}</figcaption></figure>"
    )
