"""SIPp as the people at both ends of a call: callers beyond the trunk, phones on the desks, mobiles.

SIPp does the SIP; speech and keys are sent and heard by `media.Line`, because SIPp's own DTMF needs a raw socket, that
is, root. Every party keeps its message log, which `events` reads.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from . import dialogs, messages
from .asterisk import CALLER_ADDRESS, Asterisk
from .dialogs import Behaviour
from .media import Line
from .messages import SipEvent

_PHONE_ADDRESS = "127.0.0.1"
_READY_S = 30.0
_GOODBYE_S = 2.0
_POLL_S = 0.01


class PartyFailed(AssertionError):
    """A party did not see what the test waited for; the message carries its SIP messages."""


class Party:
    """One SIPp process. `events` are its SIP messages so far."""

    def __init__(self, asterisk: Asterisk, name: str, address: str, port: int | None) -> None:
        own_port, self._media_port = asterisk.ports.party()
        self.asterisk = asterisk
        self.name = name
        self.address = address
        self.port = own_port if port is None else port
        self._control_port = own_port + 1
        self.folder = asterisk.folder / "parties" / f"{re.sub(r'[^0-9A-Za-z]', '', name)}-{time.monotonic_ns()}"
        self.folder.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        asterisk.parties.callback(self.close)

    @property
    def events(self) -> list[SipEvent]:
        """What this party said and heard so far, oldest first."""
        return messages.read(self.folder / "messages.log")

    @property
    def running(self) -> bool:
        """Whether SIPp still runs; a caller's ends with its call."""
        return self._process is not None and self._process.poll() is None

    def wait_for(
        self, name: str, *, of: str | None = None, after: float = 0.0, count: int = 1, seconds: float = 30.0
    ) -> SipEvent:
        """Waits until the `count`-th such event is there, and returns it; raises `PartyFailed`.

        `name`, `of` and `after` are those of `messages.first`.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = [e for e in self.events if e.name == name and (of is None or e.of == of) and e.at >= after]
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                raise PartyFailed(f"{self.name} saw no {name} within {seconds} s: {messages.summary(self.events)}")
            time.sleep(_POLL_S)

    def wait_end(self, *, seconds: float = 30.0) -> None:
        """Waits until SIPp has ended; raises `PartyFailed`."""
        if self._process is None:
            return
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            summary = messages.summary(self.events)
            raise PartyFailed(f"{self.name} is still in its call after {seconds} s: {summary}") from None

    def order(self, method: str, call_id: str, body: str = "") -> None:
        """Gives SIPp an order within a call; see `dialogs`."""
        text = (
            f"{method} sip:{self.address}:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address}:9;branch=z9hG4bK-order\r\n"
            f"From: <sip:harness@{self.address}>;tag=o\r\nTo: <sip:{self.address}>\r\nCall-ID: {call_id}\r\n"
            f"CSeq: 1 {method}\r\nX-Harness: {time.monotonic_ns()}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), (self.address, self.port))

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Lets SIPp stand still: what comes meanwhile it finds in the order in which it came."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends SIPp at once, by its process id. Nothing more is said on the wire."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _start(self, scenario: str, arguments: Sequence[str], *, listening: bool) -> None:
        (self.folder / "scenario.xml").write_text(scenario, encoding="utf-8")
        command = self.asterisk.tree.command("usr/bin/sipp")
        command += [self.asterisk.sip_address, "-sf", "scenario.xml", "-i", self.address, "-p", str(self.port)]
        command += [
            "-bind_local",
            "-ci",
            "127.0.0.1",
            "-cp",
            str(self._control_port),
            "-mi",
            self.address,
            "-mp",
            str(self._media_port + 2),
        ]
        command += ["-nostdin", "-aa", "-trace_msg", "-message_file", "messages.log", "-trace_err"]
        command += ["-error_file", "errors.log", *arguments]
        self._run(command)
        if listening:
            self._wait_listening(command)

    def _run(self, command: Sequence[str]) -> None:
        with (self.folder / "screen.log").open("wb") as screen:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TZ": "UTC", "TERM": "dumb"},
                start_new_session=True,
            )

    def _wait_listening(self, command: Sequence[str]) -> None:
        """A process that another thread begins at this moment may still hold, for an instant, the port that we let go."""
        deadline = time.monotonic() + _READY_S
        wanted = f"{socket.inet_aton(self.address)[::-1].hex().upper()}:{self.port:04X}"
        while wanted not in Path("/proc/net/udp").read_text():
            late = time.monotonic() > deadline
            if not self.running and not late and "Address already in use" in self._complaints():
                self._run(command)
            elif late or not self.running:
                raise PartyFailed(f"SIPp for {self.name} does not listen: {self._complaints()}")
            time.sleep(_POLL_S)

    def _complaints(self) -> str:
        logs = (self.folder / name for name in ("errors.log", "screen.log"))
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs if log.exists())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Caller(Party):
    """Somebody who calls our number `did` through the trunk, from `number` (`None`: withheld).

    The call begins with `call`. He can `press` keys, `speak`, and `hang_up` at any time: CANCEL before an answer, BYE
    after it. `line` hears what Asterisk sends him.
    """

    def __init__(self, asterisk: Asterisk, did: str, number: str | None) -> None:
        super().__init__(asterisk, f"caller {number or 'withheld'}", CALLER_ADDRESS, None)
        self.did = did
        self.number = number
        self.line = Line(self.address, self._media_port)

    def call(self) -> None:
        """Sends the INVITE; returns when it is on its way."""
        scenario = dialogs.caller(
            user=self.did,
            caller=self.number,
            media_address=self.line.address,
            media_port=self.line.port,
            local_port=self.port,
        )
        self._start(scenario, ["-m", "1"], listening=False)
        self.wait_for("INVITE")

    def press(self, keys: str, *, by: str = "rtp") -> None:
        """Presses keys in turn, as RFC 4733 events (`rtp`) or as SIP INFO (`info`), once the call is answered."""
        self._wait_media()
        for key in keys:
            if by == "rtp":
                self.line.press(key)
            else:
                sent = len([event for event in self.events if event.name == "INFO"])
                self.order("PUBLISH", self._call_id, key)
                self.wait_for("200", of="INFO", count=sent + 1)

    def speak(self, alaw: bytes) -> None:
        """Says raw A-law speech, 8000 bytes a second, and returns when it is said."""
        self._wait_media()
        self.line.speak(alaw)

    def hang_up(self) -> None:
        """Ends the call, whatever state it is in."""
        if self.running:
            self.order("MESSAGE", self._call_id)

    @property
    def answered(self) -> SipEvent | None:
        """The 200 to the INVITE, once it is there."""
        return messages.first(self.events, "200", of="INVITE")

    def close(self) -> None:
        """Hangs up if he is still there, and waits for Asterisk to hear it."""
        if self.running:
            self.hang_up()
            with contextlib.suppress(PartyFailed):
                self.wait_end(seconds=_GOODBYE_S)
        super().close()
        self.line.close()

    @property
    def _call_id(self) -> str:
        return self.wait_for("INVITE").call_id

    def _wait_media(self) -> None:
        answer = self.wait_for("200", of="INVITE")
        if not self.line.connected:
            self.line.connect(media_address(answer.text))


class Phones(Party):
    """Phones behind one SIPp: `plans` gives each dialled number its behaviours (see `dialogs.phones`).

    They share `line`, so only one of them can talk at a time.
    """

    def __init__(
        self,
        asterisk: Asterisk,
        name: str,
        plans: Mapping[str | None, Sequence[Behaviour]],
        *,
        address: str = _PHONE_ADDRESS,
        port: int | None = None,
    ) -> None:
        super().__init__(asterisk, name, address, port)
        self.line = Line(address, self._media_port)
        scenario = dialogs.phones(plans, media_address=address, media_port=self._media_port)
        self._start(scenario, [], listening=True)

    def rung(self, number: str | None = None) -> list[SipEvent]:
        """The INVITEs received so far, those to `number` only when it is given."""
        return [e for e in self.events if e.name == "INVITE" and (number is None or e.number == number)]

    def act(self) -> None:
        """Lets the phone do to the newest call, which must ring, what its behaviour would do `after` some time."""
        self.order("MESSAGE", self.rung()[-1].call_id)

    def hang_up(self) -> None:
        """Hangs up the newest call, which must have been answered."""
        self.order("MESSAGE", self.rung()[-1].call_id)

    def press_hold(self, held: bool) -> None:
        """Presses the phone's hold key in the newest call, or takes that back."""
        self.order("PUBLISH" if held else "SUBSCRIBE", self.rung()[-1].call_id)

    def press_transfer(self, number: str) -> None:
        """Presses the phone's transfer key in the newest call, and dials."""
        self.order("REFER", self.rung()[-1].call_id, number)

    def close(self) -> None:
        super().close()
        self.line.close()


