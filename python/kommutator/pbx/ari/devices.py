"""Asterisk's device states as lines of employees, without the moments that are of our own making.

When two phones of one hunt are picked up in the same instant, the slower one is `INUSE` until our BYE reaches it. Its
employee is as free as before; told that he is busy, callers who wait for him would leave. And the states of both may come
before either phone is known to have been picked up: device states travel in Asterisk on a way of their own. So a phone that
a hunt rings is not told to be busy before it has won.
"""

from __future__ import annotations

from kommutator.pbx.asterisk import line_of


class Devices:
    """What is held back of device states."""

    def __init__(self) -> None:
        self._withheld: dict[str, str] = {}
        """The device of each leg of ours that does not count: rung by a hunt that nobody has won yet, or being ended."""
        self._held_back: set[str] = set()

    def withhold(self, channel: str, device: str) -> None:
        """This leg does not make its device busy from now on."""
        self._withheld[channel] = device

    def line(self, device: str, state: str) -> str | None:
        """The line to tell by a device's state; None while a leg that does not count may be all there is."""
        line = line_of(state)
        if line == "busy" and device in self._withheld.values():
            self._held_back.add(device)
            return None
        self._held_back.discard(device)
        return line

    def settled(self, channel: str) -> str | None:
        """A leg has won, or has ended; the device whose last state was held back because of it, and by no other leg."""
        device = self._withheld.pop(channel, None)
        if device is None or device in self._withheld.values() or device not in self._held_back:
            return None
        self._held_back.discard(device)
        return device

    def forget(self) -> None:
        """Everything is about to be looked at again."""
        self._withheld.clear()
        self._held_back.clear()
