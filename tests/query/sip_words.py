"""Requests of SIP as text, and answers read apart, for tests that speak the protocol by hand."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

_branches = itertools.count(1)


def request(
    method: str = "INVITE",
    uri: str = "sip:+74951112201@kommutator.example",
    *,
    caller: str = "<sip:+79161234567@carrier.example>;tag=from-1",
    to: str | None = None,
    branch: str | None = None,
    via: str | None = None,
    call_id: str | None = None,
    cseq: str | None = None,
    headers: Mapping[str, str] | None = None,
    body: str = "",
) -> bytes:
    """A request; what is not given is usual, and the branch is a new one."""
    branch = branch or f"z9hG4bK-test-{next(_branches)}"
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via or f'SIP/2.0/UDP 192.0.2.1:5060;rport;branch={branch}'}",
        "Max-Forwards: 70",
        f"From: {caller}",
        f"To: {to or f'<{uri}>'}",
        f"Call-ID: {call_id or f'call-of-{branch}'}",
        f"CSeq: {cseq or f'1 {method}'}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
        f"Content-Length: {len(body.encode())}",
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


@dataclass(frozen=True)
class Answer:
    """An answer, apart."""

    status: int
    phrase: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, datagram: bytes) -> Answer:
        """Reads an answer; it must be well-formed."""
        head, _, body = datagram.decode().partition("\r\n\r\n")
        assert body == ""
        first, *lines = head.split("\r\n")
        version, status, phrase = first.split(" ", 2)
        assert version == "SIP/2.0"
        return cls(int(status), phrase, tuple((line.split(": ", 1)[0], line.split(": ", 1)[1]) for line in lines))

    def all(self, name: str) -> list[str]:
        """The values of a header, in order."""
        return [value for header, value in self.headers if header == name]

    def one(self, name: str) -> str:
        """The value of a header that stands once."""
        (value,) = self.all(name)
        return value

    @property
    def contacts(self) -> list[tuple[str, str]]:
        """URI and q of each contact, in order."""
        return re.findall(r"<([^>]*)>(?:;q=([0-9.]+))?", self.one("Contact"))

    @property
    def to_tag(self) -> str:
        """The tag of To."""
        found = re.search(r";tag=([^;]+)$", self.one("To"))
        assert found is not None
        return found[1]
