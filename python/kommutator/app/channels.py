"""The ways out of notices, as the configuration names them."""

from __future__ import annotations

from pathlib import Path

from kommutator import configuration as configured
from kommutator.errors import SettingsInvalid
from kommutator.notices import ReceiptForm
from kommutator.notify.email import Recordings, Smtp, SmtpSettings
from kommutator.notify.email_file import FileEmail, FileEmailSettings
from kommutator.notify.letters import Head
from kommutator.notify.ports import Channel, ChannelName
from kommutator.notify.sms_file import FileSms
from kommutator.notify.sms_http import Finder, HttpSms, HttpSmsSettings
from kommutator.notify.sms_smpp import SmppSettings, SmppSms

_FILE_SENDER = "kommutator@localhost"


def sender_of(notices: configured.Notices) -> str:
    """The address in `From`."""
    return notices.email.sender if isinstance(notices.email, configured.Smtp) else _FILE_SENDER


def channels(notices: configured.Notices, sent: Path, head: Head, recordings: Recordings) -> dict[ChannelName, Channel]:
    """The channels that there are; `sent` is where file sinks write. Raises `SettingsInvalid`."""
    found: dict[ChannelName, Channel] = {}
    match notices.sms:
        case configured.FileSink():
            found["sms"] = FileSms(sent)
        case configured.Smpp() as smsc:
            found["sms"] = SmppSms(
                SmppSettings(
                    host=smsc.host,
                    system_id=smsc.system_id,
                    password=smsc.password,
                    sender=smsc.sender,
                    port=smsc.port,
                    tls=smsc.tls,
                    system_type=smsc.system_type,
                )
            )
        case configured.HttpGateway() as gateway:
            found["sms"] = HttpSms(_http(gateway))
        case None:
            pass
    match notices.email:
        case configured.FileSink():
            found["email"] = FileEmail(FileEmailSettings(sent), head, recordings)
        case configured.Smtp() as server:
            settings = SmtpSettings(server.host, server.port, server.security, server.user, server.password)
            found["email"] = Smtp(settings, head, recordings)
        case None:
            pass
    return found


def receipt_form(notices: configured.Notices) -> ReceiptForm | None:
    """How the SMS gateway tells by HTTP what became of a message; None when it does not."""
    told = notices.sms.receipts if isinstance(notices.sms, configured.HttpGateway) else None
    if told is None:
        return None
    return ReceiptForm(
        told.token, told.id, told.state, frozenset(told.delivered), frozenset(told.undelivered), told.error
    )


def _http(gateway: configured.HttpGateway) -> HttpSmsSettings:
    if gateway.receipts is not None and gateway.provider_id is None:
        raise SettingsInvalid("receipts of an SMS gateway name messages by its id: set `provider_id` too")
    return HttpSmsSettings(
        url=gateway.url,
        sender=gateway.sender,
        method=gateway.method,
        headers={name: value.get_secret_value() for name, value in gateway.headers.items()},
        body=gateway.body,
        body_type=gateway.body_type,
        secret=gateway.secret,
        user=gateway.user,
        accepted=_finder(gateway.success),
        accepted_values=frozenset(gateway.success_values),
        message_id=_finder(gateway.provider_id),
        recognises_id=gateway.recognises_id,
    )


def _finder(text: str | None) -> Finder | None:
    if text is None:
        return None
    return Finder(pointer=text) if text.startswith("/") else Finder(regex=text)
