"""`kommutator trace`: what a call would do, step by step, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson
from rich.console import Console
from rich.text import Text

from kommutator import _engine
from kommutator.cli import words
from kommutator.cli.inputs import EXIT_INVALID, fail, instant_ms, mapping, now_ms, read_company, zone_of
from kommutator.company import LoadedCompany
from kommutator.engine import Engine
from kommutator.errors import CompanyInvalid, EngineError

_PRESENCE = ("present", "away", "offline")
_LINES = ("idle", "ringing", "busy", "wrap_up", "unreachable")


@click.command("trace")
@click.argument("company")
@click.option("--did", required=True, metavar="N", help="The number that is called.")
@click.option("--caller", metavar="N", help="The caller's number; without it, or empty, it is withheld.")
@click.option("--at", metavar="ISO-8601", help="When; without an offset, the company's civil time. Default: now.")
@click.option("--event", "events", multiple=True, metavar="JSON", help="What happens next; may be repeated.")
@click.option("--floor", default="{}", metavar="JSON", help="Who is away or busy; the others are present and idle.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, a turn each.")
@click.option("--language", type=click.Choice(["ru", "en"]), help="Of the readable output; default: the company's.")
@click.option("--call-id", default="trace", show_default=True, help="Seeds `random` and `split`.")
def command(
    company: str,
    did: str,
    caller: str | None,
    at: str | None,
    events: tuple[str, ...],
    floor: str,
    as_json: bool,
    language: str | None,
    call_id: str,
) -> None:
    """Play a call against a company document, and tell the reason of each turn.

    The first turn is the call's arrival. Each --event answers the pending action and gives the next turn; it happens at
    the time of --at, unless it carries its own "at".

    \b
    Examples:
      kommutator trace company.yaml --did +74951112233 --caller 89161230099
      kommutator trace company.yaml --did +74951112233 --caller 89161230099 \\
        --at 2026-11-18T12:00:00+03:00 --floor '{"anna": {"line": "busy"}}' \\
        --event '{"type": "played"}' \\
        --event '{"type": "no_answer", "at": "2026-11-18T12:00:29+03:00"}'

    \b
    What answers an action:
      play                      played
      menu                      digits {"digits": "1"}, no_input
      ring                      answered {"endpoint": "PJSIP/101"}, no_answer, busy, unavailable,
                                taken {"employees": ["anna"]}
      wait                      employee_free, waited
      record                    recorded {"seconds": 12}
      find_owner                owner {"employee": "anna"}, no_owner, failed
      find_history              called_before, never_called, failed
      transfer                  transferred, failed
      talk                      conversation_ended, passed {"employee": "boris", "endpoint": "PJSIP/102"}
      hang_up                   hung_up
      any                       caller_hung_up

    Exit code: 0; 1 the company is invalid or an event was refused; 2 wrong usage, or the document cannot be read.
    """
    loaded = read_company(company)
    start_ms = now_ms() if at is None else instant_ms(at, loaded, "--at")
    steps = [_event(text, position, loaded, start_ms) for position, text in enumerate(events, start=1)]
    try:
        engine = Engine.of(loaded)
    except CompanyInvalid as error:
        fail(_invalid(company, error), EXIT_INVALID)
    _set_floor(engine, loaded, mapping(floor, "--floor"))
    shown = _Shown(loaded, language or loaded.document["company"]["language"], as_json)
    try:
        turn = engine.arrive(call_id, did, caller or None, start_ms)
    except EngineError as error:
        fail(f"the call was refused: {error} [{error.code}]", EXIT_INVALID)
    shown.arrival(did, caller or None, start_ms, turn.to_dict())
    for position, (event, event_ms) in enumerate(steps, start=1):
        try:
            turn = engine.handle(turn.state, event, event_ms)
        except EngineError as error:
            fail(f"--event {position} ({events[position - 1]}): {error} [{error.code}]", EXIT_INVALID)
        shown.turn(event, event_ms, turn.to_dict())


def _event(text: str, position: int, company: LoadedCompany, start_ms: int) -> tuple[dict[str, Any], int]:
    option = f"--event {position}"
    event = mapping(text, option)
    at = event.pop("at", None)
    if at is None:
        return event, start_ms
    if isinstance(at, int) and not isinstance(at, bool):
        return event, at
    if isinstance(at, str):
        return event, instant_ms(at, company, option)
    raise click.BadParameter('"at" is an ISO 8601 time, or milliseconds of UTC since the epoch', param_hint=option)


def _set_floor(engine: Engine, company: LoadedCompany, floor: Mapping[str, Any]) -> None:
    employees = company.document["employees"]
    if unknown := [employee for employee in floor if employee not in employees]:
        raise click.BadParameter(f"no employee `{unknown[0]}` in the company", param_hint="--floor")
    for employee in employees:
        given = floor.get(employee, {})
        if not isinstance(given, dict) or not given.keys() <= {"presence", "line"}:
            raise click.BadParameter(f"`{employee}` may have `presence` and `line`", param_hint="--floor")
        engine.presence(employee, _one_of(given.get("presence", "present"), _PRESENCE, employee))
        engine.line(employee, _one_of(given.get("line", "idle"), _LINES, employee))


def _one_of(value: object, allowed: tuple[str, ...], employee: str) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise click.BadParameter(f"`{employee}`: `{value}` is not one of {', '.join(allowed)}", param_hint="--floor")


def _invalid(company: str, error: CompanyInvalid) -> str:
    lines = [f"{item['file']}:{item['line']}: {item['message']} [{item['code']}]" for item in error.findings]
    return "\n".join([f"{company} is invalid; `kommutator check` tells more:", *lines])


class _Shown:
    """Prints turns as they come."""

    def __init__(self, company: LoadedCompany, language: str, as_json: bool) -> None:
        self._zone = zone_of(company)
        self._language = language
        self._as_json = as_json
        self._console = Console(highlight=False, soft_wrap=True)

    def arrival(self, did: str, caller: str | None, at_ms: int, turn: Mapping[str, Any]) -> None:
        """The first turn."""
        if not self._as_json:
            head = f"{caller or self._label('withheld')} {self._label('calls')} {did}"
            self._console.print(Text(f"{self._time(at_ms)}  {head}", style="bold"))
        self._turn(turn)

    def turn(self, event: Mapping[str, Any], at_ms: int, turn: Mapping[str, Any]) -> None:
        """A turn that an event gave."""
        if not self._as_json:
            fields = {key: value for key, value in event.items() if key != "type"}
            line = Text(f"{self._time(at_ms)}  {self._label('event')}: {event.get('type')}", style="bold")
            if fields:
                line.append(" " + orjson.dumps(fields).decode())
            self._console.print(line)
        self._turn(turn)

    def _turn(self, turn: Mapping[str, Any]) -> None:
        if self._as_json:
            click.echo(orjson.dumps(turn))
            return
        for passed in turn["trace"]:
            line = Text("  ")
            line.append(passed["node"], style="cyan")
            if passed["exit"]:
                line.append(f" → {passed['exit']}", style="green")
            line.append("  " + _engine.explain(passed["why"], self._language), style="dim")
            self._console.print(line)
        for formed in turn["rounds"]:
            if formed["left_out"] or formed["passed_over"]:
                told = _engine.explain_round(formed, self._language)
                self._console.print(Text(f"  {formed['node']}: {told}", style="dim"))
        for effect in turn["effects"]:
            self._say("effect", words.effect_words(effect, self._language), "magenta")
        self._say("action", words.action_words(turn["action"], self._language), "yellow")

    def _say(self, label: str, text: str, style: str) -> None:
        line = Text(f"  {self._label(label)}: ")
        line.append(text, style=style)
        self._console.print(line)

    def _label(self, name: str) -> str:
        return words.label(name, self._language)

    def _time(self, at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")
