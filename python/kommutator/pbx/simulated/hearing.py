"""What people hear at the simulated PBX now, and what has happened to a caller: for whoever plays them."""

from __future__ import annotations

from kommutator.errors import CallGone
from kommutator.pbx.simulated.codec import CallerHears, CallStory, Happened, PhoneHears
from kommutator.pbx.simulated.world import Channel, Happening, Leg, World


def story(world: World, call_id: str) -> CallStory:
    """A caller's story up to now. Raises `CallGone` for one whom the PBX does not remember.

    It looks back through the log to his coming: at most as many lines as the world keeps.
    """
    channel = world.channels.get(call_id) or next(
        (each for each in reversed(world.past) if each.call_id == call_id), None
    )
    if channel is None:
        raise CallGone(f"{call_id}: no such caller is remembered")
    happened: list[Happening] = []
    for happening in reversed(world.log):
        if happening.call_id == call_id:
            happened.append(happening)
            if happening.what == "came":
                break
    talks_with = next((leg.endpoint for leg in channel.legs.values() if leg.up), None)
    return CallStory(
        call_id,
        channel.did,
        channel.caller,
        channel.came_ms,
        channel.gone_ms,
        caller_hears(channel, world.agenda.now_ms()),
        talks_with if channel.gone_ms is None else None,
        tuple(Happened(each.at_ms, call_id, each.what, each.endpoint, each.detail) for each in reversed(happened)),
    )


def caller_hears(channel: Channel, now_ms: int) -> CallerHears:
    """What the caller hears."""
    if channel.gone_ms is not None:
        return "gone"
    if channel.held_by_phone:
        return "music"  # the phone's own doing: no arrangement tells it
    if channel.audio is not None:
        return "somebody" if channel.audio.client == "operator" else channel.audio.client
    if any(leg.up for leg in channel.legs.values()):
        return "somebody"
    if channel.doing == "record" or channel.fallback:
        return "prompt" if channel.message is None else "beep"
    if channel.hears_until_ms > now_ms:
        return "prompt"
    match channel.doing:
        case "menu":
            return "menu"
        case "wait":
            return "music"
        case "ring" | "transfer":
            return "ringing" if channel.music is None else "music"
        case _:
            return "nothing"


def phone_hears(leg: Leg) -> PhoneHears | None:
    """What is heard at the phone; None unless it was answered."""
    if not leg.up:
        return None
    channel = leg.channel
    if channel.held_by_phone:
        return "nothing"
    arrangement, audio = channel.arrangement, channel.audio
    if arrangement is None or audio is None:
        return "client"
    if arrangement.guest is not None and arrangement.guest.endpoint == leg.endpoint:
        return audio.guest
    return audio.operator
