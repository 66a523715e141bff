"""A router that plays calls which nobody answers, and tells of them as routers do; recordings are sent too. To be killed.

python -m tests.desk_services.router FOLDER_OF_NATS FOLDER DID FIRST HOW_MANY
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import trio

from kommutator.engine import Engine
from kommutator.errors import UnexpectedEvent
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.embedded import read_address
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.recordings import RecordingUploader
from kommutator.exchange.settings import ExchangeSettings
from kommutator.exchange.shipper import Shipper
from kommutator.routing.entries import recording_key
from kommutator.routing.ledger import FileJournal
from kommutator.routing.ports import Journal
from kommutator.routing.turn import End, Event, Turn
from tests.notify.test_email import recording

COMPANY = Path(__file__).parent / "company.yaml"
EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "no_answer"},
    {"type": "played"},
    {"type": "recorded", "seconds": 3.0},
    {"type": "hung_up"},
)


def caller(number: int) -> str:
    """Of the call with this number. Its last digits mean nothing to the SMSC of the tests."""
    return f"+7916{4001000 + number}"


def play(
    journal: Journal, engine: Engine, call_id: str, did: str, number: str | None, at_ms: int, answered: bool = False
) -> Turn:
    """One whole call."""
    turn = Turn.of(engine.arrive(call_id, did, number, at_ms))
    journal.began(call_id, did, number, at_ms)
    journal.turned(call_id, at_ms, None, turn)
    while not isinstance(turn.action, End):
        tried = list(EVENTS)
        if turn.kind == "ring" and answered:
            tried.insert(0, {"type": "answered", "endpoint": "PJSIP/101"})
        if turn.kind == "talk":
            tried.insert(0, {"type": "conversation_ended"})
        for event in tried:
            try:
                turn = Turn.of(engine.handle(turn.state, event, at_ms))
            except UnexpectedEvent:
                continue
            break
        journal.turned(call_id, at_ms, event, turn)
    journal.ended(call_id, at_ms, turn.action.disposition, turn.action.fault)
    return turn


def recorded(turns: list[dict[str, Any]]) -> list[str]:
    """The names of messages in effects."""
    return [effect["recording"] for effect in turns if effect["type"] == "voicemail"]


class Recording(ToldJournal):
    """A router's journal; a message's sound is a file before its turn is told, as adapters have it."""

    def __init__(self, inner: Journal, outgoing: OutgoingSpool, folder: Path) -> None:
        super().__init__(inner, outgoing)
        self._folder = folder

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn) -> None:
        """A turn was decided."""
        for name in recorded(list(turn.effects)):
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f".{recording_key(name)}.part"
            part.write_bytes(recording(1))
            part.rename(self._folder / f"{recording_key(name)}.wav")
        super().turned(call_id, at_ms, event, turn)


async def main(nats: Path, folder: Path, did: str, first: int, many: int) -> None:
    address = read_address(nats)
    assert address is not None
    settings = ExchangeSettings((address.url,), address.user, address.password, request_s=1.0, retry_s=(0.02, 0.1))
    bridge = Bridge(settings, "r1")
    spool = OutgoingSpool(folder / "outgoing")
    inner = FileJournal(folder)
    journal = Recording(inner, spool, folder / "recordings")
    engine = Engine.load(COMPANY)
    async with trio.open_nursery() as nursery:
        for part in (
            bridge.run,
            inner.run,
            spool.run,
            Shipper(bridge, spool, "pbx").run,
            RecordingUploader(bridge, folder / "recordings", look_s=0.1).run,
        ):
            nursery.start_soon(part)
        for number in range(first, first + many):
            play(journal, engine, f"call-{number}", did, caller(number), time.time_ns() // 1_000_000)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            await trio.sleep(0.01)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
