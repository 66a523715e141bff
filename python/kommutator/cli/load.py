"""`kommutator load`: calls at a rate to whatever answers them, latencies without flattery, answers checked."""

from __future__ import annotations

import secrets
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import orjson
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, instant_ms, read_company
from kommutator.company import LoadedCompany
from kommutator.engine import Engine
from kommutator.errors import BadReplay, BadTarget, CompanyInvalid, GeneratorFailed, KommutatorError
from kommutator.load.arrivals import WITHHELD, Arrivals, Callers, Replay, Steady, expected
from kommutator.load.limit import Rung, limit, rungs
from kommutator.load.page import page
from kommutator.load.people import Chances
from kommutator.load.report import distributions, figures, milliseconds, warning
from kommutator.load.result import PERCENTILES, Report, to_json
from kommutator.load.run import Run
from kommutator.load.target import Options, Target
from kommutator.load.targets import TAKE_A_TIME, make
from kommutator.load.worker import Job

EXIT_FAILED: Final = 1
EXIT_UNREACHABLE: Final = 3
_INTERVALS: Final = 600
"""A run is told in no more than about so many."""
_SHORTEST_S: Final = 0.5
_DEADLINES_S: Final = {"one": 10.0, "whole": 60.0}


@click.command("load")
@click.argument("target", required=False)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Calls a second. Default: 100.")
@click.option("--ramp", metavar="FROM:TO", help="Calls a second that grow (or fall) evenly over the run.")
@click.option("--replay", type=click.Path(dir_okay=False, path_type=Path), metavar="LEDGER",
              help="The calls of a ledger.jsonl, at the distances in which they came.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), metavar="X",
              help="Replay so many times as fast. Default: 1.")  # fmt: skip
