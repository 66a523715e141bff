"""Everything that travels over the exchange, and the subjects, streams and buckets on which it does.

Messages are JSON, so that `nats` of the command line shows what is said. Fields may be added; readers ignore what they
do not know.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from kommutator.errors import ExchangeMessageBad
from kommutator.routing.doings import CalledBack as CalledBack
from kommutator.routing.doings import Consulted as Consulted
from kommutator.routing.doings import Held as Held
from kommutator.routing.doings import PassedOn as PassedOn
from kommutator.routing.entries import Began as Began
from kommutator.routing.entries import CallEntry as CallEntry
from kommutator.routing.entries import Ended as Ended
from kommutator.routing.entries import Turned as Turned
from kommutator.routing.entries import recording_key as recording_key
from kommutator.routing.order import Order as Order
from kommutator.routing.order import OrderDone as OrderDone
from kommutator.routing.order import OrderKind as OrderKind

CALLS: Final = "CALLS"
"""The durable stream of what happened to calls; one subject a router."""
REFUSED: Final = "REFUSED"
"""Entries of calls that no ledger could take, kept to be looked at."""
CHANGES: Final = "CHANGES"
"""What changed in the company's memory that routers may have in their caches."""
FLOOR: Final = "floor"
"""The bucket of presence and lines."""
COMPANY: Final = "company"
"""The bucket of which version is active, and the object store of the versions themselves."""
TABLES: Final = "tables"
"""The object store of the tables of owners and callers, and the bucket of which were made last."""
CURRENT: Final = "current"
"""The key of these."""
RECORDINGS: Final = "recordings"
"""The object store of recordings on their way from a router to the desk; an object is named by its `recording_key`."""
ACTIVE: Final = "active"
"""The key of the active version."""


def calls_subject(router: str) -> str:
    """Where a router's entries go."""
    return f"kt.calls.{token(router)}"


def refused_subject(router: str) -> str:
    """Where entries go that no ledger could take."""
    return f"kt.refused.{token(router)}"


def claims_subject(pbx: str) -> str:
    """Where the router that serves a PBX is asked for its employees."""
    return f"kt.claims.{token(pbx)}"


def orders_subject(router: str) -> str:
    """Where a router takes orders."""
    return f"kt.orders.{token(router)}"


def alive_subject(pbx: str) -> str:
    """Where the router of a PBX says that it lives."""
    return f"kt.alive.{token(pbx)}"


OWNER_SUBJECT: Final = "kt.lookup.owner"
HISTORY_SUBJECT: Final = "kt.lookup.history"
TABLES_SUBJECT: Final = "kt.lookup.tables"
"""Where a router asks a desk for new tables, because what has changed since the last ones cannot be had."""
CHANGES_SUBJECTS: Final = "kt.changes.>"
CHANGED_SUBJECT: Final = "kt.changes.facts"
CALLED_SUBJECT: Final = "kt.changes.called"
MADE_SUBJECT: Final = "kt.changes.tables"
DESKS: Final = "desks"
"""The group of which one member answers a question."""


def token(name: str) -> str:
    """A name as one token of a subject or a key: letters, digits, `_` and `-` stay, every other byte becomes `=XX`."""
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
    return "".join(chr(byte) if byte in plain else f"={byte:02X}" for byte in name.encode())


def name_of(written: str) -> str:
    """The name that a token stands for. Raises `ExchangeMessageBad`."""
    try:
        parts = written.split("=")
        return (parts[0].encode() + b"".join(bytes.fromhex(p[:2]) + p[2:].encode() for p in parts[1:])).decode()
    except ValueError as error:
        raise ExchangeMessageBad(f"`{written}` is no name") from error


# --- what happened to calls


class CallBatch(msgspec.Struct, frozen=True):
    """Entries of one router, in the order in which they happened.

    `entries[i]` has the number `first + i` in the spool `spool` of that router; the numbers of a spool begin with 1 and
    have no gaps but for entries that were dropped with an alarm. Batches of a router are in the stream in the order of
    their numbers, each once.
    """

    router: str
    spool: str
    first: int
    entries: tuple[msgspec.Raw, ...]
    pbx: str = ""
    """The PBX where the calls are."""


class ToldEntry(msgspec.Struct, frozen=True):
    """An entry with where it came from."""

    router: str
    """Who holds the call, and takes orders for it."""
    pbx: str
    number: int
    """In the router's spool."""
    entry: CallEntry


