"""Who may connect, how many, for how long, and what is refused of what he says; and what desks cannot order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from kommutator.errors import PbxCannot, PbxTimeout, PbxUnreachable
from kommutator.pbx.agi import adapter, call_file, session
from kommutator.routing.order import Order

from .asking import Asking, House, house, usual

_PATIENCE_S = 60.0


def test_unknown_sources_are_refused(company: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with house(company, tmp_path, sources=("10.0.0.0/8", "::1")) as there:
            assert await (await there.connect()).receive_some() == b""

    with capture_logs() as logs:
        trio.run(_in_time, main)
    assert [line["source"] for line in logs if "unknown source" in line["event"]] == ["127.0.0.1"]


def test_the_next_connection_beyond_the_bound_is_closed(company: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with house(company, tmp_path, connections=2) as there:
            kept = [await there.connect() for _ in range(2)]
            for each in kept:
                await each.send_all(b"agi_network: yes\n")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert await (await there.connect()).receive_some() == b""
            await kept[0].aclose()
            await _until_served(there)

    trio.run(_in_time, main)


def test_who_says_nothing_or_nonsense_is_closed_and_others_are_served(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "GREETING_S", 0.2)

    async def main() -> None:
        async with house(company, tmp_path) as there:
            for sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"agi_uniqueid: ../../x\n\n", b"\n", b"a" * 70_000):
                stream = await there.connect()
                await stream.send_all(sent)
                with suppress(trio.BrokenResourceError):
                    assert await _asked(stream) == b""
            await _until_served(there)

    trio.run(_in_time, main)


def test_a_command_that_was_sent_in_part_ends_the_connection() -> None:
    async def main() -> None:
        async with _greeted(*trio.testing.lockstep_stream_pair()) as one:
            with pytest.raises(PbxUnreachable):
                await one.command("SET VARIABLE", "NAME", "value")  # and nobody reads it
            assert one.closed

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_pbx_that_no_longer_answers_is_not_waited_for_to_the_end_of_days() -> None:
    async def main() -> None:
        async with _greeted(*trio.testing.memory_stream_pair()) as one:
            await one.begin("STREAM FILE", "welcome", "")
            began = trio.current_time()
            with pytest.raises(PbxTimeout):
                await one.command("SET VARIABLE", "NAME", "value")
            assert session.QUICK_S <= trio.current_time() - began <= 2 * session.QUICK_S

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_call_file_follows_no_link_of_asterisk(tmp_path: Path) -> None:
    shared, outgoing, ours = tmp_path / "shared", tmp_path / "outgoing", tmp_path / "ours"
    for folder in (shared, outgoing):
        folder.mkdir()
    ours.write_text("ours")
    (shared / "kommutator-look.call").symlink_to(ours)
    call_file.put(shared, outgoing)
    (put,) = outgoing.iterdir()
    assert (put.is_symlink(), put.stat().st_mode & 0o777, ours.read_text()) == (False, 0o664, "ours")
    assert list(shared.iterdir()) == []


def test_desks_can_order_nothing(company: Path, tmp_path: Path) -> None:
    """Neither of a phone that rings, nor of a conversation; nor can anybody be called back."""

    async def order(there: House, kind: str) -> str | None:
        return (await there.orders.carry_out(Order("order-0001", kind, "anna", 2**53, call="1.7"))).reason  # type: ignore[arg-type]

    async def main() -> None:
        async with house(company, tmp_path) as there, trio.open_nursery() as nursery:
            caller = Asking(await there.connect())
            await caller.greet("1.7")
            dialled = await caller.run(until='EXEC "Dial"')
            assert "PJSIP/101,30" in dialled or "PJSIP/101,29" in dialled
            assert await order(there, "answer") == "not_supported"
            phone = Asking(await there.connect(), _phone)
            await phone.greet("1.8", "answered", "1.7")
            await phone.run()
            assert [line for line in phone.commands if "MASTER_CHANNEL(KOMMUTATOR_STATE)" in line] != []
            for kind in ("hold", "hang_up", "consult", "transfer"):
                assert await order(there, kind) == "not_supported"
            assert await order(there, "answer") == "wrong_state"
            nursery.start_soon(caller.run)
            await caller.say("200 result=0")
            while not any("Hangup" in line for line in caller.commands):
                await trio.sleep(0.01)
            await caller.say("HANGUP")
            with pytest.raises(PbxCannot):
                await there.pbx.call_back("back-1", "PJSIP/101", "+79160000001", lambda _: None)

    trio.run(_in_time, main)
    assert '"answered"' in (tmp_path / "ledger.jsonl").read_text()


def _phone(command: str) -> str:
    """What a phone's channel answers that was dialled as 101 for the call 1.7."""
    return "200 result=1 (101|1.7)" if command.startswith("GET FULL VARIABLE") else "200 result=1"


def test_a_call_by_steps_that_ends_without_a_word_is_missed(
    company: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When its dialplan says nothing for long, and another connection finds that its channel is no more."""
    monkeypatch.setattr(adapter, "_SILENT_S", 0.0)
    monkeypatch.setattr(adapter, "_COUNT_EVERY_S", 0.0)

    async def main() -> None:
        async with house(company, tmp_path) as there:
            first = Asking(await there.connect())
            await first.greet("1.1", "decide")
            await first.run()
            assert 'SET VARIABLE "KOMMUTATOR_ACTION" "ring"' in first.commands
            while not (tmp_path / "ledger.jsonl").read_text():
                other = Asking(await there.connect(), _alone)
                await other.greet("1.2", "step")
                await other.run()

    trio.run(_in_time, main)
    (line,) = (tmp_path / "ledger.jsonl").read_text().splitlines()
    assert '"1.1"' in line
    assert '"abandoned"' in line


def _alone(command: str) -> str:
    """What a channel answers that is the only one."""
    if "CHANNELS" in command:
        return f"200 result=1 (PJSIP/trunk-00000002{'|' * command.count('|')})"
    if '"${UNIQUEID}" "PJSIP/trunk-00000002"' in command:
        return "200 result=1 (1.2)"
    return "200 result=0" if '"${UNIQUEID}"' in command else usual(command)


async def _asked(stream: trio.SocketStream) -> bytes:
    """What comes after questions about channels, which are not answered here."""
    while (data := await stream.receive_some()).startswith(b"GET FULL VARIABLE"):
        await stream.send_all(b"200 result=1 (" + b"|" * data.count(b"|") + b")\n")
    return bytes(data)


async def _until_served(there: House) -> None:
    """A call comes as far as its ring."""
    while True:
        asking = Asking(await there.connect())
        with suppress(trio.BrokenResourceError):
            await asking.greet("1.9")
            if await asking.run(until='EXEC "Dial"'):
                return
        await trio.sleep(0.05)


async def _in_time(main: Callable[[], Awaitable[None]]) -> None:
    with trio.fail_after(_PATIENCE_S):
        await main()


@asynccontextmanager
async def _greeted(ours: trio.abc.Stream, asterisks: trio.abc.Stream) -> AsyncIterator[session.Session]:
    """A session that has been told its call, and nothing more."""
    one = session.Session(ours, "this test")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        await asterisks.send_all(b"agi_uniqueid: 1.7\n\n")
        await one.greeting()
        yield one
        nursery.cancel_scope.cancel()
