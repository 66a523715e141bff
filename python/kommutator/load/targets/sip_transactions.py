"""INVITE client transactions (RFC 3261, 17.1.1) of a caller who only asks where to go, without any I/O.

| what comes | what is done |
|---|---|
| nothing for T1, then twice as long each time | the INVITE goes again (timer A); after 64 T1 the transaction is over (timer B) |
| 1xx | it waits on, and sends nothing again |
| 300–699 | ACK, with the branch of the INVITE; the answer; another copy of it within 32 s is acknowledged again (timer D) |
| 2xx | ACK and BYE, each a transaction of its own, so that no call is left behind; the answer |
| given up after a 1xx | CANCEL (9.1) |

Responses are matched by the branch of the topmost Via and the method of CSeq (17.1.3).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final
from urllib.parse import quote

import msgspec

T1_S: Final = 0.5
TIMER_B_S: Final = 64 * T1_S
TIMER_D_S: Final = 32.0
MOST_PAST: Final = 50_000
"""Transactions that are over and still acknowledged; beyond it the oldest is forgotten early."""
_MAGIC: Final = "z9hG4bK"
_IN_USER: Final = "-_.!~*'()&=+$,;?/"
"""What stands for itself in the user part of a URI (19.1.2), besides letters and digits."""

_FOLDED = re.compile(rb"\r\n[ \t]+")
_STATUS = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2}) ([^\r\n]*)")
_BRANCH = re.compile(
    rb"\r\nv(?:ia)?[ \t]*:[^\r\n,]*?;[ \t]*branch=" + _MAGIC.encode() + rb"-([0-9a-f]+)-([0-9]+)", re.I
)
_CSEQ = re.compile(rb"\r\ncseq[ \t]*:[ \t]*[0-9]+[ \t]+([A-Za-z]+)", re.I)
_TO = re.compile(rb"\r\nt(?:o)?[ \t]*:[ \t]*([^\r\n]*)", re.I)
_CONTACT = re.compile(rb"\r\n(?:contact|m)[ \t]*:[ \t]*([^\r\n]*)", re.I)
_Q850 = re.compile(rb"\r\nreason[ \t]*:[^\r\n]*Q\.850[ \t]*;[^\r\n]*?cause=([0-9]+)", re.I)
_NAME_ADDR = re.compile(r"[ \t]*(?:\"(?:[^\"\\]|\\.)*\"[ \t]*|[^<,\"]*)<([^>]*)>([^,]*)|([^,<\"]+)")
_Q = re.compile(r";[ \t]*q[ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)", re.I)


class Contact(msgspec.Struct, frozen=True):
    """One address of a Contact header."""

    uri: str
    q: float | None
    """None where the header has none."""

    @property
    def user(self) -> str:
        """The user part, unescaped as it was written; the whole of a `tel:` number."""
        return self.uri.partition(":")[2].partition("@")[0].partition(";")[0]


class Response(msgspec.Struct, frozen=True):
    """An answer to an INVITE."""

    status: int
    phrase: str
    contacts: tuple[Contact, ...] = ()
    q850: int | None = None
    """The cause of its Reason (RFC 3326), where it has one."""


class Call(msgspec.Struct):
    """An INVITE on its way."""

    number: int
    uri: str
    """Request-URI, and that of To."""
    shared: str
    """Via, From and Call-ID, as every request of the transaction has them."""
    invite: bytes
    interval_s: float
    ends_at: float
    proceeding: bool = False


class Transactions:
    """All transactions of one socket. `token` makes its branches and tags differ from every other's; hexadecimal digits."""

    def __init__(self, token: str, server: str, own: str) -> None:
        """`server` is host:port of the Request-URI, `own` that of Via."""
        self._token = token
        self._server = server
        self._own = own
        self._count = 0
        self._pending: dict[int, Call] = {}
        self._past: OrderedDict[int, tuple[float, Call]] = OrderedDict()
        self._timers: list[tuple[float, int]] = []

    def __len__(self) -> int:
        """Transactions that have no final answer yet."""
        return len(self._pending)

    def invite(self, call_id: str, did: str, caller: str | None, now: float) -> tuple[int, bytes]:
        """Begin a transaction: its number, and the INVITE to send."""
        self._count += 1
        number = self._count
        uri = f"sip:{quote(did, safe=_IN_USER)}@{self._server}"
        who = (
            '"Anonymous" <sip:anonymous@anonymous.invalid>'
            if caller is None
            else f"<sip:{quote(caller, safe=_IN_USER)}@{self._own}>"
        )
        shared = (
            f"Via: SIP/2.0/UDP {self._own};rport;branch={_MAGIC}-{self._token}-{number}\r\nMax-Forwards: 70\r\n"
            f"From: {who};tag={self._token}-{number}\r\nCall-ID: {quote(call_id, safe='')}@{self._token}\r\n"
        )
        invite = (
            f"INVITE {uri} SIP/2.0\r\n{shared}To: <{uri}>\r\nCSeq: 1 INVITE\r\nContact: <sip:load@{self._own}>\r\n"
            "Content-Length: 0\r\n\r\n"
        ).encode()
        self._pending[number] = Call(number, uri, shared, invite, T1_S, now + TIMER_B_S)
        heappush(self._timers, (now + T1_S, number))
        return number, invite

    def receive(self, datagram: bytes, now: float) -> tuple[int | None, Response | None, tuple[bytes, ...]]:
        """Take a datagram: the number of the transaction that it ends and the answer, and what is to be sent.

        What is no response to an INVITE of ours is passed over.
        """
        head = datagram.partition(b"\r\n\r\n")[0]
        if b"\r\n " in head or b"\r\n\t" in head:
            head = _FOLDED.sub(b" ", head)
        first, branch, cseq = _STATUS.match(head), _BRANCH.search(head), _CSEQ.search(head)
        if first is None or branch is None or cseq is None or cseq[1] != b"INVITE" or branch[1].decode() != self._token:
            return None, None, ()
        number, status = int(branch[2]), int(first[1])
        call = self._pending.get(number)
        if status < 200:
            if call is not None:
                call.proceeding = True
            return None, None, ()
        known = self._past.get(number)
        if call is None and known is None:
            return None, None, ()
        to = _TO.search(head)
        replies = self._replies(call or known[1], status, to[1].decode(errors="replace") if to else "", head)  # type: ignore[index]
        if call is None:
            return None, None, replies
        self._over(call, now)
        return number, _response(status, first[2], head), replies

    def due(self, now: float) -> tuple[list[bytes], list[int]]:
        """The INVITEs to send again at this moment, and the transactions whose time is over."""
        again: list[bytes] = []
        over: list[int] = []
        while self._timers and self._timers[0][0] <= now:
            _, number = heappop(self._timers)
            call = self._pending.get(number)
            if call is None or call.proceeding:
                continue
            if now >= call.ends_at:
                self._over(call, now)
                over.append(number)
                continue
            again.append(call.invite)
            call.interval_s *= 2
            heappush(self._timers, (min(now + call.interval_s, call.ends_at), number))
        while self._past and next(iter(self._past.values()))[0] + TIMER_D_S <= now:
            self._past.popitem(last=False)
        return again, over

    def give_up(self, number: int, now: float) -> bytes | None:
        """Nobody waits for this one any more: the CANCEL to send, where the server has said that it works on it."""
        call = self._pending.get(number)
        if call is None:
            return None
        self._over(call, now)
        return self._request("CANCEL", call, f"<{call.uri}>") if call.proceeding else None

    def fail_all(self, now: float) -> list[int]:
        """The network has said that nobody is there (18.4): the transactions that end by it."""
        failed = list(self._pending)
        for call in [*self._pending.values()]:
            self._over(call, now)
        return failed

    def _over(self, call: Call, now: float) -> None:
        del self._pending[call.number]
        call.invite = b""
        self._past[call.number] = (now, call)
        if len(self._past) > MOST_PAST:
            self._past.popitem(last=False)

    def _replies(self, call: Call, status: int, to: str, head: bytes) -> tuple[bytes, ...]:
        if status >= 300:
            return (self._request("ACK", call, to),)
        contact = next(_contacts(head), None)
        uri = contact.uri if contact is not None else call.uri
        return (
            self._request("ACK", call, to, uri=uri, branch="ack"),
            self._request("BYE", call, to, uri=uri, branch="bye", cseq=2),
        )

    def _request(
        self, method: str, call: Call, to: str, *, uri: str | None = None, branch: str = "", cseq: int = 1
    ) -> bytes:
        """A request that belongs to the INVITE; with `branch`, one of a transaction of its own."""
        own = f"{_MAGIC}-{self._token}-{call.number}"
        shared = call.shared.replace(own, f"{own}-{branch}", 1) if branch else call.shared
        return (
            f"{method} {uri or call.uri} SIP/2.0\r\n{shared}To: {to}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        ).encode()


def _response(status: int, phrase: bytes, head: bytes) -> Response:
    reason = _Q850.search(head)
    return Response(
        status,
        phrase.decode(errors="replace"),
        tuple(_contacts(head)) if 300 <= status < 400 else (),
        int(reason[1]) if reason else None,
    )


def _contacts(head: bytes) -> Iterator[Contact]:
    for value in _CONTACT.findall(head):
        for uri, parameters, bare in _NAME_ADDR.findall(value.decode(errors="replace")):
            if bare and not bare.strip():
                continue
            # Without angle brackets, what follows a semicolon is the header's (20.10).
            address, _, rest = (uri, "", parameters) if uri else bare.strip().partition(";")
            q = _Q.search(rest if uri else f";{rest}")
            yield Contact(address, float(q[1]) if q else None)
