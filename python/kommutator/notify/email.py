"""E-mail by SMTP: one connection a letter, in a thread of its own.

The letter is handed over by the end of `DATA`; an answer lost after that is a doubt, and the repetition carries the same `Message-ID`.
"""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol

from pydantic import SecretStr

from kommutator.errors import SettingsInvalid
from kommutator.notify.letters import POLICY, Head, Letterhead, compose
from kommutator.notify.ports import Accepted, Doubtful, Later, Notice, Outcome, Refused, Sent, Told, Voicemail
from kommutator.notify.voicemail import Sound, SoundSettings, playable

_CHANNEL_S = 30.0
"""The pause of the channel when the server cannot be reached, or does not take us."""
_RECORDING_S = 15.0
"""The pause before a recording is looked for again."""


class Recordings(Protocol):
    """Where callers' messages are."""

    async def wav(self, name: str) -> bytes | None:
        """The recording; None while it has not arrived."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How the mail server is reached. Raises `SettingsInvalid`."""

    host: str
    port: int = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls` insists on it. `none` is for a relay on this machine or in this network, and sends no password."""
    user: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """Authorities that are trusted besides the system's."""
    hello: str | None = None
    """Our name in `EHLO`; None for this machine's."""
    answer_s: float = 30.0
    """The longest wait for one answer."""
    attempt_s: float = 120.0
    """The longest that one letter may take."""
    recording_s: float = 900.0
    """A letter waits so long for a recording that has not arrived, then it goes without."""
    sound: SoundSettings = field(default_factory=SoundSettings)

    def __post_init__(self) -> None:
        if (self.user is None) != (self.password is None):
            raise SettingsInvalid("a mail server wants a user and a password, or neither")
        if self.user is not None and self.security == "none":
            raise SettingsInvalid("a password is not sent to a mail server without TLS: set `security`")


class Smtp:
    """The channel."""

    recognises_repeats = True
    """By `Message-ID`: most mail programs show such letters once, and people see at once that they are one."""

    def __init__(self, settings: SmtpSettings, head: Head, recordings: Recordings) -> None:
        self._settings = settings
        self._head = head
        self._recordings = recordings
        self.attempt_s = settings.attempt_s

    async def run(self, told: Told) -> None:
        """Nothing is needed."""

    async def turn(self) -> None:
        """Letters leave at once."""

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """One letter."""
        head = self._head()
        letter = await composed(notice, head, self._recordings, self._settings)
        if not isinstance(letter, EmailMessage):
            return letter
        sending = _Sending(self._settings, head.sender, notice.recipient, letter)
        try:
            outcome = await _in_thread(sending.run)
        except asyncio.CancelledError:
            sending.abort()
            raise
        if isinstance(outcome, Sent):
            await accepted(1, str(letter["Message-ID"]))
        return outcome


class Waiting(Protocol):
    """How long a letter waits for its recording, and what is attached."""

    @property
    def recording_s(self) -> float: ...
    @property
    def sound(self) -> SoundSettings: ...


async def composed(
    notice: Notice, head: Letterhead, recordings: Recordings, settings: Waiting
) -> EmailMessage | Later | Refused:
    """The whole letter, or why there is none yet."""
    sound: Sound | None = None
    if isinstance(notice.content, Voicemail):
        wav = await recordings.wav(notice.content.recording)
        waited_s = notice.attempt * _RECORDING_S
        if wav is None and waited_s < settings.recording_s:
            return Later("the recording has not arrived yet", after_s=_RECORDING_S)
        if wav is not None:
            sound = await asyncio.to_thread(playable, wav, settings.sound)
    try:
        return compose(notice, head, sound)
    except (ValueError, UnicodeError, IndexError) as error:
        return Refused(f"no letter can be made: {error}")


class _Sending:
    """One letter on its way, in a thread that `abort` ends."""

    def __init__(self, settings: SmtpSettings, sender: str, recipient: str, letter: EmailMessage) -> None:
        self.settings = settings
        self._sender = sender
        self._recipient = recipient
        self._letter = letter
        self._aborted = False
        self.connection: smtplib.SMTP | None = None
        """From before it is connected: a server may keep us waiting for its very first word."""

    def abort(self) -> None:
        """From another thread: whatever is under way fails now."""
        self._aborted = True
        connected = None if self.connection is None else self.connection.sock
        if connected is not None:
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def run(self) -> Outcome:
        try:
            connection = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            return Later(f"the mail server cannot be used: {_said(error)}", channel_s=_CHANNEL_S)
        try:
            return self._hand_over(connection)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                connection.quit()
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        """A connection that is encrypted and signed in as settings say."""
        settings = self.settings
        context = ssl.create_default_context(cafile=settings.ca_file) if settings.security != "none" else None
        connection = _Encrypted(self, context) if settings.security == "tls" else _Plain(self)
        try:
            if settings.security == "starttls":
                connection.starttls(context=context)
            if settings.user is not None and settings.password is not None:
                _sign_in(connection, settings.user, settings.password.get_secret_value())
            else:
                connection.ehlo_or_helo_if_needed()
        except BaseException:
            connection.close()
            raise
        return connection

    def _hand_over(self, connection: smtplib.SMTP) -> Outcome:
        international = not (self._recipient.isascii() and self._sender.isascii())
        if international and not connection.has_extn("smtputf8"):
            return Refused("the mail server takes no addresses with other than Latin letters")
        content = self._letter.as_bytes(policy=POLICY.clone(utf8=international))
        options = ["SMTPUTF8", "BODY=8BITMIME"] if international else []
        try:
            if connection.has_extn("size"):
                options.append(f"SIZE={len(content)}")
            for code, answer in (connection.mail(self._sender, options), connection.rcpt(self._recipient)):
                if code not in (250, 251):
                    return _refusal(code, answer)
        except (OSError, smtplib.SMTPException) as error:
            return Later(f"the mail server cannot be used: {_said(error)}", channel_s=_CHANNEL_S)
        if self._aborted:
            return Later("there was no time left")
        try:
            code, answer = connection.data(content)
        except smtplib.SMTPDataError as error:
            return _refusal(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return Doubtful(f"the mail server's answer was lost: {_said(error)}")
        return Sent() if code == 250 else _refusal(code, answer)


class _Plain(smtplib.SMTP):
    """A connection that is known to its sending before it is connected."""

    def __init__(self, sending: _Sending) -> None:
        sending.connection = self
        settings = sending.settings
        super().__init__(settings.host, settings.port, settings.hello, timeout=settings.answer_s)


class _Encrypted(smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""

    def __init__(self, sending: _Sending, context: ssl.SSLContext | None) -> None:
        sending.connection = self
        settings = sending.settings
        super().__init__(settings.host, settings.port, settings.hello, timeout=settings.answer_s, context=context)


async def _in_thread(work: Callable[[], Outcome]) -> Outcome:
    """Do it in a thread for which nobody waits when the process ends: no server can hold us up."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Outcome] = loop.create_future()

    def tell(outcome: Outcome | None, error: Exception | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif outcome is not None:
            done.set_result(outcome)

    def run() -> None:
        outcome: Outcome | None = None
        failure: Exception | None = None
        try:
            outcome = work()
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, outcome, failure)

    threading.Thread(target=run, name="letter", daemon=True).start()
    return await done


def _sign_in(connection: smtplib.SMTP, user: str, password: str) -> None:
    """Raises `SMTPException`. smtplib's own `login` knows ASCII alone; PLAIN is UTF-8 (RFC 4616)."""
    if (user + password).isascii():
        connection.login(user, password)
        return
    connection.ehlo_or_helo_if_needed()
    code, answer = connection.docmd("AUTH", "PLAIN " + b64encode(f"\0{user}\0{password}".encode()).decode())
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, answer)


def _refusal(code: int, answer: bytes | str) -> Outcome:
    said = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    reason = f"the mail server said {code} {' '.join(said.split())[:300]}"
    if code == 421:
        return Later(reason, channel_s=_CHANNEL_S)
    return Refused(reason) if 500 <= code < 600 else Later(reason)


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        _, said = error.smtp_code, error.smtp_error
        return f"{error.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"[:300]
    return f"{type(error).__name__}: {error}"[:300]
