"""A run's figures in words, for the terminal and the page alike."""

from __future__ import annotations

from typing import Final

from kommutator.load.result import Latencies, Report

_DIFFER: Final = 0.05
_DIFFER_MS: Final = 0.05
_LATE_SHARE: Final = 0.2
_WAITED_MS: Final = 0.1


def figures(report: Report) -> list[tuple[str, str]]:
    """What is no distribution, a line each."""
    seconds = report.seconds or 1.0
    lines = [
        ("calls due", f"{report.calls:,} in {report.seconds:g} s: {report.calls / seconds:,.0f} a second"),
        ("answered", f"{report.answered:,}: {report.answered / seconds:,.0f} a second"),
    ]
    ended = sum(report.outcomes.values())
    lines += [(f"outcome: {name}", f"{times:,}: {times / ended:.0%}") for name, times in report.outcomes.items()]
    lines += [(f"error: {kind}", f"{times:,}") for kind, times in report.errors.items()]
    lines.append(("wrong answers", f"{report.wrong:,}" if report.checked else "not looked for: no --company"))
    if report.abandoned:
        lines.append(("open at the end", f"{report.abandoned:,}"))
    if report.server is None:
        lines.append(("the server", "none of this machine's processes that can be seen"))
    else:
        used = report.server
        lines.append(("the server: processes", ", ".join(used.programs)))
        per_core = (
            f", {report.answered / used.processor_s:,.0f} calls a core and second" if used.processor_s > 0.5 else ""
        )
        lines.append(
            ("the server: processor", f"{used.processor_s:.2f} s, {used.processor_s / seconds:.0%} of a core{per_core}")
        )
        lines.append(
            (
                "the server: memory",
                f"{used.memory_bytes / 2**20:,.1f} MiB, at most {used.most_memory_bytes / 2**20:,.1f}",
            )
        )
    load = f"{report.generator_s:.2f} s of processor, {report.generator_s / seconds / report.generators:.0%} of a core each"
    lines.append((f"{report.generators} generator{'s' if report.generators > 1 else ''}", load))
    return lines


def distributions(report: Report) -> list[tuple[str, Latencies]]:
    """The distributions that are worth a row: what a waiting client would have seen only where it differs."""
    rows: list[tuple[str, Latencies]] = []
    if report.latency is not None:
        rows.append(("latency, from when a call was due", report.latency))
    if report.service is not None and report.latency is not None and _differ(report.latency, report.service):
        rows.append(("from when it was asked", report.service))
    if report.lateness is not None:
        rows.append(("the generator turned to it late by", report.lateness))
    if report.waited is not None and report.waited.percentiles["99.9"] > _WAITED_MS:
        rows.append(("it then waited for a connection", report.waited))
    if report.steps is not None:
        rows.append(("later steps of the calls", report.steps))
    return rows


def milliseconds(value: float) -> str:
    """A latency, with as many digits as say something."""
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def warning(report: Report) -> str | None:
    """What makes the figures doubtful: the generator was the slow one. None otherwise."""
    late, latency = report.lateness, report.latency
    if late is None or latency is None:
        return None
    for name in ("50", "99"):
        if late.percentiles[name] > max(1.0, _LATE_SHARE * latency.percentiles[name]):
            return (
                f"the generator itself was late (p{name} {milliseconds(late.percentiles[name])} ms): these latencies are "
                "partly its own; try --processes, or a machine of its own"
            )
    return None


def _differ(one: Latencies, other: Latencies) -> bool:
    pairs = [(one.percentiles[name], other.percentiles[name]) for name in one.percentiles]
    return any(abs(a - b) > max(_DIFFER * a, _DIFFER_MS) for a, b in [*pairs, (one.most, other.most)])
