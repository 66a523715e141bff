"""What the pages of virtual phones need of simulated PBXs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

Line = Literal["idle", "ringing", "busy", "unreachable"]
CallerHears = Literal["nothing", "prompt", "menu", "music", "ringing", "beep", "somebody", "gone"]
PhoneHears = Literal["client", "guest", "operator", "ringing", "music", "nothing"]


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone."""

    pbx: str
    endpoint: str
    name: str | None
    line: Line
    call_id: str | None
    caller: str | None
    since: datetime | None
    by_hand: bool
    hears: PhoneHears | None
    held: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who calls."""

    pbx: str
    call_id: str
    did: str
    caller: str | None
    since: datetime
    talks_with: str | None


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to a caller."""

    at: datetime
    what: str
    endpoint: str | None
    name: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class CallerStory:
    """A caller, and what he has heard."""

    pbx: str
    call_id: str
    did: str
    caller: str | None
    since: datetime
    gone_at: datetime | None
    hears: CallerHears
    talks_with: str | None
    talks_with_name: str | None
    happened: tuple[Happening, ...]


class Phones(Protocol):
    """The phones and callers of all simulated PBXs. Everything raises `PbxError` when it cannot be done."""

    async def phones(self) -> list[Phone]: ...
    async def callers(self) -> list[Caller]: ...
    async def numbers(self) -> dict[str, str]: ...
    async def story(self, call_id: str) -> CallerStory: ...
    async def take_in_hand(self, endpoint: str, by_hand: bool) -> None: ...
    async def answer(self, endpoint: str) -> None: ...
    async def decline(self, endpoint: str) -> None: ...
    async def put_down(self, endpoint: str) -> None: ...
    async def hold(self, endpoint: str, held: bool) -> None: ...
    async def call(self, did: str, caller: str | None) -> str: ...
    async def press(self, call_id: str, keys: str) -> None: ...
    async def speak(self, call_id: str, seconds: float) -> None: ...
    async def hang_up(self, call_id: str) -> None: ...
