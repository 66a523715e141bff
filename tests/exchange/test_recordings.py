"""Recordings: from the router's folder to the desk, whatever is away meanwhile; and deleted when they are known to be there."""

import os
import time
from pathlib import Path

import pytest
import trio

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.nats.recordings import DeskRecordings
from kommutator.exchange.recordings import RecordingUploader

from .conftest import Desk, Nats, until

pytestmark = pytest.mark.trio
SOUND = bytes(range(256)) * 2000
"""More than one chunk of an object."""


class Cellar:
    """A desk that keeps recordings; it fails as often as it is told to."""

    def __init__(self, desk: Desk, fails: int = 0) -> None:
        self.kept: dict[str, bytes] = {}
        self.fails = fails
        self.recordings = DeskRecordings(desk.exchange, self.take)

    async def take(self, name: str) -> None:
        if self.fails:
            self.fails -= 1
            raise RuntimeError("no room in the cellar")
        content = await self.recordings.get(name)
        if content is not None:
            self.kept[name] = content
        await self.recordings.done(name)


def record(folder: Path, name: str, content: bytes = SOUND) -> Path:
    folder.mkdir(exist_ok=True)
    part = folder / f".{name}.part"
    part.write_bytes(content)
    return part.rename(folder / f"{name}.wav")


async def test_recordings_reach_the_desk_whatever_was_away(nats: Nats, desk: Desk, tmp_path: Path) -> None:
    cellar = Cellar(desk, fails=1)
    folder = tmp_path / "recordings"
    bridge = Bridge(nats.settings, "r1")
    uploader = RecordingUploader(bridge, folder, look_s=0.02)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(uploader.run)
        record(folder, "kt-1700000000.1-4")
        await until(lambda: (folder / "kt-1700000000.1-4.sent").exists())
        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: not bridge.connected)
        record(folder, "call-2-7", b"short")
        await until(lambda: uploader.waiting == 1)
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: (folder / "call-2-7.sent").exists() and uploader.waiting == 0)
        await trio.to_thread.run_sync(desk.start)  # the first desk, after both were sent
        await until(lambda: cellar.kept == {"1700000000.1-4": SOUND, "call-2-7": b"short"})
        record(folder, "call-3-1")
        await until(lambda: cellar.kept.get("call-3-1") == SOUND)
        gone = await trio.to_thread.run_sync(desk.do, lambda exchange: cellar.recordings.get("call-3-1"))
        assert gone is None, "what the desk has kept leaves the exchange"
        nursery.cancel_scope.cancel()


async def test_another_uploader_sends_what_was_left_and_deletes_only_what_was_sent_long_ago(
    nats: Nats, desk: Desk, tmp_path: Path
) -> None:
    cellar = Cellar(desk)
    desk.start()
    folder = tmp_path / "recordings"
    sent, unsent = record(folder, "sent"), record(folder, "unsent")
    mark = sent.with_suffix(".sent")
    mark.touch()
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(mark, (long_ago, long_ago))
    os.utime(unsent, (long_ago, long_ago))
    bridge = Bridge(nats.settings, "r1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(RecordingUploader(bridge, folder, look_s=0.02).run)
        await until(lambda: set(cellar.kept) == {"unsent"})
        await until(lambda: unsent.with_suffix(".sent").exists())
        nursery.cancel_scope.cancel()
    assert sorted(path.name for path in folder.iterdir()) == ["unsent.sent", "unsent.wav"]
