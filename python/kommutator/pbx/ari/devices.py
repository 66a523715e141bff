"""Asterisk's device states as lines of employees, without the moments that are of our own making.

When two phones of one hunt are picked up in the same instant, the slower one is `INUSE` until our BYE reaches it. Its
employee is as free as before; told that he is busy, callers who wait for him would leave.
"""

from __future__ import annotations

from kommutator.pbx.asterisk import line_of


class Devices:
    """What is held back of device states."""

    def __init__(self) -> None:
        self._doomed: dict[str, str] = {}
        """The device of each leg that is being ended by us."""
        self._held_back: set[str] = set()

    def doom(self, channel: str, device: str) -> None:
        """This leg is about to be ended by us."""
        self._doomed[channel] = device

    def line(self, device: str, state: str) -> str | None:
        """The line to tell by a device's state; None while a leg of ours that is being ended may be all there is."""
        line = line_of(state)
        if line == "busy" and device in self._doomed.values():
            self._held_back.add(device)
            return None
        self._held_back.discard(device)
        return line

    def ended(self, channel: str) -> str | None:
        """A leg has ended; the device that must be looked at again because something of it was held back."""
        device = self._doomed.pop(channel, None)
        if device is None or device in self._doomed.values() or device not in self._held_back:
            return None
        self._held_back.discard(device)
        return device

    def forget(self) -> None:
        """Everything is about to be looked at again."""
        self._doomed.clear()
        self._held_back.clear()
