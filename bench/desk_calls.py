"""A router that only tells of calls, for `bench.desk`: `python -m bench.desk_calls NATS FOLDER COMPANY CALLS PER_SECOND`.

Each call rings four phones, is answered and soon over; its id bears the moment in which its ringing
was told, in nanoseconds. It says `ready`, begins when it reads a line, and says each call with whom it rang.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import trio

from bench.desk_data import caller, did
from kommutator.engine import Engine
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.embedded import read_address
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import ExchangeSettings
from kommutator.exchange.shipper import Shipper
from kommutator.routing.ledger import FileJournal
from kommutator.routing.turn import Event, Ring, Turn

RINGS_S, TALKS_S = 0.7, 0.1
"""A group has a call a second, and none rings whose phone another call has."""


async def main(nats: Path, folder: Path, company: Path, many: int, per_second: float) -> None:
    """Tells, and stays until it is ended."""
    address = read_address(nats)
    assert address is not None
    bridge = Bridge(ExchangeSettings((address.url,), address.user, address.password), "bench")
    spool = OutgoingSpool(folder / "outgoing")
    inner = FileJournal(folder)
    journal = ToldJournal(inner, spool)
    engine = Engine.load(company)

    async def call(number: int) -> None:
        now_ms = time.time_ns() // 1_000_000
        call_id = f"{number}-{time.time_ns()}"
        turn = Turn.of(engine.arrive(call_id, did(number), caller(number), now_ms))
        assert isinstance(turn.action, Ring), turn.action
        journal.began(call_id, did(number), caller(number), now_ms)
        journal.turned(call_id, now_ms, None, turn)
        rang = [each.employee for each in turn.action.endpoints if each.employee is not None]
        sys.stdout.write(f"rang {call_id} {' '.join(rang)}\n")
        sys.stdout.flush()
        first = turn.action.endpoints[0].endpoint
        answered: Event = {"type": "answered", "endpoint": first}
        for lasts_s, event in ((RINGS_S, answered), (TALKS_S, {"type": "conversation_ended"})):
            await trio.sleep(lasts_s)
            turn = happens(call_id, turn, event)
        journal.ended(call_id, time.time_ns() // 1_000_000, "answered", "none")

    def happens(call_id: str, turn: Turn, event: Event) -> Turn:
        now_ms = time.time_ns() // 1_000_000
        following = Turn.of(engine.handle(turn.state, event, now_ms))
        journal.turned(call_id, now_ms, event, following)
        return following

    async with trio.open_nursery() as nursery:
        for part in (bridge.run, inner.run, spool.run, Shipper(bridge, spool, "bench").run):
            nursery.start_soon(part)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await trio.to_thread.run_sync(sys.stdin.readline)
        began = trio.current_time()
        for number in range(many):
            await trio.sleep_until(began + number / per_second)
            nursery.start_soon(call, number)
        await trio.sleep(2 * (RINGS_S + TALKS_S))
        sys.stdout.write("told\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
