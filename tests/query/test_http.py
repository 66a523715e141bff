"""Queries over real sockets: what is answered, to whom, and when a connection ends."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import h11
import orjson
import pytest
import trio
import trio.testing
import trustme

from kommutator.errors import AddressTaken
from kommutator.query.http import HttpSettings
from kommutator.query.listening import listen, server_tls

from .server import CALLER, DID, NOW_MS, PATIENCE_S, ROOT, Answers, Client, Clock, engine_of, request, serving

pytestmark = pytest.mark.trio

CALLS = orjson.loads((ROOT / "bench/calls.json").read_bytes())
ARRIVAL = {"did": DID, "caller": CALLER, "call_id": "call-1"}


def moment_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


async def raw(client: Client) -> bytes:
    """The body of the next reply, as it was sent."""
    received = b""
    with trio.fail_after(PATIENCE_S):
        while b"\r\n\r\n" not in received:
            received += await client.stream.receive_some(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += await client.stream.receive_some(65536)
    assert len(body) == length
    return body


@pytest.mark.parametrize("scheme", CALLS)
async def test_every_step_is_answered_with_the_very_bytes_of_the_engine(scheme: str) -> None:
    call: Mapping[str, Any] = CALLS[scheme]
    asked, engine = engine_of(scheme), engine_of(scheme)
    for each in (asked, engine):
        if "called" in call:
            each.called(call["caller"], moment_ms(call["called"]))
        if "owner" in call:
            each.owner_is(call["caller"], call["owner"])
    at_ms = moment_ms(call["at"])
    async with serving(asked) as serves:
        client = await serves.client()
        arrival = {"did": call["did"], "caller": call["caller"], "call_id": "call-1", "at": call["at"]}
        turn = engine.arrive("call-1", call["did"], call["caller"], at_ms)
        await client.send(request("/v1/calls", arrival))
        assert await raw(client) == orjson.dumps(turn.to_dict())
        for seconds, event in call["events"]:
            at_ms += round(seconds * 1000)
            step = {"state": turn.state_text, "event": event, "at": at_ms}
            turn = engine.handle(turn.state, event, at_ms)
            await client.send(request("/v1/calls/step", step))
            assert await raw(client) == orjson.dumps(turn.to_dict())
    assert turn.action.type == "end"


async def test_now_is_now_and_a_call_without_an_id_gets_one() -> None:
    engine = engine_of("2-list-and-menu")
    async with serving(engine_of("2-list-and-menu")) as serves:
        client = await serves.client()
        ids = set()
        for _ in range(2):
            await client.send(request("/v1/calls", {"did": DID, "caller": None, "at": None}))
            _, fields, told = await client.reply()
            ids.add(fields["kommutator-call"])
            turn = engine.arrive(fields["kommutator-call"], DID, None, NOW_MS)
            assert told == orjson.loads(orjson.dumps(turn.to_dict()))
        assert len(ids) == 2


async def test_a_batch_is_answered_in_order_each_with_its_turn_or_its_problem() -> None:
    engine = engine_of("2-list-and-menu")
    async with serving(engine_of("2-list-and-menu")) as serves:
        client = await serves.client()
        first = engine.arrive("call-1", DID, CALLER, NOW_MS)
        items = [
            ARRIVAL,
            {"state": first.state_text, "event": {"type": "played"}},
            {"state": first.state_text, "event": {"type": "answered", "endpoint": "PJSIP/101"}},
            {"did": DID, "call_id": "x" * 65},
            {"did": DID, "colour": "red"},
        ]
        told = await client.ask("/v1/calls/batch", items)
        assert told[0] == orjson.loads(orjson.dumps(first.to_dict()))
        assert told[1]["action"]["type"] == "menu"
        problems = [(each["status"], each["code"], each["errors"][0]["path"]) for each in told[2:]]
        assert problems == [
            (409, "unexpected_event", "body.2.event"),
            (422, "bad_call_id", "body.3.call_id"),
            (422, "form_invalid", "body.4.colour"),
        ]


async def test_what_does_not_fit_is_told_and_the_connection_goes_on() -> None:
    async with serving(engine_of("2-list-and-menu")) as serves:
        client = await serves.client()
        turn = await client.ask("/v1/calls", ARRIVAL)
        damaged = turn["state"][:-4] + "AAAA"
        for path, body, status, code in [
            ("/v1/calls/step", {"state": turn["state"], "event": {"type": "hung_up"}}, 409, "unexpected_event"),
            ("/v1/calls/step", {"state": damaged, "event": {"type": "played"}}, 422, "bad_state"),
            ("/v1/calls/step", {"state": turn["state"], "event": {"type": "danced"}}, 422, "form_invalid"),
            ("/v1/calls", b'{"did": "1",}', 400, "bad_json"),
            ("/v1/calls", b'{"did": "\xff"}', 400, "bad_json"),
        ]:
            await client.send(request(path, body))
            got, fields, told = await client.reply()
            assert (got, told["code"], fields["content-type"]) == (status, code, "application/problem+json")
            assert told["status"] == status
            assert told["type"] == f"urn:kommutator:problem:{code}"
        assert (await client.ask("/v1/calls", ARRIVAL)) == turn


async def test_requests_that_come_together_are_answered_together_and_in_order() -> None:
    async with serving(engine_of("2-list-and-menu")) as serves:
        client = await serves.client()
        calls = [{"did": DID, "caller": CALLER, "call_id": f"call-{number}"} for number in range(200)]
        await client.send(b"".join(request("/v1/calls", call) for call in calls))
        engine = engine_of("2-list-and-menu")
        for call in calls:
            turn = engine.arrive(call["call_id"], DID, CALLER, NOW_MS)
            assert (await client.reply())[2]["state"] == turn.state_text
        assert serves.server.figures()["arrivals"] == 200


async def test_a_client_that_sends_everything_before_it_reads_gets_everything() -> None:
    async with serving(engine_of("2-list-and-menu")) as serves:
        client = await serves.client()
        together = request("/v1/calls", ARRIVAL) * 100

        async def send() -> None:
            for _ in range(100):
                await client.send(together)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await serves_until(lambda: serves.server.figures()["arrivals"] >= 1000)
            for _ in range(10_000):
                status, _, _ = await client.reply()
                assert status == 200


async def serves_until(condition: Any) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)


async def test_before_there_is_a_version_nothing_is_routed() -> None:
    async with serving(None) as serves:
        client = await serves.client()
        await client.send(request("/healthz", method="GET") + request("/v1/calls", ARRIVAL))
        for _ in range(2):
            status, fields, told = await client.reply()
            assert (status, fields["retry-after"], told["code"]) == (503, "2", "no_version")


async def test_only_who_has_a_token_may_ask() -> None:
    settings = HttpSettings(tokens=("first-token", "second-token"))
    async with serving(engine_of("2-list-and-menu"), settings) as serves:
        for token, status in [("first-token", 200), ("second-token", 200), ("third-token", 401), ("", 401)]:
            client = await serves.client()
            await client.send(request("/v1/calls", ARRIVAL, Authorization=f"Bearer {token}"))
            got, fields, _ = await client.reply()
            assert got == status
            assert (fields.get("www-authenticate") is None) == (status == 200)
            assert await is_open(client) == (status == 200)
        client = await serves.client()
        await client.send(request("/healthz", method="GET"))
        assert (await client.reply())[0] == 200


async def is_open(client: Client) -> bool:
    """Whether another request is answered."""
    try:
        await client.send(request("/healthz", method="GET"))
        return (await client.reply("GET"))[0] == 200
    except (trio.BrokenResourceError, h11.LocalProtocolError, h11.RemoteProtocolError):
        return False


async def test_a_unix_socket_serves_its_user_and_group_and_a_left_over_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "query.sock"
    for _ in range(2):  # the second finds the socket of the first, which nobody listens at
        async with serving(engine_of("2-list-and-menu"), address=f"unix:{path}") as serves:
            assert path.stat().st_mode & 0o777 == 0o660
            assert (await (await serves.client()).ask("/v1/calls", ARRIVAL))["action"]["type"] == "play"
            with pytest.raises(AddressTaken):
                listen(f"unix:{path}")
        assert path.is_socket()


async def test_an_address_is_shared_only_where_all_want_it() -> None:
    (first,) = listen("127.0.0.1:0", shared=True)
    address = f"127.0.0.1:{first.getsockname()[1]}"
    (second,) = listen(address, shared=True)
    with first, second, pytest.raises(AddressTaken):
        listen(address)


async def test_clients_are_known_by_their_certificates(tmp_path: Path) -> None:
    ours, theirs, strange = trustme.CA(), trustme.CA(), trustme.CA()
    certificate = ours.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    theirs.cert_pem.write_to_path(tmp_path / "clients.pem")
    tls = server_tls(tmp_path / "server.pem", None, tmp_path / "clients.pem")
    async with serving(engine_of("2-list-and-menu"), tls=tls) as serves:
        for authority in (theirs, strange, None):
            context = ssl.create_default_context()
            ours.configure_trust(context)
            if authority is not None:
                authority.issue_cert("client@example.org").configure_cert(context)
            client = await serves.client(context)
            if authority is theirs:
                for _ in range(2):
                    assert (await client.ask("/v1/calls", ARRIVAL))["action"]["type"] == "play"
                await client.send(request("/v1/calls", ARRIVAL, Connection="close"))
                assert (await client.reply())[0] == 200
                assert await client.closed()
            else:
                with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
                    await client.ask("/v1/calls", ARRIVAL)
        await serves_until(lambda: serves.server.connections == 0)


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", None), (b"POST /v1/calls HTTP/1.1\r\nHos", 408), (request("/v1/calls", ARRIVAL)[:-1], 408)],
    ids=["idle", "head", "body"],
)
async def test_a_connection_on_which_nothing_comes_ends(sent: bytes, status: int | None) -> None:
    settings = HttpSettings(idle_s=0.2, head_s=0.2, body_s=0.2)
    async with serving(engine_of("2-list-and-menu"), settings) as serves:
        client = await serves.client()
        await client.send(sent)
        if status is not None:
            assert (await client.reply())[0] == status
        assert await client.closed()
        await serves_until(lambda: serves.server.connections == 0)


async def test_drops_of_a_head_are_no_progress() -> None:
    async with serving(engine_of("2-list-and-menu"), HttpSettings(head_s=0.3)) as serves:
        client = await serves.client()
        await client.send(b"POST /v1/calls HTTP/1.1\r\n")
        with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send(b"a: b\r\n")
                await trio.sleep(0.02)


async def test_a_client_that_never_reads_is_let_go() -> None:
    async with serving(engine_of("2-list-and-menu"), HttpSettings(send_s=0.3)) as serves:
        client = await serves.client()
        with trio.fail_after(PATIENCE_S), pytest.raises(trio.BrokenResourceError):
            while True:
                await client.send(request("/v1/calls", ARRIVAL) * 1000)
        await serves_until(lambda: serves.server.connections == 0)


async def test_beyond_the_most_connections_one_is_turned_away_and_served_when_another_has_gone() -> None:
    async with serving(engine_of("2-list-and-menu"), HttpSettings(connections=2)) as serves:
        clients = [await serves.client() for _ in range(2)]
        for client in clients:
            await client.ask("/v1/calls", ARRIVAL)
        late = await serves.client()
        status, fields, told = await late.reply()
        assert (status, fields["connection"], told["code"]) == (503, "close", "too_many_connections")
        assert await late.closed()
        assert serves.server.turned_away == 1
        await clients[0].stream.aclose()
        await serves_until(lambda: serves.server.connections == 1)
        assert (await (await serves.client()).ask("/v1/calls", ARRIVAL))["action"]["type"] == "play"


async def test_a_reply_that_ends_the_connection_is_read_also_by_who_still_sends() -> None:
    settings = HttpSettings(body_bytes=1000)
    async with serving(engine_of("2-list-and-menu"), settings) as serves:
        client = await serves.client()
        large = request("/v1/calls", b"x" * 2_000_000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, large)
            assert (await client.reply())[0] == 413
        assert await client.closed()


async def test_at_the_end_idle_connections_go_and_requests_on_their_way_are_answered() -> None:
    async with serving(engine_of("2-list-and-menu")) as serves:
        idle, asking = await serves.client(), await serves.client()
        await idle.ask("/v1/calls", ARRIVAL)
        whole = request("/v1/calls", ARRIVAL)
        await asking.send(whole[:-5])
        await serves_until(lambda: serves.server.connections == 2)
        await trio.testing.wait_all_tasks_blocked(0.05)
        serves.stop()
        assert await idle.closed()
        with pytest.raises(OSError):
            await serves.client()
        await asking.send(whole[-5:])
        status, fields, told = await asking.reply()
        assert (status, fields["connection"], told["action"]["type"]) == (200, "close", "play")
        with trio.fail_after(PATIENCE_S):
            await serves.stopped.wait()


async def test_a_client_that_lingers_does_not_hold_up_the_end() -> None:
    async with serving(engine_of("2-list-and-menu"), HttpSettings(grace_s=0.2)) as serves:
        client = await serves.client()
        await client.send(request("/v1/calls", ARRIVAL)[:-5])
        await trio.testing.wait_all_tasks_blocked(0.05)
        serves.stop()
        with trio.fail_after(PATIENCE_S):
            await serves.stopped.wait()


async def test_look_ups_are_answered_inside_and_what_comes_behind_waits() -> None:
    answers = Answers({"+79161230099": "anna"})
    engine = engine_of("7-owner-first")
    asked = engine.arrive("call-1", DID, CALLER, NOW_MS)
    assert asked.action.type == "find_owner"
    found = engine.handle(asked.state, {"type": "owner", "employee": "anna"}, NOW_MS)
    async with serving(engine_of("7-owner-first"), lookups=answers) as serves:
        client = await serves.client()
        await client.send(request("/v1/calls", ARRIVAL) + request("/healthz", method="GET"))
        status, _, told = await client.reply()
        assert (status, told["action"], told["state"]) == (200, found.action.to_dict(), found.state_text)
        assert told["trace"] == [*asked.trace, *found.trace]
        assert (await client.reply())[2] == {"ok": True}
        assert answers.asked == ["+79161230099"]


async def test_a_look_up_of_a_call_at_another_time_is_answered_at_that_time() -> None:
    clock, engine = Clock(), engine_of("7-owner-first")
    at, at_ms = "2026-11-21T23:30:00+03:00", 1_795_293_000_000
    asked = engine.arrive("call-1", DID, CALLER, at_ms)
    found = engine.handle(asked.state, {"type": "owner", "employee": "anna"}, at_ms)
    answers = Answers({"+79161230099": "anna"})
    async with serving(engine_of("7-owner-first"), lookups=answers, clock=clock) as serves:
        client = await serves.client()
        one = await client.ask("/v1/calls", {"did": DID, "caller": CALLER, "call_id": "call-1", "at": at})
        assert (one["action"], one["state"]) == (found.action.to_dict(), found.state_text)
    async with serving(engine_of("7-owner-first"), lookups=answers, clock=clock) as serves:
        client = await serves.client()
        item = {"did": DID, "caller": CALLER, "call_id": "call-1", "at": at}
        (many,) = await client.ask("/v1/calls/batch", [item])
        assert many["state"] == found.state_text


async def test_look_ups_of_a_batch_are_asked_together_and_one_that_is_not_answered_in_time_has_failed() -> None:
    clock = Clock()
    answers = Answers({"+79161230099": "anna", "+79161230001": "nobody-we-know"})
    callers = ["89161230099", "89161230001", "89161230002"]
    async with serving(engine_of("7-owner-first"), lookups=answers, clock=clock) as serves:
        client = await serves.client()
        items = [{"did": DID, "caller": caller, "call_id": caller} for caller in callers]
        told = await client.ask("/v1/calls/batch", items)
    assert sorted(answers.asked) == ["+79161230001", "+79161230002", "+79161230099"]
    exits = [next((step["node"], step["exit"]) for step in turn["trace"]) for turn in told]
    assert exits[0] == ("crm", "found")
    assert exits[1] != ("crm", "found")
    assert exits[2] == ("crm", "unavailable")
    assert all(turn["action"]["type"] != "find_owner" for turn in told)


async def test_without_look_ups_they_are_the_clients() -> None:
    async with serving(engine_of("7-owner-first")) as serves:
        client = await serves.client()
        turn = await client.ask("/v1/calls", ARRIVAL)
        assert turn["action"]["type"] == "find_owner"
        step = {"state": turn["state"], "event": {"type": "owner", "employee": "anna"}}
        assert (await client.ask("/v1/calls/step", step))["action"]["type"] == "ring"
