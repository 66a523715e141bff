"""The compiled engine: decides what a call does next.

A pure function of (state, event, now) over a company version, the floor and facts. It has no clock: `now_ms` is always
milliseconds of UTC since the epoch, given by the caller. Equal inputs in equal order give equal outputs, byte for byte.
An engine may be shared by threads: their steps follow one another, and a batch lets other threads' Python go on.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Literal, final

from typing_extensions import Buffer

from kommutator.errors import EngineError

def check(document: bytes, from_ms: int) -> bytes:
    """Checks an engine document; coverage is looked at for twelve months from `from_ms`.

    The answer is JSON: `{"findings": [...], "schemes": {id: {"longest_seconds": n}}}`. A finding has `at`, the keys
    from the document's root to the place blamed, where `kommutator check --json` has file and line. Milliseconds to
    seconds. Raises `BadDocument`.
    """

def outline(document: bytes) -> bytes:
    """An engine document without the contents of its lists and the ranges of its regions: ids, cards and schemes as JSON.

    Raises `BadDocument`.
    """

def read_list(text: bytes, country: str) -> tuple[str, list[tuple[int, str]], int]:
    """The numbers of a list's CSV file, read as a company of `country` (ISO 3166) would mean them.

    `text` is UTF-8 without byte order mark. Columns and header are those of `kommutator.company.list_file.read_rows`. The
    answer: the numbers packed, as an engine document carries them in `packed`; the rows that hold no number, line and cell,
    at most 100 of them; and how many such rows there are. Ten million rows take seconds; other threads go on.

    Raises `BadNumber` for a country whose numbers cannot be read; ValueError for a cell longer than 1,000 characters, and
    for what is no UTF-8.
    """

def explain(why: Mapping[str, Any], language: str) -> str:
    """A reason of a trace in words of `language`: `ru`; anything else is English. Raises `BadEvent`."""

def explain_round(round: Mapping[str, Any], language: str) -> str:
    """A round of a turn in words of `language`: who was left out of it, and why. Raises `BadEvent`."""

def normalize(raw: str, country: str) -> str | None:
    """A number in E.164, or a short extension as it is, read as a company of `country` (ISO 3166) would write it.

    `None` is a number withheld or unusable. Raises `BadNumber` for a country whose numbers cannot be read.
    """

@final
class Event:
    """An event in its typed form: read once, used as often as needed. The fast form of `handle`'s event."""

    def __new__(cls, event: Mapping[str, Any]) -> Event:
        """Reads an event's mapping, `{"type": "answered", "endpoint": "PJSIP/101"}`. Raises `BadEvent`."""
    @property
    def type(self) -> str:
        """The event's type in the contract."""

@final
class Action:
    """What the PBX is to do now. Fields that an action of this type does not have are `None`."""

    @property
    def type(
        self,
    ) -> Literal[
        "play",
        "menu",
        "ring",
        "wait",
        "record",
        "find_owner",
        "find_history",
        "transfer",
        "talk",
        "hang_up",
        "end",
    ]:
        """The action's type in the contract."""
    @property
    def prompt(self) -> str | None:
        """`play`, `menu`, `record`, `hang_up`: a prompt's id."""
    @property
    def notice(self) -> str | None:
        """`menu`: a prompt's id, played before `prompt` after a failed attempt."""
    @property
    def digits(self) -> list[str] | None:
        """`menu`: every input that is offered."""
    @property
    def seconds(self) -> float | None:
        """`ring`, `wait`: what is left of the round. `menu`: from the end of the prompt to complete input. `record`:
        the most
        that is recorded. `transfer`: until the destination must have answered."""
    @property
    def endpoints(self) -> list[dict[str, str | None]] | None:
        """`ring`: `{"employee": id or None, "endpoint": address or E.164 number}` of exactly the phones that must
        ring."""
    @property
    def music(self) -> str | None:
        """`ring`, `wait`: what the caller hears; the PBX's ringback where `None`."""
    @property
    def round(self) -> int | None:
        """`ring`: the round, counted from 1."""
    @property
    def announce(self) -> str | None:
        """`wait`: a prompt's id, played once as the wait begins."""
    @property
    def position(self) -> int | None:
        """`wait` at a queue: how many stand before the caller, and himself; `None` at a `ring`."""
    @property
    def recording(self) -> str | None:
        """`record`: the recording's name, unique to the call and the step."""
    @property
    def caller(self) -> str | None:
        """`find_owner`, `find_history`: the calling party."""
    @property
    def timeout_ms(self) -> int | None:
        """`find_owner`, `find_history`: the deadline."""
    @property
    def days(self) -> int | None:
        """`find_history`: how far back a call counts; without limit where `None`."""
    @property
    def to(self) -> str | None:
        """`transfer`: an address of the PBX, or an E.164 number."""
    @property
    def endpoint(self) -> str | None:
        """`talk`: the phone that the caller speaks with."""
    @property
    def cause(self) -> str | None:
        """`hang_up`: `normal`, `busy`, `no_answer`, `congestion`, `rejected` or `unallocated`."""
    @property
    def disposition(self) -> str | None:
        """`end`: how the call ended."""
    @property
    def fault(self) -> str | None:
        """`end`: whose doing it was: `caller`, `callee`, `pbx`, `ours` or `none`."""
    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""

