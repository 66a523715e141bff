"""Callers who come by themselves, and phones that nobody holds in his hand."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final, Protocol

import trio

from kommutator.errors import PbxRefused
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, PhoneAct

MOST_AT_ONCE: Final = 500
"""Callers on the line; more do not come by themselves."""
ANSWERS: Final = 0.75
"""How many of its calls a phone answers by default."""
_MOBILES: Final = ("903", "905", "909", "911", "912", "916", "922", "926", "937", "950", "965", "981", "999")
"""Operators' codes of Russian mobile numbers."""


def likely_phone(chance: Random) -> PhoneAct:
    """What a phone does by default: three times of four it is answered after 2–8 s, for a talk of 10–60 s."""
    number = chance.random()
    if number < ANSWERS:
        return PhoneAct("answer", chance.uniform(2, 8), chance.uniform(10, 60))
    if number < ANSWERS + 0.06:
        return PhoneAct("decline", chance.uniform(2, 8))
    return PhoneAct("busy") if number < ANSWERS + 0.1 else PhoneAct("silent")


class LikelyCaller(CallerScript):
    """A caller who chooses from menus, loses patience now and then, and leaves messages."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance

    def next(self, action: str) -> CallerAct | None:
        """What the caller does now that an action of this type begins."""
        chance = self._chance
        match action:
            case "menu" if chance.random() < 0.9:
                return CallerAct("menu", press=chance.choice("123"))
            case "ring" | "wait" if chance.random() < 0.15:
                return CallerAct(action, hang_up_after=chance.uniform(5, 40))
            case "record":
                return CallerAct("record", speak=chance.uniform(0.5, 20), end=chance.choice(["hash", "hang_up"]))
            case "talk":
                return CallerAct("talk", hang_up_after=chance.uniform(10, 60))
            case _:
                return None


class Placing(Protocol):
    """Where callers come."""

    @property
    def sounds(self) -> codec.Sounds:
        """What is known of the company."""
        ...

    @property
    def router(self) -> object | None:
        """Who routes."""
        ...

    @property
    def on_the_line(self) -> int:
        """How many callers are there."""
        ...

    def place(self, call_id: str | None, did: str, caller: str | None, script: CallerScript) -> str:
        """Let a caller come. Raises `PbxRefused`."""
        ...


class Traffic:
    """Callers who come independently of each other, so many a minute on average (a Poisson process), while a router is
    there that has told the company's numbers."""

    def __init__(
        self, pbx: Placing, calls_per_minute: float, callers: Sequence[str], dials: Sequence[str], chance: Random
    ) -> None:
        self._pbx = pbx
        self._chance = chance
        self._callers = tuple(callers)
        self._dials = tuple(dials)
        self._moved = trio.Event()
        self.calls_per_minute = calls_per_minute
        self.left_out = 0
        """Callers who did not come since the PBX was full."""

    def set(self, calls_per_minute: float, callers: Sequence[str], seed: int | None) -> None:
        """From now on, so many callers, and with these numbers. Raises `PbxRefused` for a rate out of 0–6000."""
        if not 0 <= calls_per_minute <= 6000:
            raise PbxRefused("the traffic is of 0 to 6000 calls a minute")
        self.calls_per_minute = calls_per_minute
        self._callers = tuple(callers)
        if seed is not None:
            self._chance = Random(seed)
        self.changed()

    def changed(self) -> None:
        """What it depends on has changed."""
        self._moved.set()
        self._moved = trio.Event()

    async def run(self) -> None:
        """Let callers come until cancelled."""
        while True:
            moved = self._moved
            pause_s = self._chance.expovariate(self.calls_per_minute / 60) if self.calls_per_minute else float("inf")
            with trio.move_on_after(pause_s):
                await moved.wait()
                continue
            self._one()

    def _one(self) -> None:
        numbers = self._pbx.sounds.numbers
        if not numbers or self._pbx.router is None:
            return
        if self._pbx.on_the_line >= MOST_AT_ONCE:
            self.left_out += 1
            return
        caller = (
            self._chance.choice(self._callers) if self._callers and self._chance.random() < 0.5 else self._made_up()
        )
        try:
            self._pbx.place(None, self._chance.choice(self._dials or numbers), caller, LikelyCaller(self._chance))
        except PbxRefused:
            self.left_out += 1

    def _made_up(self) -> str | None:
        """A Russian mobile; one of forty callers withholds his number."""
        if self._chance.random() < 0.025:
            return None
        return f"+7{self._chance.choice(_MOBILES)}{self._chance.randrange(10**7):07d}"
