"""A forecast as one HTML page that needs nothing else: tables, and plots drawn as SVG.

Bars and lines of a few dozen points need no library of plots; the ones there are bring numpy or a script of megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kommutator.forecast.figures import Figures

_WIDTH, _HEIGHT, _LEFT, _BELOW = 640, 200, 44, 24
_STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--dim:#5b6675;--edge:#d9dee5;--a:#2b6cb0;--b:#1a365d;--bg:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--dim:#9aa6b4;--edge:#364150;--a:#63a4e8;--b:#2c5282;--bg:#141a21}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--bg);max-width:1000px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}p.dim,figcaption{color:var(--dim)}
table{border-collapse:collapse}td,th{padding:.25rem .8rem .25rem 0;border-bottom:1px solid var(--edge);text-align:right}
td:first-child,th:first-child{text-align:left}figure{margin:1rem 0}svg{width:100%;height:auto;max-width:640px}
.sets{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:0 2rem}
svg text{fill:var(--dim);font-size:11px}svg .axis{stroke:var(--edge)}@media print{body{margin:0}}
"""


def page(title: str, about: str, sets: Sequence[tuple[str, Figures]]) -> str:
    """The page of one forecast, or of several beside each other, each under its name."""
    parts = [_figures(name if len(sets) > 1 else "", each) for name, each in sets]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f'<p class="dim">{escape(about)}</p><div class="sets">{"".join(parts)}</div></html>\n'
    )


def _figures(name: str, told: Figures) -> str:
    heading = f"<h2>{escape(name)}</h2>" if name else ""
    return "".join(
        (
            f"<section>{heading}",
            _table(("Figure", "Value"), rows(told)),
            _plot(
                "Calls by the hour in which they came; in the darker part of each bar, those that were answered",
                [(f"{each.hour:02}", (float(each.calls), float(each.answered))) for each in told.hours],
                ("calls", "answered"),
            ),
            _plot(
                "The most callers at once who had nobody on the line, by the quarter of an hour",
                [
                    (f"{int(at // 3600):02}" if at % 3600 == 0 else "", (float(count),)) for at, count in told.waiting
                ],
                ("callers",),
            ),
            _plot(
                "Occupancy of employees, %",
                [(each.employee, (100 * each.occupancy,)) for each in told.agents if each.there_s],
                ("%",),
                100.0,
            ),
            "<h2>Employees</h2>",
            _table(
                ("Employee", "Calls", "Talked, h", "Wrapped up, h", "There, h", "Occupancy"),
                [
                    (
                        each.employee, str(each.calls), f"{each.talked_s / 3600:.1f}", f"{each.wrapped_s / 3600:.1f}",
                        f"{each.there_s / 3600:.1f}", f"{each.occupancy:.0%}",
                    )
                    for each in told.agents
                ],
            ),
            "<h2>Hours</h2>",
            _table(
                ("Hour", "Calls", "Answered", "Abandoned", f"Within {told.within_s:g} s", "Mean wait, s"),
                [
                    (
                        f"{each.hour:02}:00", str(each.calls), str(each.answered), str(each.abandoned),
                        "" if each.within is None else f"{each.within:.0%}",
                        "" if each.mean_wait_s is None else f"{each.mean_wait_s:.1f}",
                    )
                    for each in told.hours
                ],
            ),
            "</section>",
        )
    )  # fmt: skip


def rows(told: Figures) -> list[tuple[str, str]]:
    """A forecast's figures in words, a line each."""
    waits = told.waits
    lines = [
        ("calls", f"{told.calls:,}"),
        ("answered", f"{told.answered:.1%}"),
        (f"service level: answered within {told.within_s:g} s", f"{told.service_level:.1%}"),
        ("abandoned", f"{told.abandoned:.1%}"),
    ]
    lines += [(f"ended: {name}", f"{count:,}") for name, count in told.dispositions.items()]
    if waits is not None:
        points = " / ".join(f"{each:.1f}" for each in (waits.p50, waits.p90, waits.p99, waits.most))
        lines.append(("wait of the answered, mean", f"{waits.mean:.1f} s"))
        lines.append(("wait of the answered, p50 / p90 / p99 / most", f"{points} s"))
    if told.abandoned_after_s is not None:
        lines.append(("those who left had waited, mean", f"{told.abandoned_after_s:.1f} s"))
    lines.append(("ringing and waiting for somebody, mean of all", f"{told.mean_queue_s:.1f} s"))
    lines.append(("the most callers without an answer at once", str(told.most_waiting)))
    lines.append(("rounds of ringing a call", f"{told.rounds:.2f}"))
    return lines


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    heads = "".join(f"<th>{escape(each)}" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(each)}" for each in line) for line in lines)
    return f"<table><thead><tr>{heads}<tbody>{body}</table>"


def _plot(title: str, bars: Sequence[tuple[str, tuple[float, ...]]], names: Sequence[str], top: float = 0.0) -> str:
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
        for colour, value in zip("ab", values, strict=False):
            height = value / most * (_HEIGHT - _BELOW - 8)
            drawn.append(
                f'<rect x="{x:.1f}" y="{_HEIGHT - _BELOW - height:.1f}" width="{max(step - 1, 0.6):.1f}" '
                f'height="{height:.1f}" style="fill:var(--{colour})"/>'
            )
        drawn.append("</g>")
        if label and place >= free:
            free = place + every
            drawn.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}">{escape(label)}</text>')
    axis = "".join(
        f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="0" y="{y + 4:.1f}">{most * share:g}</text>'
        for share, y in ((share, _HEIGHT - _BELOW - share * (_HEIGHT - _BELOW - 8)) for share in (0.0, 0.5, 1.0))
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{axis}{"".join(drawn)}'
        f"</svg><figcaption>{escape(title)}</figcaption></figure>"
    )