@final
class Decision:
    """Where a call would go: the way, and what stands at its end."""

    @property
    def path(self) -> list[tuple[str, str, str]]:
        """The nodes passed: scheme, node, and exit; a jump to another scheme has an empty one."""
    @property
    def scheme(self) -> str:
        """The scheme in which it stops; empty for a number that serves none."""
    @property
    def node(self) -> str:
        """The node at which it stops."""
    @property
    def owner(self) -> str | None:
        """Whom an `owner` node has found."""
    @property
    def action(self) -> dict[str, Any]:
        """What the PBX would do then, in the contract's JSON form. What only a call has is empty: a recording's name, the
        number of a look-up."""

@final
class Walk:
    """A call followed to its end. Walks that do the same in the same nodes are equal."""

    @property
    def path(self) -> list[tuple[str, str, str]]:
        """The nodes passed: scheme, node, and exit; a jump to another scheme has an empty one."""
    @property
    def actions(self) -> list[dict[str, Any]]:
        """What the PBX would do, in the contract's JSON form, from the first to the `end`; a call that comes to no end within
        1,000 actions has none. What only a call has is empty: a recording's name, the number of a look-up."""
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Turn:
    """The answer to an arrival or an event: a new state, exactly one action, effects, and the trace."""

    @property
    def state(self) -> bytes:
        """The call's new state: opaque, at most 512 bytes. It is written to the channel before the action is
        performed."""
    @property
    def state_text(self) -> str:
        """The state as base64url text without padding, as JSON and channel variables carry it."""
    @property
    def sequence(self) -> int:
        """Events handled so far. Names of playbacks, recordings and legs derive from the call id and this."""
    @property
    def action(self) -> Action:
        """What to do now."""
    @property
    def effects(self) -> list[dict[str, Any]]:
        """What to do besides, at least once each: `{"type", "id", ...}`; the id is the same when an effect comes
        twice."""
    @property
    def trace(self) -> list[dict[str, Any]]:
        """The nodes just passed: `{"scheme", "node", "exit", "why": {"code", ...}}`."""
    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The rounds formed: `{"scheme", "node", "round", "left_out": [...], "passed_over"}`, and `"more": true` where a
        hunt of very many phones left out more than are named."""
    def to_dict(self) -> dict[str, Any]:
        """The JSON form, with the state as text."""

@final
class ListFiles:
    """The numbers of list files that an engine holds, for another to share; may go to another thread."""

@final
class OwnerTable:
    """Who owns which number, made aside, in a thread of its own if need be: reading releases the interpreter's lock.

    About ten bytes a number; at most 33 million, beyond which one of those that came first leaves for each that comes.
    """

    def __new__(cls, room: int = 0) -> OwnerTable:
        """An empty table; `room` for so many numbers is made at once."""
    def read(self, page: bytes) -> int:
        """Tells all of a page, `+79161230099<TAB>anna` a line, the employee left out where it is nobody's; answers how
        many lines there were. Raises `BadNumber`, with what came before the line told."""
    def complete(self) -> bool:
        """Says that every number that has an owner is in: calls of the others ask nobody. False beyond the bound."""
    def clear(self) -> None:
        """Lets all numbers go: milliseconds for each million."""
    @property
    def is_complete(self) -> bool:
        """Whether it is complete."""
    @property
    def size(self) -> int:
        """Bytes that the numbers take, without the allocator's own."""
    def __len__(self) -> int: ...

