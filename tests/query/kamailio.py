"""A real Kamailio for a test, on a configuration of `deploy/kamailio`, and SIPp at both of its ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.telephony import packages
from tests.telephony.packages import Tree

from . import kamailio_packages

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "kamailio"
PATIENCE_S = 60.0
_POLL_S = 0.02


class NotServing(AssertionError):
    """A program did not start, or ended early; the message carries its log."""


class Program:
    """A program with a log, ended with the context by its process id."""

    def __init__(self, folder: Path, name: str, command: Sequence[str]) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self._log = self.folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb"},
            )

    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")[-6000:]

    def wait_bound(self, address: str, port: int) -> None:
        """Wait until somebody has this port of UDP."""
        wanted = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
        self.wait_for(lambda: wanted in Path("/proc/net/udp").read_text())

    def wait_for(self, condition: object) -> None:
        """Wait for something that must come true while it runs."""
        deadline = time.monotonic() + PATIENCE_S
        assert callable(condition)
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NotServing(self.log())
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            # Its children are in its own group, which began with it.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)


def command(tree: Tree, config: Path, defines: dict[str, str], *options: str) -> list[str]:
    """How Kamailio is run."""
    modules = next(tree.root.glob("usr/lib/*/kamailio/modules"))
    given = [argument for name, value in defines.items() for argument in ("-A", f"{name}={value}")]
    return [*tree.command("usr/sbin/kamailio"), "-L", str(modules), "-f", str(config), *given, *options]


def kamailio(folder: Path, config: Path, port: int, defines: dict[str, str]) -> Program:
    """A Kamailio on 127.0.0.1 that serves."""
    run = folder / "kamailio-run"
    run.mkdir()
    defines = {"LISTEN": f"udp:127.0.0.1:{port}", **defines}
    options = ("-DD", "-E", "-m", "32", "-M", "8", "-Y", str(run), "-w", str(run))
    program = Program(folder, "kamailio", command(kamailio_packages.tree(), config, defines, *options))
    program.wait_bound("127.0.0.1", port)
    return program


def sipp(
    folder: Path, name: str, port: int, *arguments: str, address: str = "127.0.0.1", quiet: bool = False
) -> Program:
    """A SIPp, with a log of messages unless it is to be `quiet`."""
    fixed = ["-i", address, "-p", str(port), "-nostdin", "-trace_err", "-error_file", "errors.log"]
    fixed += [] if quiet else ["-trace_msg", "-message_file", "messages.log"]
    return Program(folder, name, [*packages.tree().command("usr/bin/sipp"), *arguments, *fixed])


def phone(folder: Path, name: str, port: int) -> Program:
    """A phone that answers, and whose user waits for the caller to hang up."""
    program = sipp(folder, name, port, "-sn", "uas")
    program.wait_bound("127.0.0.1", port)
    return program


_BUSY = """<?xml version="1.0"?>
<scenario name="busy">
  <label id="1"/>
  <recv request="INVITE"/>
  <send><![CDATA[SIP/2.0 486 Busy Here
[last_Via:]
[last_From:]
[last_To:];tag=busy[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
  <recv request="ACK" next="1"/>
</scenario>
"""


def busy_phone(folder: Path, name: str, port: int) -> Program:
    """A phone that is busy."""
    scenario = folder / f"{name}.xml"
    scenario.write_text(_BUSY)
    program = sipp(folder, name, port, "-sf", str(scenario))
    program.wait_bound("127.0.0.1", port)
    return program


_CALLER = """<?xml version="1.0"?>
<scenario name="caller">
  <send retrans="500"><![CDATA[INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:+79161234567@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=caller 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0 8
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[ACK [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
[routes]
Max-Forwards: 70
From: <sip:+79161234567@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

]]></send>
  <pause milliseconds="100"/>
  <send retrans="500"><![CDATA[BYE [next_url] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
[routes]
Max-Forwards: 70
From: <sip:+79161234567@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
"""


def call(
    folder: Path, name: str, port: int, through: int, number: str, *, address: str = "127.0.0.1"
) -> tuple[int, str]:
    """One call to a number, answered and hung up by the caller: SIPp's exit code (0: all went so), and its messages."""
    scenario = folder / f"{name}.xml"
    scenario.write_text(_CALLER)
    arguments = (f"127.0.0.1:{through}", "-sf", str(scenario), "-s", number, "-m", "1")
    with sipp(folder, name, port, *arguments, address=address) as caller:
        code = caller.process.wait(PATIENCE_S)
        return code, messages(caller)


def messages(program: Program) -> str:
    """The messages of a SIPp so far."""
    log = program.folder / "messages.log"
    return log.read_text(errors="replace") if log.exists() else ""


def invited(program: Program) -> list[str]:
    """The Request-URIs of the INVITEs that a phone was sent."""
    return re.findall(r"^INVITE (\S+) SIP/2.0", messages(program), re.MULTILINE)