_entry_decoder: Final[msgspec.json.Decoder[CallEntry]] = msgspec.json.Decoder(CallEntry)


def read_entry(raw: bytes | msgspec.Raw) -> CallEntry:
    """An entry of a batch. Raises `ExchangeMessageBad`."""
    try:
        return _entry_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExchangeMessageBad(f"an entry of a call cannot be read: {error}") from error


# --- company versions


class SoundFile(msgspec.Struct, frozen=True):
    """A prompt as it travels: its sound, or the text to be spoken."""

    seconds: float
    sound: bytes | None = None
    say: str | None = None
    language: str | None = None


class CompanyVersion(msgspec.Struct, frozen=True):
    """An immutable version of the company, with all that a router needs to route by it."""

    version: str
    """Its name in the database; never used twice."""
    engine_json: bytes
    """The engine document."""
    prompts: dict[str, SoundFile]


class Activation(msgspec.Struct, frozen=True):
    """Which version is active."""

    version: str
    at: int
    by: str = ""


# --- the floor


class Fact(msgspec.Struct, frozen=True):
    """A live fact about an employee: the value of a key of the bucket `floor`."""

    value: str
    at: int
    pbx: str = ""
    """Of a line: the PBX that tells."""


class Alive(msgspec.Struct, frozen=True):
    """The router of a PBX lives."""

    pbx: str
    router: str


# --- claims


class ClaimAsked(msgspec.Struct, frozen=True):
    """One round of a hunt wants these employees, for as long as a claim holds. Asked again it is renewed."""

    call: str
    employees: tuple[str, ...]
    by: str
    """The router that asks."""
    release: bool = False
    """The employees are no longer wanted."""


class ClaimAnswer(msgspec.Struct, frozen=True):
    """Which of them another call holds. The others are claimed for `holds_s` seconds from when it was asked."""

    taken: tuple[str, ...]
    holds_s: float


# --- questions


class OwnerAsked(msgspec.Struct, frozen=True):
    """Who is responsible for this caller?"""

    caller: str


class HistoryAsked(msgspec.Struct, frozen=True):
    """Has this caller called before, within so many days when they are given?"""

    caller: str
    days: int | None = None


class LookupAnswer(msgspec.Struct, frozen=True):
    """The answer, in the engine's own words."""

    type: Literal["owner", "no_owner", "called_before", "never_called", "failed"]
    employee: str | None = None


class FactsChanged(msgspec.Struct, frozen=True):
    """What has changed in the company's memory, in the order in which it did.

    Numbers count from 1 within an epoch, without gaps; one that was told before may come again. A message with nothing in
    it has the number of the one before, and says that nothing more has changed until `at`.
    """

    epoch: str
    """Another one: the memory was put back to what it once was, and what routers have of it is void."""
    sequence: int
    at: int
    """When the changes were read; milliseconds of UTC, by the database's clock."""
    owners: tuple[tuple[str, str | None], ...] = ()
    """Numbers in E.164, and who is responsible for them now; None is nobody."""
    calls: tuple[tuple[str, int], ...] = ()
    """Numbers of whom a call has ended, and when the last one of these began."""


class TablesMade(msgspec.Struct, frozen=True):
    """Tables of all owners and callers are in the object store."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z-]{1,100}$")]
    """A router names its files so."""
    epoch: str
    sequence: int
    """The last change that is in them."""
    place: int
    """All later changes come after this message of the stream of changes."""
    made: int
    """When; milliseconds of UTC."""
    items: int
    """How many changes of single numbers there had been in all."""
    owners: int
    """Numbers with an owner."""
    callers: int
    """Numbers that have called."""
    bytes: int
    calls_until: int | None = None
    """What calls the exchange was told until then are in them; None: the ledger was behind."""
    before: str | None = None
    """The name of those made before, which are kept too."""


class TablesWanted(msgspec.Struct, frozen=True):
    """A router cannot go on from the tables that were made last."""

    router: str
    reason: str


class Called(msgspec.Struct, frozen=True):
    """Calls have ended that these numbers began, at these moments; as their PBX gave them."""

    callers: tuple[tuple[str, int], ...]


# --- forms

_T = TypeVar("_T")
_encoder: Final = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """A message as it travels."""
    return _encoder.encode(message)


def decode(payload: bytes, form: type[_T]) -> _T:
    """A message of a form. Raises `ExchangeMessageBad`."""
    try:
        return msgspec.json.decode(payload, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExchangeMessageBad(f"no {form.__name__}: {error}") from error
