"""What an engine of our own decides for the same calls: what answers under load are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from kommutator.load.target import Told


class Expected(Protocol):
    """What the local engine says of one call, decided with everybody present, idle and claimed by nobody."""

    @property
    def actions(self) -> Sequence[Mapping[str, Any]]:
        """The first action, then, of a whole call, the answer to each event that the target tells (`Told.events`)."""
        ...

    @property
    def trace(self) -> Sequence[Mapping[str, Any]]:
        """The nodes passed before the first action."""
        ...

    def verdict(self, told: Told) -> str | None:
        """None when what was told is right; else what is wrong, in words.

        Who can be rung depends on the floor, which other calls hold: a hunt's answer is right with whomever of its people it
        rings, and after one that found nobody the call goes on as the engine says for such an end.
        """
        ...
