"""What the HTTP of the desk stands on, made by the desk process and given to `app.create`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kommutator.crm.accounts import AccountSettings
from kommutator.crm.pool import Database
from kommutator.desk.background.topics import Topics
from kommutator.desk.live.hub import Hub
from kommutator.desk.phones.ports import Phones
from kommutator.desk.softphone.servers import NO_SOFTPHONES, Softphones
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor


@dataclass(slots=True)
class Services:
    """The parts of one desk process."""

    database: Database
    exchange: Exchange
    floor: DeskFloor
    clock: Callable[[], datetime]
    """Now, with a zone."""
    accounts: AccountSettings
    recordings: Path
    """The folder of `NAME.wav`."""
    checks: dict[str, Callable[[], str | None]]
    """Readiness by subject: None is well, else what is wrong."""
    secure: bool
    """Whether browsers come by https: then cookies go by https only."""
    versions_changed: Callable[[], Awaitable[None]]
    """To be called after another version was activated."""
    live: Hub | None = None
    """What pages are told as it happens; None where nothing is."""
    phones: Phones | None = None
    """Virtual phones; None where no PBX is simulated."""
    topics: Topics | None = None
    """What the database tells, for the pages to be live by."""
    sms_receipt: Callable[[Mapping[str, str]], Awaitable[bool]] | None = None
    """Takes what an SMS gateway tells by HTTP of a message; False when it is not to be believed. None: no such gateway."""
    softphones: Softphones = NO_SOFTPHONES
    """The PBXs that take telephones of browsers."""
