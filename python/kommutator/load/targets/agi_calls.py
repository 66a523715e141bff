"""A call whose router does everything with it, by commands on one connection (`agi://…/call`).

What an action is can be seen from its commands alone, at times only from the one after the first: a prompt that is followed
by a recording within the same state was that of the `record`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Final

import trio

from kommutator.load.targets.agi_channel import Channel, Doing, Over, channels_of, greeting
from kommutator.load.targets.agi_people import KEYS, UNSEEN, Connect, Connection, People, endpoint_of

PLAYED: Final = "200 result=0 endpos=8000"
CUT: Final = "200 result=-1 endpos=0"
_BUSY: Final = "SIP 486 Busy Here"


async def lead(people: People, connect: Connect) -> Callable[[], Awaitable[None]] | None:
    """Lead the call to its first action, or to its end; what is left to be done when nobody waits for it any more."""
    ask = people.ask
    connection = await connect()
    await connection.greet(greeting(ask.call_id, "call", f"PJSIP/load-{ask.number:08x}", ask.did, ask.caller, ask.did))
    call = _Call(people, connect, connection)
    await call.lead()
    return call.say_goodbye if call.goes_on else None


class _Call:
    def __init__(self, people: People, connect: Connect, connection: Connection) -> None:
        self.goes_on = True
        """The router has more to say."""
        self._people = people
        self._connect = connect
        self._connection = connection
        self._channel = Channel(people.ask.call_id, {})
        self._turns = 0
        """Of the action that goes on."""
        self._begun: Doing | Over | None = None
        """The first command of the next action, where it was seen already, and when."""
        self._begun_at = 0.0
        self._hung_up = False
        """The router knows that the caller is gone."""

    async def lead(self) -> None:
        """Until the call is over, or its first action is known."""
        while True:
            doing = await self._next()
            if doing is None:
                self._people.fails("closed", "before the call was over")
                self.goes_on = False
                return
            at, unseen = self._begun_at, self._channel.turns - self._turns - 1
            if isinstance(doing, Over):
                if await self._ends(at, is_hang_up=unseen >= 0):
                    return
                continue
            if unseen > 0:
                self._people.action({"type": UNSEEN}, at)
                self._people.acts({"type": "failed"}, timed=False)
            self._turns = self._channel.turns
            await self._act(doing, at)
            if not self._people.whole or not self.goes_on:
                return

    async def say_goodbye(self) -> None:
        """The caller hangs up; until the router has taken notice."""
        if not self._hung_up:
            await self._connection.say(f"HANGUP\n{CUT}" if self._connection.owes else "HANGUP")
        while (doing := await self._next()) is not None:
            await self._connection.say("200 result=1" if isinstance(doing, Over) else CUT)

    # --- what the router does

    async def _next(self) -> Doing | Over | None:
        """The next command that is somebody's matter; None at the end."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        while (line := await self._connection.line()) is not None:
            taken = self._channel.take(line)
            if not isinstance(taken, str):
                self._begun_at = perf_counter()
                return taken
            await self._connection.say(taken)
        return None

    async def _ends(self, at: float, *, is_hang_up: bool) -> bool:
        """The router ends the call: by the action `hang_up`, or because everything is over. Whether it is."""
        await self._connection.say("200 result=1")
        doing = await self._next()
        if is_hang_up and isinstance(doing, Doing):
            self._turns = self._channel.turns
            self._people.action({"type": "hang_up", "cause": doing.cause}, at)
            if self._people.whole:
                self._people.acts({"type": "hung_up"})
            await self._is_hung_up()
            return not self._people.whole
        self._people.action({"type": "end"}, at)
        if doing is None:
            self.goes_on = False
        elif not self._hung_up:
            await self._is_hung_up()
        return True

    async def _is_hung_up(self) -> None:
        """`Hangup()` has been done."""
        await self._connection.say("200 result=-1\nHANGUP")
        self._hung_up = True

    async def _act(self, doing: Doing, at: float) -> None:
        match doing.kind:
            case "play":
                await self._play(doing, at)
            case "menu":
                await self._menu(doing, at)
            case "ring":
                await self._ring(doing, at)
            case "record":
                await self._record(doing, at)
            case "wait":
                await self._wait(doing, at)
            case _:
                await self._connection.say("200 result=0")

    async def _play(self, doing: Doing, at: float) -> None:
        await self._connection.say(PLAYED)
        heard_at = perf_counter()
        following = self._begun = await self._next()
        if self._channel.turns == self._turns and isinstance(following, Doing):  # it was the prompt of this
            self._begun = None
            await self._act(following, at)
        elif self._channel.turns == self._turns and isinstance(following, Over):
            self._turns -= 1  # the prompt of a `hang_up`
        else:
            self._people.action({"type": "play", "file": doing.file}, at)
            if self._people.whole:
                self._people.acts({"type": "played"}, at=heard_at)

    async def _menu(self, doing: Doing, at: float) -> None:
        self._people.action({"type": "menu", "digits": KEYS, "file": doing.file}, at)
        if not self._people.whole:
            return
        event = self._people.draw()
        if event["type"] == "caller_hung_up":
            await self._leaves(event, CUT)
            return
        answer = f"200 result={ord(event['digits'])} endpos=0" if event["type"] == "digits" else PLAYED
        while True:
            await self._connection.say(answer)
            acted_at = perf_counter()
            following = await self._next()
            same = self._channel.turns == self._turns and isinstance(following, Doing)
            if not same or following.kind not in ("menu", "key"):  # type: ignore[union-attr]
                break
            answer = PLAYED if following.kind == "menu" else "200 result=0"  # type: ignore[union-attr]
        self._begun = following
        self._people.acts(event, at=acted_at)

    async def _record(self, doing: Doing, at: float) -> None:
        self._people.action({"type": "record"}, at)
        if not self._people.whole:
            return
        event = self._people.draw()
        if event["type"] == "caller_hung_up":
            await self._leaves(event, CUT)
            return
        self._people.acts(event)
        await self._connection.say(f"200 result=35 (dtmf) endpos={round(event['seconds'] * 8000)}")

    async def _wait(self, doing: Doing, at: float) -> None:
        """The router waits by itself, for its time or for somebody to come free: which of them is not seen."""
        await self._connection.say("200 result=0")
        self._people.action({"type": "wait"}, at)
        if not self._people.whole:
            return
        event = self._people.draw()
        if event["type"] == "caller_hung_up":
            await self._leaves(event)
            return
        self._people.acts(event, timed=False)
        while isinstance(following := await self._next(), Doing) and self._channel.turns == self._turns:
            await self._connection.say("200 result=0" if following.kind == "wait" else PLAYED)
        self._people.action({"type": UNSEEN}, perf_counter())
        self._people.acts({"type": "failed"}, timed=False)
        self._begun = following

    async def _ring(self, doing: Doing, at: float) -> None:
        action = self._people.ringing(doing.phones)
        self._people.action(action, at)
        if not self._people.whole:
            return
        event = self._people.draw()
        kind = event["type"]
        if kind == "caller_hung_up":
            self._channel.dialled("CANCEL")
            await self._leaves(event, "200 result=-1")
        elif kind in ("answered", "transferred"):
            endpoint = event["endpoint"] if kind == "answered" else action["to"]
            phone = next(phone for phone in doing.phones if endpoint_of(phone) == endpoint)
            await self._answers(phone, {**event, "ended": []} if kind == "answered" else event)
        else:
            await trio.sleep(self._people.rings_s)
            busy = kind in ("busy", "failed")
            self._channel.dialled(
                "BUSY" if busy else "NOANSWER", causes=channels_of(doing.phones, _BUSY) if busy else {}
            )
            ended = [{"endpoint": endpoint_of(phone), "cause": "busy"} for phone in doing.phones if busy]
            self._people.acts({**event, "ended": ended})
            await self._connection.say("200 result=0")

    async def _answers(self, phone: str, event: Mapping[str, Any]) -> None:
        """A phone answers, by a connection of its own; then its people talk."""
        people, number = self._people, phone.partition("/")[2]
        await trio.sleep(people.rings_s)
        people.acts(event)
        call_id = f"{people.ask.call_id[:60]}.leg"
        channel = Channel(call_id, {"DIALEDPEERNUMBER": number}, self._channel)
        leg = await self._connect()
        await leg.greet(
            greeting(call_id, "answered", f"{phone}-{people.ask.number:08x}", "s", None, people.ask.call_id)
        )
        over = False
        while (line := await leg.line()) is not None:
            taken = channel.take(line)
            over = over or isinstance(taken, Over)
            await leg.say(taken if isinstance(taken, str) else "200 result=1")
        leg.cut()
        at = perf_counter()
        if over:  # given away: Asterisk goes on alone
            people.action({"type": "end"}, at)
            self.goes_on = False
            return
        if event["type"] == "answered":
            self._turns = self._channel.turns
            people.action({"type": "talk", "endpoint": event["endpoint"]}, at)
            drawn = people.draw()
            await trio.sleep(people.talks_s)
            self._channel.dialled("ANSWER", number)
            if drawn["type"] == "caller_hung_up":
                await self._leaves(drawn, "200 result=-1")
                return
            people.acts(drawn)
        else:
            self._channel.dialled("ANSWER", number)
        await self._connection.say("200 result=0")

    async def _leaves(self, event: Mapping[str, Any], answer: str | None = None) -> None:
        """The caller hangs up, in most cases while a command goes on, which is answered so."""
        self._people.acts(event)
        self._hung_up = True
        await self._connection.say("HANGUP" if answer is None else f"HANGUP\n{answer}")