@click.option("--for", "for_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="How long calls come. Default: 10; of a replay, all of it.")  # fmt: skip
@click.option("--even", is_flag=True, help="Calls at even distances; otherwise by chance (Poisson).")
@click.option("--company", metavar="COMPANY",
              help="The document that the target routes by: its numbers are called, and every answer is checked.")  # fmt: skip
@click.option("--did", "dids", multiple=True, metavar="NUMBER",
              help="What is dialled, instead of all of the company's numbers. May be repeated.")  # fmt: skip
@click.option("--caller", "begins", multiple=True, metavar="PREFIX", default=("+79",), show_default=True,
              help="How callers' numbers begin, or `withheld`; missing digits are drawn. May be repeated.")  # fmt: skip
@click.option("--calls", type=click.Choice(["one", "whole"]), default="one", show_default=True,
              help="`one` answer a call, or whole calls, to their end.")  # fmt: skip
@click.option("--chance", "chances", multiple=True, metavar="KEY=SHARE",
              help="What people do in whole calls; see below. May be repeated.")  # fmt: skip
@click.option("--at", metavar="TIME", help="Ask as if it were this time when the run begins (ISO 8601; HTTP).")
@click.option("--token", envvar="KOMMUTATOR_LOAD_TOKEN", metavar="TOKEN",
              help="For `Authorization: Bearer TOKEN`. Better given as $KOMMUTATOR_LOAD_TOKEN.")  # fmt: skip
@click.option("--connections", type=click.IntRange(min=1), default=64, show_default=True, metavar="N",
              help="Of each generator, at once.")  # fmt: skip
@click.option("--deadline", "deadline_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="Of a call, from when it was due. Default: 10; of whole calls 60.")  # fmt: skip
@click.option("--open", "most_open", type=click.IntRange(min=1), default=10_000, show_default=True, metavar="N",
              help="Calls of each generator without an answer; those beyond fail as `no room`.")  # fmt: skip
@click.option("--processes", type=click.IntRange(min=1, max=256), default=1, show_default=True, metavar="N",
              help="Generators, among which calls are spread.")  # fmt: skip
@click.option("--allow", type=click.FloatRange(0, 1), default=0.0, show_default=True, metavar="SHARE",
              help="Of calls that may fail or be answered wrongly before the exit code is 1.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Equal seeds make equal calls.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE",
              help="Write the report as JSON; `-` prints it instead of the tables.")  # fmt: skip
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a page with plots."
)
@click.option(
    "--self", "measure_self", is_flag=True, help="Measure what generators can do on this machine, and no TARGET."
)
def command(
    target: str | None,
    rate: float | None,
    ramp: str | None,
    replay: Path | None,
    speed: float | None,
    for_s: float | None,
    even: bool,
    company: str | None,
    dids: tuple[str, ...],
    begins: tuple[str, ...],
    calls: str,
    chances: tuple[str, ...],
    at: str | None,
    token: str | None,
    connections: int,
    deadline_s: float | None,
    most_open: int,
    processes: int,
    allow: float,
    seed: int,
    json_file: Path | None,
    html: Path | None,
    measure_self: bool,
) -> None:
    """Put TARGET under load: calls come at a rate, whatever has become of those before, and answers are held against the engine.

    A call's latency counts from the moment at which it was due. A server that stalls for a second is seen by everybody who
    would have called in that second, and not by one: most load generators leave the others out. How late the generator
    itself was is told beside it, so that it is seen who was measured.

    \b
    TARGET:
      http://HOST:PORT    queries over HTTP (`kommutator query`, a router's [query]); https:// too
      unix:PATH           the same at a Unix socket
      sip:HOST:PORT       INVITEs to a redirect server, by UDP (`kommutator redirect`)
      agi://HOST:PORT     a FastAGI router, to which this is the Asterisk; …/decide: the dialplan that only asks
      asterisk:HOST:PORT  real calls through an Asterisk, by SIPp; ?from=ADDRESS, as its trunk knows callers
      pbx:PATH.sock       calls through a simulated PBX and its router
    \b
    After a ?, with & between, what else there is to say of the last three, in seconds:
      talks=5, rings=2    how long people talk, and how long a phone rings before somebody answers (agi, pbx)
      patience=30         how long a caller waits for an answer (asterisk)
      sipp=PATH           the program (asterisk)
      router=PID          the router, measured with the PBX, where it is not seen by itself (asterisk, pbx)

    \b
    Examples:
      kommutator load http://127.0.0.1:8070 --company company.yaml --rate 5000 --for 30 --html load.html
      kommutator load http://127.0.0.1:8070 --company company.yaml --ramp 100:20000 --for 60 --processes 2
      kommutator load unix:/run/kommutator/query.sock --company company.yaml --calls whole --rate 500
      kommutator load http://127.0.0.1:8070 --company tomorrow.yaml --replay ledger.jsonl --speed 10
      kommutator load --self

    With --company every answer must be that of an engine here, for the same numbers and the same time. Who can be rung
    depends on other calls: a hunt may ring anybody whom its node names, or have the caller wait, or have ended as it does when
    nobody is free; and what only the server knows (who called before, whose client it is) may lead elsewhere. All else is
    compared exactly.

    A replayed call is asked for as of the time at which it came, where the target takes a time (HTTP).

    \b
    Chances of --calls whole, each a share of 1, with its default; who does what is drawn by the call's number:
      answers=0.7     of ringing: a phone is picked up (`transfer`: the destination)
      no_answer=0.2   of ringing: the time is over; the rest is busy
      hangs_up=0.05   of every moment: the caller leaves
      silent=0.1      of menus: nothing is dialled; else one of what is offered

    Exit code: 0; 1 when more calls than --allow failed or were answered wrongly; 2 wrong usage, or a file that cannot be used;
    3 when there was nobody to ask. ^C ends a run with the report so far.
    """
    if measure_self:
        _measure_self(processes)
        return
    if target is None:
        raise click.UsageError("what is put under load? TARGET, such as http://127.0.0.1:8070, or --self")
    document = None if company is None else _usable(company)
    arrivals = _arrivals(rate, ramp, replay, speed, for_s, even)
    scheme = target.partition(":")[0]
    if at is not None and scheme not in TAKE_A_TIME:
        raise click.BadParameter(f"`{scheme}` takes no time: calls come now", param_hint="--at")
    options = Options(
        token=token,
        whole=calls == "whole",
        chances=_chances(chances),
        connections=connections,
        deadline_s=_DEADLINES_S[calls] if deadline_s is None else deadline_s,
        company=None if company is None else str(Path(company).absolute()),
    )
    try:
        made = make(target, options)
        count, seconds = expected(arrivals)
    except (BadTarget, BadReplay) as error:
        fail(str(error), EXIT_UNREADABLE)
    jobs = [
        Job(
            address=target,
            options=options,
            arrivals=arrivals,
            callers=Callers(_dids(dids, document, arrivals), _begins(begins)),
            seed=seed,
            run=f"load-{secrets.token_hex(6)}",
            place=place,
            of=processes,
            width_s=max(_SHORTEST_S, seconds / _INTERVALS),
            most_open=most_open,
            check=document is not None,
            at_ms=None if at is None else _instant(at, document),
            as_of_ledger=replay is not None and at is None and scheme in TAKE_A_TIME,
        )
        for place in range(processes)
    ]
    report, broken = _run(jobs, made, count, seconds)
    about = _about(arrivals, calls, company, seed, processes)
    if json_file is not None:
        told = orjson.dumps({"target": target, "about": about, **to_json(report)}, option=orjson.OPT_INDENT_2)
        _write(json_file, told)
    if html is not None:
        _write(html, page(f"Load on {target}", about, report).encode())
    if json_file is None or str(json_file) != "-":
        _show(report)
    if broken is not None:
        fail(f"{broken}; the figures are without the rest of its calls", EXIT_UNREACHABLE)
    if report.share_failed > allow:
        raise SystemExit(EXIT_FAILED)


def _run(jobs: list[Job], target: Target, count: float, seconds: float) -> tuple[Report, str | None]:
    """Run to the end or to ^C, with what is known until then on a terminal; and why a generator went, where one did."""
    console = Console(stderr=True)
    broken = None
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def look(run: Run) -> None:
            if console.is_terminal:
                live.update(_progress(run, count, seconds), refresh=True)

        run = Run(jobs, target.servers(), look)

        async def until_told() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    run.stop()

        async def main() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_told)
                await run.run()
                nursery.cancel_scope.cancel()

        try:
            trio.run(main)
        except* KommutatorError as group:
            first: BaseException = group
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            if isinstance(first, GeneratorFailed) and run.begin is not None:
                broken = str(first)  # what was told until then is a report all the same
            else:
                fail(str(first), EXIT_UNREACHABLE)
    return run.result.report(run.usage), broken


