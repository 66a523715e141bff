"""Employees of other PBXs, claimed before an answer names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from kommutator.routing.turn import Event


class Claiming(Protocol):
    """Who claims them."""

    async def claim(self, call_id: str, employees: Iterable[str]) -> Event:
        """Hold exactly those of them for a call whose phones are at other PBXs. The answer is `taken`, with whoever cannot be
        had: nobody, if all can. There is always one, soon."""
        ...
