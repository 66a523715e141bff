"""A disk that takes nothing: the alarm is raised, calls are routed, and what waited is there when the disk is back.

The router's folder is a small file system of its own, which takes the right to mount one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.codec import Place

from .disk import Disk
from .house import COMPANY, DID, House, Router

pytestmark = [pytest.mark.trio, pytest.mark.services]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "data" / "routers" / "west")
    yield made
    made.away()


async def begun(house: House) -> Router:
    """The router with a version, on everything else."""
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    async with house.desk() as desk, house.hand("west") as hand:
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        await router.until(lambda: (router.data / "versions" / "versions.json").exists())
        await hand.behave("PJSIP/101", [PhoneAct("answer", 0.05, 0.05)])
    return router


async def test_a_full_disk_raises_the_alarm_and_stops_no_call(build: Callable[..., House], disk: Disk) -> None:
    house = build("west")
    router = await begun(house)
    await trio.to_thread.run_sync(disk.fill)
    async with house.hand("west") as hand:
        for number in range(12):
            await hand.place(Place(DID, "+79161230099", f"full-{number}"))
            await router.says("call ended", call=f"full-{number}", disposition="answered")
        alarms = router.said("cannot be written; calls go on", alarm="spool", level="critical")
        assert {Path(line["file"]).name for line in alarms} <= {"spool.jsonl", "ledger.jsonl"}
        assert alarms
        assert router.said("the outgoing spool cannot be written; calls go on", alarm="spool", level="critical")
        assert router.figure("kommutator_spool_troubled") == router.figure("kommutator_journal_troubled") == 1
        assert router.figure("kommutator_journal_waiting_bytes") > 0
        await trio.to_thread.run_sync(disk.empty)
        await router.until(lambda: router.figure("kommutator_journal_troubled") == 0)
        await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
    assert set(router.ledger()) == {f"full-{number}" for number in range(12)}


async def test_a_router_starts_and_routes_from_a_folder_that_is_read_only_and_writes_when_it_is_not(
    build: Callable[..., House], disk: Disk
) -> None:
    house = build("west")
    router = await begun(house)
    async with house.hand("west") as hand:
        await hand.place(Place(DID, "+79161230099", "before"))
        await router.ended("before")
    router.end()
    disk.remount("ro")
    router.start()
    await router.ready()
    assert router.said("the data folder takes nothing; calls go on", alarm="spool", level="critical")
    async with house.hand("west") as hand:
        await hand.place(Place(DID, "+79161230099", "read-only"))
        await router.says("call ended", call="read-only", disposition="answered")
        assert router.figure("kommutator_spool_troubled") == router.figure("kommutator_journal_troubled") == 1
        async with house.desk() as desk:
            await desk.start()
            await desk.activate(house.version("v2", COMPANY.replace("team", "people")))
            await router.says("the active version cannot be kept on disk", alarm="version")
            await router.says("ready", version="v2")
        disk.remount("rw")
        await router.until(lambda: router.figure("kommutator_journal_troubled") == 0)
        await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
        await hand.place(Place(DID, "+79161230099", "after"))
        await router.ended("after")
    assert set(router.ledger()) == {"before", "read-only", "after"}


async def test_the_numbers_of_a_spool_found_late_go_on_where_they_were(build: Callable[..., House], disk: Disk) -> None:
    house = build("west")
    router = await begun(house)
    await trio.to_thread.run_sync(house.nats.kill)
    async with house.hand("west") as hand:
        await hand.place(Place(DID, "+79161230099", "before"))
        await router.ended("before")
        waiting = router.figure("kommutator_spool_entries")
        assert waiting > 0
        router.end()
        disk.remount("ro")
        router.start()
        await router.ready()
        await hand.place(Place(DID, "+79161230099", "read-only"))
        await router.says("call ended", call="read-only", disposition="answered")
        disk.remount("rw")
        await router.until(lambda: router.figure("kommutator_spool_entries") == 2 * waiting)
        await trio.to_thread.run_sync(house.nats.start)
        await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
    lines = [line for path in (router.data / "outgoing").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert [int(line.partition(b" ")[0]) for line in lines] == list(range(1, int(2 * waiting) + 1))
