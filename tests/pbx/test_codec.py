"""ARI's wire forms, as Asterisk 22.10 sends and takes them."""

from __future__ import annotations

import json

import pytest

from kommutator.errors import PbxProtocolError
from kommutator.pbx.ari import codec, names, requests
from kommutator.pbx.ari.codec import Channel, Dialplan, Party
from kommutator.pbx.asterisk import recording_name

CHANNEL = {
    "id": "t-1795296290.0", "name": "PJSIP/trunk-00000000", "state": "Ring", "protocol_id": "0.5833",
    "caller": {"name": "", "number": "89161230099"}, "connected": {"name": "", "number": ""}, "accountcode": "",
    "dialplan": {
        "context": "kommutator", "exten": "+74951112233", "priority": 1, "app_name": "Stasis", "app_data": "kommutator",
    },
    "creationtime": "2026-11-21T21:25:42.151+0000", "language": "en",
}  # fmt: skip
FRAME = {"timestamp": "2026-11-21T21:25:42.157+0000", "asterisk_id": "02:42:ac:11", "application": "kommutator"}
READ = Channel(
    "t-1795296290.0",
    "PJSIP/trunk-00000000",
    "Ring",
    Party("89161230099", ""),
    Dialplan("kommutator", "+74951112233", "Stasis", "kommutator"),
)
RECORDING = {"name": "kt-1", "format": "wav", "state": "done", "target_uri": "channel:c", "duration": 4}
PLAYBACK = {"id": "p", "media_uri": "sound:x", "target_uri": "channel:c", "language": "en", "state": "done"}