def _progress(run: Run, count: float, seconds: float) -> Table:
    report = run.result.report(run.usage)
    table = Table(box=None, show_header=False)
    done = f"{min(report.calls / count, 1.0):.0%}" if count else ""
    table.add_row("calls due", f"{report.calls:,} of about {count:,.0f} in {seconds:,.0f} s  {done}")
    last = report.moments[-2] if len(report.moments) > 1 else None
    if last is not None:
        table.add_row(
            "a second", f"{last.due / report.width_s:,.0f} due, {last.answered / report.width_s:,.0f} answered"
        )
    table.add_row("open", f"{run.result.open:,}")
    table.add_row("failed", ", ".join(f"{kind} {times:,}" for kind, times in report.errors.items()) or "0")
    table.add_row("wrong", f"{report.wrong:,}" if report.checked else "not looked for")
    if report.latency is not None:
        told = report.latency.percentiles
        table.add_row(
            "latency", " ".join(f"p{name} {milliseconds(told[name])}" for name in ("50", "99", "99.9")) + " ms"
        )
    return table


def _show(report: Report) -> None:
    console = Console(soft_wrap=True)
    table = Table(box=None, show_header=False)
    for name, value in figures(report):
        table.add_row(name, value)
    console.print(table)
    rows = distributions(report)
    if rows:
        spread = Table("ms", *(f"p{each:g}" for each in PERCENTILES), "most", box=None)
        for name, each in rows:
            spread.add_row(name, *map(milliseconds, (*each.percentiles.values(), each.most)))
        console.print(spread)
    for example in report.examples:
        caller = example.caller or WITHHELD
        console.print(f"{example.kind}: {example.did} from {caller}: {example.detail}", markup=False, highlight=False)
    doubt = warning(report)
    if doubt is not None:
        console.print(f"[yellow]{doubt}[/]")


def _measure_self(processes: int) -> None:
    console = Console(soft_wrap=True)
    console.print("calls a second   answered   late p50, ms   late p99, ms   processor of the generators")
    seen: list[Rung] = []

    async def climb() -> None:
        async for rung in rungs(processes):
            seen.append(rung)
            report = rung.report
            late = {} if report.lateness is None else report.lateness.percentiles
            console.print(
                f"{rung.rate:14,.0f} {report.answered:10,} {late.get('50', 0):14.2f} {late.get('99', 0):14.2f}"
                f" {report.generator_s / report.seconds:12.0%}{'' if rung.kept else '   late'}"
            )

    trio.run(climb)
    found = limit(seen)
    console.print(
        f"{processes} generator{'s' if processes > 1 else ''} kept up with {found.rate:,.0f} calls a second: "
        f"{found.per_core:,.0f} a second of a core."
    )


# --- what was written


