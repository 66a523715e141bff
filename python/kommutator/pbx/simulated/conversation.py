"""Conversations in the simulated PBX: phones called and hung up as an arrangement says, and who hears whom."""

from __future__ import annotations

from kommutator.pbx.simulated.world import Channel, World
from kommutator.routing.conversation import Arrangement, Party, Standing


def arrange(world: World, channel: Channel, arrangement: Arrangement) -> bool:
    """Make the arrangement true; whether anything had to be done for that."""
    wanted = {party.endpoint for party in arrangement.parties}
    unwanted = [endpoint for endpoint in channel.legs if endpoint not in wanted]
    for endpoint in unwanted:
        world.cancel_one(channel, endpoint)
    called = False
    for party in arrangement.parties:
        if party.calling > channel.called:
            channel.called = party.calling
            if party.endpoint not in channel.legs:
                called = True
                channel.ended.pop(party.endpoint, None)
                world.ring(channel, party.endpoint)
    heard = channel.audio == arrangement.audio
    if not heard:
        first, channel.audio = channel.audio is None, arrangement.audio
        if not first:
            world.note_audio(channel)
    return bool(unwanted) or called or not heard


def standing(channel: Channel, arrangement: Arrangement) -> Standing:
    """How the phones are."""
    there = arrangement.operator in arrangement.parties
    guest = arrangement.guest
    return Standing(
        _phone(channel, arrangement.operator) if there else "gone",
        None if guest is None else _phone(channel, guest),
        channel.held_by_phone and there,
    )


def _phone(channel: Channel, party: Party) -> str:
    leg = channel.legs.get(party.endpoint)
    if leg is not None:
        return "up" if leg.up else "ringing" if leg.rang else "calling"
    ended = channel.ended.get(party.endpoint, "gone")
    return "gone" if ended == "answered" else ended
