"""The HTTP codec beside h11: what it answers, h11 reads as the same requests, and its replies as well."""

from __future__ import annotations

from dataclasses import dataclass

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from kommutator import _engine

from .server import CALLER, DID, NOW_MS, engine_of, request

ENGINE = engine_of("2-list-and-menu")
ARRIVAL = {"did": DID, "caller": CALLER, "call_id": "call-1"}
JSON = b'{"did": "+74951112233"}'
OF_FRAMING = {400, 408, 413, 414, 417, 431, 501, 505}
"""What says that a request was not understood, and ends the connection; 400 is also for a body that is no JSON."""

SEEDS = [
    request("/v1/calls", ARRIVAL),
    request("/v1/calls", ARRIVAL, Expect="100-continue"),
    request("/v1/calls", ARRIVAL, Connection="close"),
    request("/v1/calls/batch", [ARRIVAL, ARRIVAL]),
    request("/healthz", method="GET"),
    request("/healthz", method="HEAD"),
    request("/v1/calls", method="OPTIONS"),
    b"GET /healthz HTTP/1.0\r\n\r\n",
    b"GET http://a/healthz HTTP/1.1\r\nhost: a\r\n\r\n",
    b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (len(JSON), JSON),
    b"POST /v1/calls HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=b\r\n%b\r\n%X\r\n%b\r\n0\r\n\r\n" % (JSON[:5], len(JSON) - 5, JSON[5:]),
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
]


@dataclass(frozen=True)
class Reply:
    """A reply as h11 reads it."""

    status: int
    closes: bool


def service() -> _engine.HttpService:
    made = _engine.HttpService(ids="q-", tokens=[], looks_up=False, most_items=10, head_limit=16384, body_limit=65536)
    made.engine = ENGINE
    return made


def replies(data: bytes, methods: list[str]) -> list[Reply]:
    """The replies that h11 reads when it asked by these methods; all of the bytes must be replies."""
    found: list[Reply] = []
    client = h11.Connection(h11.CLIENT)
    client.receive_data(data)
    rest = data
    for place in range(1000):
        # What was not understood has a reply with a body, whatever its method may have been.
        understood = place < len(methods) and int(rest[9:12]) not in OF_FRAMING
        method = methods[place] if understood else "POST"
        client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        client.send(h11.EndOfMessage())
        status = 0
        while True:
            event = client.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                break
            elif not isinstance(event, h11.Data | h11.InformationalResponse):
                raise AssertionError(f"no whole reply: {event} of {data!r}")
        closes = client.their_state is h11.MUST_CLOSE
        found.append(Reply(status, closes))
        rest, _ = client.trailing_data
        if closes or not rest:
            assert not rest
            return found
        client.start_next_cycle()
    raise AssertionError("no end")


def requests(data: bytes) -> tuple[list[str], bool]:
    """The methods of the requests that h11 reads whole, and whether it refused what came then."""
    found: list[str] = []
    server = h11.Connection(h11.SERVER)
    try:
        server.receive_data(data)
        method = ""
        while True:
            event = server.next_event()
            if isinstance(event, h11.Request):
                method = event.method.decode()
            elif isinstance(event, h11.EndOfMessage):
                found.append(method)
                server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                server.send(h11.EndOfMessage())
                if server.our_state is h11.MUST_CLOSE:
                    return found, False
                server.start_next_cycle()
            elif event is h11.NEED_DATA or event is h11.PAUSED:
                return found, False
    except h11.RemoteProtocolError:
        return found, True


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Requests behind each other, with something done to their bytes."""
    stream = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(stream) - 1))
        byte = draw(st.sampled_from(b'\r\n \t:\0,;0aF\xff-{}"'))
        match draw(st.integers(0, 3)):
            case 0:
                stream[place] = byte
            case 1:
                stream.insert(place, byte)
            case 2 if len(stream) > 1:
                del stream[place]
            case _:
                stream[place] ^= 0x20
    return bytes(stream)


@settings(max_examples=400, deadline=None)
@given(streams())
def test_no_request_is_answered_that_h11_does_not_see(stream: bytes) -> None:
    told = _engine.HttpConnection(service()).receive(stream, NOW_MS)
    told = told.removesuffix(b"HTTP/1.1 100 Continue\r\n\r\n")  # whose body has not come
    methods, refused = requests(stream)
    if not told:
        return
    found = replies(told, methods)
    understood = [reply for reply in found if reply.status < 400 or not reply.closes]
    assert len(understood) <= len(methods) or (refused and is_stricter(stream)), (methods, found)


def is_stricter(stream: bytes) -> bool:
    """Whether h11 refuses what the standard allows: an empty line before a request (RFC 9112, 2.2), and bytes after a
    request that ends the connection."""
    return stream.startswith(b"\r\n") or b"\r\n\r\n\r\n" in stream


def test_every_seed_is_answered_as_h11_sees_it() -> None:
    for seed in SEEDS:
        told = _engine.HttpConnection(service()).receive(seed, NOW_MS)
        methods, refused = requests(seed)
        assert (len(methods), refused) == (1, False)
        (reply,) = replies(told, methods)
        assert reply.status in (200, 204), told