def _usable(company: str) -> LoadedCompany:
    """A company that an engine takes."""
    loaded = read_company(company)
    try:
        Engine.of(loaded)
    except CompanyInvalid as error:
        first = error.findings[0]
        fail(f"{first['file']}:{first['line']}: {first['message']} [{first['code']}]", EXIT_INVALID)
    return loaded


def _arrivals(
    rate: float | None, ramp: str | None, replay: Path | None, speed: float | None, for_s: float | None, even: bool
) -> Arrivals:
    if sum(each is not None for each in (rate, ramp, replay)) > 1:
        raise click.UsageError("--rate, --ramp and --replay exclude each other")
    if replay is not None:
        if even:
            raise click.UsageError("--even is for --rate and --ramp: a ledger's calls come as they came")
        return Replay(str(replay.absolute()), speed or 1.0, for_s)
    if speed is not None:
        raise click.UsageError("--speed is for --replay")
    first, last = (rate or 100.0,) * 2 if ramp is None else _ramp(ramp)
    return Steady(first, last, for_s or 10.0, even)


def _ramp(text: str) -> tuple[float, float]:
    try:
        first, last = (float(each) for each in text.split(":"))
    except ValueError:
        raise click.BadParameter(f"`{text}` is not FROM:TO, such as 100:5000", param_hint="--ramp") from None
    if not (0 <= first < 1e9 and 0 <= last < 1e9 and first + last > 0):
        raise click.BadParameter(f"`{text}`: rates are 0 and more, and not both 0", param_hint="--ramp")
    return first, last


def _dids(given: tuple[str, ...], document: LoadedCompany | None, arrivals: Arrivals) -> tuple[str, ...]:
    if isinstance(arrivals, Replay):
        if given:
            raise click.UsageError("--did is not for --replay: the ledger says what was dialled")
        return ()
    known = () if document is None else tuple(did for did in document.document["numbers"] if did != "default")
    if not given and not known:
        missing = "it has only a default" if document is not None else "--company COMPANY names them, or --did NUMBER"
        raise click.UsageError(f"which numbers are called? {missing}; --did names one")
    return given or known


def _begins(given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if each != WITHHELD and not (each.startswith("+") and each[1:].isdecimal()):
            raise click.BadParameter(f"`{each}` is neither `{WITHHELD}` nor + and digits", param_hint="--caller")
    return given


def _chances(given: tuple[str, ...]) -> Chances:
    said: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        try:
            said[key] = float(value)
        except ValueError:
            equals = ""
        if not equals or key not in ("answers", "no_answer", "hangs_up", "silent") or not 0 <= said[key] <= 1:
            raise click.BadParameter(
                f"`{each}` is none of answers, no_answer, hangs_up, silent with a share, such as answers=0.7",
                param_hint="--chance",
            )
    chances = msgspec.structs.replace(Chances(), **said)
    if chances.answers + chances.no_answer > 1:
        raise click.BadParameter("answers and no_answer are more than 1 together", param_hint="--chance")
    return chances


def _instant(text: str, document: LoadedCompany | None) -> int:
    if document is not None:
        return instant_ms(text, document, "--at")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"`{text}` is no ISO 8601 time", param_hint="--at") from error
    if moment.tzinfo is None:
        raise click.BadParameter(
            f"`{text}` has no offset from UTC, and no --company has a time zone", param_hint="--at"
        )
    return round(moment.timestamp() * 1000)


def _about(arrivals: Arrivals, calls: str, company: str | None, seed: int, processes: int) -> str:
    if isinstance(arrivals, Replay):
        said = f"The calls of {arrivals.ledger}, {arrivals.speed:g} times as fast"
    else:
        rate = f"{arrivals.from_rate:,g}"
        if arrivals.to_rate != arrivals.from_rate:
            rate += f" to {arrivals.to_rate:,g}"
        said = (
            f"{rate} calls a second for {arrivals.for_s:g} s, {'evenly' if arrivals.even else 'Poisson'}, seed {seed}"
        )
    checked = "answers unchecked" if company is None else f"answers checked by {company}"
    asked = "whole calls" if calls == "whole" else "one answer a call"
    return f"{said}; {asked}; {checked}; {processes} generator{'s' if processes > 1 else ''}."


def _write(file: Path, content: bytes) -> None:
    if str(file) == "-":
        sys.stdout.buffer.write(content + b"\n")
        return
    try:
        file.write_bytes(content)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", EXIT_UNREADABLE)
