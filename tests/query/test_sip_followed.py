"""Real clients that follow an answer: Debian's Kamailio and Asterisk, between a caller and phones of SIPp."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.query import kamailio_packages
from tests.query.kamailio import DEPLOY, Program, busy_phone, call, command, invited, kamailio, phone
from tests.telephony.asterisk import CALLER_ADDRESS, Asterisk
from tests.telephony.ports import Ports

pytestmark = pytest.mark.telephony

COMPANY = Path(__file__).with_name("company.yaml")
TEAM, IN_TURN, SPOKEN, ENGAGED, NOBODY = (f"+749511122{n}" for n in ("01", "02", "03", "06", "99"))


@pytest.fixture
def ports() -> Iterator[Ports]:
    taken = Ports.take()
    yield taken
    taken.close()


def redirecting(folder: Path, port: int, phones: int, mobiles: int, pbx: int) -> Program:
    program = Program(
        folder,
        "redirect",
        [
            sys.executable, "-m", "kommutator", "redirect", str(COMPANY), "--listen", f"127.0.0.1:{port}",
            "--phone", f"sip:{{name}}@127.0.0.1:{phones}", "--number", f"sip:{{number}}@127.0.0.1:{mobiles}",
            "--media", f"sip:{{did}}@127.0.0.1:{pbx}", "--hold", "0",
        ],
    )  # fmt: skip
    program.wait_bound("127.0.0.1", port)
    return program


def test_kamailio_leads_a_caller_to_whom_the_answer_names(tmp_path: Path, ports: Ports) -> None:
    edge, asked, desks, mobiles, pbx, caller = (ports.base + n for n in range(0, 60, 10))
    config = DEPLOY / "redirect.cfg"
    with (
        redirecting(tmp_path, asked, desks, mobiles, pbx),
        kamailio(tmp_path, config, edge, {"KOMMUTATOR": f'"sip:127.0.0.1:{asked}"'}) as proxy,
        busy_phone(tmp_path, "desks", desks) as busy,
        phone(tmp_path, "mobiles", mobiles) as mobile,
        phone(tmp_path, "pbx", pbx) as voice,
    ):
        code, said = call(tmp_path, "in-turn", caller, edge, IN_TURN)
        assert code == 0, said + proxy.log()
        assert invited(busy) == [f"sip:102@127.0.0.1:{desks}", f"sip:101@127.0.0.1:{desks}"], "one after the other"
        assert invited(mobile) == [f"sip:+79161230001@127.0.0.1:{mobiles}"]
        code, said = call(tmp_path, "spoken", caller, edge, SPOKEN)
        assert code == 0, said + proxy.log()
        assert invited(voice) == [f"sip:{SPOKEN}@127.0.0.1:{pbx}"]
        for name, number, status in (("engaged", ENGAGED, "486 Busy Here"), ("nobody", NOBODY, "404 Not Found")):
            code, said = call(tmp_path, name, caller, edge, number)
            assert code == 1, said
            assert f"SIP/2.0 {status}" in said
            assert "Reason: Q.850;cause=" in said


def test_asterisk_follows_an_answer(tmp_path: Path) -> None:
    dialplan = (
        "[kommutator](+)\nexten => _+749511122XX,1,Dial(PJSIP/${EXTEN}@asked,20)\n same => n,Hangup(${HANGUPCAUSE})\n"
    )
    with Asterisk(dialplan=dialplan) as asterisk:
        asked, desks, mobiles, pbx, caller = (asterisk.ports.base + n for n in range(20, 70, 10))
        with (asterisk.folder / "etc" / "pjsip.conf").open("a") as config:
            config.write(
                "\n[asked]\ntype = endpoint\ntransport = transport-udp\ncontext = kommutator\nallow = !all,alaw,ulaw\n"
                "redirect_method = uri_pjsip\naors = asked\n"
                f"\n[asked]\ntype = aor\ncontact = sip:127.0.0.1:{asked}\n"
            )
        assert "reloaded successfully" in asterisk.cli("module reload res_pjsip.so")
        with (
            redirecting(tmp_path, asked, desks, mobiles, pbx),
            phone(tmp_path, "desks", desks) as desk,
        ):
            code, said = call(tmp_path, "team", caller, asterisk.ports.sip, TEAM, address=CALLER_ADDRESS)
            assert code == 0, said + asterisk.log.read_text()[-3000:]
            assert invited(desk) == [f"sip:101@127.0.0.1:{desks}"]


def answering(folder: Path, port: int, token: str) -> Program:
    """A real server of queries for whoever has the token."""
    program = Program(
        folder,
        "query",
        [sys.executable, "-m", "kommutator", "query", str(COMPANY), "--listen", f"127.0.0.1:{port}", "--token", token],
    )
    program.wait_for(lambda: "ready" in program.log())
    return program


def test_kamailio_asks_over_http_step_by_step(tmp_path: Path, ports: Ports) -> None:
    edge, asked, desks, mobiles, pbx, caller = (ports.base + n for n in range(0, 60, 10))
    defines = {
        "KOMMUTATOR": f'"http://127.0.0.1:{asked}"',
        "TOKEN": '"of the edge"',
        "PHONES": f'"127.0.0.1:{desks}"',
        "CARRIER": f'"127.0.0.1:{mobiles}"',
        "MEDIA": f'"127.0.0.1:{pbx}"',
    }
    with (
        kamailio(tmp_path, DEPLOY / "http.cfg", edge, defines) as proxy,
        busy_phone(tmp_path, "desks", desks) as busy,
        phone(tmp_path, "mobiles", mobiles) as mobile,
        phone(tmp_path, "pbx", pbx) as voice,
    ):
        with answering(tmp_path, asked, "of the edge") as server:
            code, said = call(tmp_path, "in-turn", caller, edge, IN_TURN)
            assert code == 0, said + proxy.log() + server.log()
            # Each is asked for by a step of its own: the next only after the one before was busy.
            assert invited(busy) == [f"sip:102@127.0.0.1:{desks}", f"sip:101@127.0.0.1:{desks}"]
            assert invited(mobile) == [f"sip:+79161230001@127.0.0.1:{mobiles}"]
            code, said = call(tmp_path, "spoken", caller, edge, SPOKEN)
            assert code == 0, said + proxy.log() + server.log()
            assert invited(voice) == [f"sip:{SPOKEN}@127.0.0.1:{pbx}"]
            code, said = call(tmp_path, "engaged", caller, edge, ENGAGED)
            assert code == 1 and "SIP/2.0 486 Busy Here" in said, said + proxy.log()
        rung = len(invited(busy))
        code, said = call(tmp_path, "without-a-server", caller, edge, IN_TURN)
        assert code == 0, said + proxy.log()
        assert invited(voice)[1:] == [f"sip:{IN_TURN}@127.0.0.1:{pbx}"], "nobody decides: it goes to who has a voice"
        with answering(tmp_path / "again", asked, "of another"):
            code, said = call(tmp_path, "a-strange-token", caller, edge, IN_TURN)
            assert code == 0, said + proxy.log()
            assert invited(voice)[2:] == [f"sip:{IN_TURN}@127.0.0.1:{pbx}"], "who may not ask is not told"
        assert len(invited(busy)) == rung


@pytest.mark.parametrize("name", ["redirect.cfg", "http.cfg"])
def test_kamailio_takes_the_configurations(name: str) -> None:
    done = subprocess.run(
        command(kamailio_packages.tree(), DEPLOY / name, {}, "-c"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
