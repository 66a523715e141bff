"""The journal of calls that are decided at once, such as those of the SIP redirect: begun and ended in one go."""

from __future__ import annotations

import time
from pathlib import Path

from kommutator.query.journal import FORGET_S, PUT_ASIDE_AT, CallsJournal, Listener
from kommutator.query.recovery import Recovered

_ASKED_AGAIN_MS = 64_000


class Decisions(CallsJournal):
    """The journal, where no call goes on after its answer."""

    def __init__(self, folder: Path, listener: Listener | None = None, put_aside_at: int = PUT_ASIDE_AT) -> None:
        """Makes what an earlier process has left undone."""
        self.recent: set[str] = set()
        """Calls of an earlier process that may still be asked about again (RFC 3261, timer B)."""
        super().__init__(folder, listener, put_aside_at, FORGET_S)

    def _take_over(self, left: Recovered) -> None:
        # A call whose end is missing was never answered: the machine died over it.
        left.end_all()
        since_ms = time.time_ns() // 1_000_000 - _ASKED_AGAIN_MS
        self.recent.update(call for call, at in left.began.items() if at >= since_ms)
