"""SMS by SMPP 3.4: one bound session, kept alive and renewed, long texts in parts, delivery receipts.

The library `smpp34` frames, windows, answers and sends `enquire_link` (every 30 s; a session without an answer for 30 s is ended). It
acknowledges a `deliver_sm` before we have written it down: a receipt is lost when the process dies in between, and the notice then
stays `sent`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

import smpp34
import structlog
from pydantic import SecretStr

from kommutator.notify.ports import Accepted, Doubtful, Later, Notice, Outcome, Refused, Sent, Sms, Told
from kommutator.notify.sms_receipt import is_receipt, read_receipt
from kommutator.notify.sms_text import Joiner, Part, decode, split, take_header

_MESSAGE_PAYLOAD: Final = 0x0424
_SAR_REFERENCE: Final = 0x020C
_SAR_TOTAL: Final = 0x020E
_SAR_NUMBER: Final = 0x020F
_HAS_HEADER: Final = 0x40
"""In esm_class: the message begins with a user data header."""
_THROTTLED: Final = frozenset({0x14, 0x58})
"""ESME_RMSGQFUL, ESME_RTHROTTLED."""
_OURS: Final = frozenset({0x04, 0x0A, 0x0D, 0x48, 0x49})
"""Bind status, source address, its type: no notice will pass until somebody corrects the settings."""
_NEVER: Final = frozenset({0x01, 0x0B, 0x33, 0x40, 0x42, 0x43, 0x50, 0x51, 0x61, 0x62})
"""Length, destination, its type, and other fields of this very message."""
_NAMES: Final = {getattr(smpp34, name): name for name in dir(smpp34) if name.startswith("ESME_")}
_STATUS = re.compile(r"\((0x[0-9A-Fa-f]+)\)")
_SYSTEM_ERROR: Final = 0x08


@dataclass(frozen=True, slots=True)
class SmppSettings:
    """How the SMSC is reached, and what it is like."""

    host: str
    system_id: str
    password: SecretStr
    sender: str
    """Who the message is from: a name of up to 11 letters, a short number, or E.164."""
    port: int = 2775
    tls: bool = False
    """The server's certificate is checked against the system's authorities."""
    system_type: str = ""
    gsm7: bool = True
    """Whether the SMSC's default alphabet is GSM 7-bit. False sends all texts as UCS-2."""
    parts: Literal["udh", "sar"] = "udh"
    """How the parts of a long text are marked: by the telephone's own header, or by SMPP's parameters sar_*."""
    receipts: bool = True
    receipt_ids: Literal["same", "decimal"] = "same"
    """`decimal`: receipts name in decimal what `submit_sm_resp` named in hexadecimal, as some SMSCs do."""
    per_second: float = 10.0
    """Messages a second, at most; what the contract allows."""
    throttle_s: float = 5.0
    """The pause after the SMSC says that it is too much."""
    answer_s: float = 20.0
    """The longest wait for the answer to one message; below the 30 s of the library."""
    bind_wait_s: float = 5.0
    """How long a message waits for a session."""
    reconnect_s: tuple[float, float] = (1.0, 30.0)
    """The first and the longest pause between attempts to bind."""


@dataclass(frozen=True, slots=True)
class IncomingSms:
    """A text that somebody sent to us, its parts joined."""

    sender: str
    recipient: str
    text: str


