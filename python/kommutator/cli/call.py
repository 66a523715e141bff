"""`kommutator call`: one simulated call, told as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, get_args

import click
import orjson
from rich.console import Console
from rich.text import Text

from kommutator import sample
from kommutator.cli.inputs import EXIT_INVALID, fail, instant_ms, now_ms, only_errors_logged, read_company
from kommutator.cli.narration import Narrated, Narrator
from kommutator.engine import Engine
from kommutator.errors import CompanyInvalid
from kommutator.pbx.simulated.adapter import SimulatedLookups
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, Does, PhoneAct, PhoneScript
from kommutator.pbx.simulated.world import Happening
from kommutator.routing.ledger import MemoryJournal
from kommutator.simulation import LONGEST_S, Arrival, Simulation, simulate

RINGS_S: Final = 3.0
"""How long a phone rings before it answers or declines, unless told."""
TALKS_S: Final = 20.0
STAGES: Final = ("play", "menu", "ring", "wait", "record", "talk", "transfer", "hang_up")


@click.command("call")
@click.argument("did")
@click.option("--as", "caller", metavar="N", help="The caller's number; without it, it is withheld.")
@click.option(
    "--company", default=str(sample.COMPANY), show_default=False, metavar="COMPANY", help="Default: the sample company."
)
@click.option("--at", metavar="ISO-8601", help="When; without an offset, the company's civil time. Default: now.")
@click.option("--phone", "phones", multiple=True, metavar="ENDPOINT=ACT[:RINGS[:TALKS]][,ACT…]",
              help="What a phone does: answer, busy, decline, silent or unreachable; a list: each time it is rung. "
              "One that is not named rings and stays silent.")  # fmt: skip
@click.option("--press", "keys", multiple=True, metavar="KEYS", help="Keys in a menu; once for each menu.")
@click.option("--hang-up", metavar="STAGE:SECONDS",
              help="When the caller loses patience, after any keys: " + ", ".join(STAGES) + ".")  # fmt: skip
@click.option(
    "--speak",
    type=click.FloatRange(0, LONGEST_S),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="The length of a message, if he may leave one.",
)
@click.option(
    "--owner", metavar="EMPLOYEE", help="Whom the CRM names; `nobody`: it knows of none. Default: it is down."
)
@click.option("--history", type=click.Choice(["called_before", "never_called"]), help="What the desk says.")
@click.option("--away", multiple=True, metavar="EMPLOYEE", help="Who is not at the workplace; may be repeated.")
@click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True, help="Of what is told.")
@click.option("--json", "as_json", is_flag=True, help="Print the call's line of the ledger instead.")
def command(
    did: str,
    caller: str | None,
    company: str,
    at: str | None,
    phones: Sequence[str],
    keys: Sequence[str],
    hang_up: str | None,
    speak: float,
    owner: str | None,
    history: str | None,
    away: Sequence[str],
    language: str,
    as_json: bool,
) -> None:
    """Play one call on a simulated PBX, through the same router and engine that serve real ones.

    DID is the number that is called. Time is virtual: the call is over at once.

    \b
    Examples:
      kommutator call +74951112201 --as 89161230099 --at 2026-11-18T12:00 \\
          --phone PJSIP/101=busy --phone PJSIP/102=answer:4:20
      kommutator call +74951112202 --as 89035554433 --at 2026-11-18T12:00 --press 7 --press 2
      kommutator call +74951112206 --as 89161230099 --hang-up ring:12

    Exit code: 0; 1 the company is invalid; 2 wrong usage, or the document cannot be read.
    """
    loaded = read_company(company)
    start_ms = now_ms() if at is None else instant_ms(at, loaded, "--at")
    employees = loaded.document["employees"]
    for option, named in (("--away", away), ("--owner", [owner] if owner not in (None, "nobody") else [])):
        for employee in named:
            if employee not in employees:
                raise click.BadParameter(f"no employee `{employee}` in the company", param_hint=option)
    try:
        engine = Engine.of(loaded)
    except CompanyInvalid as error:
        fail(f"{error}\nkommutator check {company} says more.", EXIT_INVALID)
    acts = [CallerAct("menu", press=pressed) for pressed in keys]
    acts += [_hang_up(hang_up)] if hang_up is not None else []
    acts.append(CallerAct("record", speak=speak, end="hash"))
    scripts = dict(map(_phone, phones))
    answers: dict[str, str | None] = {} if owner is None else {"owner": None if owner == "nobody" else owner}
    if history is not None:
        answers["history"] = history
    console = Console(highlight=False, soft_wrap=True)
    journal = MemoryJournal()
    narrator = Narrator(console, loaded, language)
    watch: Callable[[Happening], None] | None = None if as_json else narrator.happened
    if not as_json:
        console.print(Text(f"{did} ← {caller or '—'}", style="bold"))
    with only_errors_logged():
        simulate(
            Simulation(loaded.document, start_ms, scripts, watch),
            engine,
            journal if as_json else Narrated(journal, narrator),
            [Arrival("call", did, caller, CallerScript(acts))],
            SimulatedLookups(answers),
            dict.fromkeys(away, "away"),
        )
    if as_json:
        click.echo(orjson.dumps(journal.lines[0]))


def _phone(text: str) -> tuple[str, PhoneScript]:
    """`PJSIP/101=busy,answer:4:20`: an endpoint, and what it does each time it is rung."""
    endpoint, _, acts = text.partition("=")
    if not endpoint or not acts:
        raise click.BadParameter(f"`{text}` is not of the form PJSIP/101=answer:4:20", param_hint="--phone")
    return endpoint, PhoneScript([_phone_act(act) for act in acts.split(",")])


def _phone_act(text: str) -> PhoneAct:
    does, *times = text.split(":")
    if does not in get_args(Does):
        raise click.BadParameter(f"a phone does {', '.join(get_args(Does))}, not `{does}`", param_hint="--phone")
    if len(times) > 2:
        raise click.BadParameter(f"`{text}`: at most two times, of ringing and of talking", param_hint="--phone")
    seconds = [_seconds(time, text, "--phone") for time in times]
    after, talks = seconds + [RINGS_S, TALKS_S][len(seconds) :]
    return PhoneAct.of({"does": does, "after": after, "talks": talks})


def _hang_up(text: str) -> CallerAct:
    """`ring:12`: the stage in which the caller hangs up, and after how many seconds of it."""
    stage, _, seconds = text.partition(":")
    if stage not in STAGES:
        raise click.BadParameter(f"the caller is in {', '.join(STAGES)}, not in `{stage}`", param_hint="--hang-up")
    return CallerAct(stage, hang_up_after=_seconds(seconds or "0", text, "--hang-up"))


def _seconds(text: str, whole: str, option: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= LONGEST_S:
        raise click.BadParameter(f"`{whole}`: `{text}` is no number of seconds", param_hint=option)
    return seconds
