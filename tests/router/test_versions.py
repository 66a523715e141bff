"""The router process and company versions: none yet, from the shelf, swapped in under calls, refused."""

import json
from collections.abc import Callable

import pytest
import trio

from kommutator.exchange.messages import CALLS, CallBatch, CallEntry, CompanyVersion, decode, read_entry
from kommutator.exchange.nats.client import Exchange
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Place

from .house import COMPANY, DID, House, TellingDesk

pytestmark = [pytest.mark.trio, pytest.mark.services]
MESSAGE = (CallerAct("record", speak=1.5, end="hash"),)


async def told(desk: TellingDesk) -> list[str]:
    """What the stream of calls has, as `call kind`."""
    entries: list[CallEntry] = []

    async def read(exchange: Exchange) -> None:
        _, last = await exchange.connection.last_sequence(CALLS)
        if last:
            async for stored in exchange.connection.follow(CALLS, "kt.calls.*", 0):
                entries.extend(read_entry(raw) for raw in decode(stored.payload, CallBatch).entries)
                if stored.sequence == last:
                    break

    await trio.to_thread.run_sync(desk.desk.do, read)
    return [f"{entry.call} {type(entry).__name__.lower()}" for entry in entries]


async def test_a_fresh_router_waits_for_the_first_version_and_routes_by_it(build: Callable[..., House]) -> None:
    house = build("west")
    router, pbx = house.routers["west"], house.pbxs["west"]
    house.nats.start()
    pbx.start()
    router.start()
    await router.says("not ready")
    status, body = router.get("/readyz")
    assert status == 503
    assert "no company version yet" in json.loads(body)["missing"][0]
    assert router.get("/healthz")[0] == 200
    assert router.get("/elsewhere")[0] == 404
    async with house.hand("west") as hand, house.desk() as desk:
        await hand.place(Place(DID, "+79161230099", "before"))
        assert (await hand.about()).fallbacks == 1, "the PBX's own fallback takes calls that nobody routes"
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        ready = json.loads(router.get("/readyz")[1])
        assert (ready["ready"], ready["version"], ready["exchange"]) == (True, "v1", True)
        await hand.behave("PJSIP/101", [PhoneAct("answer", 0.1, 0.2)])
        await hand.place(Place(DID, "+79161230099", "call-1"))
        assert (await router.ended("call-1"))["disposition"] == "answered"
        await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
        assert [line for line in await told(desk) if line.startswith("call-1")][-1] == "call-1 ended"
        assert router.figure("kommutator_calls_begun_total") == 1
        assert router.figure('kommutator_calls_ended_total{disposition="answered",fault="none"}') == 1
        assert router.figure("kommutator_calls_in_flight") == 0
        assert router.figure("kommutator_step_seconds_count") >= 2
        assert router.figure("kommutator_engine_seconds_count") >= 3
        assert router.figure('kommutator_company_version{version="v1"}') == 1
        assert router.figure("kommutator_pbx_connected") == router.figure("kommutator_exchange_connected") == 1
        pbx.end()
        await router.says("not ready", missing=["the PBX is not reached"])
        await router.until(lambda: router.get("/readyz")[0] == 503)


async def test_it_starts_from_its_shelf_with_everything_else_dead_and_tells_later(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    async with house.desk() as desk:
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        await router.until(lambda: (router.data / "versions" / "versions.json").exists())
    router.end()
    await trio.to_thread.run_sync(house.nats.kill)
    router.start()
    await router.ready()
    assert json.loads(router.get("/readyz")[1])["exchange"] is False
    async with house.hand("west") as hand:
        await hand.behave("PJSIP/101", [PhoneAct("decline", 0.1)])
        await hand.behave("PJSIP/102", [PhoneAct("busy")])
        await hand.place(Place(DID, "+79161230099", "alone", MESSAGE))
        assert (await router.ended("alone"))["disposition"] == "voicemail"
        assert router.figure("kommutator_spool_entries") > 0
        await trio.to_thread.run_sync(house.nats.start)
        await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
        async with house.desk() as desk:
            await desk.start()
            entries = await told(desk)
    assert entries[0] == "alone began"
    assert entries[-1] == "alone ended"
    assert len(entries) == len([entry for entry in entries if entry.startswith("alone")])


async def test_a_version_is_swapped_in_under_a_call_that_finishes_on_its_own(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    second = COMPANY.replace("boris: {", "vera: {").replace("PJSIP/102", "PJSIP/103").replace("team", "people")
    second = second.replace("leave-message", "speak-now")
    async with house.hand("west") as hand, house.desk() as desk:
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        for phone in ("PJSIP/101", "PJSIP/102", "PJSIP/103"):
            await hand.behave(phone, [])  # nobody picks up
        old = await hand.place(Place(DID, "+79161230001", "old", MESSAGE))
        await router.turned(old, "ring")

        await desk.activate(CompanyVersion("bad", b'{"company": 1}', {}))
        await router.says("the active version is refused; the last one stays", alarm="version")
        assert json.loads(router.get("/readyz")[1])["version"] == "v1"

        await desk.activate(house.version("v2", second))
        await router.says("ready", version="v2")
        assert router.figure('kommutator_company_version{version="v1"}') == 0
        assert router.figure("kommutator_versions_held") == 2
        # Both phones of the first version still ring for the call that began on it.
        ringing = {phone.endpoint for phone in await hand.phones() if phone.line == "ringing"}
        assert ringing == {"PJSIP/101", "PJSIP/102"}
        await hand.place(Place(DID, "+79161230002", "new", MESSAGE))
        await router.turned("new", "ring")
        await router.until(lambda: router.said("line", employee="vera", line="ringing"))
        line = await router.ended(old)
        assert [step["node"] for step in line["trace"]] == ["team", "mailbox"]
        assert line["disposition"] == "voicemail"
        line = await router.ended("new")
        assert [step["node"] for step in line["trace"]] == ["people", "mailbox"]
        assert {leg["endpoint"] for leg in line["legs"]} >= {"PJSIP/103"}

        # What is in force when it starts again is what was active last.
        router.end()
        router.start()
        await router.ready()
        assert json.loads(router.get("/readyz")[1])["version"] == "v2"


async def test_the_next_router_resumes_a_call_on_the_version_that_it_began_on(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    async with house.hand("west") as hand, house.desk() as desk:
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        for phone in ("PJSIP/101", "PJSIP/102"):
            await hand.behave(phone, [])
        await hand.place(Place(DID, "+79161230001", "old", MESSAGE))
        await router.turned("old", "ring")
        await desk.activate(house.version("v2", COMPANY.replace("team", "people")))
        await router.says("ready", version="v2")
        await router.until(
            lambda: len(json.loads((router.data / "versions/versions.json").read_bytes())["versions"]) == 2
        )
        router.end()
        await trio.to_thread.run_sync(house.nats.kill)
        router.start()
        await router.says("call resumed", call="old")
        line = await router.ended("old")
        assert [step["node"] for step in line["trace"]] == ["team", "mailbox"]