EVENTS: list[tuple[dict[str, object], codec.Event]] = [
    ({"type": "StasisStart", "args": [], "channel": CHANNEL}, codec.StasisStart(READ)),
    ({"type": "StasisStart", "args": ["a", "b"], "channel": CHANNEL}, codec.StasisStart(READ, ("a", "b"))),
    ({"type": "StasisEnd", "channel": CHANNEL}, codec.StasisEnd(READ)),
    ({"type": "ChannelStateChange", "channel": CHANNEL}, codec.ChannelStateChange(READ)),
    (
        {"type": "ChannelDestroyed", "cause": 17, "cause_txt": "User busy", "tech_cause": 486, "channel": CHANNEL},
        codec.ChannelDestroyed(READ, 17, 486),
    ),
    ({"type": "ChannelDestroyed", "cause": 16, "channel": CHANNEL}, codec.ChannelDestroyed(READ, 16)),
    ({"type": "ChannelHangupRequest", "cause": 16, "channel": CHANNEL}, codec.ChannelHangupRequest(READ, 16)),
    (
        {"type": "ChannelDtmfReceived", "digit": "#", "duration_ms": 100, "channel": CHANNEL},
        codec.ChannelDtmfReceived(READ, "#"),
    ),
    (
        {"type": "Dial", "dialstatus": "PROGRESS", "forward": "", "dialstring": "", "peer": CHANNEL},
        codec.Dial(READ, "PROGRESS"),
    ),
    (
        {"type": "PlaybackFinished", "playback": PLAYBACK},
        codec.PlaybackFinished(codec.Playback("p", "done", "channel:c")),
    ),
    (
        {"type": "RecordingFinished", "recording": RECORDING},
        codec.RecordingFinished(codec.Recording("kt-1", "done", 4, None, "channel:c")),
    ),
    (
        {"type": "DeviceStateChanged", "device_state": {"name": "PJSIP/101", "state": "INUSE"}},
        codec.DeviceStateChanged(codec.Device("PJSIP/101", "INUSE")),
    ),
    (
        {
            "type": "RESTResponse", "transaction_id": "1f", "request_id": "1f", "status_code": 404,
            "reason_phrase": "Not Found", "uri": "channels/x", "content_type": "application/json",
            "message_body": '{"message":"Channel not found"}',
        },
        codec.RestResponse("1f", 404, "Not Found", '{"message":"Channel not found"}'),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("sent", "read"), EVENTS, ids=lambda value: value.get("type") if isinstance(value, dict) else ""
)
def test_events_are_read(sent: dict[str, object], read: codec.Event) -> None:
    message = json.dumps({**FRAME, **sent})
    assert codec.decode_event(message) == read
    assert codec.decode_event(message.encode()) == read


@pytest.mark.parametrize("sent", [sent for sent, _ in EVENTS], ids=lambda sent: sent["type"])
def test_a_cut_or_trailing_message_is_refused(sent: dict[str, object]) -> None:
    message = json.dumps({**FRAME, **sent})
    for end in range(len(message)):
        with pytest.raises(PbxProtocolError):
            codec.decode_event(message[:end])
    with pytest.raises(PbxProtocolError):
        codec.decode_event(message + "{}")


def test_events_that_nobody_needs_are_passed_over() -> None:
    assert codec.decode_event('{"type": "ChannelVarset", "variable": "A", "value": "", "channel": {}}') is None
    assert codec.decode_event('{"type": "Invented2030"}') is None


@pytest.mark.parametrize(
    "message",
    [
        "", "null", "[]", '"StasisStart"', "{}", '{"type": 5}', '{"type": "StasisStart"}',
        '{"type": "StasisEnd", "channel": {}}',
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(message: str) -> None:
    with pytest.raises(PbxProtocolError):
        codec.decode_event(message)


def test_every_type_that_is_read_is_asked_for() -> None:
    assert {sent["type"] for sent, _ in EVENTS} <= set(codec.EVENT_TYPES)
    asked = requests.filter_events("kommutator", codec.EVENT_TYPES).body
    assert asked == {"allowed": [{"type": each} for each in codec.EVENT_TYPES]}


LEG = "kt~t-1.0~3~UEpTSVAvMTAx"
REQUESTS = [
    (requests.ping(), "GET", "asterisk/ping", {}, None),
    (requests.answer("t-1.0"), "POST", "channels/t-1.0/answer", {}, None),
    (
        requests.play("t-1.0", "kt~t-1.0~0~play", ["sound:/a b/c", "sound:/d"]),
        "POST", "channels/t-1.0/play/kt~t-1.0~0~play", {"media": "sound:/a b/c,sound:/d"}, None,
    ),
    (requests.device_state("PJSIP/101"), "GET", "deviceStates/PJSIP%2F101", {}, None),
    (requests.delete_stored_recording("a/b?c"), "DELETE", "recordings/stored/a%2Fb%3Fc", {}, None),
    (
        requests.set_variable("t-1.0", "KOMMUTATOR_STATE", "AX_-"),
        "POST", "channels/t-1.0/variable", {"variable": "KOMMUTATOR_STATE", "value": "AX_-"}, None,
    ),
    (
        requests.create_leg(LEG, "PJSIP/+79161230001@trunk", "kommutator", ("leg",), "t-1.0"),
        "POST", "channels/create",
        {
            "endpoint": "PJSIP/+79161230001@trunk", "app": "kommutator", "appArgs": "leg", "channelId": LEG,
            "originator": "t-1.0",
        },
        None,
    ),
    (requests.hang_up(LEG, "answered_elsewhere"), "DELETE", f"channels/{LEG}", {"reason": "answered_elsewhere"}, None),
    (
        requests.filter_events("kommutator", ["Dial"]),
        "PUT", "applications/kommutator/eventFilter", {}, {"allowed": [{"type": "Dial"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "method", "uri", "query", "body"), REQUESTS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_requests_travel_by_both_transports(
    request_: codec.Request, method: str, uri: str, query: dict[str, str], body: object
) -> None:
    message = json.loads(codec.encode_websocket(request_, "1f"))
    assert (message.pop("type"), message.pop("request_id"), message.pop("transaction_id")) == (
        "RESTRequest",
        "1f",
        "1f",
    )
    assert (message.pop("method"), message.pop("uri")) == (method, uri)
    assert {each["name"]: each["value"] for each in message.pop("query_strings", [])} == query
    assert json.loads(message.pop("message_body", "null")) == body
    assert message == ({} if body is None else {"content_type": "application/json"})

    http_method, url, content = codec.encode_http(request_, "http://pbx/ari")
    path, _, query_text = url.partition("?")
    assert (http_method, path) == (method, f"http://pbx/ari/{uri}")
    assert query_text.count("=") == len(query)
    assert "+" not in query_text.replace("a+b", ""), "a number's plus must be quoted, or it becomes a blank"
    assert json.loads(content or b"null") == body


def test_responses_say_whether_they_are_well() -> None:
    assert codec.Response(204, "No Content", b"").ok
    assert codec.Response(204, "No Content", b"").decode() is None
    assert not codec.Response(409, "Conflict", b"{}").ok
    assert codec.Response(200, "OK", b'[{"id": "x"}]').decode() == [{"id": "x"}]
    with pytest.raises(PbxProtocolError):
        codec.Response(200, "OK", b"<html>").decode()


def test_the_address_may_be_given_with_ari_or_without() -> None:
    for given in ("http://pbx:8088", "http://pbx:8088/", "http://pbx:8088/ari", "http://pbx:8088/ari/"):
        assert codec.base_of(given) == "http://pbx:8088/ari"
    assert codec.base_of("https://pbx/asterisk/ari") == "https://pbx/asterisk/ari"
    assert codec.events_path("kommutator") == "/events?app=kommutator&subscribeAll=false"


@pytest.mark.parametrize("endpoint", ["PJSIP/101", "+79161230001", "PJSIP/a~b@c", "SIP/Отдел"])
def test_a_leg_tells_its_call_and_endpoint(endpoint: str) -> None:
    leg = names.leg_id("t-1795296290.0", 12, endpoint)
    assert names.parse_leg(leg) == ("t-1795296290.0", endpoint)
    assert names.is_ours(leg)
    assert codec.Request("GET", ("channels", leg)).uri == f"channels/{leg}", "the id needs no quoting"


@pytest.mark.parametrize("channel", ["t-1795296290.0", "kt~a~b", "kt~a~1~*", "kt~a~1~/w~x", "kt~a~1~_w"])
def test_other_channels_are_no_legs(channel: str) -> None:
    assert names.parse_leg(channel) is None


def test_recordings_are_one_safe_segment() -> None:
    assert recording_name("t-1.0-3") == "kt-t-1.0-3"
    assert recording_name("../../etc/passwd") == "kt-.._.._etc_passwd"
