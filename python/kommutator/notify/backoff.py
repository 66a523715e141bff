"""When a notice is tried again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double, each shortened by up to a half, by the notice's id.

    Many notices that failed together do not return together, and the same notice always returns at the same time.
    """

    first_s: float = 5.0
    longest_s: float = 900.0

    def pause_s(self, notice_id: str, attempt: int) -> float:
        """The pause after so many attempts, counted from 1."""
        whole = min(self.longest_s, self.first_s * 2.0 ** min(attempt - 1, 40))
        digest = hashlib.blake2b(f"{notice_id}/{attempt}".encode(), digest_size=8).digest()
        return whole * (1.0 - int.from_bytes(digest) / 2**65)
