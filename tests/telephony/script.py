"""The `real:` section of a scenario file: what the people do when the scenario is played as a real call."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from . import messages, sound
from .asterisk import Asterisk
from .dialogs import Behaviour
from .messages import SipEvent
from .sipp import Caller, Mobiles, Phone, Phones

_REACTION_S = 0.2
"""How long a caller takes to notice that something has begun."""
_QUIET_S = 0.3
"""So long nothing comes from Asterisk once a recording has begun: prompt and beep have been sent."""
_STEP_LIMIT_S = 60.0
_POLL_S = 0.02
_LEG_PREFIX = "PJSIP/"


@dataclass(frozen=True)
class Deed:
    """One entry of `real.caller`: what the caller does when an action of the type `during` is performed.

    Exactly one of `press`, `hang_up_after` and `speak` is set, or none: then he listens. `speak` is in seconds of real
    time, whatever the speed, since the least length of a message is a rule; how it ends is `end`: `hash`, `silence`
    or `hang_up`.
    """

    during: str
    press: str | None = None
    hang_up_after: float | None = None
    speak: float | None = None
    end: str = "silence"

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Self:
        """From a mapping of the file; an unknown key is a `TypeError`."""
        return cls(**entry)


class Script:
    """Plays the caller's deeds: the test calls `performed` with each action's type when the router begins with it.

    The deeds are used in order, each once, by the first action of its type that comes after the one before. `speed`
    divides the seconds of `hang_up_after`. `finish` raises what went wrong.
    """

    def __init__(self, caller: Caller, deeds: Sequence[Mapping[str, Any]], *, speed: float = 1.0) -> None:
        self.caller = caller
        self.done: list[tuple[float, str]] = []
        """When, in seconds since the epoch, and what."""
        self._speed = speed
        self._left: Iterator[Deed] = iter([Deed.read(entry) for entry in deeds])
        self._next = next(self._left, None)
        self._changed = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def performed(self, action: str) -> None:
        """Says that the router has begun to perform an action of that type; returns at once. Not before `call`."""
        self._changed.set()
        self._changed = threading.Event()
        deed = self._next
        if deed is None or deed.during != action:
            return
        self._next = next(self._left, None)
        arguments = (deed, time.time(), self._changed)
        thread = threading.Thread(
            target=self._guarded, args=arguments, name=f"{self.caller.name} {action}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def settle(self) -> None:
        """Waits until the caller has done what he was at; raises the first thing that went wrong."""
        for thread in self._threads:
            thread.join(_STEP_LIMIT_S)
        if self._errors:
            raise self._errors[0]

    def finish(self) -> None:
        """Settles, and raises an `AssertionError` when a deed's turn never came."""
        self.settle()
        if self._next is not None:
            raise AssertionError(f"{self.caller.name} never came to {self._next}")

    def _guarded(self, deed: Deed, began: float, over: threading.Event) -> None:
        try:
            self._do(deed, began, over)
        except BaseException as error:  # noqa: BLE001  # handed to the test by finish
            self._errors.append(error)

    def _do(self, deed: Deed, began: float, over: threading.Event) -> None:
        if deed.press is not None:
            if not over.wait(_REACTION_S):
                self._note(f"presses {deed.press}")
                self.caller.press(deed.press)
        elif deed.hang_up_after is not None:
            over.wait(max(deed.hang_up_after / self._speed, _REACTION_S))
            self._note("hangs up")
            self.caller.hang_up()
        elif deed.speak is not None:
            self.caller.line.wait_quiet(since=began, seconds=_QUIET_S, limit=_STEP_LIMIT_S)
            self._note(f"speaks {deed.speak} s")
            if deed.speak > 0:
                self.caller.speak(sound.murmur(deed.speak))
            if deed.end == "hash":
                self.caller.press("#")
            elif deed.end == "hang_up":
                self.caller.hang_up()

    def _note(self, what: str) -> None:
        self.done.append((time.time(), what))


class People:
    """The phones of a scenario, by endpoint as in the document: `PJSIP/101`, or a number in E.164 beyond the trunk.

    `plans` is `real.phones`; an endpoint of `endpoints` without a plan rings and stays silent. Phones that are
    `unreachable` are not registered; a mobile that is gets no INVITE answered but 404. `speed` divides `after` and
    `talks`. A context manager.
    """

    def __init__(
        self, asterisk: Asterisk, endpoints: Sequence[str], plans: Mapping[str, Any], *, speed: float = 1.0
    ) -> None:
        self.phones: dict[str, Phone] = {}
        self.mobiles: Phones | None = None
        self._stack = ExitStack()
        mobiles: dict[str, Sequence[Behaviour]] = {}
        try:
            for endpoint in dict.fromkeys([*endpoints, *plans]):
                behaviours = _behaviours(plans.get(endpoint, {"does": "silent"}), speed)
                if any(behaviour.does == "unreachable" for behaviour in behaviours):
                    if len(behaviours) > 1:
                        raise ValueError(f"{endpoint} is unreachable always or never")
                elif endpoint.startswith(_LEG_PREFIX):
                    name = endpoint.removeprefix(_LEG_PREFIX)
                    self.phones[endpoint] = self._stack.enter_context(Phone(asterisk, name, behaviours))
                else:
                    mobiles[endpoint] = behaviours
            if any(not endpoint.startswith(_LEG_PREFIX) for endpoint in [*endpoints, *plans]):
                self.mobiles = self._stack.enter_context(Mobiles(asterisk, mobiles))
        except BaseException:
            self.close()
            raise

    @property
    def events(self) -> dict[str, list[SipEvent]]:
        """What each phone said and heard, by endpoint; those beyond the trunk that were not called are not there."""
        heard = {endpoint: phone.events for endpoint, phone in self.phones.items()}
        if self.mobiles is not None:
            for call in messages.by_call(self.mobiles.events):
                heard.setdefault(call[0].number, []).extend(call)
        return heard

    def switch_off(self, endpoint: str) -> None:
        """Switches a registered phone off: it is known to be from then on."""
        self.phones[endpoint].close()

    def wait_over(self, *, seconds: float = 5.0) -> None:
        """Waits until no phone rings or talks any more, to the last message; raises an `AssertionError`."""
        deadline = time.monotonic() + seconds
        while True:
            open_calls = {
                endpoint: messages.summary(events)
                for endpoint, events in self.events.items()
                if not all(map(messages.over, messages.by_call(events)))
            }
            if not open_calls:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"after {seconds} s there are still calls at {open_calls}")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Switches every phone off."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _behaviours(plan: Mapping[str, Any] | Sequence[Mapping[str, Any]], speed: float) -> list[Behaviour]:
    entries = [plan] if isinstance(plan, Mapping) else plan
    return [Behaviour(**entry).faster(speed) for entry in entries]
