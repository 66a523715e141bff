"""A call whose dialplan does everything itself, and only asks what (`agi://…/decide`): one connection each question.

The decision comes as variables, as `deploy/asterisk/extensions-agi.conf` uses them. A `wait` lasts as long as it says; a
`Dial()` tells of an answer when the conversation is over, so the call is over with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import trio

from kommutator.load.targets.agi_channel import CAUSE_OF, Channel, Over, channels_of, greeting
from kommutator.load.targets.agi_people import UNSEEN, Connect, People, endpoint_of

_NAME: Final = "KOMMUTATOR_"
_BUSY: Final = "SIP 486 Busy Here"


async def lead(people: People, connect: Connect) -> Callable[[], Awaitable[None]] | None:
    """Ask what is to be done, and, of a whole call, tell how it went until the end; what is left to be done then."""
    call = _Call(people, connect)
    words: tuple[str, ...] | None = ()
    while words is not None:
        if not await call.asks(words):
            return None
        words = await call.acts() if people.whole else None
    return None if people.whole else call.say_goodbye


class _Call:
    def __init__(self, people: People, connect: Connect) -> None:
        self._people = people
        self._connect = connect
        self._channel = Channel(people.ask.call_id, {})
        self._turns = 0

    async def asks(self, words: tuple[str, ...]) -> bool:
        """The arrival, or how a step went; False when there is no answer."""
        await self._connects("step" if words else "decide", *(words or (self._people.ask.did,)))
        at, action = perf_counter(), self._decision()
        if not action["type"]:
            self._people.fails("closed", "no decision was told")
            return False
        if self._channel.turns > self._turns + 1:
            self._people.action({"type": UNSEEN}, at)
            self._people.acts({"type": "failed"}, timed=False)
        self._turns = self._channel.turns
        self._people.action(action, at)
        return True

    async def acts(self) -> tuple[str, ...] | None:
        """What people do upon the decision, and how the dialplan tells it; None when there is nothing more to tell."""
        people, variables = self._people, self._channel.variables
        kind = variables[f"{_NAME}ACTION"]
        if kind == "end":
            return None
        event = dict(people.draw())
        match event["type"]:
            case "caller_hung_up":
                await self.say_goodbye()
                return None
            case "answered" | "transferred" | "no_answer" | "busy" | "failed" if kind in ("ring", "transfer"):
                return await self._dials(event, variables[f"{_NAME}DIAL"].split("&"))
            case "waited":
                await trio.sleep(float(variables[f"{_NAME}SECONDS"]))
            case "recorded":
                event["seconds"] = 0.0  # nobody records, and nothing is found
        people.acts(event)
        return (event["type"], *([event["digits"]] if event["type"] == "digits" else []))

    async def say_goodbye(self) -> None:
        """The channel's last words."""
        await self._connects("gone", self._people.ask.did)

    async def _dials(self, event: dict[str, Any], phones: list[str]) -> tuple[str, ...]:
        kind = event["type"]
        await trio.sleep(self._people.rings_s)
        if kind in ("answered", "transferred"):
            endpoint = event.get("endpoint", endpoint_of(phones[0]))
            phone = next(phone for phone in phones if endpoint_of(phone) == endpoint)
            await trio.sleep(self._people.talks_s)
            self._channel.dialled("ANSWER", phone.partition("/")[2])
        elif kind == "no_answer":
            self._channel.dialled("NOANSWER")
        else:
            self._channel.dialled("BUSY", causes=channels_of(phones, _BUSY))
            event["ended"] = [{"endpoint": endpoint_of(phone), "cause": "busy"} for phone in phones]
        self._people.acts(event)
        if kind == "answered":
            self._people.action({"type": "talk", "endpoint": event["endpoint"]}, perf_counter())
            self._people.acts({"type": "conversation_ended"})
        return ("dialled",)

    async def _connects(self, script: str, *arguments: str) -> None:
        ask = self._people.ask
        connection = await self._connect()
        channel = f"PJSIP/load-{ask.number:08x}"
        await connection.greet(greeting(ask.call_id, script, channel, ask.did, ask.caller, *arguments))
        self._channel.variables[f"{_NAME}ACTION"] = ""
        while (line := await connection.line()) is not None:
            taken = self._channel.take(line)
            await connection.say("200 result=1" if isinstance(taken, Over) else str(taken))
        connection.cut()

    def _decision(self) -> dict[str, Any]:
        told: Mapping[str, str] = {
            name.removeprefix(_NAME): value
            for name, value in self._channel.variables.items()
            if name.startswith(_NAME) and value
        }
        kind = told.get("ACTION", "")
        match kind:
            case "ring" | "transfer":
                ringing = self._people.ringing(told["DIAL"].split("&"))
                endpoints = [{"endpoint": endpoint_of(phone)} for phone in told["DIAL"].split("&")]
                return ringing if kind == ringing["type"] else {"type": "ring", "endpoints": endpoints}
            case "menu":
                return {"type": kind, "digits": told.get("DIGITS", "").split(","), "file": told.get("PROMPT", "")}
            case "hang_up":
                return {"type": kind, "cause": CAUSE_OF.get(told.get("CAUSE", ""), "normal")}
            case "end":
                return {"type": kind, "disposition": told.get("DISPOSITION", "")}
            case _:
                return {"type": kind, "file": told.get("PROMPT", "")}
