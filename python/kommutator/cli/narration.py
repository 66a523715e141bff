"""A call of the simulated PBX, told as it goes: what is decided and why, and what people do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol

from rich.console import Console
from rich.text import Text

from kommutator import _engine
from kommutator.cli import words
from kommutator.cli.inputs import zone_named
from kommutator.company import LoadedCompany
from kommutator.pbx.simulated.codec import Sounds
from kommutator.pbx.simulated.house import sounds_of
from kommutator.pbx.simulated.world import Happening
from kommutator.routing.doings import CalledBack, Doing
from kommutator.routing.ports import Journal
from kommutator.routing.turn import Event, Turn

GOOD: Final = frozenset({"answered", "transferred", "voicemail", "informed"})
"""Dispositions that are no missed call."""
_NODE_WIDTH: Final = 24


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is who in a company, and what its prompts say."""

    zone: tzinfo
    phones: Mapping[str, str]
    """Names by endpoint."""
    says: Mapping[str, str]
    """Texts by prompt."""

    @classmethod
    def of(cls, company: LoadedCompany) -> Cast:
        """Of a company's document."""
        return cls.told(sounds_of(company.document, company.prompts))

    @classmethod
    def told(cls, sounds: Sounds) -> Cast:
        """Of what a simulated PBX has been told of the company; an unknown time zone is read as UTC."""
        return cls(zone_named(sounds.timezone), sounds.names, sounds.says)


class Narrator:
    """Prints a line for everything that happens; `pause` is called after each with the seconds it takes to read."""

    def __init__(
        self, console: Console, cast: Cast, language: str, pause: Callable[[float], None] | None = None
    ) -> None:
        self._console = console
        self._cast = cast
        self._language = language
        self._pause = pause
        self._began: dict[str, int] = {}
        self.endings: list[str] = []
        """The dispositions, in order."""

    def turned(self, at_ms: int, turn: Turn) -> None:
        """A turn was decided."""
        for passed in turn.trace:
            line = Text(f"{passed['node']} → {passed['exit']}".ljust(_NODE_WIDTH), style="cyan")
            line.append("  " + _engine.explain(passed["why"], self._language), style="dim")
            self._say(at_ms, line, 0.4)
        for formed in turn.rounds:
            if formed["left_out"] or formed["passed_over"]:
                told = _engine.explain_round(formed, self._language)
                self._say(at_ms, Text(f"{formed['node']}: {told}", style="dim"), 0.5)
        for effect in turn.effects:
            self._say(at_ms, Text("✉ " + words.effect_words(effect, self._language), style="magenta"), 0.5)

    def happened(self, happening: Happening) -> None:
        """Something happened at the PBX."""
        self._began.setdefault(happening.call_id, happening.at_ms)
        sign, style, words_, reading_s = _HAPPENINGS[happening.what]
        told = words_[self._language].format(
            phone=self._phone(happening.endpoint or ""), detail=self._detail(happening)
        )
        self._say(happening.at_ms, Text(f"{sign} {told}", style=style), reading_s)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        self.endings.append(disposition)
        took_s = (at_ms - self._began.pop(call_id, at_ms)) / 1000
        line = Text("■ ").append(disposition, style="bold green" if disposition in GOOD else "bold yellow")
        if fault != "none":
            line.append(f" ({_FAULT[self._language]}: {fault})")
        line.append(f"  {round(took_s, 1):g} {_SECONDS[self._language]}", style="dim")
        self._say(at_ms, line, 1.0)

    def _say(self, at_ms: int, line: Text, reading_s: float) -> None:
        time = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self._cast.zone).strftime("%H:%M:%S")
        self._console.print(Text.assemble((f"  {time}  ", "dim"), line))
        if self._pause is not None:
            self._pause(reading_s)

    def _phone(self, endpoint: str) -> str:
        name = self._cast.phones.get(endpoint)
        return f"{name} ({endpoint})" if name else endpoint

    def _detail(self, happening: Happening) -> str:
        if happening.what == "hears" and happening.detail is not None:
            said = self._cast.says.get(happening.detail)
            return f"«{said}»" if said else happening.detail
        return happening.detail or ""


class Audience(Protocol):
    """Who is told what a journal is told."""

    def turned(self, at_ms: int, turn: Turn) -> None:
        """A turn was decided."""
        ...

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        ...


class Narrated:
    """A journal with an audience."""

    def __init__(self, journal: Journal, audience: Audience) -> None:
        self._journal = journal
        self._audience = audience

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        self._journal.began(call_id, did, caller, at_ms)

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn) -> None:
        """A turn was decided."""
        self._journal.turned(call_id, at_ms, event, turn)
        self._audience.turned(at_ms, turn)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        self._journal.ended(call_id, at_ms, disposition, fault)
        self._audience.ended(call_id, at_ms, disposition, fault)

    def did(self, doing: Doing) -> None:
        """Somebody did something with an answered call: nobody does in what is narrated."""
        self._journal.did(doing)

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The calls that go on."""
        return self._journal.unfinished()

    def calls_back(self) -> Mapping[str, CalledBack]:
        """The calls back that are not over."""
        return self._journal.calls_back()


_SECONDS: Final = {"en": "s", "ru": "с"}
_FAULT: Final = {"en": "fault", "ru": "по чьей вине"}

_HAPPENINGS: Final[dict[str, tuple[str, str, dict[str, str], float]]] = {
    "came": ("☎", "bold", {"en": "a call comes in", "ru": "поступил звонок"}, 0.3),
    "fallback": (
        "☎",
        "yellow",
        {"en": "no router is there: the PBX takes a message", "ru": "маршрутизатора нет: АТС принимает сообщение"},
        0.5,
    ),
    "hears": ("♪", "blue", {"en": "{detail}", "ru": "{detail}"}, 0.6),
    "pressed": ("#", "yellow", {"en": "the caller presses {detail}", "ru": "звонящий нажал {detail}"}, 0.4),
    "beep": ("●", "red", {"en": "beep: recording", "ru": "сигнал: идёт запись"}, 0.5),
    "recorded": ("●", "red", {"en": "{detail} s recorded", "ru": "записано {detail} с"}, 0.4),
    "rings": ("◌", "yellow", {"en": "{phone} rings", "ru": "{phone}: звонит"}, 0.35),
    "answered": ("✔", "bold green", {"en": "{phone} answers", "ru": "{phone}: ответ"}, 0.8),
    "busy": ("✘", "red", {"en": "{phone} is busy", "ru": "{phone}: занято"}, 0.4),
    "declined": ("✘", "red", {"en": "{phone} declines", "ru": "{phone}: отклонено"}, 0.4),
    "unavailable": ("✘", "red", {"en": "{phone} cannot be reached", "ru": "{phone}: недоступен"}, 0.4),
    "cancelled": ("·", "dim", {"en": "{phone} stops ringing", "ru": "{phone}: звонок снят"}, 0.2),
    "phone_hung_up": ("☎", "", {"en": "{phone} hangs up", "ru": "{phone}: трубка положена"}, 0.3),
    "hung_up": ("☎", "bold", {"en": "the caller hangs up", "ru": "звонящий положил трубку"}, 0.4),
    "hung_up_on": ("☎", "", {"en": "the line is closed", "ru": "соединение завершено"}, 0.2),
}
"""Of each happening: a sign, a style, words, and the seconds it takes to read."""
