"""A run as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence

from kommutator import charts
from kommutator.charts import Axis, Line
from kommutator.load.report import distributions, figures, milliseconds, warning
from kommutator.load.result import PERCENTILES, Moment, Report

_NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)


def page(title: str, about: str, report: Report) -> str:
    """The page of a run."""
    doubt = warning(report)
    rows = distributions(report)
    parts = [
        "<section>",
        charts.table(("Figure", "Value"), figures(report)),
        "" if doubt is None else f'<p class="dim">{doubt[0].upper()}{doubt[1:]}.</p>',
        "<h2>Milliseconds</h2>",
        charts.table(
            ("", *(f"p{each:g}" for each in PERCENTILES), "most"),
            [(name, *map(milliseconds, (*each.percentiles.values(), each.most))) for name, each in rows],
        ),
        "</section><section>",
        _percentiles(report),
        *_over_time(report),
        "</section>",
    ]
    if report.examples:
        lines = [(each.kind, f"{each.did} from {each.caller or 'withheld'}", each.detail) for each in report.examples]
        parts += [
            "<section><h2>The first calls that went wrong</h2>",
            charts.table(("Kind", "Call", "What"), lines),
            "</section>",
        ]
    return charts.page(title, about, "".join(parts))


def _percentiles(report: Report) -> str:
    """Each nine has the same room, as far as there are calls beyond it."""
    drawn = [Line(name, each.curve) for name, each in distributions(report)]
    values = [value for line in drawn for _, value in line.points if value]
    if not values:
        return ""
    last = max(at for line in drawn for at, _ in line.points)
    ticks = [each for each in _NINES if each <= last]

    def place(percentile: float) -> float:
        return math.log10(100 / (100 - percentile)) / math.log10(100 / (100 - max(last, 50.0)))

    x = Axis(place, [(each, f"{each:g} %") for each in ticks])
    return charts.lines(
        "Milliseconds that so many per cent of calls stay below", x, charts.logarithmic(min(values), max(values)), drawn
    )


def _over_time(report: Report) -> list[str]:
    moments = _whole(report)
    if not moments:
        return []
    x = _seconds(moments[-1].at_s + report.width_s)
    slow = [
        Line("most", [(each.at_s, each.most_ms) for each in moments]),
        Line("p99", [(each.at_s, each.p99_ms) for each in moments]),
        Line("p50", [(each.at_s, each.p50_ms) for each in moments]),
    ]
    values = [value for line in slow for _, value in line.points if value]
    rates = [
        Line("answers", [(each.at_s, each.answered / report.width_s) for each in moments]),
        Line("calls due", [(each.at_s, each.due / report.width_s) for each in moments]),
    ]
    drawn = (
        [
            charts.lines(
                "Milliseconds, by the second in which calls were due",
                x,
                charts.logarithmic(min(values), max(values)),
                slow,
            )
        ]
        if values
        else []
    )
    most = max(value for line in rates for _, value in line.points if value is not None)
    drawn.append(charts.lines("Calls a second", x, charts.from_zero(_round(most)), rates))
    kinds = list(report.errors)[:3]
    failed = [
        Line(kind, [(each.at_s, each.errors.get(kind, 0) / report.width_s) for each in moments]) for kind in kinds
    ]
    if report.wrong:
        failed.append(Line("wrong", [(each.at_s, each.wrong / report.width_s) for each in moments]))
    if failed:
        most = max(value for line in failed for _, value in line.points if value is not None)
        drawn.append(charts.lines("Errors and wrong answers a second", x, charts.from_zero(_round(most)), failed))
    else:
        drawn.append(
            '<p class="dim">No errors, and no wrong answers.</p>' if report.checked else '<p class="dim">No errors.</p>'
        )
    return drawn


def _whole(report: Report) -> Sequence[Moment]:
    """Every interval, those without a call among them."""
    known = {round(each.at_s / report.width_s): each for each in report.moments}
    return [
        known.get(number) or Moment(number * report.width_s, 0, 0, None, None, None, {}, 0)
        for number in range(max(known, default=-1) + 1)
    ]


def _seconds(last_s: float) -> Axis:
    step = _round(last_s / 6)
    return Axis(lambda at: at / last_s, [(step * tick, f"{step * tick:g} s") for tick in range(int(last_s / step) + 1)])


def _round(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 …"""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(power * each for each in (1, 2, 5, 10) if power * each >= value)
