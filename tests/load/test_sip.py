"""SIP under load: transactions by the letter of RFC 3261, and a real redirect server that is asked."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from kommutator.company.reader import load
from kommutator.errors import BadTarget
from kommutator.load.reference import Reference
from kommutator.load.target import Ask, Options, Told
from kommutator.load.targets import make
from kommutator.load.targets.sip import action_of
from kommutator.load.targets.sip_transactions import Contact, Response, Transactions

from .servers import PATIENCE_S, Process, ask_all, asks, killed_meanwhile

COMPANY = Path(__file__).parents[1] / "query" / "company.yaml"
DIDS = [f"+7495111220{last}" for last in range(1, 8)]


def of(request: bytes, first: str, *headers: str, to_tag: str = ";tag=there") -> bytes:
    """A response to a request of ours."""
    lines = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if line)
    copied = [f"{name}: {lines[name]}" for name in ("Via", "From", "Call-ID", "CSeq")]
    return "\r\n".join([f"SIP/2.0 {first}", *copied, f"To: {lines['To']}{to_tag}", *headers, "", ""]).encode()


def header(message: bytes, name: str) -> str:
    found = re.search(rf"^{name}: (.*?)\r?$", message.decode(), re.MULTILINE)
    assert found is not None, message
    return found[1]


def transactions() -> Transactions:
    return Transactions("abc", "192.0.2.1:5060", "192.0.2.2:4000")


def test_an_invite_comes_again_after_doubled_times_until_timer_b() -> None:
    calls = transactions()
    number, invite = calls.invite("call", "+74951112201", None, 0.0)
    moments = []
    for tenth in range(400):
        again, over = calls.due(tenth / 10)
        assert all(each == invite for each in again)
        moments += [tenth / 10] * len(again)
        if over:
            assert over == [number]
            assert tenth / 10 == 32.0
    assert moments == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert len(calls) == 0


def test_a_provisional_answer_ends_nothing_but_the_repetition() -> None:
    calls = transactions()
    number, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    assert calls.receive(of(invite, "100 Trying", to_tag=""), 0.1) == (None, None, ())
    assert calls.due(20.0) == ([], [])
    ended, response, _ = calls.receive(of(invite, "486 Busy Here"), 21.0)
    assert (ended, response) == (number, Response(486, "Busy Here"))


def test_a_refusal_is_acknowledged_as_17_1_1_3_says_and_each_copy_again() -> None:
    calls = transactions()
    number, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    answer = of(invite, "302 Moved Temporarily", "Contact: <sip:101@pbx>;q=1.0, <sip:102@pbx>;q=0.9")
    ended, response, (ack,) = calls.receive(answer, 0.1)
    assert ended == number
    assert response == Response(302, "Moved Temporarily", (Contact("sip:101@pbx", 1.0), Contact("sip:102@pbx", 0.9)))
    assert ack.startswith(b"ACK sip:+74951112201@192.0.2.1:5060 SIP/2.0\r\n")
    for name in ("Via", "From", "Call-ID"):
        assert header(ack, name) == header(invite, name)
    assert header(ack, "To").endswith(";tag=there")
    assert header(ack, "CSeq") == "1 ACK"
    assert calls.receive(answer, 0.2) == (None, None, (ack,))
    calls.due(33.0)
    assert calls.receive(answer, 33.0) == (None, None, ())


def test_an_answered_call_is_acknowledged_and_ended() -> None:
    calls = transactions()
    number, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    ended, response, (ack, bye) = calls.receive(of(invite, "200 OK", "Contact: <sip:there@192.0.2.9:5070>"), 0.1)
    assert (ended, response) == (number, Response(200, "OK"))
    assert ack.startswith(b"ACK sip:there@192.0.2.9:5070 SIP/2.0\r\n")
    assert bye.startswith(b"BYE sip:there@192.0.2.9:5070 SIP/2.0\r\n")
    assert header(bye, "CSeq") == "2 BYE"
    assert len({header(each, "Via") for each in (invite, ack, bye)}) == 3


def test_who_gives_up_cancels_what_is_being_worked_on() -> None:
    calls = transactions()
    number, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    calls.receive(of(invite, "100 Trying", to_tag=""), 0.1)
    cancel = calls.give_up(number, 1.0)
    assert cancel is not None
    assert cancel.startswith(b"CANCEL ")
    assert (header(cancel, "Via"), header(cancel, "CSeq")) == (header(invite, "Via"), "1 CANCEL")
    assert calls.receive(of(cancel, "200 OK"), 1.1) == (None, None, ())
    _, _, (ack,) = calls.receive(of(invite, "487 Request Terminated"), 1.2)
    assert ack.startswith(b"ACK ")
    other, _ = calls.invite("another", "+74951112201", "+7916", 2.0)
    assert calls.give_up(other, 2.1) is None, "nobody has said that he works on it"


def test_what_belongs_to_no_call_is_passed_over() -> None:
    calls = transactions()
    _, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    strange = [
        b"",
        b"\r\n\r\n",
        b"SIP/2.0 302 Moved\r\n\r\n",
        invite,
        of(invite, "302 Moved").replace(b"-abc-1", b"-abd-1"),
    ]
    for datagram in [*strange, of(invite, "302 Moved").replace(b"1 INVITE", b"1 OPTIONS")]:
        assert calls.receive(datagram, 0.1) == (None, None, ())
    assert len(calls) == 1


def test_strange_but_legal_answers_are_read() -> None:
    calls = transactions()
    _, invite = calls.invite("call", "+74951112201", "+7916", 0.0)
    text = of(
        invite, "300 Multiple Choices", 'm: "A, <b>" <sip:a@x;p=1>;Q=0.5,', " sip:b@x;q=0.7", "CONTACT: <tel:+7916>"
    )
    compact = text.replace(b"\r\nVia:", b"\r\nV :").replace(b"\r\nTo:", b"\r\nt:").replace(b"CSeq:", b"cseq :")
    _, response, _ = calls.receive(compact, 0.1)
    assert response is not None
    assert response.contacts == (Contact("sip:a@x;p=1", 0.5), Contact("sip:b@x", 0.7), Contact("tel:+7916", None))
    assert action_of(response) == {
        "type": "ring",
        "endpoints": [
            {"endpoint": "a", "rank": 2},
            {"endpoint": "b", "rank": 1},
            {"endpoint": "+7916", "rank": 0},
        ],
    }


@pytest.mark.parametrize("address", ["sip:127.0.0.1", "sip:5060", "sip:host:0", "sip:host:x", "sip::5060"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadTarget):
        make(address, Options())


@contextmanager
def redirect(folder: Path, *options: str) -> Iterator[tuple[Process, str]]:
    """A server that is asked, and its address as a target."""
    arguments = ["redirect", str(COMPANY), "--listen", "127.0.0.1:0", "--calls-per-second", "100000", *options]
    arguments += ["--phone", "sip:{name}@pbx.example", "--number", "sip:{number}@carrier.example"]
    with Process(folder, "redirect", "-m", "kommutator", *arguments) as server:
        server.wait_for(lambda log: "ready" in log)
        found = re.search(r"127\.0\.0\.1:([1-9][0-9]*)", server.log)
        assert found is not None, server.log
        yield server, f"sip:127.0.0.1:{found[1]}"


def verdicts(address: str, company: Path, calls: list[Ask]) -> tuple[list[Told], list[str | None]]:
    """What was told, and what is wrong with it."""
    reference = Reference(load(company))
    found: list[str | None] = []

    def compare(target: object, told: list[Told]) -> None:
        assert hasattr(target, "compare")
        found.extend(target.compare(reference.expect(ask), each) for ask, each in zip(calls, told, strict=True))

    told = ask_all(address, Options(company=str(company)), calls, compare)
    return told, found


@pytest.mark.services
def test_a_redirect_servers_answers_are_right_and_another_companys_wrong(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(COMPANY.read_text(encoding="utf-8").replace("PJSIP/103", "PJSIP/203"), encoding="utf-8")
    with redirect(tmp_path) as (_, address):
        told, wrong = verdicts(address, other, asks([DIDS[4]], "wrong"))
        assert [each.error for each in told] == [None]
        assert wrong == ["ring 103 instead of ring 203 or voice"]
        calls = asks(DIDS * 30, "right")
        told, wrong = verdicts(address, COMPANY, calls)
        assert {each.error for each in told} == {None}
        assert set(wrong) == {None}, "whoever is held by other calls is left out, and that is right"
        kinds = {
            did: {each.actions[0]["type"] for ask, each in zip(calls, told, strict=True) if ask.did == did}
            for did in DIDS
        }
        assert [kinds[did] for did in DIDS[2:4] + DIDS[5:]] == [{"voice"}, {"ring"}, {"hang_up"}, {"hang_up"}]


@pytest.mark.services
def test_a_server_that_stands_still_answers_later_and_a_dead_one_refuses(tmp_path: Path) -> None:
    with redirect(tmp_path) as (server, address):
        server.process.send_signal(signal.SIGSTOP)
        wake = threading.Timer(1.2, server.process.send_signal, [signal.SIGCONT])
        wake.start()
        began = time.perf_counter()
        told = ask_all(address, Options(), asks([DIDS[5]] * 50, "still"))
        wake.join()
        assert {each.error for each in told} == {None}
        assert all(each.first_at - began >= 1.0 and each.sent_at - began < 1.0 for each in told)
        report = killed_meanwhile(address, DIDS[5:], server.kill)
        assert report.answered >= 20
        assert report.errors.keys() == {"refused"}
        assert report.answered + report.errors["refused"] == report.calls


@pytest.mark.services
def test_what_is_given_up_is_forgotten(tmp_path: Path) -> None:
    async def main(address: str, server: Process) -> None:
        target = make(address, Options())
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await target.open(nursery)
                server.process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, server.process.pid, os.WSTOPPED)  # until all of its threads have stopped
                with trio.move_on_after(0.7) as waiting:
                    await target.ask(asks([DIDS[5]], "given-up")[0])
                assert waiting.cancelled_caught
                server.process.send_signal(signal.SIGCONT)
                told = await target.ask(asks([DIDS[5]], "after")[0])
                assert told.actions == ({"type": "hang_up", "cause": "busy"},)
                await target.close()
                nursery.cancel_scope.cancel()

    with redirect(tmp_path) as (server, address):
        trio.run(main, address, server)
