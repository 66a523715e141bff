"""Two hundred callers at once, through a router process and the simulated PBX's socket."""

from __future__ import annotations

import signal
from collections import Counter

import pytest
import trio

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct

from .conftest import Pbx, Router, Watched, played, routed

pytestmark = pytest.mark.services
CALLS = 200


def test_two_hundred_calls_at_once_end_once_each(pbx: Pbx, router: Router) -> None:
    overs: list[codec.Over] = []
    talked: Counter[str] = Counter()

    async def main(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        acts = (CallerAct("record", speak=1.2, end="hash"),)
        phones = {f"PJSIP/10{number}": (PhoneAct("answer", 0.2, 0.5),) for number in (1, 2)}
        for number in range(CALLS):
            did = "+74951110004" if number % 2 else "+74951110001"
            await control.place(codec.Place(did, f"+7916{number:07d}", f"c-{number}", acts, phones))
        assert (await control.about()).calls > CALLS * 0.9
        with trio.fail_after(90):
            while len(overs) < CALLS:
                told = await control.told()
                match told:
                    case codec.Over():
                        overs.append(told)
                    case codec.Happened(what="answered", endpoint=str(endpoint)):
                        talked[endpoint] += 1
                        assert talked[endpoint] == 1
                    case codec.Happened(what="phone_hung_up", endpoint=str(endpoint)):
                        talked[endpoint] -= 1
                    case codec.Missed():
                        raise AssertionError("a watcher that reads misses nothing")
        await router.lines(CALLS)

    played(main, pbx)
    ledger = router.ledger()
    assert len({line["call_id"] for line in ledger}) == len(ledger) == CALLS
    ends = {line["call_id"]: line["disposition"] for line in ledger}
    assert ends == {over.call_id: over.disposition for over in overs}
    kinds = Counter(ends.values())
    assert set(kinds) == {"answered", "voicemail"}
    assert kinds["voicemail"] >= CALLS / 2


def test_a_router_that_is_killed_under_two_hundred_calls_loses_none(pbx: Pbx, router: Router) -> None:
    async def main(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        for number in range(CALLS):
            acts = (CallerAct("record", speak=3.0, end="hash"),)
            await control.place(codec.Place("+74951110004", f"+7916{number:07d}", f"c-{number}", acts))
            if number == CALLS // 2:
                router.end(signal.SIGKILL)
                router.start()
                await routed(control)
        await router.lines(CALLS)

    played(main, pbx)
    ends = Counter(line["disposition"] for line in router.ledger())
    assert ends == {"voicemail": CALLS}
    assert len({line["call_id"] for line in router.ledger()}) == CALLS
