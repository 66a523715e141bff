"""Letters through a real mail server with TLS and authentication, and what is in them."""

from __future__ import annotations

import asyncio
import io
import math
import socket
import ssl
import struct
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from itertools import pairwise
from pathlib import Path
from typing import Any

import miniaudio
import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from kommutator.errors import SettingsInvalid
from kommutator.notify.email import Smtp, SmtpSettings
from kommutator.notify.email_file import FileEmail, FileEmailSettings
from kommutator.notify.letters import Letterhead, compose
from kommutator.notify.ports import Letter, Notice, Voicemail
from kommutator.notify.voicemail import SoundSettings, playable
from tests.notify.memory import START_MS, FakeClock, MemoryOutbox, sending

# The server of the tests warns of what it is told to do: to ask for a password without TLS.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Requiring AUTH")]
TO = "anna@example.test"
HEAD = Letterhead(
    "calls@romashka.test", "ООО «Ромашка», отдел продаж", "Europe/Moscow", "ru", reply_to="office@romashka.test"
)


class MailServer:
    """The server's mailbox, and how it misbehaves."""

    def __init__(self, ca: trustme.CA, folder: Path) -> None:
        self.letters: list[tuple[str, list[str], EmailMessage, bytes]] = []
        self.rcpt_answers: list[str] = []
        self.data_answers: list[str] = []
        self.sessions = 0
        self.signed_in: list[bytes] = []
        self.tls: list[bool] = []
        self.ca_file = folder / "ca.pem"
        ca.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1").configure_cert(self.context)
        self.port = 0

    def sign_in(self, _server: Any, _session: Any, _envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        good = (data.login, data.password) == (b"kt", "пароль".encode())
        if good:
            self.signed_in.append(data.login)
        return AuthResult(success=good, handled=False)

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.rcpt_answers:
            return self.rcpt_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        transport = server.transport
        assert isinstance(transport, asyncio.Transport)
        answer = self.data_answers.pop(0) if self.data_answers else "250 kept"
        if answer.startswith("250") or answer == "break off":
            assert isinstance(envelope.content, bytes)
            letter = message_from_bytes(envelope.content, policy=default)
            assert isinstance(letter, EmailMessage)
            self.letters.append((envelope.mail_from or "", envelope.rcpt_tos, letter, envelope.content))
            self.tls.append(session.ssl is not None or transport.get_extra_info("sslcontext") is not None)
        if answer == "break off":
            transport.abort()
        return answer


@pytest.fixture
def mail(tmp_path: Path) -> MailServer:
    return MailServer(trustme.CA(), tmp_path)


@asynccontextmanager
async def serving(mail: MailServer, security: str = "starttls", *, authentication: bool = True) -> AsyncIterator[None]:
    """The server listens."""
    connections: list[asyncio.Transport] = []

    def protocol() -> SMTP:
        mail.sessions += 1
        return SMTP(
            mail,
            authenticator=mail.sign_in if authentication else None,
            auth_required=authentication,
            auth_require_tls=security == "starttls",
            require_starttls=security == "starttls",
            tls_context=mail.context if security == "starttls" else None,
            enable_SMTPUTF8=True,
        )

    tls = mail.context if security == "tls" else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    mail.port = server.sockets[0].getsockname()[1]
    try:
        yield
    finally:
        server.close()
        for connection in connections:
            connection.abort()


def settings(mail: MailServer, **changes: Any) -> SmtpSettings:
    usual = {
        "port": mail.port,
        "user": "kt",
        "password": SecretStr("пароль"),
        "ca_file": mail.ca_file,
        "hello": "kt.test",
    }
    return SmtpSettings("127.0.0.1", **{**usual, **changes})


class Kept:
    """Recordings that have arrived."""

    def __init__(self, **recordings: bytes) -> None:
        self.recordings = recordings

    async def wav(self, name: str) -> bytes | None:
        return self.recordings.get(name)


def recording(seconds: float, rate: int = 8000, *, hertz: float = 440) -> bytes:
    """A tone as a telephone records it."""
    content = io.BytesIO()
    with wave.open(content, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        turns = (math.sin(2 * math.pi * hertz * n / rate) for n in range(int(seconds * rate)))
        writer.writeframes(b"".join(struct.pack("<h", int(12_000 * turn)) for turn in turns))
    return content.getvalue()


def heard(sound: bytes) -> tuple[float, float, float]:
    """What is in a sound: seconds, loudness (of 32767), and hertz by its zero crossings."""
    decoded = miniaudio.decode(sound, nchannels=1, sample_rate=16_000)
    samples = decoded.samples
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    crossings = sum(1 for one, two in pairwise(middle) if one < 0 <= two)
    return len(samples) / 16_000, max(middle), crossings / (len(middle) / 16_000)


def read_header(raw: bytes, name: str) -> str:
    """A header as mail programs read it, by the plain rules of RFC 2047."""
    return str(make_header(decode_header(message_from_bytes(raw)[name])))


def voicemail(recording: str = "kt-1-4", caller: str | None = "+79161230099") -> Voicemail:
    return Voicemail(recording, 3.0, caller, "+74951112233", START_MS - 60_000)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_letter_arrives_over_tls_and_signed_in(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock, security: str
) -> None:
    text = "Здравствуйте!\n\nПропущен звонок от +79161230099 в 12:00.\n.\nТочка выше — часть письма.\n"
    row = outbox.put("c1.2", TO, Letter(text, "Пропущен звонок — срочно"), "email")
    async with (
        serving(mail, security),
        sending(outbox, clock, Smtp(settings(mail, security=security), lambda: HEAD, Kept()), "email"),
    ):
        await outbox.until_state("c1.2", "sent")
    ((sender, recipients, letter, raw),) = mail.letters
    assert (sender, recipients) == ("calls@romashka.test", [TO])
    assert (mail.signed_in, mail.tls) == ([b"kt"], [True])
    assert letter["Subject"] == "Пропущен звонок — срочно"
    assert read_header(raw, "From") == "ООО «Ромашка», отдел продаж <calls@romashka.test>"
    assert (letter["To"], letter["Reply-To"], letter["Auto-Submitted"]) == (
        TO,
        "office@romashka.test",
        "auto-generated",
    )
    assert letter["Date"].datetime.timestamp() == START_MS // 1000
    assert letter["Date"].datetime.utcoffset().total_seconds() == 3 * 3600
    assert letter.get_content().replace("\r\n", "\n") == text
    head = raw.partition(b"\r\n\r\n")[0]
    assert head.isascii(), "headers travel in ASCII"
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998
    assert row.parts == {1: letter["Message-ID"]}


async def test_a_repetition_is_known_by_its_message_id(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    mail.data_answers = ["break off"]
    row = outbox.put("c1.2", TO, Letter("text"), "email")
    outbox.put("c1.3", "boris@example.test", Letter("text"), "email")
    async with (
        serving(mail),
        sending(outbox, clock, Smtp(settings(mail), lambda: HEAD, Kept()), "email", concurrency=1) as work,
    ):
        await outbox.until(lambda: "doubtful" in row.history)
        clock.ms += 400_000
        work.wake()
        await outbox.until_state("c1.2", "sent")
        await outbox.until_state("c1.3", "sent")
    ids = [letter["Message-ID"] for _, recipients, letter, _ in mail.letters if recipients == [TO]]
    assert len(ids) == 2
    assert ids[0] == ids[1]
    assert len({letter["Message-ID"] for _, _, letter, _ in mail.letters}) == 2
    assert ids[0].endswith("@romashka.test>")


@pytest.mark.parametrize(
    ("wav_bytes", "media_type", "suffix"), [(1_000_000, "audio/wav", ".wav"), (10_000, "audio/mpeg", ".mp3")]
)
async def test_voicemail_is_attached_as_a_file_that_plays(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock, wav_bytes: int, media_type: str, suffix: str
) -> None:
    outbox.put("c1.4:1", TO, voicemail(), "email")
    recordings = Kept(**{"kt-1-4": recording(3)})
    sound = SoundSettings(wav_bytes=wav_bytes)
    async with (
        serving(mail),
        sending(outbox, clock, Smtp(settings(mail, sound=sound), lambda: HEAD, recordings), "email"),
    ):
        await outbox.until_state("c1.4:1", "sent")
    ((_, _, letter, raw),) = mail.letters
    assert letter["Subject"] == "Голосовое сообщение: +79161230099, 3 с"
    body = letter.get_body()
    assert body is not None
    text = body.get_content()
    assert "Звонили: +79161230099" in text
    assert "На номер: +74951112233" in text
    assert "Запись приложена" in text
    (attached,) = letter.iter_attachments()
    assert attached.get_content_type() == media_type
    name = attached.get_filename()
    assert name is not None
    assert name.startswith("Сообщение +79161230099 20")
    assert name.endswith(suffix)
    assert b"filename*=utf-8''" in raw.replace(b"\r\n ", b"").replace(b"filename*0*=", b"filename*="), "RFC 2231"
    seconds, loudness, hertz = heard(attached.get_content())
    assert seconds == pytest.approx(3, abs=0.2)
    assert loudness == pytest.approx(12_000, rel=0.15)
    assert hertz == pytest.approx(440, rel=0.02)


async def test_a_recording_too_long_to_attach_is_told_of(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    outbox.put("c1.4:1", TO, voicemail(caller=None), "email")
    sound, kept = SoundSettings(wav_bytes=1000, attachment_bytes=1000), Kept(**{"kt-1-4": recording(3)})
    async with serving(mail), sending(outbox, clock, Smtp(settings(mail, sound=sound), lambda: HEAD, kept), "email"):
        await outbox.until_state("c1.4:1", "sent")
    ((_, _, letter, _),) = mail.letters
    assert list(letter.iter_attachments()) == []
    assert "хранится у вас под именем kt-1-4" in letter.get_content()
    assert letter["Subject"] == "Голосовое сообщение: номер скрыт, 3 с"


async def test_a_letter_waits_for_its_recording_but_not_for_ever(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.4:1", TO, voicemail(), "email")
    late = outbox.put("c2.4:1", "boris@example.test", voicemail("kt-2-4"), "email")
    recordings = Kept()
    async with (
        serving(mail),
        sending(outbox, clock, Smtp(settings(mail, recording_s=60.0), lambda: HEAD, recordings), "email") as work,
    ):
        await outbox.until(lambda: "later" in row.history and "later" in late.history)
        recordings.recordings["kt-2-4"] = recording(1)
        for _ in range(3):
            clock.ms += 15_000
            work.wake()
            count = len(row.history)
            await outbox.until(lambda: len(row.history) >= count + 2)  # noqa: B023
        await outbox.until_state("c1.4:1", "sent")
        await outbox.until_state("c2.4:1", "sent")
    attached = {recipients[0]: len(list(letter.iter_attachments())) for _, recipients, letter, _ in mail.letters}
    assert attached == {TO: 0, "boris@example.test": 1}
    assert row.notice.attempt == 4


@pytest.mark.parametrize(
    ("stage", "answer", "state"),
    [
        ("rcpt", "550 no such mailbox", "failed"),
        ("rcpt", "450 greylisted", "sent"),
        ("data", "554 looks like spam", "failed"),
        ("data", "451 no room", "sent"),
    ],
)
async def test_the_servers_word_counts(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock, stage: str, answer: str, state: str
) -> None:
    (mail.rcpt_answers if stage == "rcpt" else mail.data_answers).append(answer)
    row = outbox.put("c1.2", TO, Letter("text"), "email")
    async with serving(mail), sending(outbox, clock, Smtp(settings(mail), lambda: HEAD, Kept()), "email") as work:
        await outbox.until(lambda: len(row.history) == 2)
        assert row.reason == f"the mail server said {answer}"
        assert row.notice.doubts == (1 if state == "failed" else 0)
        clock.ms += 600_000
        work.wake()
        await outbox.until_state("c1.2", state)
    assert len(mail.letters) == (1 if state == "sent" else 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"password": SecretStr("wrong")}, "535"),
        ({"ca_file": None}, "CERTIFICATE_VERIFY_FAILED"),
        ({"port": 1}, "ConnectionRefused"),
    ],
)
async def test_a_server_that_cannot_be_used_holds_the_channel(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock, changes: dict[str, Any], reason: str
) -> None:
    row = outbox.put("c1.2", TO, Letter("text"), "email")
    async with (
        serving(mail),
        sending(outbox, clock, Smtp(settings(mail, **changes), lambda: HEAD, Kept()), "email") as work,
    ):
        await outbox.until(lambda: "later" in row.history)
        other = outbox.put("c2.1", "boris@example.test", Letter("text"), "email")
        work.wake()
        await asyncio.sleep(0)
        assert other.history == []
    assert row.reason is not None
    assert reason in row.reason
    assert "пароль" not in row.reason
    assert row.notice.doubts == 0


async def test_a_server_without_starttls_gets_no_password(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", TO, Letter("text"), "email")
    async with serving(mail, "none"), sending(outbox, clock, Smtp(settings(mail), lambda: HEAD, Kept()), "email"):
        await outbox.until(lambda: "later" in row.history)
    assert row.reason is not None
    assert "STARTTLS" in row.reason
    assert mail.signed_in == []


async def test_a_relay_nearby_needs_neither(mail: MailServer, outbox: MemoryOutbox, clock: FakeClock) -> None:
    outbox.put("c1.2", "анна@example.test", Letter("текст"), "email")
    async with serving(mail, "none", authentication=False):
        how = settings(mail, security="none", user=None, password=None)
        async with sending(outbox, clock, Smtp(how, lambda: HEAD, Kept()), "email"):
            await outbox.until_state("c1.2", "sent")
    assert mail.letters[0][1] == ["анна@example.test"]


async def test_a_server_that_stalls_is_left_in_time(outbox: MemoryOutbox, clock: FakeClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        row = outbox.put("c1.2", TO, Letter("text"), "email")
        how = SmtpSettings("127.0.0.1", silent.getsockname()[1], "none", answer_s=0.2)
        async with sending(outbox, clock, Smtp(how, lambda: HEAD, Kept()), "email"):
            await outbox.until(lambda: "later" in row.history)
    assert row.reason is not None
    assert "timed out" in row.reason


@pytest.mark.parametrize("recipient", ["anna@example.test\nBcc: x@y", "anna", ""])
async def test_what_is_no_address_gets_no_letter(
    mail: MailServer, outbox: MemoryOutbox, clock: FakeClock, recipient: str
) -> None:
    row = outbox.put("c1.2", recipient, Letter("text", "a\nBcc: victim@example.test"), "email")
    async with serving(mail), sending(outbox, clock, Smtp(settings(mail), lambda: HEAD, Kept()), "email"):
        await outbox.until_state("c1.2", "failed")
    assert mail.sessions == 0
    assert row.reason is not None
    assert "is no e-mail address" in row.reason


async def test_a_subject_cannot_smuggle_in_headers(mail: MailServer, outbox: MemoryOutbox, clock: FakeClock) -> None:
    outbox.put("c1.2", TO, Letter("text", "news\r\nBcc: victim@example.test"), "email")
    async with serving(mail), sending(outbox, clock, Smtp(settings(mail), lambda: HEAD, Kept()), "email"):
        await outbox.until_state("c1.2", "sent")
    assert mail.letters[0][2]["Subject"] == "news Bcc: victim@example.test"
    assert mail.letters[0][2]["Bcc"] is None


async def test_letters_for_a_demonstration_are_files(tmp_path: Path, outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.4:1", TO, voicemail(), "email")
    channel = FileEmail(FileEmailSettings(tmp_path / "mail"), lambda: HEAD, Kept(**{"kt-1-4": recording(1)}))
    async with sending(outbox, clock, channel, "email"):
        await outbox.until_state("c1.4:1", "sent")
    (file,) = (tmp_path / "mail").iterdir()
    assert row.parts == {1: file.name}
    letter = message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(letter, EmailMessage)
    (attached,) = letter.iter_attachments()
    assert heard(attached.get_content())[0] == pytest.approx(1, abs=0.1)


@given(st.lists(st.text('абвг1a—«,"\\<@', min_size=1, max_size=20), min_size=1, max_size=20).map(" ".join))
def test_headers_of_any_words_are_read_as_they_were_written(words: str) -> None:
    notice = Notice("c1.2", TO, Letter("text", words), START_MS)
    raw = compose(notice, Letterhead("calls@romashka.test", f"ё {words}")).as_bytes()
    head = raw.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(len(line) for line in head.split(b"\r\n")) <= 78
    assert read_header(raw, "Subject") == words
    assert read_header(raw, "From") == f"ё {words} <calls@romashka.test>"
    assert message_from_bytes(raw, policy=default)["Subject"] == words


@pytest.mark.parametrize("changes", [{"user": "kt"}, {"security": "none", "user": "kt", "password": SecretStr("x")}])
def test_settings_that_would_tell_the_password_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid):
        SmtpSettings("127.0.0.1", **changes)


@pytest.mark.parametrize("seconds", [600])
def test_ten_minutes_become_a_small_mp3(seconds: int) -> None:
    one = recording(1)
    long = one[:40] + (len(one[44:]) * seconds).to_bytes(4, "little") + one[44:] * seconds
    sound = playable(long, SoundSettings())
    assert sound is not None
    assert sound.suffix == ".mp3"
    assert len(sound.content) < 2_500_000
    assert miniaudio.mp3_get_info(sound.content).duration == pytest.approx(seconds, rel=0.01)


def test_what_is_no_sound_is_not_attached() -> None:
    assert playable(b"RIFF nothing", SoundSettings()) is None
    assert playable(b"", SoundSettings()) is None
