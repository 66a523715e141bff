"""The hand for asyncio."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kommutator.errors import CallGone, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.control_asyncio import AsyncPbxControl, control_of

from .conftest import PATIENCE_S, Pbx

pytestmark = pytest.mark.services


async def until_told(control: AsyncPbxControl, what: str) -> codec.Happened:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            told = await control.told()
            if isinstance(told, codec.Happened) and told.what == what:
                return told


def test_a_call_by_hand(pbx: Pbx) -> None:
    async def main() -> None:
        async with control_of(pbx.socket) as control:
            await control.ask(codec.Watch())
            call_id = await control.ask(codec.Place("+74951110001", "89161230099"), str)
            assert (await until_told(control, "fallback")).call_id == call_id
            (caller,) = await control.ask(codec.Callers(), list[codec.CallerThere])
            assert (caller.caller, caller.fallback) == ("89161230099", True)
            await control.ask(codec.HangUp(call_id))
            await until_told(control, "hung_up")
            with pytest.raises(CallGone):
                await control.ask(codec.HangUp(call_id))
            with pytest.raises(PbxRefused, match="nothing to answer"):
                await control.ask(codec.PickUp("PJSIP/101"))
            assert (await control.ask(codec.About(), codec.Glance)).fallbacks == 1

    asyncio.run(main())


def test_a_pbx_that_dies_is_noticed(pbx: Pbx) -> None:
    async def main() -> None:
        async with control_of(pbx.socket) as control:
            await control.ask(codec.Watch())
            await asyncio.to_thread(pbx.end)
            with pytest.raises(PbxUnreachable):
                await control.told()
            with pytest.raises(PbxUnreachable):
                await control.ask(codec.Phones())

    asyncio.run(main())


def test_nobody_there_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(PbxUnreachable, match="no simulated PBX is there"):
            async with control_of(tmp_path / "main.sock"):
                pass

    asyncio.run(main())