class SmppSms:
    """The channel."""

    recognises_repeats = False

    def __init__(
        self, settings: SmppSettings, incoming: Callable[[IncomingSms], Awaitable[None]] | None = None
    ) -> None:
        self._settings = settings
        self._incoming = incoming
        self._session: tuple[smpp34.Client, smpp34.Smsc] | None = None
        self._bound = asyncio.Event()
        self._joiner = Joiner()
        self._pace = asyncio.Lock()
        self._log = structlog.get_logger().bind(smsc=f"{settings.host}:{settings.port}")

    @property
    def attempt_s(self) -> float:
        """Of the longest text: six parts of it, and the wait for a session."""
        return self._settings.bind_wait_s + 6 * (self._settings.answer_s + 1 / self._settings.per_second)

    @property
    def bound(self) -> bool:
        """Whether there is a session now."""
        return self._session is not None

    async def run(self, told: Told) -> None:
        """Bind, read, and bind again."""
        pause_s, longest_s = self._settings.reconnect_s
        while True:
            try:
                client, session = await self._bind()
            except (smpp34.SmppError, OSError, TimeoutError) as error:
                self._log.error("cannot bind to the SMSC", reason=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, longest_s)
                continue
            pause_s = self._settings.reconnect_s[0]
            self._log.info("bound to the SMSC", system_id=session.system_id)
            self._session = client, session
            self._bound.set()
            try:
                await self._read(session, told)
                self._log.warning("the session with the SMSC is over")
            finally:
                self._session = None
                self._bound.clear()
                await self._end(client, session)
            await asyncio.sleep(pause_s)

    async def turn(self) -> None:
        """Until there is a session, for a while, and not more often than the contract allows."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.bind_wait_s):
                await self._bound.wait()
        await self._wait_its_turn()

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """Submit the parts that are left, one after the other; the first of them has had its `turn`."""
        if not isinstance(notice.content, Sms):
            return Refused(f"{type(notice.content).__name__} is not for a telephone")
        try:
            parts = split(notice.content.text, notice.id, gsm7=self._settings.gsm7)
        except ValueError as error:
            return Refused(str(error))
        for place, part in enumerate(each for each in parts if each.number not in notice.parts):
            if place:
                await self._wait_its_turn()
            outcome = await self._submit(notice.recipient, part, accepted)
            if not isinstance(outcome, Sent):
                return outcome
        return Sent()

    # --- inside

    async def _bind(self) -> tuple[smpp34.Client, smpp34.Smsc]:
        settings = self._settings
        client = smpp34.Client(
            host=settings.host,
            port=settings.port,
            system_id=settings.system_id,
            password=settings.password.get_secret_value(),
            bind_type="TRX",
            system_type=settings.system_type,
            tls=settings.tls,
            inbound_capacity=1024,
            connect_timeout_ms=10_000,
        )
        return client, await client.connect()

    async def _end(self, client: smpp34.Client, session: smpp34.Smsc) -> None:
        """An orderly `unbind`, or at least an end."""
        with suppress(smpp34.SmppError, TimeoutError):
            async with asyncio.timeout(2):
                await session.unbind()
        await client.stop()

    async def _read(self, session: smpp34.Smsc, told: Told) -> None:
        while True:
            event = await session.next()
            if isinstance(event, smpp34.Disconnected):
                return
            await self._take(event, told)

    async def _take(self, event: smpp34.DeliverSmEvent, told: Told) -> None:
        parameters = {each.tag: each.value for each in event.tlvs}
        message = event.short_message or parameters.get(_MESSAGE_PAYLOAD, b"")
        if is_receipt(event.esm_class):
            receipt = read_receipt(decode(message, event.data_coding), parameters)
            if receipt is None:
                self._log.info("a receipt says nothing final", text=message[:160].decode("latin-1"))
            else:
                await told(receipt)
            return
        header, body = take_header(message) if event.esm_class & _HAS_HEADER else (None, message)
        for sender, text in self._joiner.take(event.source_addr, header, decode(body, event.data_coding)):
            self._log.info("a text came", sender=sender, characters=len(text))
            if self._incoming is not None:
                await self._incoming(IncomingSms(sender, event.destination_addr, text))

    async def _submit(self, recipient: str, part: Part, accepted: Accepted) -> Outcome:
        session = await self._alive()
        if session is None:
            return Later("there is no session with the SMSC", channel_s=self._settings.reconnect_s[0])
        source, source_ton, source_npi = _address(self._settings.sender)
        destination, dest_ton, dest_npi = _address(recipient)
        in_message = self._settings.parts == "udh"
        try:
            async with asyncio.timeout(self._settings.answer_s):
                answer = await session.submit_sm(
                    destination,
                    (part.header if in_message else b"") + part.body,
                    source_addr=source,
                    source_addr_ton=source_ton,
                    source_addr_npi=source_npi,
                    dest_addr_ton=dest_ton,
                    dest_addr_npi=dest_npi,
                    esm_class=_HAS_HEADER if in_message and part.of > 1 else 0,
                    registered_delivery=int(self._settings.receipts),
                    data_coding=part.coding,
                    tlvs=[] if in_message else _sar(part),
                )
        except TimeoutError:
            return Doubtful(f"the SMSC did not answer part {part.number} in {self._settings.answer_s:g} s")
        except smpp34.SmppError as error:
            return self._nacked(part, str(error))
        if not answer.is_success:
            return self._judge(answer.command_status)
        await accepted(part.number, self._known_as(answer.message_id))
        return Sent()

    async def _wait_its_turn(self) -> None:
        async with self._pace:
            await asyncio.sleep(1 / self._settings.per_second)

    async def _alive(self) -> smpp34.Smsc | None:
        """The session; None when there is none."""
        if self._session is None:
            return None
        client, session = self._session
        return session if await client.is_alive() else None

    def _nacked(self, part: Part, error: str) -> Outcome:
        """The library's word for a `generic_nack`, which is certain, and for a session that ended before the answer, which is not."""
        found = _STATUS.search(error)
        status = int(found[1], 16) if found else _SYSTEM_ERROR
        if status == _SYSTEM_ERROR:
            return Doubtful(f"the session ended before part {part.number} was answered")
        return self._judge(status)

    def _judge(self, status: int) -> Outcome:
        reason = f"the SMSC said {_NAMES.get(status, 'status')} ({status:#x})"
        if status in _THROTTLED:
            return Later(reason, channel_s=self._settings.throttle_s)
        if status in _OURS:
            self._log.error("the SMSC does not take what we send as settings say", reason=reason)
            return Later(reason, channel_s=self._settings.reconnect_s[1])
        return Refused(reason) if status in _NEVER else Later(reason)

    def _known_as(self, message_id: str | None) -> str | None:
        if not message_id:
            return None
        if self._settings.receipt_ids == "decimal":
            with suppress(ValueError):
                return str(int(message_id, 16))
        return message_id


def _address(address: str) -> tuple[str, int, int]:
    """An address with its type of number and its numbering plan (5.2.5, 5.2.6)."""
    digits = address.removeprefix("+")
    if not digits.isdecimal():
        return address, 5, 0
    return (digits, 1, 1) if address.startswith("+") or len(digits) > 6 else (digits, 3, 0)


def _sar(part: Part) -> list[smpp34.Tlv]:
    if part.of == 1:
        return []
    return [
        smpp34.Tlv(_SAR_REFERENCE, part.reference.to_bytes(2)),
        smpp34.Tlv(_SAR_TOTAL, bytes((part.of,))),
        smpp34.Tlv(_SAR_NUMBER, bytes((part.number,))),
    ]
