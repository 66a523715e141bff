"""A forecast as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from kommutator import charts
from kommutator.forecast.figures import Figures


def page(title: str, about: str, sets: Sequence[tuple[str, Figures]]) -> str:
    """The page of one forecast, or of several beside each other, each under its name."""
    parts = [_figures(name if len(sets) > 1 else "", each) for name, each in sets]
    return charts.page(title, about, "".join(parts))


def _figures(name: str, told: Figures) -> str:
    heading = f"<h2>{escape(name)}</h2>" if name else ""
    return "".join(
        (
            f"<section>{heading}",
            charts.table(("Figure", "Value"), rows(told)),
            charts.bars(
                "Calls by the hour in which they came; in the darker part of each bar, those that were answered",
                [(f"{each.hour:02}", (float(each.calls), float(each.answered))) for each in told.hours],
                ("calls", "answered"),
            ),
            charts.bars(
                "The most callers at once who had nobody on the line, by the quarter of an hour",
                [
                    (f"{int(at // 3600):02}" if at % 3600 == 0 else "", (float(count),)) for at, count in told.waiting
                ],
                ("callers",),
            ),
            charts.bars(
                "Occupancy of employees, %",
                [(each.employee, (100 * each.occupancy,)) for each in told.agents if each.there_s],
                ("%",),
                100.0,
            ),
            "<h2>Employees</h2>",
            charts.table(
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
            charts.table(
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
