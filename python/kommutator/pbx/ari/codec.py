"""ARI as bytes: requests for both transports, responses and events as frozen objects. No I/O.

Source: the Asterisk REST Interface of Asterisk 22 (`rest-api/*.json` in its data directory). Requests may travel over
the event websocket since 20.14, 21.9 and 22.4; older servers take them over HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from kommutator.errors import PbxProtocolError


class Request(msgspec.Struct, frozen=True):
    """One REST request."""

    method: str
    path: tuple[str, ...]
    """Segments below `/ari`, unquoted."""
    query: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None

    @property
    def uri(self) -> str:
        """`channels/1763759999.1/answer`: quoted, without a leading slash or the query."""
        return "/".join(quote(segment, safe="~:@!$&'()*+,;=") for segment in self.path)


class Response(msgspec.Struct, frozen=True):
    """The answer to a request, of either transport."""

    status: int
    reason: str
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request was carried out."""
        return 200 <= self.status < 300

    def decode(self) -> Any:
        """The body as plain JSON values; None when there is none. Raises `PbxProtocolError`."""
        if not self.body:
            return None
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError as error:
            raise PbxProtocolError(f"the body of a response is no JSON: {error}") from error


# --- events


class Party(msgspec.Struct, frozen=True):
    """A caller id."""

    number: str = ""
    name: str = ""


class Dialplan(msgspec.Struct, frozen=True):
    """Where in the dialplan a channel is."""

    context: str = ""
    exten: str = ""
    app_name: str = ""
    app_data: str = ""


class Channel(msgspec.Struct, frozen=True):
    """A channel's snapshot."""

    id: str
    name: str = ""
    state: str = ""
    """`Down`, `Ring`, `Ringing`, `Up`, …"""
    caller: Party = Party()
    dialplan: Dialplan = Dialplan()

    @property
    def up(self) -> bool:
        """Whether the channel is answered."""
        return self.state == "Up"


class Playback(msgspec.Struct, frozen=True):
    """Media being played."""

    id: str
    state: str = ""
    target_uri: str = ""


class Recording(msgspec.Struct, frozen=True):
    """A recording under way."""

    name: str
    state: str = ""
    duration: int | None = None
    """Whole seconds; given when it is finished."""
    cause: str | None = None
    target_uri: str = ""


class StasisStart(msgspec.Struct, frozen=True, tag="StasisStart"):
    """A channel has entered the application."""

    channel: Channel
    args: tuple[str, ...] = ()


class StasisEnd(msgspec.Struct, frozen=True, tag="StasisEnd"):
    """A channel has left the application."""

    channel: Channel


class ChannelStateChange(msgspec.Struct, frozen=True, tag="ChannelStateChange"):
    """A channel's state has changed; `channel.state` is the new one."""

    channel: Channel


class ChannelDestroyed(msgspec.Struct, frozen=True, tag="ChannelDestroyed"):
    """A channel is gone."""

    channel: Channel
    cause: int = 0
    """Q.850."""
    tech_cause: int | None = None
    """The SIP status, where Asterisk is new enough to tell."""


class ChannelHangupRequest(msgspec.Struct, frozen=True, tag="ChannelHangupRequest"):
    """The far side, or the application, asked for the channel to end. The first sign of a caller's hang-up."""

    channel: Channel
    cause: int = 0


class ChannelDtmfReceived(msgspec.Struct, frozen=True, tag="ChannelDtmfReceived"):
    """A digit."""

    channel: Channel
    digit: str


class ChannelHold(msgspec.Struct, frozen=True, tag="ChannelHold"):
    """A phone has put its call on hold."""

    channel: Channel


class ChannelUnhold(msgspec.Struct, frozen=True, tag="ChannelUnhold"):
    """A phone has taken its call back."""

    channel: Channel


class Destination(msgspec.Struct, frozen=True):
    """Where a phone wants its other side to go: an extension, or (attended) another call of its own."""

    destination: str | None = None
    protocol_id: str | None = None


class ReferTo(msgspec.Struct, frozen=True):
    """What a REFER asks for."""

    requested_destination: Destination = Destination()


class ReferredBy(msgspec.Struct, frozen=True):
    """Who sends a REFER."""

    source_channel: Channel


class ChannelTransfer(msgspec.Struct, frozen=True, tag="ChannelTransfer"):
    """A phone has pressed its transfer key: a REFER, which is left to us by `PJSIP_TRANSFER_HANDLING` (since 20.13, 21.8,
    22.3). Told again, with another state, as the transfer goes on.
    """

    referred_by: ReferredBy
    refer_to: ReferTo = ReferTo()
    state: str | None = None


class Dial(msgspec.Struct, frozen=True, tag="Dial"):
    """Progress of an outgoing leg: `dialstatus` is empty, RINGING, PROGRESS, PROCEEDING, ANSWER, BUSY, NOANSWER, …"""

    peer: Channel
    dialstatus: str = ""


