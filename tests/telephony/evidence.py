"""The proof of each branch: everybody's SIP, whether it agrees with the disposition, and a table of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import messages
from .messages import SipEvent


@dataclass(frozen=True)
class Proof:
    """One real call: the branch of the scheme that it shows, its disposition, and every party's SIP events.

    `phones` is by endpoint; a phone that was not rung has no events.
    """

    scheme: str
    branch: str
    scenario: str
    disposition: str
    caller: Sequence[SipEvent]
    phones: Mapping[str, Sequence[SipEvent]]

    def disagreement(self) -> str | None:
        """What in the SIP contradicts the disposition; `None` when they agree."""
        answered_by = [name for name, events in self.phones.items() if _said(events, "200", of="INVITE")]
        rung = [name for name, events in self.phones.items() if messages.first(events, "INVITE")]
        heard = messages.first(self.caller, "200", of="INVITE") is not None
        left = _said(self.caller, "CANCEL") or _said(self.caller, "BYE")
        ringing = [name for name in rung if not all(map(messages.over, messages.by_call(self.phones[name])))]
        if ringing:
            return f"{', '.join(ringing)} was left ringing or in a call"
        if not _over_for_caller(self.caller):
            return "the caller was left in the call"
        wrong: dict[str, list[tuple[bool, str]]] = {
            "answered": [(not answered_by, "no phone answered"), (not heard, "the caller got no 200")],
            "transferred": [(not answered_by, "no phone answered"), (not heard, "the caller got no 200")],
            "voicemail": [(bool(answered_by), "a phone answered"), (not heard, "the caller got no 200")],
            "informed": [(bool(answered_by), "a phone answered"), (not heard, "the caller got no 200")],
            "abandoned": [(bool(answered_by), "a phone answered"), (not left, "the caller did not hang up")],
            "no_answer": [(bool(answered_by), "a phone answered"), (not rung, "no phone was rung")],
            "busy": [(bool(answered_by), "a phone answered")],
            "unavailable": [(bool(answered_by), "a phone answered")],
            "failed": [(bool(answered_by), "a phone answered")],
        }
        return next((words for contradicts, words in wrong[self.disposition] if contradicts), None)

    def lateness_s(self) -> float | None:
        """How long after the caller had hung up the last phone was told, in seconds; `None` when no phone had to be."""
        gone = next((event.at for event in self.caller if event.sent and event.name in ("BYE", "CANCEL")), None)
        told = [
            event.at
            for events in self.phones.values()
            for event in events
            if gone is not None and event.received and event.name in ("BYE", "CANCEL") and event.at > gone
        ]
        return max(told) - gone if gone is not None and told else None

    def summary(self) -> str:
        """Everybody's SIP in a line: `caller →INVITE ←200 →ACK ←BYE · 101 ←INVITE →180 →200 ←ACK →BYE`."""
        parts = [f"caller {messages.summary(self.caller)}"]
        parts += [f"{name.removeprefix('PJSIP/')} {messages.summary(e)}" for name, e in self.phones.items() if e]
        return " · ".join(parts)


@dataclass
class Evidence:
    """The proofs of a test run."""

    proofs: list[Proof] = field(default_factory=list)

    def add(self, proof: Proof) -> None:
        """Keeps a proof; an `AssertionError` says why when its SIP contradicts its disposition."""
        self.proofs.append(proof)
        words = proof.disagreement()
        if words is not None:
            raise AssertionError(f"the disposition is {proof.disposition}, but {words}: {proof.summary()}")

    def table(self) -> list[str]:
        """A line for each call, by scheme and branch, and a last line that counts."""
        ordered = sorted(self.proofs, key=lambda proof: (proof.scheme, proof.branch))
        widths = [max((len(text) for text in column), default=0) for column in zip(*map(_cells, ordered), strict=True)]
        lines = [
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(_cells(proof), widths, strict=True)), proof.summary()]
            )
            for proof in ordered
        ]
        branches = {(proof.scheme, proof.branch) for proof in ordered}
        schemes = {proof.scheme for proof in ordered}
        late = [lateness for proof in ordered if (lateness := proof.lateness_s()) is not None]
        if late:
            lines.append(f"callers who left: the last phone was told {max(late) * 1000:.0f} ms after, at the latest")
        return [*lines, f"{len(ordered)} calls showed {len(branches)} branches of {len(schemes)} schemes"]


def _cells(proof: Proof) -> tuple[str, str, str, str]:
    verdict = "agrees" if proof.disagreement() is None else "CONTRADICTS"
    return proof.scheme, proof.branch, proof.disposition, verdict


def _said(events: Sequence[SipEvent], name: str, *, of: str | None = None) -> bool:
    return any(event.sent and event.name == name and (of is None or event.of == of) for event in events)


def _over_for_caller(events: Sequence[SipEvent]) -> bool:
    ended = {"BYE", "CANCEL"}
    return any(event.name in ended or (event.received and event.name[0] in "456") for event in events)
