"""`kommutator simulate`: a day of calls through a company document, before it is anybody's day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from random import Random
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

from kommutator.cli.inputs import EXIT_INVALID, fail, read_company, zone_of
from kommutator.company import LoadedCompany
from kommutator.engine import Engine
from kommutator.errors import BadAssumption, CompanyInvalid, EngineError
from kommutator.forecast.assumptions import Assumptions
from kommutator.forecast.callers import Caller, drawn, over_hours
from kommutator.forecast.day import Day
from kommutator.forecast.figures import Figures, figures
from kommutator.forecast.page import page, rows


@click.command("simulate")
@click.argument("company")
@click.option("--calls", type=click.FloatRange(min=0, min_open=True), default=1000, show_default=True, metavar="N",
              help="How many calls a day is expected to have.")  # fmt: skip
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Which day, by the company's time. Default: today.")
@click.option("--assume", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="What is assumed of callers and employees, as YAML.")  # fmt: skip
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE",
              help="One assumption, over the file's: talk=exp:240. May be repeated.")  # fmt: skip
@click.option("--within", default=20.0, show_default=True, metavar="S", help="The service level's seconds.")
@click.option("--compare", "other", metavar="COMPANY", help="Another document: the same callers through both.")
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal days.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a page with plots."
)
def command(
    company: str,
    calls: float,
    date: datetime | None,
    file: Path | None,
    given: tuple[str, ...],
    within: float,
    other: str | None,
    seed: int,
    as_json: bool,
    html: Path | None,
) -> None:
    """Play a day of calls through a company document in virtual time, and tell how it went.

    The engine that routes real calls decides every step. Who calls, how long people talk, wait and wrap up is chance, by
    stated distributions.

    \b
    Examples:
      kommutator simulate company.yaml --calls 2000
      kommutator simulate company.yaml --compare tomorrow.yaml --html forecast.html
      kommutator simulate company.yaml --assume day.yaml --set patience=exp:60

    \b
    FILE, each line with its default or an example:
      hours: {9: 10, 10: 20, 11: 15}      # weights of the hours of the day
      numbers: {"+74951112233": 3}        # weights of the numbers dialled; default: all alike
      callers: ["+79"]                    # how callers' numbers begin; `withheld` too
      known_callers: 0.2                  # the share of calls by somebody who has called that day
      owned: 0.3                          # the share of callers who are an employee's clients
      talk: lognormal:180,120             # seconds
      wrap_up: fixed:10
      answer: exp:6                       # until a phone that rings is picked up
      no_pick_up: 0.03                    # the share of phones that nobody picks up
      patience: exp:120                   # until a caller without an answer hangs up
      choice: uniform:1,4                 # until a menu's caller chooses
      menus: {"1": 3, "2": 1}             # weights of what is dialled; default: alike
      silent: 0.03                        # the share of menus at which nothing is dialled
      message: exp:20
      leaves_message: 0.6
      shifts: {anna: ["09:00-13:00", "14:00-18:00"]}    # an employee, a department or a group

    \b
    Distributions of seconds:
      fixed:S  exp:MEAN  uniform:FROM,TO  lognormal:MEAN,SD  erlang:K,MEAN  file:PATH (a number a line)  never

    Exit code: 0; 1 the company or an assumption is invalid; 2 wrong usage, or the document cannot be read.
    """
    loaded = read_company(company)
    others = [] if other is None else [(other, read_company(other))]
    try:
        assumptions = _assumed(file, given)
        dids = [did for did in loaded.document["numbers"] if did != "default"]
        moments = over_hours(calls, assumptions.hours, Random(f"moments {seed}"))
        callers = list(drawn(moments, assumptions, dids, seed))
        sets, steps, began = [], 0, time.perf_counter()
        for name, each in [(company, loaded), *others]:
            told, some = _played(each, assumptions, callers, _midnight_ms(date, each), seed, within)
            sets.append((name, told))
            steps += some
        spent = time.perf_counter() - began
    except BadAssumption as error:
        fail(str(error), EXIT_INVALID)
    except CompanyInvalid as error:
        first = error.findings[0]
        fail(f"{first['file']}:{first['line']}: {first['message']} [{first['code']}]", EXIT_INVALID)
    except EngineError as error:
        fail(f"{error} [{error.code}]", EXIT_INVALID)
    if html is not None:
        said = ", ".join(f"{key} {value}" for key, value in assumptions.model_dump(exclude_defaults=True).items())
        about = f"{len(callers):,} calls, seed {seed}. Assumed: {said + ', else ' if said else ''}the defaults."
        html.write_text(page(f"Forecast: {loaded.document['company']['name']}", about, sets), encoding="utf-8")
    if as_json:
        whole: Any = sets[0][1] if other is None else dict(sets)
        click.echo(orjson.dumps(whole).decode())
        return
    _show(sets)
    click.echo(f"{steps:,} decisions in {spent:.1f} s" + ("" if html is None else f"; the page is {html}"))


def _assumed(file: Path | None, given: tuple[str, ...]) -> Assumptions:
    written = Assumptions() if file is None else Assumptions.load(file)
    if not given:
        return written
    over: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise click.BadParameter(f"`{each}` is not KEY=VALUE", param_hint="--set")
        over[key] = value
    said = {key: getattr(written, key) for key in written.model_fields_set}
    return Assumptions.of({**said, **over}, "--set")


def _midnight_ms(date: datetime | None, company: LoadedCompany) -> int:
    zone = zone_of(company)
    day = (datetime.now(UTC).astimezone(zone) if date is None else date).date()
    midnight = datetime.combine(day, time_of_day(), tzinfo=zone)
    # A day whose midnight is skipped or doubled begins with the first moment of its date.
    if (midnight.astimezone(UTC).astimezone(zone)).date() < day:
        midnight += timedelta(hours=1)
    return round(midnight.timestamp() * 1000)


def _played(
    loaded: LoadedCompany, assumptions: Assumptions, callers: list[Caller], start_ms: int, seed: int, within: float
) -> tuple[Figures, int]:
    document = loaded.document
    engine = Engine.of(loaded)
    for employee in document["employees"]:
        engine.presence(employee, "present")
        engine.line(employee, "idle")
    known = set(document["employees"]) | set(document["departments"]) | set(document["groups"])
    if unknown := [name for name in assumptions.shifts if name not in known]:
        raise BadAssumption(f"shifts: `{unknown[0]}` is no employee, department or group")
    outcome = Day(engine, document, assumptions, start_ms, seed).run(callers)
    return figures(outcome, within), outcome.steps


def _show(sets: list[tuple[str, Figures]]) -> None:
    console = Console(soft_wrap=True)
    table = Table("", *(name for name, _ in sets), box=None, show_header=len(sets) > 1)
    told = [dict(rows(each)) for _, each in sets]
    for key in dict.fromkeys(key for each in told for key in each):
        table.add_row(key, *(each.get(key, "") for each in told))
    console.print(table)
    people = Table(
        "employee", *(f"calls, occupancy{'' if len(sets) == 1 else ': ' + name}" for name, _ in sets), box=None
    )
    by_name = [{each.employee: f"{each.calls}, {each.occupancy:.0%}" for each in figures.agents} for _, figures in sets]
    for employee in dict.fromkeys(name for each in by_name for name in each):
        people.add_row(employee, *(each.get(employee, "") for each in by_name))
    console.print(people)
