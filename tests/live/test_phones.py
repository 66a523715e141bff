"""Virtual phones: one person plays caller, operator and manager by HTTP alone."""

from __future__ import annotations

import pytest

from tests.api.conftest import Stage, staged
from tests.api.conftest import stage as stage_without_pbx
from tests.desk_services.conftest import until
from tests.live.conftest import DID, Stack

__all__ = ["stage_without_pbx", "staged"]

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_one_person_plays_everybody(stack: Stack) -> None:
    anna = await stack.listening("anna")
    there = await anna.ask("GET", "/api/phones")
    assert (there["numbers"], there["schemes"]) == ([DID], {DID: "front"})
    phones = {phone["endpoint"]: phone for phone in there["phones"]}
    assert (phones["PJSIP/101"]["name"], phones["PJSIP/101"]["line"]) == ("Анна Смирнова", "idle")
    await anna.ask("PUT", "/api/phones/PJSIP/101/hand", {"by_hand": True}, 204)
    await anna.ask("POST", "/api/phones/PJSIP/101/answer", status=409)
    body = {"did": DID, "caller": "+79161234567"}
    call_id = (await anna.ask("POST", "/api/phones/calls", body, 201))["call_id"]
    await anna.card("offered", call_id)
    await anna.ask("POST", "/api/phones/PJSIP/102/decline", status=204)
    await anna.ask("POST", "/api/phones/PJSIP/101/answer", status=204)
    await anna.card("talking", call_id)
    (caller,) = (await anna.ask("GET", "/api/phones"))["callers"]
    assert (caller["call_id"], caller["talks_with"]) == (call_id, "PJSIP/101")
    await anna.ask("POST", "/api/phones/PJSIP/101/hold", {"held": True}, 204)
    await anna.card("talking", call_id, held=True)
    story = await anna.ask("GET", f"/api/phones/calls/{call_id}")
    assert (story["hears"], story["talks_with_name"], story["gone_at"]) == ("music", "Анна Смирнова", None)
    told = [(each["what"], each["name"]) for each in story["happened"]]
    assert told[0] == ("came", None) and ("answered", "Анна Смирнова") in told
    (phone,) = [each for each in (await anna.ask("GET", "/api/phones"))["phones"] if each["endpoint"] == "PJSIP/101"]
    assert (phone["line"], phone["held"], phone["hears"]) == ("busy", True, "nothing")
    await anna.ask("POST", f"/api/phones/calls/{call_id}/speech", {"seconds": 2}, 409)
    await anna.ask("POST", "/api/phones/PJSIP/101/hold", {"held": False}, 204)
    await anna.card("talking", call_id, held=False)
    await anna.ask("POST", f"/api/phones/calls/{call_id}/keys", {"keys": "1"}, 204)
    await anna.ask("POST", "/api/phones/PJSIP/101/hang_up", status=204)
    assert (await anna.card("over", call_id))["over_by"] == "us"

    call_id = (await anna.ask("POST", "/api/phones/calls", body, 201))["call_id"]
    await anna.card("offered", call_id)
    await anna.ask("POST", f"/api/phones/calls/{call_id}/hang_up", status=204)
    assert await anna.hears("call_gone") == {"call_id": call_id, "why": "hung_up", "by": None}

    async def nobody_on_the_line() -> bool:
        return not (await anna.ask("GET", "/api/phones"))["callers"]

    await until(nobody_on_the_line)
    await anna.ask("POST", f"/api/phones/calls/{call_id}/hang_up", status=404)
    assert (await anna.ask("GET", f"/api/phones/calls/{call_id}"))["hears"] == "gone"
    await anna.ask("GET", "/api/phones/calls/nobody", status=404)


async def test_a_pbx_that_is_gone_is_said(stack: Stack) -> None:
    anna = await stack.page("anna")
    stack.kill("pbx")
    assert (await anna.ask("GET", "/api/phones", status=503))["code"] == "pbx_unreachable"


async def test_there_are_none_where_no_pbx_is_simulated(stage_without_pbx: Stage) -> None:
    await stage_without_pbx.user("anna", "operator")
    page = await stage_without_pbx.signed_in("anna")
    assert (await page.get("/api/phones")).status_code == 404