class Phone(Phones):
    """A phone registered as `PJSIP/<name>`. `close` switches it off: it says goodbye first; `die` does not."""

    def __init__(self, asterisk: Asterisk, name: str, behaviours: Sequence[Behaviour] | Behaviour) -> None:
        plan = [behaviours] if isinstance(behaviours, Behaviour) else list(behaviours)
        self._registrations = 0
        super().__init__(asterisk, name, {None: plan})

    def _start(self, scenario: str, arguments: Sequence[str], *, listening: bool) -> None:
        self._register(300)
        super()._start(scenario, arguments, listening=listening)

    def die(self) -> None:
        """Vanishes without a word, as by a pulled plug."""
        Party.close(self)

    def close(self) -> None:
        was_running = self.running
        super().close()
        if was_running:
            self._register(0)

    def _register(self, expires_s: int) -> None:
        """Registers from the phone's own port, which SIPp does not hold at that moment.

        Asterisk asks a new contact at once whether it is there; that OPTIONS is answered here.
        """
        self._registrations += 1
        host, port = self.asterisk.sip_address.split(":")
        text = (
            f"REGISTER sip:{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.address}:{self.port};branch=z9hG4bK-{time.monotonic_ns()}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.name}@{host}>;tag=r\r\nTo: <sip:{self.name}@{host}>\r\n"
            f"Call-ID: register-{self.folder.name}\r\nCSeq: {self._registrations} REGISTER\r\n"
            f"Contact: <sip:{self.name}@{self.address}:{self.port}>\r\n"
            f"Expires: {expires_s}\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.bind((self.address, self.port))
            line.settimeout(30)
            line.sendto(text.encode(), (host, int(port)))
            accepted, asked = False, expires_s == 0
            while not (accepted and asked):
                try:
                    message, source = line.recvfrom(4096)
                except TimeoutError:
                    raise PartyFailed(f"Asterisk did not take the registration of {self.name}") from None
                if message.startswith(b"OPTIONS"):
                    asked = True
                    line.sendto(_answered(message), source)
                elif message.startswith(b"SIP/2.0 200"):
                    accepted = True
                else:
                    raise PartyFailed(f"Asterisk refused the registration of {self.name}: {message!r}")


class Mobiles(Phones):
    """The mobile network beyond the trunk: `plans` by the dialled number in E.164."""

    def __init__(self, asterisk: Asterisk, plans: Mapping[str, Sequence[Behaviour]]) -> None:
        lines: dict[str | None, Sequence[Behaviour]] = {number: plans[number] for number in plans}
        super().__init__(asterisk, "mobiles", lines, address=CALLER_ADDRESS, port=asterisk.trunk_port)


def media_address(text: str) -> tuple[str, int]:
    """Where an SDP body wants its audio."""
    host, port = re.search(r"^c=IN IP4 (\S+)", text, re.MULTILINE), re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    if host is None or port is None:
        raise PartyFailed(f"no audio in {text!r}")
    return host[1], int(port[1])


def _answered(options: bytes) -> bytes:
    kept = (b"via:", b"from:", b"to:", b"call-id:", b"cseq:")
    lines = [line for line in options.split(b"\r\n") if line.lower().startswith(kept)]
    return b"\r\n".join([b"SIP/2.0 200 OK", *lines, b"Content-Length: 0", b"", b""])
