"""`kommutator call`: one simulated call, told as it goes: at the simulated PBX that runs, or in virtual time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, get_args

import click
import orjson
from rich.console import Console
from rich.text import Text

from kommutator import sample
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_INVALID, fail, instant_ms, now_ms, only_errors_logged, read_company
from kommutator.cli.live_call import call_live, socket_of
from kommutator.cli.narration import Cast, Narrated, Narrator
from kommutator.engine import Engine
from kommutator.errors import CompanyInvalid, PbxError
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.adapter import SimulatedLookups
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, Does, PhoneAct, PhoneScript
from kommutator.pbx.simulated.world import Happening
from kommutator.routing.ledger import MemoryJournal
from kommutator.settings import Settings
from kommutator.simulation import LONGEST_S, Arrival, Simulation, simulate

RINGS_S: Final = 3.0
"""How long a phone rings before it answers or declines, unless told."""
TALKS_S: Final = 20.0
EXIT_NO_PBX: Final = 3
EXIT_UNKNOWN: Final = 4
STAGES: Final = ("play", "menu", "ring", "wait", "record", "talk", "transfer", "hang_up")


@click.command("call")
@click.argument("did")
@click.option("--as", "caller", metavar="N", help="The caller's number; without it, it is withheld.")
@click.option("--company", metavar="COMPANY", help="In virtual time: the company; default: the sample company.")
@click.option(
    "--at", metavar="ISO-8601", help="In virtual time: when; without an offset, the company's civil time. Default: now."
)
@click.option(
    "--live/--virtual",
    default=None,
    help="At the simulated PBX that runs, or in virtual time. Default: live, if one runs.",
)
@click.option("--pbx", metavar="NAME", help="Live: at which PBX; default: the first that runs.")
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
    "--owner",
    metavar="EMPLOYEE",
    help="In virtual time: whom the CRM names; `nobody`: it knows of none. Default: it is down.",
)
@click.option(
    "--history", type=click.Choice(["called_before", "never_called"]), help="In virtual time: what the desk says."
)
@click.option(
    "--away", multiple=True, metavar="EMPLOYEE", help="In virtual time: who is not at the workplace; may be repeated."
)
@click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True, help="Of what is told.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the call's line of the ledger instead; live: how it ended."
)
@config_options
def command(
    did: str,
    caller: str | None,
    company: str | None,
    at: str | None,
    live: bool | None,
    pbx: str | None,
    phones: Sequence[str],
    keys: Sequence[str],
    hang_up: str | None,
    speak: float,
    owner: str | None,
    history: str | None,
    away: Sequence[str],
    language: str,
    as_json: bool,
    settings: Settings,
) -> None:
    """Play one call on a simulated PBX, through the same router and engine that serve real ones.

    DID is the number that is called. When a simulated PBX runs in the data folder (`kommutator pbx`), the call is placed
    there, is told live, and takes the time that it takes; at a terminal, keys that are typed are pressed on the caller's
    phone, and h hangs up. Otherwise, and with --company or --at, time is virtual: the call is over at once.

    \b
    Examples:
      kommutator call +74951112201 --as 89161230099 --at 2026-11-18T12:00 \\
          --phone PJSIP/101=busy --phone PJSIP/102=answer:4:20
      kommutator call +74951112202 --as 89035554433 --at 2026-11-18T12:00 --press 7 --press 2
      kommutator call +74951112206 --as 89161230099 --hang-up ring:12

    Exit code: 0; 1 the company is invalid; 2 wrong usage, or the document cannot be read; 3 live: no simulated PBX runs, or
    it refuses; 4 live: no router has said how the call ended.
    """
    acts = [CallerAct("menu", press=pressed) for pressed in keys]
    acts += [_hang_up(hang_up)] if hang_up is not None else []
    acts.append(CallerAct("record", speak=speak, end="hash", whenever=True))
    scripts = dict(map(_phone, phones))
    virtual = {"--company": company, "--at": at, "--owner": owner, "--history": history, "--away": away or None}
    only_virtual = [option for option, value in virtual.items() if value is not None]
    if live and only_virtual:
        raise click.UsageError(f"{', '.join(only_virtual)}: in virtual time only")
    if live is not False and not only_virtual:
        socket = socket_of(settings.configuration, pbx)
        if socket is not None:
            place = codec.Place(did, caller, None, tuple(acts), scripts)
            _live(socket, place, language, as_json)
            return
    if live or pbx is not None:
        fail(f"{settings.configuration.data / 'pbx'}: no simulated PBX runs there", EXIT_NO_PBX)
    company = company or str(sample.COMPANY)
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
    behaviours = {endpoint: PhoneScript(does) for endpoint, does in scripts.items()}
    answers: dict[str, str | None] = {} if owner is None else {"owner": None if owner == "nobody" else owner}
    if history is not None:
        answers["history"] = history
    console = Console(highlight=False, soft_wrap=True)
    journal = MemoryJournal()
    narrator = Narrator(console, Cast.of(loaded), language)
    watch: Callable[[Happening], None] | None = None if as_json else narrator.happened
    if not as_json:
        console.print(Text(f"{did} ← {caller or '—'}", style="bold"))
    with only_errors_logged():
        simulate(
            Simulation(loaded.document, start_ms, behaviours, watch),
            engine,
            journal if as_json else Narrated(journal, narrator),
            [Arrival("call", did, caller, CallerScript(acts))],
            SimulatedLookups(answers),
            dict.fromkeys(away, "away"),
        )
    if as_json:
        click.echo(orjson.dumps(journal.lines[0]))


def _live(socket: Path, place: codec.Place, language: str, as_json: bool) -> None:
    try:
        known = call_live(socket, place, language, as_json=as_json, by_hand=sys.stdin.isatty() and not as_json)
    except PbxError as error:
        fail(str(error), EXIT_NO_PBX)
    if not known:
        fail("no router has said how the call ended", EXIT_UNKNOWN)


def _phone(text: str) -> tuple[str, tuple[PhoneAct, ...]]:
    """`PJSIP/101=busy,answer:4:20`: an endpoint, and what it does each time it is rung."""
    endpoint, _, acts = text.partition("=")
    if not endpoint or not acts:
        raise click.BadParameter(f"`{text}` is not of the form PJSIP/101=answer:4:20", param_hint="--phone")
    return endpoint, tuple(_phone_act(act) for act in acts.split(","))


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
