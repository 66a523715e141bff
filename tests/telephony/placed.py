"""A scenario placed as a real call: SIPp rings Asterisk, the router routes it in the scenario's world."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.scenario_files import Scenario, inside_calls_of, moment_ms, phone_plans_of, read_yaml

from . import messages
from .asterisk import Asterisk
from .evidence import Proof
from .hurry import SPEED, hurried
from .messages import SipEvent
from .router import LogLine, RouterProcess
from .router_main import World
from .script import People, Script
from .sipp import Caller

SILENCE_S: Final = 2
"""So much silence ends a message."""
_CALL_LIMIT_S = 90.0
_COINS = 24
"""How often a call is placed anew whose id fell to the other side of a split; once in 10⁷ runs that is not enough."""


@dataclass(frozen=True)
class Placed:
    """What came of a scenario."""

    scenario: Scenario
    lines: list[dict[str, Any]]
    """The call's lines in the ledger."""
    turns: list[LogLine]
    """What the router's log says of its turns."""
    caller: list[SipEvent]
    phones: dict[str, list[SipEvent]]
    """What each endpoint said and heard because of this call."""
    recordings: Path
    """The folder of fetched messages."""
    left: list[str]
    """Channels that were left in Asterisk."""

    @property
    def ledger(self) -> dict[str, Any]:
        """The call's line."""
        return self.lines[0]

    def proof(self) -> Proof:
        """The line of the table of evidence."""
        return Proof(
            scheme=self.scenario.folder.name,
            branch=str(self.scenario.data["branch"]),
            scenario=self.scenario.name,
            disposition=self.ledger["disposition"],
            caller=self.caller,
            phones=self.phones,
        )


def place(scenario: Scenario, asterisk: Asterisk, folder: Path) -> Placed:
    """Plays the scenario's `real` section to its end; raises what goes wrong on the way."""
    company = hurried(scenario.folder, folder / "company")
    ringing = inside_calls_of(scenario)
    endpoints = [*dict.fromkeys([*endpoints_of(scenario), *ringing.values()])]
    with (
        People(asterisk, endpoints, phone_plans_of(scenario), speed=SPEED) as people,
        RouterProcess.of_world(_world(scenario, asterisk, company, folder / "data")) as router,
    ):
        inside = {employee: _InternalCall(asterisk, endpoint) for employee, endpoint in ringing.items()}
        for call in inside.values():
            call.ring(people)
        for _ in range(_COINS):
            skip = len(router.log())
            began = time.time()
            with Caller(asterisk, scenario.data["did"], _as_sent(scenario.data["caller"])) as caller:
                turns = _play(scenario, caller, router, skip, _later(scenario, people, inside))
                caller.wait_end()
            if not _fell_otherwise(scenario, turns):
                break
        for call in inside.values():
            call.end()
        left = [channel.name for channel in asterisk.wait_idle()]
        lines = [line for line in router.ledger() if line["call_id"] == turns[0]["call"]]
        assert router.stop() == 0, router.tail()
        return Placed(
            scenario=scenario,
            lines=lines,
            turns=turns,
            caller=caller.events,
            phones={endpoint: _since(_events(people, endpoint), began) for endpoint in endpoints},
            recordings=router.data / "recordings",
            left=left,
        )


def endpoints_of(scenario: Scenario) -> list[str]:
    """Every endpoint that the scenario expects to be rung or gives a plan; all desks when it leaves open who is."""
    expected = [step["expect"] for step in scenario.steps]
    rung = [endpoint for action in expected for endpoint in action.get("endpoints", ())]
    given = [action["to"] for action in expected if action["type"] == "transfer"]
    if any(action["type"] == "ring" and "endpoints" not in action for action in expected):
        employees = read_yaml(scenario.folder / "company.yaml")["employees"].values()
        rung += [employee["endpoint"] for employee in employees if "endpoint" in employee]
    return [*dict.fromkeys([*rung, *given, *scenario.data["real"].get("phones", {})])]


def _later(
    scenario: Scenario, people: People, inside: Mapping[str, _InternalCall]
) -> list[tuple[float, Callable[[], object]]]:
    """What happens beside the call, and how many seconds after its arrival."""
    real = scenario.data["real"]

    def leave(employee: str) -> None:
        people.switch_off(inside[employee].endpoint)
        inside[employee].end()

    freed = [(after / SPEED, inside[employee].end) for employee, after in real.get("freed", {}).items()]
    return [*freed, *((after / SPEED, partial(leave, employee)) for employee, after in real.get("left", {}).items())]


