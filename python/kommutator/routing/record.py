"""What is known of one call so far: the fold of its turns, and its one line of the ledger."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from kommutator.routing.turn import Event, Ring, Transfer, Turn


class LegRung(msgspec.Struct):
    """One ringing of one endpoint, by a hunt; or whoever the client was passed on to, then without a round."""

    endpoint: str
    employee: str | None = None
    round: int | None = None
    outcome: str | None = None
    """`answered`, `busy`, `declined`, `unavailable`, `no_answer`, `cancelled`; None while it rings."""


class CallRecord(msgspec.Struct):
    """A call from its arrival on."""

    call_id: str
    did: str
    caller: str | None
    began_ms: int
    turn: Turn | None = None
    """The last turn."""
    scheme: str | None = None
    trace: list[dict[str, Any]] = []
    effects: list[dict[str, Any]] = []
    rounds: list[dict[str, Any]] = []
    legs: list[LegRung] = []

    def take(self, event: Event | None, turn: Turn) -> None:
        """Add a turn. A resumption repeats the last sequence, and adds nothing; an older turn is passed over."""
        last = -1 if self.turn is None else self.turn.sequence
        if turn.sequence < last:
            return
        self._settle(event, turn)
        if turn.sequence > last:
            self.trace.extend(turn.trace)
            self.effects.extend(turn.effects)
            self.rounds.extend(turn.rounds)
        if self.scheme is None:
            self.scheme = next((step["scheme"] for step in turn.trace if step.get("scheme")), turn.scheme)
        self.turn = turn

    def line(self, ended_ms: int, disposition: str, fault: str) -> dict[str, Any]:
        """The call's line of the ledger."""
        for leg in self.legs:
            leg.outcome = leg.outcome or "cancelled"
        return {
            "call_id": self.call_id,
            "did": self.did,
            "caller": self.caller,
            "began": iso(self.began_ms),
            "ended": iso(ended_ms),
            "disposition": disposition,
            "fault": fault,
            "scheme": self.scheme,
            "trace": self.trace,
            "rounds": self.rounds,
            "effects": self.effects,
            "legs": [msgspec.to_builtins(leg) for leg in self.legs],
        }

    def _settle(self, event: Event | None, turn: Turn) -> None:
        """Note how legs ended, and which were added."""
        ringing = [leg for leg in self.legs if leg.outcome is None]
        told = {str(each["endpoint"]): str(each["cause"]) for each in (event or {}).get("ended") or ()}
        kind = (event or {}).get("type")
        for leg in ringing:
            if kind == "transferred" or (kind == "answered" and (event or {}).get("endpoint") == leg.endpoint):
                leg.outcome = "answered"
            elif leg.endpoint in told:
                leg.outcome = told[leg.endpoint]
        wanted: dict[str, LegRung] = {}
        if isinstance(turn.action, Ring):
            wanted = {e.endpoint: LegRung(e.endpoint, e.employee, turn.action.round) for e in turn.action.endpoints}
        elif isinstance(turn.action, Transfer):
            wanted = {turn.action.to: LegRung(turn.action.to)}
        for leg in self.legs:
            if leg.outcome is None:
                if leg.endpoint in wanted:
                    del wanted[leg.endpoint]
                else:
                    leg.outcome = "no_answer" if kind in ("no_answer", "failed") else "cancelled"
        self.legs.extend(wanted.values())
        if kind == "passed" and event is not None:
            self.legs.append(LegRung(str(event["endpoint"]), event.get("employee"), outcome="answered"))


def iso(ms: int) -> str:
    """Milliseconds since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
