"""A call back in the simulated PBX: an employee's phone, then the client's."""

from __future__ import annotations

from collections.abc import Callable

from kommutator.errors import PbxRefused
from kommutator.pbx.simulated.behaviour import CallerScript
from kommutator.pbx.simulated.world import Channel, Inbox, Leg, World

RINGS_S = 30.0
"""So long each of the two phones rings."""


async def call_back(world: World, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
    """The `Pbx` port's `call_back`. Talking, the two stay together when this is cancelled."""
    if endpoint == number:
        raise PbxRefused(f"{number} cannot call itself")
    channel = Channel(call_id, number, None, CallerScript(), world.agenda.now_ms())
    inbox = channel.inbox = Inbox()
    talking = False
    try:
        for phone, who, word in ((endpoint, "employee", "ringing"), (number, "client", "calling")):
            world.ring(channel, phone)
            if who == "client" or channel.legs[phone].rang:
                tell(word)
            reason = await _answer_of(world, channel, phone, inbox)
            if reason is None and endpoint not in channel.legs:
                reason, who = "gone", "employee"
            if reason is not None:
                return f"{who}_{reason}"
        talking = True
        tell("talking")
        # Whichever hangs up, the PBX ends the other, with or without a router.
        channel.given_away = True
        world.channels[call_id] = channel
        while len(channel.legs) == 2:
            await inbox.get()
        return None
    finally:
        channel.inbox = None
        if not talking:
            world.cancel(channel)


async def over(world: World, call_id: str) -> bool:
    """The `Pbx` port's `call_back_over`."""
    channel = world.channels.get(call_id)
    if channel is None:
        return False
    inbox = channel.inbox = channel.inbox or Inbox()
    try:
        while len(channel.legs) == 2:
            await inbox.get()
    finally:
        if channel.inbox is inbox:
            channel.inbox = None
    return True


def hang_up(world: World, call_id: str) -> None:
    """The `Pbx` port's `hang_up_call_back`."""
    channel = world.channels.get(call_id)
    if channel is not None:
        world.cancel(channel)


async def _answer_of(world: World, channel: Channel, phone: str, inbox: Inbox) -> str | None:
    """Wait until a phone is answered; why it was not."""
    until_ms = world.agenda.now_ms() + round(RINGS_S * 1000)
    alarm = world.agenda.at(until_ms, inbox.post)
    others = len(channel.legs) - 1
    try:
        while True:
            leg: Leg | None = channel.legs.get(phone)
            if leg is None:
                ended = channel.ended[phone]
                return "unreachable" if ended == "unavailable" else ended
            if leg.up or len(channel.legs) <= others:
                return None
            if world.agenda.now_ms() >= until_ms:
                return "no_answer"
            await inbox.get()
    finally:
        alarm.drop()
