"""A call back at Asterisk: the employee's phone, then the client's, and a bridge for both.

Its channels are legs of the call `back-…` (see `names`), and its bridge is that call's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import structlog
import trio

from kommutator.errors import PbxError
from kommutator.pbx.ari import requests
from kommutator.pbx.ari.codec import (
    Channel,
    ChannelDestroyed,
    ChannelStateChange,
    Dial,
    Request,
    Response,
    StasisStart,
)
from kommutator.pbx.ari.inbox import Inbox, Resync
from kommutator.pbx.ari.legs import end_of
from kommutator.pbx.ari.names import bridge_id, leg_id
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import DialStrings

RINGS_S = 30
"""So long each of the two phones rings."""


class CallBack:
    """One call back. `inbox` is where the events of its legs go."""

    def __init__(
        self,
        session: Session,
        application: str,
        dial_strings: DialStrings,
        call_id: str,
        endpoint: str,
        number: str,
        later: Callable[[Request], None],
    ) -> None:
        self.inbox = Inbox()
        self.call_id = call_id
        self.employee_leg = leg_id(call_id, 0, endpoint)
        self.client_leg = leg_id(call_id, 1, number)
        self.talking = False
        self._session = session
        self._application = application
        self._employee_dials = dial_strings.of(endpoint)
        self._client_dials = dial_strings.of(number)
        self._number = number
        self._later = later
        self._log = structlog.get_logger().bind(call=call_id)

    async def run(self, tell: Callable[[str], None]) -> str | None:
        """The `Pbx` port's `call_back`."""
        try:
            shown = requests.set_variable(self.employee_leg, "CONNECTEDLINE(num,i)", self._number)
            reason = await self._ring(self.employee_leg, self._employee_dials, [shown], lambda: tell("ringing"))
            if reason is not None:
                return f"employee_{reason}"
            await self._ask(requests.start_ringback(self.employee_leg))
            reason = await self._ring(self.client_leg, self._client_dials, [], lambda: tell("calling"))
            if reason is not None:
                return "employee_gone" if reason == "other_gone" else f"client_{reason}"
            await self._ask(requests.stop_ringback(self.employee_leg))
            bridge = bridge_id(self.call_id)
            await self._ask(requests.create_bridge(bridge, "kommutator"))
            joined = await self._ask(requests.add_to_bridge(bridge, [self.employee_leg, self.client_leg]))
            if not joined.ok:
                return "client_gone"
            self.talking = True
            tell("talking")
            await self._until_over()
            return None
        except Resync:
            return "failed"
        finally:
            if not self.talking:
                self._hang_up()

    async def _ring(self, leg: str, endpoint: str, before: list[Request], rings: Callable[[], None]) -> str | None:
        """Ring a phone until it is answered; why it was not. `other_gone`: who was there before has hung up."""
        created = await self._ask(requests.create_leg(leg, endpoint, self._application, ("leg",), None))
        if not created.ok:
            return "unreachable"
        until, told = math.inf, False
        while True:
            event = await self.inbox.get(until)
            match event:
                case None:
                    return "no_answer"
                case StasisStart(channel=Channel(id=id)) if id == leg:
                    *_, dialled = await self._session.in_order([*before, requests.dial(leg, None, RINGS_S + 5)])
                    if not dialled.ok:
                        return "unreachable"
                    until = trio.current_time() + RINGS_S
                    if leg == self.client_leg:
                        rings()
                        told = True
                case Dial(peer=Channel(id=id), dialstatus="RINGING" | "PROGRESS") if id == leg and not told:
                    rings()
                    told = True
                case ChannelStateChange(channel=channel) | Dial(peer=channel) if channel.id == leg and channel.up:
                    if not told:
                        rings()
                    return None
                case ChannelDestroyed(channel=Channel(id=id)) if id == leg:
                    ended = end_of(event)
                    return "unreachable" if ended == "unavailable" else ended
                case ChannelDestroyed():
                    return "other_gone"

    async def _until_over(self) -> None:
        """Wait until one hangs up. The adapter ends the other one."""
        while True:
            try:
                if isinstance(await self.inbox.get(), ChannelDestroyed):
                    return
            except Resync:
                await self._session.ready()
                self.inbox.resynced()
                try:
                    for leg in (self.employee_leg, self.client_leg):
                        if (await self._ask(requests.get_channel(leg))).status == 404:
                            return
                except PbxError as error:
                    self._log.warning("a call back is out of sight", reason=str(error))
                    self.inbox.ask_resync()

    def _hang_up(self) -> None:
        for leg in (self.employee_leg, self.client_leg):
            self._later(requests.hang_up(leg, "normal"))
        self._later(requests.destroy_bridge(bridge_id(self.call_id)))

    async def _ask(self, request: Request) -> Response:
        return await self._session.request(request)
