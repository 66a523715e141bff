"""What simulated people do: a caller stage by stage, a phone each time it is rung.

The forms are those of a scenario's `real` section.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

Does = Literal["answer", "busy", "decline", "silent", "unreachable"]
SpeechEnd = Literal["hash", "silence", "hang_up"]


@dataclass(frozen=True, slots=True)
class CallerAct:
    """What a caller does while an action of one type is performed."""

    during: str
    """The action's type: `play`, `menu`, `ring`, `wait`, `record`, `talk`, `transfer`, `hang_up`."""
    press: str = ""
    """Keys pressed one after the other."""
    hang_up_after: float | None = None
    """Seconds from the beginning of the action."""
    speak: float = 0
    """Seconds of speech from the beep on."""
    end: SpeechEnd = "silence"
    """How the caller ends a message."""
    whenever: bool = False
    """He does it when its stage comes, in whatever order; else he waits for what stands before it."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> CallerAct:
        """Read an entry of `real.caller`. Raises `TypeError` for an unknown key, `ValueError` for an unknown end."""
        act = cls(**data)
        if act.end not in get_args(SpeechEnd):
            raise ValueError(f"a message ends with {', '.join(get_args(SpeechEnd))}, not with {act.end}")
        return act


class CallerScript:
    """A caller's acts, each used once and in order (but for those of `whenever`); where the next is of another stage, he is
    silent and waits."""

    def __init__(self, acts: Iterable[CallerAct] = ()) -> None:
        self._acts = list(acts)

    @classmethod
    def of(cls, data: Iterable[Mapping[str, Any]] | None) -> CallerScript:
        """Read `real.caller`."""
        return cls(CallerAct.of(entry) for entry in data or ())

    def next(self, action: str) -> CallerAct | None:
        """What the caller does now that an action of this type begins."""
        for place, act in enumerate(self._acts):
            if act.during == action and (place == 0 or act.whenever):
                return self._acts.pop(place)
        return None


@dataclass(frozen=True, slots=True)
class PhoneAct:
    """What a phone does when it is rung."""

    does: Does = "silent"
    after: float = 0
    """Seconds of ringing before it answers or declines."""
    talks: float | None = None
    """Seconds after which it hangs up a conversation; None: it leaves that to the caller."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> PhoneAct:
        """Read an entry of `real.phones`. Raises `TypeError` for an unknown key, `ValueError` for an unknown act."""
        act = cls(**data)
        if act.does not in get_args(Does):
            raise ValueError(f"a phone does {', '.join(get_args(Does))}, not {act.does}")
        return act


class PhoneScript:
    """A phone's acts, one for each time it is rung; the last one stays."""

    def __init__(self, acts: Sequence[PhoneAct] = ()) -> None:
        self._acts = list(acts) or [PhoneAct()]

    @classmethod
    def of(cls, data: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> PhoneScript:
        """Read a phone of `real.phones`."""
        entries = [data] if isinstance(data, Mapping) else data
        return cls([PhoneAct.of(entry) for entry in entries])

    @property
    def unreachable(self) -> bool:
        """Whether the phone is not registered now."""
        return self._acts[0].does == "unreachable"

    @property
    def by_hand(self) -> bool:
        """Whether the phone does nothing by itself."""
        return self._acts == [PhoneAct()]

    def next(self) -> PhoneAct:
        """What the phone does now that it is rung."""
        return self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]


def phones_of(data: Mapping[str, Any] | None) -> dict[str, PhoneScript]:
    """Read `real.phones`."""
    return {endpoint: PhoneScript.of(acts) for endpoint, acts in (data or {}).items()}