class PlaybackStarted(msgspec.Struct, frozen=True, tag="PlaybackStarted"):
    """Media has begun to play."""

    playback: Playback


class PlaybackFinished(msgspec.Struct, frozen=True, tag="PlaybackFinished"):
    """Media has been played, or stopped, or failed."""

    playback: Playback


class RecordingStarted(msgspec.Struct, frozen=True, tag="RecordingStarted"):
    """Recording has begun, after the beep."""

    recording: Recording


class RecordingFinished(msgspec.Struct, frozen=True, tag="RecordingFinished"):
    """A recording is complete, and stored."""

    recording: Recording


class RecordingFailed(msgspec.Struct, frozen=True, tag="RecordingFailed"):
    """A recording could not be made."""

    recording: Recording


class Device(msgspec.Struct, frozen=True):
    """A device and its state."""

    name: str
    state: str
    """`NOT_INUSE`, `INUSE`, `BUSY`, `INVALID`, `UNAVAILABLE`, `RINGING`, `RINGINUSE`, `ONHOLD`, `UNKNOWN`."""


class DeviceStateChanged(msgspec.Struct, frozen=True, tag="DeviceStateChanged"):
    """A device's state has changed."""

    device_state: Device


class ApplicationReplaced(msgspec.Struct, frozen=True, tag="ApplicationReplaced"):
    """Another client has connected under this application's name; this connection gets nothing more."""

    application: str = ""


class RestResponse(msgspec.Struct, frozen=True, tag="RESTResponse"):
    """The answer to a request sent over the websocket."""

    request_id: str = ""
    status_code: int = 0
    reason_phrase: str = ""
    message_body: str = ""


Event = (
    StasisStart | StasisEnd | ChannelStateChange | ChannelDestroyed | ChannelHangupRequest | ChannelDtmfReceived
    | ChannelHold | ChannelUnhold | ChannelTransfer | Dial | PlaybackStarted | PlaybackFinished | RecordingStarted
    | RecordingFinished | RecordingFailed | DeviceStateChanged | ApplicationReplaced | RestResponse
)  # fmt: skip


class _Any(msgspec.Struct, frozen=True):
    type: str


EVENT_TYPES: tuple[str, ...] = tuple(sorted(
    str(member.__struct_config__.tag)
    for member in (
        StasisStart, StasisEnd, ChannelStateChange, ChannelDestroyed, ChannelHangupRequest, ChannelDtmfReceived,
        ChannelHold, ChannelUnhold, ChannelTransfer, Dial, PlaybackStarted, PlaybackFinished, RecordingStarted,
        RecordingFinished, RecordingFailed, DeviceStateChanged, ApplicationReplaced, RestResponse,
    )
))  # fmt: skip
"""The types that `decode_event` knows."""

_KNOWN = frozenset(EVENT_TYPES)
_event = msgspec.json.Decoder(Event)
_any = msgspec.json.Decoder(_Any)


def decode_event(message: str | bytes) -> Event | None:
    """One message of the event websocket; None for a type that nobody here needs. Raises `PbxProtocolError`."""
    try:
        if _any.decode(message).type not in _KNOWN:
            return None
        event: Event = _event.decode(message)
        return event
    except msgspec.DecodeError as error:
        raise PbxProtocolError(f"not an ARI event: {error}") from error


def decode_channel(value: Any) -> Channel:
    """A channel from a response's JSON. Raises `PbxProtocolError`."""
    try:
        return msgspec.convert(value, Channel)
    except msgspec.ValidationError as error:
        raise PbxProtocolError(f"not an ARI channel: {error}") from error


# --- the two transports


def encode_websocket(request: Request, request_id: str) -> str:
    """The request as a message of the event websocket."""
    message: dict[str, Any] = {
        "type": "RESTRequest",
        "transaction_id": request_id,
        "request_id": request_id,
        "method": request.method,
        "uri": request.uri,
    }
    if request.query:
        message["query_strings"] = [{"name": name, "value": value} for name, value in request.query.items()]
    if request.body is not None:
        message["content_type"] = "application/json"
        message["message_body"] = msgspec.json.encode(request.body).decode()
    return msgspec.json.encode(message).decode()


def encode_http(request: Request, base: str) -> tuple[str, str, bytes | None]:
    """The request for HTTP as (method, absolute URL, JSON body); `base` ends in `/ari`."""
    url = f"{base}/{request.uri}"
    if request.query:
        url += "?" + urlencode(request.query)
    return request.method, url, None if request.body is None else msgspec.json.encode(request.body)


def websocket_response(message: RestResponse) -> Response:
    """The response inside a websocket message."""
    return Response(message.status_code, message.reason_phrase, message.message_body.encode())


def base_of(url: str) -> str:
    """The base of all resources: the server's address with `/ari`, whether or not it was given with it."""
    base = url.rstrip("/")
    return base if base.endswith("/ari") else f"{base}/ari"


def events_path(application: str) -> str:
    """The resource of the event websocket, below the base URL."""
    return "/events?" + urlencode({"app": application, "subscribeAll": "false"})
