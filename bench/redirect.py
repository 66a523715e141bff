"""INVITE to 302 over UDP: the SIP endpoint, Kamailio and Asterisk's dialplan with the same answers, asked by the same SIPp.

The decision is one that all three can take: is the caller on a list of 1,000 numbers, is it within hours, and where does
the number lead. Kamailio has the list in htable, the numbers in mtree and the hours in tmrec; Asterisk the list in AstDB
and the hours in GotoIfTime. Before it is measured, each must answer a sample as expected.

A figure is calls per second of the server's processor time: without a ledger it does not depend on how fast SIPp asks. With one, the
disk is made to keep what has come a hundred times a second, however many calls that are: a call costs the less the more come.
Times of answers are those that SIPp sees at the rate given.

    python -m bench.redirect [--rate 4000] [--calls 20000]
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import re
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.machine import conditions, keep
from tests.query import kamailio as edge
from tests.query.kamailio import Program, sipp
from tests.query.sip_words import Answer, request
from tests.telephony.asterisk import CALLER_ADDRESS, Asterisk
from tests.telephony.ports import Ports

DID: Final = "+74951112233"
LISTED: Final = 1_000
TO_LISTED, TO_OTHERS, TO_NIGHT = "+79160000001", "+79160000002", "+79160000003"
_SAMPLE: Final = 50

_COMPANY = f"""
company: {{name: Bench, timezone: Europe/London, country: RU, language: en}}
employees:
  anna: {{name: Anna, department: sales, rank: 1, endpoint: PJSIP/101}}