def _play(
    scenario: Scenario,
    caller: Caller,
    router: RouterProcess,
    skip: int,
    later: Sequence[tuple[float, Callable[[], object]]],
) -> list[LogLine]:
    """Calls, and has everybody act as the router begins each action; returns the log of the turns."""
    real = scenario.data["real"]
    script = Script(caller, real.get("caller", ()), speed=SPEED)
    caller.call()
    turns: list[LogLine] = []
    timers: list[threading.Timer] = []
    try:
        for line in router.follow(skip=skip, seconds=_CALL_LIMIT_S, until=lambda line: line["event"] == "call ended"):
            if line["event"] != "turn":
                continue
            turns.append(line)
            if not timers:
                timers = [threading.Timer(after_s, what) for after_s, what in later]
                for timer in timers:
                    timer.start()
            if _fell_otherwise(scenario, turns):
                caller.hang_up()
                continue
            script.performed(line["action"])
    finally:
        for timer in timers:
            timer.cancel()
    if not _fell_otherwise(scenario, turns):
        script.finish()
    return turns


def _fell_otherwise(scenario: Scenario, turns: Sequence[LogLine]) -> bool:
    """Whether a `split`, whose choice depends on the call id alone, has sent the call the other way."""
    expected = scenario.expected_trace()
    coins = {
        node
        for scheme in read_yaml(scenario.folder / "company.yaml")["schemes"].values()
        for node, body in scheme["nodes"].items()
        if body["kind"] == "split"
    }
    passed = [step.split(":") for turn in turns for step in turn["trace"].split()]
    return any(node in coins and [node, exit_] not in expected for node, exit_ in passed)


class _InternalCall:
    """A call from inside the house, none of the router's, that keeps an employee's phone ringing."""

    def __init__(self, asterisk: Asterisk, endpoint: str) -> None:
        self._asterisk = asterisk
        self.endpoint = endpoint

    def ring(self, people: People) -> None:
        """Returns when the phone rings."""
        self._asterisk.cli(f"channel originate {self.endpoint} application Wait 600")
        people.phones[self.endpoint].wait_for("180")

    def end(self) -> None:
        """Ends it, if it is still there."""
        for channel in self._asterisk.channels():
            if channel.name.startswith(f"{self.endpoint}-") and channel.application != "Stasis":
                self._asterisk.cli(f"channel request hangup {channel.name}")


def _world(scenario: Scenario, asterisk: Asterisk, company: Path, data: Path) -> World:
    real = scenario.data["real"]
    at = real.get("at")
    return World(
        company=str(company),
        ari_url=f"{asterisk.ari_url}/ari",
        ari_user=asterisk.ari_user,
        ari_password=asterisk.ari_password,
        data=str(data),
        agi=asterisk.agi,
        messages=str(asterisk.recordings),
        silence_s=SILENCE_S,
        at_ms=moment_ms(at) if at else scenario.at_ms,
        owners=scenario.data.get("owners", {}),
        called={number: moment_ms(moment) for number, moment in scenario.data.get("called", {}).items()},
        presence={
            employee: facts["presence"]
            for employee, facts in scenario.data.get("floor", {}).items()
            if "presence" in facts
        },
        lookups=real.get("lookups", {}),
    )


def _as_sent(number: str | None) -> str | None:
    """A number as a provider sends it: without what people put between its digits."""
    return None if number is None else re.sub(r"[ ()-]", "", number)


def _events(people: People, endpoint: str) -> list[SipEvent]:
    phone = people.phones.get(endpoint)
    if phone is not None:
        return [event for event in phone.events if event.of != "OPTIONS"]
    if people.mobiles is None or endpoint.startswith("PJSIP/"):
        return []
    calls = messages.by_call(people.mobiles.events)
    return [event for call in calls if call[0].number == endpoint for event in call]


def _since(events: Sequence[SipEvent], began: float) -> list[SipEvent]:
    """What belongs to the calls that began after a moment."""
    return [event for call in messages.by_call(events) if call[0].at >= began for event in call]
