"""The eight schemes as real calls: SIPp places each scenario of `tests/scenarios/` that says how people behave.

The trace and the disposition must be those of the scenario, and everybody's SIP must agree with them.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.scenario_files import Scenario, read_yaml, scenarios

from . import messages, sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .evidence import Evidence
from .messages import SipEvent
from .placed import SILENCE_S, Placed, place

pytestmark = pytest.mark.telephony

PLACED = [scenario for scenario in scenarios() if "real" in scenario.data]
AT_ONCE = 5
"""So many calls go on at once, each at an Asterisk of its own."""
_AT_ONCE_S = 5.0
"""What "at once" means for a CANCEL after the caller's BYE, on a machine that plays a hundred telephones besides, and more."""
_BEEP_S = 1.0


@pytest.fixture(scope="module")
def placed(
    request: pytest.FixtureRequest, start_asterisk: StartAsterisk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Placed]]]:
    """The calls of the scenarios that this run asks for, all begun, by the scenarios' ids."""
    chosen = {scenario.id for item in request.session.items if (scenario := _scenario_of(item)) is not None}
    idle: queue.SimpleQueue[Asterisk] = queue.SimpleQueue()

    def placed_somewhere(scenario: Scenario) -> Placed:
        asterisk = idle.get()
        try:
            return place(scenario, asterisk, tmp_path_factory.mktemp("call"))
        finally:
            idle.put(asterisk)

    tmp_path_factory.getbasetemp()  # it is made at the first asking, which must not be by two threads at once
    for _ in range(min(AT_ONCE, len(chosen))):
        idle.put(start_asterisk())
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # The longest calls first, so that none is left alone at the end.
        ordered = sorted((s for s in PLACED if s.id in chosen), key=_length_s, reverse=True)
        yield {scenario.id: pool.submit(placed_somewhere, scenario) for scenario in ordered}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("scenario", PLACED, ids=lambda scenario: scenario.id)
def test_call_goes_as_the_scenario_says(
    scenario: Scenario, placed: dict[str, Future[Placed]], evidence: Evidence
) -> None:
    call = placed[scenario.id].result()
    assert len(call.lines) == 1, "a call has exactly one line in the ledger"
    end = scenario.steps[-1]["expect"]
    told = f"{call.ledger}\n{call.proof().summary()}"
    assert [[step["node"], step["exit"]] for step in call.ledger["trace"]] == scenario.expected_trace(), told
    assert (call.ledger["disposition"], call.ledger["fault"]) == (end["disposition"], end["fault"]), told
    check_effects(call)
    evidence.add(call.proof())
    check_phones(call)
    check_ringing_ends_with_the_caller(call)
    check_message(call)
    assert call.left == [], "a channel is left in Asterisk"


def test_every_branch_is_shown_by_a_real_call() -> None:
    every = {(scenario.folder.name, scenario.data["branch"]) for scenario in scenarios()}
    shown = {(scenario.folder.name, scenario.data["branch"]) for scenario in PLACED}
    assert every - shown == set()


def test_every_exit_of_every_node_is_taken_by_a_real_call() -> None:
    exits = {
        (folder.name, node, exit_)
        for folder in {scenario.folder for scenario in PLACED}
        for scheme in read_yaml(folder / "company.yaml")["schemes"].values()
        for node, body in scheme["nodes"].items()
        for exit_ in [*body.get("exits", {}), *(("busy", "unavailable") if body["kind"] == "ring" else ())]
    }
    taken = {(scenario.folder.name, node, exit_) for scenario in PLACED for node, exit_ in scenario.expected_trace()}
    assert exits - taken == set()


def check_effects(call: Placed) -> None:
    """The effects are those of the scenario, except for what depends on how long people spoke.

    A phone that is switched off is known to be and is not rung at all, so it is nobody's who was rung last.
    """
    open_fields = {"seconds", "recording", "id", "text"}
    if any(plan == {"does": "unreachable"} for plan in call.scenario.data["real"].get("phones", {}).values()):
        open_fields.add("assign")
    seen = call.ledger["effects"]
    expected = [effect for step in call.scenario.steps for effect in step.get("effects", ())]
    assert [effect["type"] for effect in seen] == [effect["type"] for effect in expected]
    for there, wanted in zip(seen, expected, strict=True):
        fields = wanted.keys() - open_fields
        assert {field: there.get(field) for field in fields} == {field: wanted[field] for field in fields}


