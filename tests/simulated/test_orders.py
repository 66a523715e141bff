"""What desks order, at a simulated PBX that is a process of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
import trio

from kommutator import Engine
from kommutator.app.document import NoLookups, lines_of
from kommutator.app.process import SystemClock
from kommutator.company import load
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.house import sounds_of
from kommutator.pbx.simulated.remote import RemotePbx
from kommutator.routing.conversation import Stage
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.loop import Router
from kommutator.routing.order import Order, OrderDone, OrderKind
from kommutator.routing.orders import OrderDesk

from .conftest import BY_HAND, Pbx, Watched, played, routed, until
from .router import COMPANY

pytestmark = pytest.mark.services
LOADED = load(COMPANY)
PHONES = {"anna": "PJSIP/101", "boris": "PJSIP/102"}


class Desk:
    """A router of this process, and the desk that gives it orders."""

    def __init__(self, pbx: Pbx) -> None:
        self._pbx = pbx
        self._orders = count(1)
        self.journal = MemoryJournal()
        self.router: Router
        self._desk: OrderDesk
        self._scope = trio.CancelScope()

    async def start(self, nursery: trio.Nursery) -> None:
        """A new router comes, with an engine that knows nothing."""
        engine = Engine.of(LOADED)
        remote = RemotePbx(self._pbx.socket, lines_of(LOADED), sounds=sounds_of(LOADED.document, LOADED.prompts))
        self.router = Router(engine, remote, self.journal, NoLookups(), SystemClock())
        self._desk = OrderDesk(self.router, engine, None, SystemClock(), PHONES.get)
        self._scope = scope = trio.CancelScope()

        async def run(router: Router) -> None:
            with scope:
                await router.run()

        nursery.start_soon(run, self.router)
        await remote.found_calls()

    def stop(self) -> None:
        """The router is gone, and its calls stay."""
        self._scope.cancel()

    async def order(self, kind: OrderKind, call: str | None, **more: Any) -> OrderDone:
        """Give an order for Anna."""
        until_ms = SystemClock().now_ms() + 20_000
        return await self._desk.carry_out(Order(f"o-{next(self._orders)}", kind, "anna", until_ms, call, **more))

    async def stage(self, call_id: str, stage: Stage) -> None:
        """Wait for a stage of the call's conversation."""

        async def there() -> bool:
            conversation = self.router.talks.of(call_id)
            return conversation is not None and conversation.arrangement.stage is stage

        await until(there)


def ordered(play: Callable[[Watched, Desk, trio.Nursery], Awaitable[None]], pbx: Pbx) -> Desk:
    """Play with a desk, its router, and a hand on the PBX."""
    desk = Desk(pbx)

    async def main(watched: Watched) -> None:
        async with trio.open_nursery() as nursery:
            await desk.start(nursery)
            await routed(watched.control)
            await play(watched, desk, nursery)
            # The PBX knows of a call's end before it is written.
            with trio.fail_after(10):
                while desk.journal.unfinished():
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    played(main, pbx)
    return desk


async def talking(watched: Watched, desk: Desk) -> str:
    phones = {**BY_HAND, "PJSIP/101": (PhoneAct("answer", 0.1),)}
    call_id = await watched.control.place(codec.Place("+74951110001", "89161230099", phones=phones))
    await desk.stage(call_id, Stage.TALKING)
    return call_id


def test_a_client_is_held_and_passed_on(pbx: Pbx) -> None:
    async def play(watched: Watched, desk: Desk, _nursery: trio.Nursery) -> None:
        control = watched.control
        call_id = await talking(watched, desk)
        assert (await desk.order("hold", call_id)).done
        await watched.happened(call_id, "audio")
        assert (await desk.order("unhold", call_id)).done
        assert (await desk.order("consult", call_id, employee="boris")).done
        await desk.stage(call_id, Stage.CALLING)
        await watched.until(
            lambda told: isinstance(told, codec.Happened) and (told.what, told.endpoint) == ("rings", "PJSIP/102")
        )
        await control.pick_up("PJSIP/102")
        await desk.stage(call_id, Stage.PRIVATE)
        assert (await desk.order("swap", call_id)).done
        await desk.stage(call_id, Stage.WAITING)
        await control.put_down("PJSIP/101")

        async def with_boris() -> bool:
            (there,) = await control.callers()
            phones = {phone.endpoint: phone.line for phone in await control.phones()}
            return there.talks_with == "PJSIP/102" and phones["PJSIP/101"] == "idle"

        await until(with_boris)
        await control.put_down("PJSIP/102")
        over = await watched.over(call_id)
        assert (over.disposition, over.fault) == ("answered", "none")

    assert len(ordered(play, pbx).journal.lines) == 1


def test_a_consultation_goes_on_with_the_next_router(pbx: Pbx) -> None:
    async def play(watched: Watched, desk: Desk, nursery: trio.Nursery) -> None:
        call_id = await talking(watched, desk)
        assert (await desk.order("consult", call_id, employee="boris")).done
        await watched.until(
            lambda told: isinstance(told, codec.Happened) and (told.what, told.endpoint) == ("rings", "PJSIP/102")
        )
        desk.stop()
        await watched.control.pick_up("PJSIP/102")
        await desk.start(nursery)
        await desk.stage(call_id, Stage.PRIVATE)
        assert watched.count(call_id, "phone_hung_up") == 0
        assert (await desk.order("complete", call_id)).done
        await watched.control.hang_up(call_id)
        assert (await watched.over(call_id)).disposition == "answered"

    assert len(ordered(play, pbx).journal.lines) == 1


def test_a_client_is_called_back(pbx: Pbx) -> None:
    async def play(watched: Watched, desk: Desk, _nursery: trio.Nursery) -> None:
        control = watched.control
        for phone in ("PJSIP/101", "+79161230099"):
            await control.behave(phone, (PhoneAct("answer", 0.1),))
        assert (await desk.order("call_back", None, number="+79161230099")).done

        async def both() -> bool:
            lines = {phone.endpoint: phone.line for phone in await control.phones()}
            return lines["PJSIP/101"] == lines.get("+79161230099") == "busy"

        await until(both)
        await control.put_down("+79161230099")

        async def free() -> bool:
            return {phone.line for phone in await control.phones()} == {"idle"}

        await until(free)

    ordered(play, pbx)


def test_an_operator_picks_up_from_her_desk(pbx: Pbx) -> None:
    async def play(watched: Watched, desk: Desk, _nursery: trio.Nursery) -> None:
        call_id = await watched.control.place(codec.Place("+74951110003", phones=BY_HAND))
        await watched.happened(call_id, "rings")
        assert (await desk.order("answer", call_id)).done
        await desk.stage(call_id, Stage.TALKING)
        assert (await desk.order("hang_up", call_id)).done
        assert (await watched.over(call_id)).disposition == "answered"

    ordered(play, pbx)
