"""Notices as letters: headers, words, and the caller's message as a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from kommutator.notify.ports import Letter, Notice, Voicemail
from kommutator.notify.voicemail import Sound

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ru": {
        "withheld": "номер скрыт",
        "subject": "{company}: уведомление",
        "voicemail_subject": "Голосовое сообщение: {caller}, {seconds} с",
        "voicemail": "Звонили: {caller}\nНа номер: {did}\nКогда: {when}\nДлительность: {seconds} с\n\n",
        "attached": "Запись приложена к письму.",
        "kept": "Запись не удалось приложить к письму, она хранится у вас под именем {recording}.",
        "file": "Сообщение {caller} {when}",
        "date": "%d.%m.%Y %H:%M",
    },
    "en": {
        "withheld": "number withheld",
        "subject": "{company}: notice",
        "voicemail_subject": "Voicemail: {caller}, {seconds} s",
        "voicemail": "Caller: {caller}\nCalled: {did}\nAt: {when}\nLength: {seconds} s\n\n",
        "attached": "The recording is attached.",
        "kept": "The recording could not be attached; it is kept with you under the name {recording}.",
        "file": "Message {caller} {when}",
        "date": "%Y-%m-%d %H:%M",
    },
}


class LetterPolicy(EmailPolicy):
    """How letters are written. CPython's own folding (3.11 to 3.14) loses spaces where Cyrillic and Latin words meet in a long header,
    about one subject in ten: such headers are encoded as a whole (RFC 2047)."""

    def fold(self, name: str, value: Any) -> str:
        """One header as lines."""
        if self.utf8 or str(value).isascii() or name.lower() not in ("subject", "from"):
            return str(super().fold(name, value))
        if name.lower() == "subject":
            return f"{name}: {_encoded(str(value), name)}\n".replace("\n", self.linesep)
        (address,) = value.addresses
        return f"{name}: {_encoded(address.display_name, name)}\n <{address.addr_spec}>\n".replace("\n", self.linesep)

    def fold_binary(self, name: str, value: Any) -> bytes:
        """`fold` as bytes."""
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii")


def _encoded(text: str, name: str) -> str:
    return Header(text, "utf-8", header_name=name).encode()


POLICY: Final = LetterPolicy(linesep="\r\n")


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Whose letters they are."""

    sender: str
    """The address in `From`; its domain is that of `Message-ID`."""
    company: str
    """The name in `From`."""
    timezone: str = "UTC"
    language: str = "ru"
    """`ru`, or English for any other."""
    reply_to: str | None = None


Head = Callable[[], Letterhead]
"""Whose letters they are now: the company's name, zone and language change with its versions."""


def message_id(notice: Notice, head: Letterhead) -> str:
    """`Message-ID`, the same whenever the notice is sent, so that mail servers and programs know a double (RFC 5322, 3.6.4)."""
    domain = head.sender.rpartition("@")[2]
    return f"<{hashlib.blake2b(notice.id.encode(), digest_size=16).hexdigest()}@{domain}>"


def compose(notice: Notice, head: Letterhead, sound: Sound | None = None) -> EmailMessage:
    """The letter of a notice; `sound` is a voicemail's recording, None when it cannot be attached.

    Raises `ValueError` for what is no letter, and for addresses that no header can hold.
    """
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", notice.recipient):
        raise ValueError(f"`{notice.recipient}` is no e-mail address")
    words = _WORDS.get(head.language, _WORDS["en"])
    letter = EmailMessage(policy=POLICY)
    letter["From"] = Address(display_name=_one_line(head.company), addr_spec=head.sender)
    letter["To"] = notice.recipient
    if head.reply_to:
        letter["Reply-To"] = head.reply_to
    letter["Date"] = format_datetime(datetime.fromtimestamp(notice.created_at_ms / 1000, ZoneInfo(head.timezone)))
    letter["Message-ID"] = message_id(notice, head)
    letter["Auto-Submitted"] = "auto-generated"
    match notice.content:
        case Letter(text, subject):
            letter["Subject"] = _one_line(subject or words["subject"].format(company=head.company))
            letter.set_content(text)
        case Voicemail() as left:
            _compose_voicemail(letter, left, head, words, sound)
        case other:
            raise ValueError(f"{type(other).__name__} is no letter")
    return letter


def _compose_voicemail(
    letter: EmailMessage, left: Voicemail, head: Letterhead, words: Mapping[str, str], sound: Sound | None
) -> None:
    at = datetime.fromtimestamp(left.at_ms / 1000, UTC).astimezone(ZoneInfo(head.timezone))
    facts = {
        "caller": left.caller or words["withheld"],
        "did": left.did or "—",
        "when": at.strftime(words["date"]),
        "seconds": f"{left.seconds:.0f}",
        "recording": left.recording,
    }
    letter["Subject"] = _one_line(words["voicemail_subject"].format_map(facts))
    letter.set_content((words["voicemail"] + words["attached" if sound else "kept"]).format_map(facts) + "\n")
    if sound:
        name = words["file"].format_map({**facts, "when": at.strftime("%Y-%m-%d %H-%M")})
        letter.add_attachment(sound.content, maintype="audio", subtype=sound.subtype, filename=name + sound.suffix)


def _one_line(text: str) -> str:
    return " ".join(text.split())
