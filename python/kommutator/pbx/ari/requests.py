"""The REST requests that the adapter makes, each as a function of its meaning."""

from __future__ import annotations

from collections.abc import Sequence

from kommutator.pbx.ari.codec import Request


def ping() -> Request:
    """Ask whether the server answers."""
    return Request("GET", ("asterisk", "ping"))


def list_channels() -> Request:
    """All channels."""
    return Request("GET", ("channels",))


def get_channel(channel: str) -> Request:
    """One channel."""
    return Request("GET", ("channels", channel))


def get_application(application: str) -> Request:
    """The application, with the channels it holds."""
    return Request("GET", ("applications", application))


def filter_events(application: str, types: Sequence[str]) -> Request:
    """Let the server send only these types of events."""
    allowed = [{"type": type_} for type_ in types]
    return Request("PUT", ("applications", application, "eventFilter"), body={"allowed": allowed})


def subscribe(application: str, sources: Sequence[str]) -> Request:
    """Subscribe to event sources such as `deviceState:PJSIP/101`. Repeating it is harmless."""
    return Request("POST", ("applications", application, "subscription"), {"eventSource": ",".join(sources)})


def device_state(device: str) -> Request:
    """A device's state now."""
    return Request("GET", ("deviceStates", device))


def get_variable(channel: str, name: str) -> Request:
    """A channel variable; 404 when it is not set."""
    return Request("GET", ("channels", channel, "variable"), {"variable": name})


def set_variable(channel: str, name: str, value: str) -> Request:
    """Set a channel variable."""
    return Request("POST", ("channels", channel, "variable"), {"variable": name, "value": value})


def answer(channel: str) -> Request:
    """Answer the channel. Harmless when it is answered."""
    return Request("POST", ("channels", channel, "answer"))


def hang_up(channel: str, reason: str) -> Request:
    """End a channel; `reason` is one of ARI's words (`normal`, `busy`, `unallocated`, `answered_elsewhere`, …)."""
    return Request("DELETE", ("channels", channel), {"reason": reason})


def play(channel: str, playback: str, media: Sequence[str]) -> Request:
    """Play media one after another under one playback id."""
    return Request("POST", ("channels", channel, "play", playback), {"media": ",".join(media)})


def get_playback(playback: str) -> Request:
    """A playback that is playing or queued; 404 when it has finished."""
    return Request("GET", ("playbacks", playback))


def stop_playback(playback: str) -> Request:
    """Stop a playback."""
    return Request("DELETE", ("playbacks", playback))


def start_ringback(channel: str) -> Request:
    """Let the caller hear that it rings: 180 before the answer, a tone after."""
    return Request("POST", ("channels", channel, "ring"))


def stop_ringback(channel: str) -> Request:
    """End the ringing tone."""
    return Request("DELETE", ("channels", channel, "ring"))


def indicate_progress(channel: str) -> Request:
    """Open the caller's media before the answer (183)."""
    return Request("POST", ("channels", channel, "progress"))


def start_music(channel: str, music: str | None) -> Request:
    """Play music on hold, of the class named."""
    return Request("POST", ("channels", channel, "moh"), {"mohClass": music} if music else {})


def stop_music(channel: str) -> Request:
    """End music on hold."""
    return Request("DELETE", ("channels", channel, "moh"))


def record(channel: str, name: str, longest_s: int, silence_s: int) -> Request:
    """Record the channel as WAV after a beep, until `#`, so much silence, or so long."""
    return Request(
        "POST",
        ("channels", channel, "record"),
        {
            "name": name,
            "format": "wav",
            "maxDurationSeconds": str(longest_s),
            "maxSilenceSeconds": str(silence_s),
            "ifExists": "overwrite",
            "beep": "true",
            "terminateOn": "#",
        },
    )


def get_live_recording(name: str) -> Request:
    """A recording under way; 404 when there is none."""
    return Request("GET", ("recordings", "live", name))


def get_stored_recording(name: str) -> Request:
    """A stored recording; 404 when there is none."""
    return Request("GET", ("recordings", "stored", name))


def list_stored_recordings() -> Request:
    """All stored recordings."""
    return Request("GET", ("recordings", "stored"))


def get_recording_file(name: str) -> Request:
    """The file of a stored recording. Binary: over HTTP only."""
    return Request("GET", ("recordings", "stored", name, "file"))


def delete_stored_recording(name: str) -> Request:
    """Delete a stored recording."""
    return Request("DELETE", ("recordings", "stored", name))


def create_leg(leg: str, endpoint: str, application: str, arguments: Sequence[str], originator: str | None) -> Request:
    """Create an outgoing channel in the application, not yet dialled. It can be dialled from its StasisStart on."""
    query = {"endpoint": endpoint, "app": application, "appArgs": ",".join(arguments), "channelId": leg}
    if originator is not None:
        query["originator"] = originator
    return Request("POST", ("channels", "create"), query)


def dial(leg: str, caller: str | None, timeout_s: int) -> Request:
    """Dial a created channel; it is hung up when nobody answers in time. `caller` passes his id on to the phone."""
    query = {"timeout": str(timeout_s)}
    return Request("POST", ("channels", leg, "dial"), query if caller is None else {"caller": caller, **query})


def tell_transfer(leg: str, state: str) -> Request:
    """Tell a phone that pressed its transfer key how that goes: `channel_answered`, `channel_declined`, …"""
    return Request("POST", ("channels", leg, "transfer_progress"), {"states": state})


def create_bridge(bridge: str, name: str) -> Request:
    """Create a mixing bridge. Harmless when it exists."""
    return Request("POST", ("bridges", bridge), {"type": "mixing", "name": name})


def get_bridge(bridge: str) -> Request:
    """A bridge with its channels; 404 when there is none."""
    return Request("GET", ("bridges", bridge))


def list_bridges() -> Request:
    """All bridges."""
    return Request("GET", ("bridges",))


def add_to_bridge(bridge: str, channels: Sequence[str]) -> Request:
    """Move channels into a bridge."""
    return Request("POST", ("bridges", bridge, "addChannel"), {"channel": ",".join(channels)})


def remove_from_bridge(bridge: str, channel: str) -> Request:
    """Take a channel out of a bridge; it stays in the application."""
    return Request("POST", ("bridges", bridge, "removeChannel"), {"channel": channel})


def destroy_bridge(bridge: str) -> Request:
    """Destroy a bridge; its channels stay in the application."""
    return Request("DELETE", ("bridges", bridge))
