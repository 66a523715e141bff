"""A party's speech and keys over RTP: what SIPp would need root for, and what a test wants to hear.

RTP is RFC 3550 with G.711 A-law in packets of 20 ms; keys are RFC 4733 events of payload type 101.
"""

from __future__ import annotations

import array
import secrets
import socket
import struct
import threading
import time
from dataclasses import dataclass

from . import sound

_PACKET_S = 0.02
_PACKET_SAMPLES = 160
_ALAW, _EVENT = 8, 101
_KEYS = "0123456789*#ABCD"
_KEY_PACKETS = 6  # 120 ms
_HEARD_LIMIT = 60_000  # packets: twenty minutes


@dataclass(frozen=True)
class Heard:
    """One packet of speech: when it came, in seconds since the epoch, and its A-law bytes."""

    at: float
    alaw: bytes


class Line:
    """A media port. It hears from the beginning; it can speak once `remote` is known."""

    def __init__(self, address: str, port: int) -> None:
        self.address, self.port = address, port
        self.remote: tuple[str, int] | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, port))
        self._heard: list[Heard] = []
        self._sequence = secrets.randbelow(1 << 15)
        self._timestamp = secrets.randbelow(1 << 30)
        self._source = secrets.randbits(32)
        self._speaking = threading.Lock()
        self._listener = threading.Thread(target=self._listen, name=f"line {port}", daemon=True)
        self._listener.start()

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

    def speak(self, alaw: bytes) -> None:
        """Sends raw A-law in real time, and returns when it is said."""
        with self._speaking:
            packets = [alaw[start : start + _PACKET_SAMPLES] for start in range(0, len(alaw), _PACKET_SAMPLES)]
            due = time.monotonic()
            for index, packet in enumerate(packets):
                self._send(_ALAW, packet.ljust(_PACKET_SAMPLES, b"\xd5"), marker=index == 0)
                self._timestamp += _PACKET_SAMPLES
                due += _PACKET_S
                time.sleep(max(0.0, due - time.monotonic()))

    def press(self, key: str) -> None:
        """Sends one key: 120 ms, its end three times, then 60 ms of pause."""
        code = _KEYS.index(key)
        with self._speaking:
            for number in range(1, _KEY_PACKETS + 4):
                ended = number > _KEY_PACKETS
                duration = min(number, _KEY_PACKETS) * _PACKET_SAMPLES
                self._send(_EVENT, struct.pack("!BBH", code, 0x8A if ended else 0x0A, duration), marker=number == 1)
                if not ended:
                    time.sleep(_PACKET_S)
            self._timestamp += (_KEY_PACKETS + 3) * _PACKET_SAMPLES
            time.sleep(3 * _PACKET_S)

    def close(self) -> None:
        """Stops hearing."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # an unconnected socket says ENOTCONN, and wakes its reader all the same
            pass
        self._socket.close()
        self._listener.join(1)

    def _send(self, payload_type: int, payload: bytes, *, marker: bool) -> None:
        if self.remote is None:
            raise RuntimeError("the other side's media address is not known yet")
        kind = payload_type | (0x80 if marker else 0)
        head = struct.pack(
            "!BBHII", 0x80, kind, self._sequence & 0xFFFF, self._timestamp & 0xFFFFFFFF, self._source
        )
        self._sequence += 1
        self._socket.sendto(head + payload, self.remote)

    def _listen(self) -> None:
        while True:
            try:
                packet, _ = self._socket.recvfrom(2048)
            except OSError:
                return
            if not packet:
                return
            if len(packet) > 12 and packet[1] & 0x7F == _ALAW and len(self._heard) < _HEARD_LIMIT:
                self._heard.append(Heard(time.time(), packet[12 + 4 * (packet[0] & 0x0F) :]))