departments: {{sales: {{name: Sales}}}}
schedules: {{hours: {{weekly: {{mon-sun: ["00:00-24:00"]}}}}}}
lists: {{vip: {{numbers: [%s]}}}}
prompts: {{leave-message: {{say: "Leave a message.", seconds: 1}}}}
numbers: {{"{DID}": {{scheme: main}}}}
schemes:
  main:
    start: vip
    responsible: sales
    nodes:
      vip:     {{kind: list, list: vip, exits: {{match: listed, else: hours}}}}
      hours:   {{kind: schedule, schedule: hours, exits: {{open: others, closed: night}}}}
      listed:  {{kind: transfer, to: "{TO_LISTED}", exits: {{failed: mailbox}}}}
      others:  {{kind: transfer, to: "{TO_OTHERS}", exits: {{failed: mailbox}}}}
      night:   {{kind: transfer, to: "{TO_NIGHT}", exits: {{failed: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: leave-message, seconds: 30, exits: {{done: bye}}}}
      bye:     {{kind: hangup}}
"""

_KAMAILIO = f"""#!KAMAILIO
listen=LISTEN
children=1
log_stderror=yes
auto_aliases=no
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "db_text.so"
loadmodule "htable.so"
loadmodule "mtree.so"
loadmodule "tmrec.so"
modparam("htable", "htable", "vip=>size=10;")
modparam("mtree", "db_url", "text://FOLDER")
modparam("mtree", "char_list", "+0123456789")
modparam("mtree", "mtree", "name=numbers;dbtable=mtree;type=0")
modparam("mtree", "pv_value", "$var(scheme)")

event_route[htable:mod-init] {{
LISTED_NUMBERS
}}

request_route {{
    if (is_method("ACK")) {{
        exit;
    }}
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (!is_method("INVITE")) {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
    if (!mt_match("numbers", "$rU", "0")) {{
        sl_send_reply("404", "Not Found");
        exit;
    }}
    if ($sht(vip=>$fU) != $null) {{
        $var(to) = "{TO_LISTED}";
    }} else if (time_period_match("wd {{mon-sun}} hr {{0-23}}")) {{
        $var(to) = "{TO_OTHERS}";
    }} else {{
        $var(to) = "{TO_NIGHT}";
    }}
    append_to_reply("Contact: <sip:$var(to)@carrier.example>;q=1.0\\r\\n");
    sl_send_reply("302", "Moved Temporarily");
}}
"""

_DIALPLAN = f"""
[kommutator](+)
exten => {DID},1,GotoIf($[${{DB_EXISTS(vip/${{CALLERID(num)}})}}]?listed)
 same => n,GotoIfTime(00:00-23:59,*,*,*?open)
 same => n,Transfer(PJSIP/sip:{TO_NIGHT}@carrier.example)
 same => n,Hangup()
 same => n(open),Transfer(PJSIP/sip:{TO_OTHERS}@carrier.example)
 same => n,Hangup()
 same => n(listed),Transfer(PJSIP/sip:{TO_LISTED}@carrier.example)
 same => n,Hangup()
"""

_FILL = f"""
exten => fill,1,Set(n=0)
 same => n,While($[${{n}} < {LISTED}])
 same => n,Set(DB(vip/+7916100${{SPRINTF(%04d,${{n}})}})=1)
 same => n,Set(n=$[${{n}} + 1])
 same => n,EndWhile()
 same => n,Answer()
 same => n,Wait(60)
"""

_ASKING = f"""<?xml version="1.0"?>
<scenario name="asking">
  <send retrans="500" start_rtd="1"><![CDATA[INVITE sip:{DID}@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:{DID}@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=caller 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio 6000 RTP/AVP 0 8
]]></send>
  <recv response="100" optional="true"/>
  <recv response="302" rtd="1"/>
  <send><![CDATA[ACK sip:{DID}@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch-2]
Max-Forwards: 70
From: <sip:[field0]@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:{DID}@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>
</scenario>
"""


def listed(place: int) -> str:
    """A number of the list."""
    return f"+7916100{place:04}"


def other(place: int) -> str:
    """A number that is on none."""
    return f"+7916200{place:04}"


@dataclass(frozen=True)
class Server:
    """One that is measured: its name, its port, and the process whose time counts, with its children."""

    name: str
    port: int
    pid: int


def processor_s(pid: int) -> float:
    """The processor time that a process and its children have taken: to the nanosecond, as the scheduler counts it."""
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    threads = [int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(threads) / 1e9 + sum(processor_s(child) for child in children)


@contextmanager
def ours(folder: Path, port: int, *, journal: bool) -> Iterator[Server]:
    """The SIP endpoint, by the command that anybody has."""
    name = "kommutator, with the ledger" if journal else "kommutator"
    company = folder / "company.yaml"
    numbers = ", ".join(f'"{listed(place)}"' for place in range(LISTED))
    company.write_text(_COMPANY % numbers)
    command = [
        sys.executable, "-m", "kommutator", "redirect", str(company), "--listen", f"127.0.0.1:{port}", "--hold", "0",
        "--phone", "sip:{name}@pbx.example", "--number", "sip:{number}@carrier.example", "--from", "127.0.0.0/8",
        "--calls-per-second", "1000000", *(("--data", str(folder / "data")) if journal else ()),
    ]  # fmt: skip
    with Program(folder, name.replace(", ", "-").replace(" ", "-"), command) as program:
        program.wait_bound("127.0.0.1", port)
        yield Server(name, port, program.process.pid)


@contextmanager
def kamailio(folder: Path, port: int) -> Iterator[Server]:
    """Kamailio, one worker, without transactions."""
    (folder / "tables").mkdir()
    (folder / "tables" / "version").write_text("table_name(string) table_version(int)\nmtree:1\n")
    rows = "".join(f"{n}:+7495111{n:04}:main\n" for n in range(2000, 2300))
    (folder / "tables" / "mtree").write_text("id(int,auto) tprefix(string) tvalue(string)\n" + rows)
    config = folder / "kamailio.cfg"
    numbers = "".join(f"    $sht(vip=>{listed(place)}) = 1;\n" for place in range(LISTED))
    filled = _KAMAILIO.replace("FOLDER", str(folder / "tables")).replace("LISTED_NUMBERS\n", numbers)
    config.write_text(filled)
    with edge.kamailio(folder, config, port, {}) as program:
        yield Server("kamailio", port, program.process.pid)


@contextmanager
def asterisk(folder: Path) -> Iterator[Server]:
    """Asterisk's own dialplan."""
    with Asterisk(folder / "asterisk", dialplan=_DIALPLAN + _FILL) as running:
        for module in ("func_db.so", "func_sprintf.so", "app_transfer.so"):
            running.cli(f"module load {module}")
        running.cli("channel originate Local/fill@kommutator application Wait 60")
        deadline = time.monotonic() + 60
        while f"{LISTED} results found" not in running.cli("database show vip"):
            if time.monotonic() > deadline:
                raise RuntimeError("the list is not in AstDB")
            time.sleep(0.2)
        running.cli("channel request hangup all")
        running.cli("core set verbose 0")
        assert running._process is not None
        yield Server("asterisk", running.ports.sip, running._process.pid)


def check(server: Server, address: str) -> None:
    """The answers of a sample are what they must be. Raises `AssertionError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.settimeout(10)
        own = client.getsockname()[1]
        for place in range(_SAMPLE):
            for number, expected in ((listed(place), TO_LISTED), (other(place), TO_OTHERS)):
                branch = f"z9hG4bK-{server.name[:4]}-{os.getpid()}-{number}"
                via = f"SIP/2.0/UDP {address}:{own};rport;branch={branch}"
                caller = f"<sip:{number}@{address}:{own}>;tag={number[1:]}"
                uri = f"sip:{DID}@127.0.0.1:{server.port}"
                headers = {"Contact": f"<sip:caller@{address}:{own}>"}
                client.sendto(
                    request(uri=uri, via=via, caller=caller, call_id=branch, headers=headers),
                    ("127.0.0.1", server.port),
                )
                while (answer := Answer.read(client.recv(65_536))).status < 200 or number not in answer.one("From"):
                    pass
                assert answer.status == 302, (server.name, answer)
                assert f"sip:{expected}@carrier.example" in answer.one("Contact"), (server.name, number, answer)
                ack = request("ACK", uri, via=via, caller=caller, to=answer.one("To"), call_id=branch, cseq="1 ACK")
                client.sendto(ack, ("127.0.0.1", server.port))


def measure(server: Server, folder: Path, port: int, rate: int, calls: int, address: str) -> dict[str, Any]:
    """SIPp asks, at a rate."""
    folder.mkdir()
    callers = folder / f"callers-{server.name.split(',')[0]}.csv"
    rows = "".join(f"{number}\n" for place in range(LISTED) for number in (listed(place), other(place)))
    callers.write_text("SEQUENTIAL\n" + rows)
    scenario = folder / "asking.xml"
    scenario.write_text(_ASKING)
    name = "sipp-" + re.sub(r"\W+", "-", server.name)
    arguments = (
        f"127.0.0.1:{server.port}", "-sf", str(scenario), "-inf", str(callers), "-r", str(rate), "-m", str(calls),
        "-l", "20000", "-trace_rtt", "-rtt_freq", "1", "-trace_stat", "-stf", "stat.csv", "-fd", "1",
    )  # fmt: skip
    before = processor_s(server.pid)
    began = time.monotonic()
    with sipp(folder, name, port, *arguments, address=address, quiet=True) as program:
        code = program.process.wait(600)
        seconds = time.monotonic() - began
        spent = processor_s(server.pid) - before
        rtt = next(program.folder.glob("*rtt.csv"), None) or next(folder.glob("*rtt.csv"))
        with rtt.open() as file:
            times = sorted(float(row[1]) for row in csv.reader(file, delimiter=";") if row[1][:1].isdigit())
    return {
        "calls": calls,
        "all_answered": code == 0,
        "seconds": round(seconds, 2),
        "calls_per_s": round(calls / seconds),
        "processor_s": round(spent, 3),
        "calls_per_processor_s": round(calls / spent) if spent else None,
        "p50_ms": times[len(times) // 2],
        "p99_ms": times[len(times) * 99 // 100],
    }


def main() -> None:
    """Measure all, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=4_000)
    parser.add_argument("--calls", type=int, default=20_000)
    options = parser.parse_args()
    ports = Ports.take()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="kommutator-redirect-") as name:
        folder = Path(name)
        servers: list[tuple[contextlib.AbstractContextManager[Server], str]] = [
            (ours(folder, ports.base + 100, journal=False), "127.0.0.1"),
            (ours(folder, ports.base + 120, journal=True), "127.0.0.1"),
            (kamailio(folder, ports.base + 110), "127.0.0.1"),
            (asterisk(folder), CALLER_ADDRESS),
        ]
        for place, (serving, address) in enumerate(servers):
            with serving as server:
                check(server, address)
                port = ports.base + 200 + place * 10
                rate, calls = options.rate, options.calls
                if server.name == "asterisk":  # it takes no more
                    rate, calls = min(rate, 200), min(calls, 2_000)
                measure(server, folder / f"warm-{place}", port, rate, rate, address)
                measured = measure(server, folder / f"run-{place}", port, rate, calls, address)
                figures[server.name] = measured
                print(f"{server.name:30} {measured}", flush=True)
    kept = {
        **conditions(),
        "redirect": figures,
    }
    print(keep(kept, "redirect"))


if __name__ == "__main__":
    main()
