"""A party's speech and keys over RTP: what SIPp would need root for, and what a test wants to hear.

RTP is RFC 3550 with G.711 A-law in packets of 20 ms; keys are RFC 4733 events of payload type 101.
"""

from __future__ import annotations

import array
import contextlib
import queue
import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace

from . import sound

_PACKET_S = 0.02
_PACKET_SAMPLES = 160
_ALAW, _EVENT = 8, 101
_KEYS = "0123456789*#ABCD"
_KEY_PACKETS = 6  # 120 ms
_SILENCE = b"\xd5"
_GRACE_S = 5.0
_HEARD_LIMIT = 60_000  # packets: twenty minutes


@dataclass(frozen=True)
class Heard:
    """One packet of speech: when it came, in seconds since the epoch, and its A-law bytes."""

    at: float
    alaw: bytes


class Line:
    """A media port. It hears from the beginning, and answers whoever speaks to it first, as telephones do.

    Once it knows the other side it sends a packet every 20 ms, silence when nothing is said: Asterisk takes a line
    that sends nothing for dead, and ends a recording after four seconds of it.
    """

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self._remote: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._heard: list[Heard] = []
        self._said: queue.SimpleQueue[_Frame] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._connected = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, name=f"line {port} hears", daemon=True),
            threading.Thread(target=self._talk, name=f"line {port} talks", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def connected(self) -> bool:
        """Whether the other side is known."""
        return self._remote is not None

    def connect(self, remote: tuple[str, int]) -> None:
        """Names the other side's media address, and begins to send."""
        self._remote = remote
        self._connected.set()

    def disconnect(self) -> None:
        """Forgets the other side, for the next call."""
        self._connected.clear()
        self._remote = None

    def heard(self, since: float = 0.0, until: float = float("inf")) -> array.array[int]:
        """The samples that came in that time, in the order they came; silence that was not sent is not there."""
        packets = b"".join(packet.alaw for packet in list(self._heard) if since <= packet.at <= until)
        return sound.from_alaw(packets)

    def wait_sound(self, *, since: float = 0.0, loudness: float = 300.0, seconds: float = 5.0) -> float:
        """Waits until something of that loudness is heard, and returns when; raises `AssertionError`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for packet in list(self._heard):
                if packet.at >= since and sound.rms(sound.from_alaw(packet.alaw)) >= loudness:
                    return packet.at
            time.sleep(_PACKET_S)
        raise AssertionError(f"nothing was heard on port {self.port} within {seconds} s")

    def wait_quiet(self, *, since: float, seconds: float, limit: float) -> None:
        """Waits until something has come after `since`, and then nothing for `seconds`; raises `AssertionError`.

        Asterisk sends packets all through a prompt, pauses in it included, and none while it records.
        """
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            last = self._heard[-1].at if self._heard else 0.0
            if last >= since and time.time() - last >= seconds:
                return
            time.sleep(_PACKET_S)
        raise AssertionError(f"port {self.port} did not fall quiet within {limit} s")

    def speak(self, alaw: bytes) -> None:
        """Says raw A-law in real time, and returns when it is said."""
        packets = [alaw[start : start + _PACKET_SAMPLES] for start in range(0, len(alaw), _PACKET_SAMPLES)]
        self._say([_Frame(_ALAW, packet.ljust(_PACKET_SAMPLES, _SILENCE)) for packet in packets])

    def press(self, key: str) -> None:
        """Sends one key: 120 ms, its end three times, then 60 ms of silence."""
        code, frames = _KEYS.index(key), []
        for number in range(1, _KEY_PACKETS + 4):
            ended = 0x80 if number > _KEY_PACKETS else 0
            payload = struct.pack("!BBH", code, ended | 0x0A, min(number, _KEY_PACKETS) * _PACKET_SAMPLES)
            frames.append(_Frame(_EVENT, payload, marker=number == 1))
        self._say(frames + [_Frame(_ALAW, _SILENCE * _PACKET_SAMPLES)] * 3)

    def close(self) -> None:
        """Falls silent."""
        self._closed.set()
        self._connected.set()
        with contextlib.suppress(OSError):  # an unconnected socket says ENOTCONN, and wakes its reader all the same
            self._socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(1)
        self._socket.close()

    def _say(self, frames: list[_Frame]) -> None:
        done = threading.Event()
        for frame in frames[:-1]:
            self._said.put(frame)
        self._said.put(replace(frames[-1], done=done))
        if not done.wait(len(frames) * _PACKET_S + _GRACE_S):
            raise AssertionError(f"the line of port {self.port} could not say it: nobody is connected")

    def _talk(self) -> None:
        source = secrets.randbits(32)
        sequence, timestamp = secrets.randbelow(1 << 15), secrets.randbelow(1 << 30)
        event_timestamp = timestamp
        due = 0.0
        while not self._closed.is_set():
            if not self._connected.is_set():
                self._connected.wait()
                due = time.monotonic()
                continue
            try:
                frame = self._said.get_nowait()
            except queue.Empty:
                frame = _Frame(_ALAW, _SILENCE * _PACKET_SAMPLES)
            if frame.marker:
                event_timestamp = timestamp
            at = event_timestamp if frame.payload_type == _EVENT else timestamp
            kind = frame.payload_type | (0x80 if frame.marker else 0)
            head = struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, at & 0xFFFFFFFF, source)
            remote = self._remote
            if remote is not None:
                try:
                    self._socket.sendto(head + frame.payload, remote)
                except OSError:
                    if self._closed.is_set():
                        return
                    raise
            if frame.done is not None:
                frame.done.set()
            sequence, timestamp = sequence + 1, timestamp + _PACKET_SAMPLES
            due += _PACKET_S
            self._closed.wait(max(0.0, due - time.monotonic()))

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                packet, origin = self._socket.recvfrom(2048)
            except OSError:
                return
            if len(packet) > 12 and packet[1] & 0x7F == _ALAW:
                if self._remote is None:
                    self.connect(origin)
                if len(self._heard) < _HEARD_LIMIT:
                    self._heard.append(Heard(time.time(), packet[12 + 4 * (packet[0] & 0x0F) :]))


@dataclass(frozen=True)
class _Frame:
    """What is said in 20 ms; `done` is set when it has been."""

    payload_type: int
    payload: bytes
    marker: bool = False
    done: threading.Event | None = None