def check_phones(call: Placed) -> None:
    """Each phone was rung as often as the ledger says, saw the caller's number, and met the end that is told there."""
    rung: dict[str, list[dict[str, Any]]] = {}
    for leg in call.ledger["legs"]:
        if leg["outcome"] != "unavailable":
            rung.setdefault(leg["endpoint"], []).append(leg)
    for endpoint, events in call.phones.items():
        dialogs = [dialog for dialog in messages.by_call(events) if "404" not in {event.name for event in dialog}]
        legs = rung.pop(endpoint, [])
        told = f"{endpoint} {messages.summary(events)} against {legs}"
        assert len(dialogs) == len(legs), told
        for dialog, leg in zip(dialogs, legs, strict=True):
            names = {event.name for event in dialog}
            match leg["outcome"]:
                case "answered":
                    assert {"200", "ACK", "BYE"} <= names, told
                case "busy":
                    assert "486" in names, told
                case "declined":
                    assert "603" in names, told
                case _:
                    assert {"CANCEL", "487"} <= names, told
            assert shown_number(dialog[0]) == (call.ledger["caller"] or ""), told
    assert rung == {}, "the ledger knows of phones that were not rung"
    check_expanding(call)


def check_expanding(call: Placed) -> None:
    """Who still rings in a later round was not cancelled and rung anew for it: one INVITE, and CANCEL last of all."""
    if call.scenario.folder.name != "8-expanding":
        return
    added = [event.at for events in call.phones.values() for event in events if event.name == "INVITE"]
    for leg in call.ledger["legs"]:
        if leg["outcome"] in ("cancelled", "no_answer"):
            events = call.phones[leg["endpoint"]]
            assert [event.name for event in events].count("INVITE") == 1
            cancelled = messages.first(events, "CANCEL")
            assert cancelled is not None and cancelled.at > max(added), messages.summary(events)


def check_ringing_ends_with_the_caller(call: Placed) -> None:
    """When the caller has gone, nobody is rung any more, and who was ringing is cancelled at once."""
    gone = next((event.at for event in call.caller if event.sent and event.name in ("BYE", "CANCEL")), None)
    if gone is None:
        return
    for endpoint, events in call.phones.items():
        for event in events:
            if event.received and event.name in ("INVITE", "CANCEL", "BYE"):
                late = event.at - gone
                assert late < (0 if event.name == "INVITE" else _AT_ONCE_S), (
                    f"{endpoint}: {event.name} {late:.3f} s after"
                )


def check_message(call: Placed) -> None:
    """A message that the ledger knows of was fetched, is as long as it says, and has sound in it."""
    told = [effect for effect in call.ledger["effects"] if effect["type"] == "voicemail"]
    spoken = [deed["speak"] for deed in call.scenario.data["real"].get("caller", ()) if deed.get("speak")]
    assert len(told) == len(spoken)
    for effect, speak_s in zip(told, spoken, strict=True):
        (file,) = call.recordings.glob("*.wav")
        assert sound.loudness(file) > 500
        assert abs(sound.seconds(file) - effect["seconds"]) < 0.1
        assert speak_s - 0.5 < effect["seconds"] < speak_s + SILENCE_S + _BEEP_S


def shown_number(invite: SipEvent) -> str:
    """The caller's number that a phone displays; empty when it is withheld."""
    header = invite.header("From") or ""
    user = header.partition("sip:")[2].partition("@")[0]
    return "" if "anonymous" in header.lower() else user


def _scenario_of(item: pytest.Item) -> Scenario | None:
    called_with = getattr(item, "callspec", None)
    found = None if called_with is None else called_with.params.get("scenario")
    return found if isinstance(found, Scenario) else None


def _length_s(scenario: Scenario) -> float:
    return sum(
        float(step.get("event", {}).get("after", 0)) for step in scenario.steps if step["expect"]["type"] != "end"
    )