@final
class CallerTable:
    """Who has called, and when last; made aside as `OwnerTable` is.

    About twelve bytes a number; at most 150 million, beyond which new callers share the bounded cache of answers. Of a
    number whose call was told it is never said that it has not called; when it called last is known to the millisecond.
    """

    def __new__(cls, room: int = 0) -> CallerTable:
        """An empty table; `room` for so many numbers is made at once."""
    def read(self, page: bytes) -> int:
        """Tells all of a page, `+79161230099<TAB>1795165200000` a line: a number and its last call, milliseconds of UTC.
        Answers how many lines there were. Raises `BadNumber`, with what came before the line told."""
    def complete(self) -> None:
        """Says that every call until now was told: a number that is not in has never called."""
    def clear(self) -> None:
        """Lets all numbers go: milliseconds for each million."""
    @property
    def is_complete(self) -> bool:
        """Whether it is complete, but for calls that may have been missed since."""
    @property
    def size(self) -> int:
        """Bytes that the numbers take, without the allocator's own."""
    def __len__(self) -> int: ...

class Engine:
    """A company version or several, the floor, and facts."""

    def __new__(cls, document: bytes, files: ListFiles | None = None) -> Engine:
        """An engine on an engine document (see `kommutator.company.load`). A list whose file is among `files` shares its
        numbers. Raises `BadDocument`, and `CompanyInvalid` where
        the check finds an error. Milliseconds to seconds."""
    def arrive(self, call_id: str, did: str, caller: str | None, now_ms: int) -> Turn:
        """A call has come. `call_id` has 1 to 64 bytes; a live call of the same id is replaced. Numbers come in any
        spelling.

        Raises `BadCallId`."""
    def arrive_many(self, arrivals: Sequence[tuple[str, str, str | None, int]]) -> list[Turn]:
        """`arrive` for each `(call_id, did, caller, now_ms)`, in order, in one crossing of the boundary; other threads'
        Python goes on meanwhile. Raises `BadCallId` before anything has changed."""
    def decide(self, did: str, caller: str | None, now_ms: int, call_id: str = "") -> Decision:
        """Where a call would go that arrives now, on the floor as it is; nothing changes.

        It is followed over announcements, as if they took no time, to the first action whose answer decides. `call_id`
        seeds what chance decides: with the id of a call, `split` and `random` choose as they did for it."""
    def decide_many(
        self,
        dids: str | list[str],
        callers: list[str | None] | list[str] | Buffer | tuple[Buffer, Buffer],
        moments_ms: list[int] | Buffer,
        call_ids: list[str] | None = None,
    ) -> tuple[list[Decision], memoryview]:
        """`decide` for calls given by columns: the different decisions, in the order in which they first came, and of each
        call its decision's place among them, as unsigned integers of 32 bits.

        One `str` of `dids` is what all have dialled. Whoever has columns gives them as they are: moments as integers of 64
        bits, callers as such (the digits of E.164; what is no number, as 0, is withheld), or as Arrow has strings, the texts in
        UTF-8 after one another with offsets of 32 or 64 bits, one more than there are callers (an empty text is withheld).
        Buffers are those of `array`, NumPy, Arrow and the like, without gaps.

        Some 50 ns a call of lists, 20 of integers, where lists, hours, regions and histories decide, on a floor where nobody
        whom a call would ring is held; else up to some 0.2 µs. Other threads' Python, and calls, go on meanwhile; all is
        decided on the version that was active at first. Raises `ValueError` for columns of different lengths and offsets that
        do not fit, `TypeError`, `BufferError` for a buffer of other items, and `BadState` where the version has been dropped
        meanwhile."""
    def walk(self, did: str, caller: str | None, now_ms: int, outcomes: Mapping[str, Any], call_id: str = "") -> Walk:
        """What a caller would meet who arrives now, to the end of the call, on the floor as it is and with people who do what
        they did; nothing changes.

        `outcomes` may have: `digits`, what is pressed at one menu's offer after another, empty for silence, and nothing
        after the last; `phones`, of each address `answered`, `busy`, `declined`, `unavailable` or `no_answer`, which is that of
        the others; `message_s`, how long a message is; `owner`, an employee's id, empty for nobody's client; `called_before`;
        `patience_ms`, after which the caller hangs up. A look-up that they do not answer fails. Announcements, silence, rounds
        that nobody answers, messages and waits take the time that they are long. A queue is one `wait`, of its longest time.

        One to three microseconds. Raises `ValueError` for outcomes that are none, `BadEvent` for a message of no length that one
        can have."""
    def handle(self, state: bytes | str, event: Event | Mapping[str, Any], now_ms: int) -> Turn:
        """An event of a call, whose state comes as bytes or as text.

        Raises `BadState`, `BadEvent`, and `UnexpectedEvent` where the event does not answer the pending action; nothing
        changes then."""
    def handle_many(
        self, events: Sequence[tuple[bytes | str, Event | Mapping[str, Any], int]]
    ) -> list[Turn | EngineError]:
        """`handle` for each `(state, event, now_ms)`, in order, in one crossing of the boundary; other threads' Python
        goes on meanwhile. What `handle` would have raised for one step stands in its place, and hinders no other."""
    def resume(self, state: bytes | str, now_ms: int) -> Turn:
        """The pending action again, with its claims, for a router that took the call over. Raises `BadState`."""
    def presence(self, employee: str, presence: str) -> None:
        """Sets presence: `present`, `away` or `offline`. Raises `UnknownEmployee`, `ValueError`."""
    def line(self, employee: str, line: str) -> None:
        """Sets the line: `idle`, `ringing`, `busy`, `wrap_up` or `unreachable`. Raises `UnknownEmployee`,
        `ValueError`."""
    def owner_is(self, number: str, employee: str | None) -> None:
        """Tells who owns a number; `None` is nobody. Raises `BadNumber`."""
    def forget_owner(self, number: str) -> None:
        """Forgets who owns a number: the next call asks. Raises `BadNumber`."""
    def called(self, number: str, now_ms: int) -> None:
        """Tells that a number called at that moment. Raises `BadNumber`."""
    def swap_owners(self, table: OwnerTable) -> None:
        """Takes a table of owners made aside, and leaves in `table` what was held before, to be let go (`clear`) where no
        call waits. What was told since the table was made has to be told again. Microseconds, whatever the sizes."""
    def swap_callers(self, table: CallerTable) -> None:
        """Takes a table of callers, as `swap_owners` does."""
    def missed_calls(self, until_ms: int) -> None:
        """Tells that calls until that moment may not have been told: callers whom it could concern are asked for."""
    def listed(self, list: str, number: str, listed: bool) -> None:
        """Puts a number on a list or takes it off, from now on and in every version. Raises `BadNumber`, and
        `TooManyListChanges` beyond a million changes."""
    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool:
        """Claims a manager for a consultation of the call, for a minute; false when another call holds him. Raises
        `UnknownEmployee`."""
    def release(self, employee: str, call_id: str) -> None:
        """Releases a manager whom the call holds. Raises `UnknownEmployee`."""
    def freed_elsewhere(self, employee: str) -> None:
        """A call of another router or process may have let an employee go, for whom it was `taken`: calls that wait for him are
        to be offered `employee_free`. Raises `EngineError`."""
    def forget_calls(self) -> None:
        """Forgets all calls: nobody is claimed, nobody stands in line, and no phone rests. For who looks at what could be,
        call after call; one that goes on afterwards has lost whom it held."""
    def elsewhere(self, employees: Sequence[str]) -> None:
        """Tells whose phones are at PBXs of other routers: queries and redirects ask these before any of them rings."""
    def region_of(self, number: str) -> str | None:
        """The id of the number's region in the active version."""
    def claims(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Who is claimed at that moment: employee, call id, and `ringing`, `talking` or `reserved`."""
    def queue_heads(self, now_ms: int) -> list[str]:
        """The calls to which a moment of coming free is offered by `employee_free`, of those who wait at queues: the head
        of each line, those who wait longest first. When one moves on, the next of its line is head."""
    def queues(self, now_ms: int) -> list[dict[str, Any]]:
        """Who waits at queues: `{"scheme", "node", "callers": [{"call", "since_ms", "ringing"}]}`, each line's first come
        first. Linear in the callers."""
    @property
    def freed(self) -> int:
        """Counts the moments at which somebody may have come free, or the head of a line has another lot: a change is the time
        to offer `employee_free`."""
    @property
    def list_files(self) -> ListFiles:
        """The list files of all versions held."""
    @property
    def version(self) -> int:
        """The active version's identity."""
    def hold(self, document: bytes) -> int:
        """Holds another version and answers its identity. Raises as the constructor does."""
    def hold_of(self, other: Engine) -> int:
        """Holds the active version of another engine and answers its identity: microseconds, where that was prepared for
        this one, else milliseconds for tens of thousands of employees. The other may have been made in another thread."""
    def prepare_for(self, other: Engine) -> None:
        """Makes the active version ready for `other.hold_of(self)`. For another thread: what takes time for each employee is
        done here, and `other` goes on meanwhile."""
    @staticmethod
    def version_of(state: bytes | str) -> int:
        """The identity of the version that a call began on, held or not. Raises `BadState`."""
    def activate(self, version: int) -> bool:
        """Makes a held version the one that new calls begin on; false when it is not held."""
    def drop_version(self, version: int) -> bool:
        """Stops holding a version; false for the active one, or one not held. Calls that began on it become
        `bad_state`. What it held is let go in another thread."""

@final
class Spool:
    """The spool and the ledger of calls that others perform, in a folder. Whoever decides writes into it
    (`HttpService`, `SipRedirect`); what is made of it is made by `keep_up`, in a thread of its own.

    A disk that takes nothing holds nobody up: lines wait in memory, up to 64 MiB; then it is `full`."""

    def __new__(cls, folder: Path, *, tells: bool, put_aside_at: int, forget_ms: int, most_live: int) -> Spool:
        """`tells`: `keep_up` returns the lines. A spool of more than `put_aside_at` bytes is put aside as
        `spool.before.jsonl`, and the next begins with the calls that go on. A call without steps for `forget_ms` is
        over, and so is, where more than `most_live` go on, the one that has been without for longest."""
    def restore(self, live: Sequence[bytes], over: Sequence[str], now_ms: int) -> None:
        """Takes calls of an earlier process that go on, as `CallRecord` in JSON, and the ids of those that ended. Raises
        `ValueError` for a record that is none."""
    def append_ledger(self, lines: bytes) -> None:
        """Adds whole lines to the ledger."""
    def keep_up(self, longest_ms: int, gather_ms: int) -> tuple[bytes, str | None, bool]:
        """Has the disk keep new calls, and writes their lines of the ledger, for so long at most; returns when there is
        something to tell: lines, why the disk takes nothing, and whether the spool that was put aside is spent, which is
        for `let_go` when what was told is kept. Calls that come within `gather_ms` are kept together. Blocks, without
        the GIL."""
    def stop(self) -> None:
        """Has `keep_up` return soon."""
    def let_go(self) -> None:
        """Removes the spool that was put aside, when the ledger is on disk."""
    def finish(self) -> bytes:
        """Makes all that is left, and syncs; returns the lines that are to be told. Blocks, without the GIL."""
    @property
    def size(self) -> tuple[int, int]:
        """Bytes of the spool's file, and bytes that wait for the disk."""
    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that no call is decided."""
    @property
    def live(self) -> int:
        """How many calls of queries go on."""
    def states(self) -> list[str]:
        """Their last states."""
    @property
    def reused(self) -> int:
        """How many calls had the id of one that had ended: they are in no ledger."""

@final
class HttpService:
    """The contract over HTTP/1.1: what all connections of a server have in common."""

    engine: Engine | None
    """The engine; None before there is a company version: then every request is answered 503."""

    def __new__(
        cls,
        *,
        ids: str,
        tokens: Sequence[str],
        looks_up: bool,
        most_items: int,
        head_limit: int,
        body_limit: int,
        journal: Spool | None = None,
        claims: Path | None = None,
    ) -> HttpService:
        """`ids`: how the ids of calls begin that come without one, never the same for two servers. `tokens`: whoever has
        one of them may ask; without any, everybody but pages of browsers. `looks_up`: look-ups are answered here
        (`HttpConnection.questions`), not by clients. `journal`: calls are there before their answers leave. `most_items`: of a batch.
        The limits are bytes. `claims` is the file in whose locks processes hold employees against each other. Raises
        `OSError`."""
    def look(self, now_ms: int) -> None:
        """Lets go whom the engine claims no more, of those who are held against other processes, and ends calls for which
        nobody comes back: a thousand at a time."""
    def figures(self) -> dict[str, int]:
        """What was counted: `requests`, `arrivals`, `steps`, `refused`."""

@final
class HttpConnection:
    """A server's side of one connection, without the connection: bytes in, bytes out.

    Everything that is complete in what was received is answered in one call, in order. Replies do not depend on how the
    bytes were cut on their way."""

    def __new__(cls, service: HttpService) -> HttpConnection:
        """A connection on which nothing has been received."""
    def receive(self, data: bytes, now_ms: int) -> bytes:
        """Takes what was received, and returns what is to be sent. Microseconds a request."""
    def questions(self) -> list[tuple[Literal["owner", "history", "claims"], str, int | None, int, list[str]]]:
        """What the next request waits for. An `owner` or a `history`: of whom, within so many days, and so many
        milliseconds. `claims`: of which call, and, last, which employees it rings whose phones are at other PBXs."""
    def answer(self, events: Sequence[Mapping[str, Any]], now_ms: int) -> bytes:
        """Takes the events that answer the questions, in their order, and returns what is to be sent. The answer to `claims`
        is `taken`, with those that cannot be had: nobody, if all can. Raises `BadEvent`."""
    def drain(self) -> None:
        """The next reply is the last."""
    def time_out(self, now_ms: int) -> bytes:
        """Its time is over; returns what is to be sent before it is closed."""
    def turn_away(self, now_ms: int) -> bytes:
        """There is no place for it; returns what is to be sent before it is closed."""
    @property
    def stage(self) -> int:
        """0 idle, 1 a head is on its way, 2 a body, 3 it waits for answers, 4 closed: nothing more is read."""
    @property
    def requests(self) -> int:
        """How many requests were answered."""

@final
class SipRedirect:
    """A stateless SIP redirect server (RFC 3261, 8.3): threads that answer at sockets, by an engine.

    It remembers what it answered, so that a request that comes again costs no second decision: 65,536 transactions, each
    for 32 s.
    """

    def __new__(
        cls,
        *,
        sources: Sequence[str],
        identity_from: Sequence[str],
        phone: str,
        number: str,
        media: str | None,
        calls_per_second: int | None,
        hold_ms: int,
        longest: int,
        key: bytes,
        waker: int = -1,
        spool: Spool | None = None,
        claims: Path | None = None,
        known: AbstractSet[str] = ...,
    ) -> SipRedirect:
        """`sources` are networks that may ask; `identity_from` those whose P-Asserted-Identity counts. `phone`, `number`
        and `media` are templates with `{name}`, `{number}` and `{did}`. For `hold_ms` nobody
        else rings whom an answer names. `longest` is a request's bytes; `key`, 16 bytes,
        makes ids of calls unlike those of others. Calls of the ids `known` are in the journal already. The other end of
        the socket `waker` becomes readable when there are questions. Calls are in `spool` before their answers leave.
        `claims` is the file in whose locks processes hold employees against each other.
        Sockets are descriptors that outlive this. Raises `ValueError`."""
    def serve(self, engine: Engine, socket: int) -> None:
        """Answers what comes by a socket until `stop`, without the GIL. The socket blocks for as long as its
        `SO_RCVTIMEO` says. Raises `OSError`."""
    def take(self, engine: Engine, datagram: bytes, host: str, port: int, now_ms: int) -> list[bytes]:
        """The answers to a datagram from there, which are not sent, and of which no journal is told. Raises
        `ValueError` for a host that is no address."""
    def take_answer(self, engine: Engine, call_id: str, event: Event | Mapping[str, Any], now_ms: int) -> list[bytes]:
        """The same of a call whose question was answered. Raises `BadEvent`."""
    def stop(self) -> None:
        """Has every `serve` return when its socket next wakes."""
    def go_on(self, engine: Engine, socket: int, call_id: str, event: Event | Mapping[str, Any]) -> None:
        """Goes on with a call whose question was answered, and sends the answer. The answer to a turn that rings, of phones at
        other PBXs, is `taken`, with those that cannot be had: nobody, if all can. Raises `BadEvent`."""
    def questions(self) -> list[tuple[str, Turn, int]]:
        """Calls that wait for an answer since this was asked last, each with the turn that asks, and its socket."""
    def counts(self) -> dict[str, int]:
        """What has come since the beginning: `calls`, `again`, `refused`, `too_many`, `strangers`, `unreadable`,
        `failed`, and `unsent` answers."""
