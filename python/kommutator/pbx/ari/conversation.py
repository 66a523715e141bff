"""Conversations at Asterisk: phones called and hung up as an arrangement says, and who hears whom.

The caller talks in the bridge `kt~<call>`, an operator and a guest without him in `kt~<call>~private`; whoever waits is
in no bridge, and hears music or the ringing tone.
"""

from __future__ import annotations

from typing import NamedTuple

from kommutator.pbx.ari import requests
from kommutator.pbx.ari.legs import Leg, Legs, LegState
from kommutator.pbx.ari.line import CallerLine
from kommutator.pbx.ari.names import bridge_id, private_bridge_id
from kommutator.routing.conversation import Arrangement, Party, Standing


class _Places(NamedTuple):
    """Where everybody is: the caller, and (channel, place) of the operator and the guest who have answered."""

    client: str
    operator: tuple[str, str] | None
    guest: tuple[str, str] | None


class Conversations:
    """The conversations of one call."""

    def __init__(self, line: CallerLine, legs: Legs) -> None:
        self._line = line
        self._legs = legs
        self._sequence = -1
        self._called = 0
        self._placed: _Places | None = None
        self._tones: dict[str, str] = {}
        """What channels of phones hear: `ringing` or `music`."""
        self._plain = True
        """Nobody has ever been anywhere but in the caller's bridge."""

    @property
    def plain(self) -> bool:
        """Whether there never was anything but a caller and one other."""
        return self._plain

    def taken_up(self, kept: Arrangement | None) -> None:
        """Another router has begun it; whom it was to call it has called."""
        if kept is not None:
            self._sequence, self._called = kept.sequence, kept.callings

    def forget_places(self) -> None:
        """Nothing is known any more about who hears whom."""
        self._placed = None
        self._plain = False
        self._tones.clear()

    async def arrange(self, arrangement: Arrangement) -> bool:
        """Make the arrangement true; whether anything had to be done for that."""
        if arrangement.sequence != self._sequence:
            self._sequence, self._called = arrangement.sequence, 0
        wanted = {party.endpoint for party in arrangement.parties}
        unwanted = [leg for leg in self._legs if leg.endpoint not in wanted]
        for leg in unwanted:
            # Whoever has answered before the others could be cancelled is one of them.
            await self._legs.cancel(leg, "normal" if leg.state is LegState.UP else "answered_elsewhere")
            self._tones.pop(leg.channel, None)
        done = bool(unwanted)
        for party in arrangement.parties:
            if party.calling > self._called:
                self._called = party.calling
                if self._legs.at(party.endpoint) is None:
                    await self._legs.call(party.endpoint, f"{arrangement.sequence}c{party.calling}")
                    done = True
        places = self._places(arrangement)
        if places != self._placed:
            await self._place(places, arrangement)
            self._placed = places
            done = True
        return done

    def standing(self, arrangement: Arrangement) -> Standing:
        """How the phones are."""
        there = arrangement.operator in arrangement.parties
        operator = self._legs.at(arrangement.operator.endpoint)
        return Standing(
            self._phone(arrangement.operator) if there else "gone",
            None if arrangement.guest is None else self._phone(arrangement.guest),
            there and operator is not None and operator.holds,
            operator.leaves_to if there and operator is not None else None,
        )

    def _phone(self, party: Party) -> str:
        leg = self._legs.at(party.endpoint)
        if leg is None:
            return self._legs.ended.get(party.endpoint, "gone")
        match leg.state:
            case LegState.UP:
                return "up"
            case LegState.RINGING | LegState.EARLY:
                return "ringing"
            case _:
                return "calling"

    # --- who hears whom

    def _places(self, arrangement: Arrangement) -> _Places:
        audio = arrangement.audio
        operator = self._up(arrangement.operator)
        guest = None if arrangement.guest is None else self._up(arrangement.guest)
        client: str = audio.client
        if client == "operator" and operator is None:
            client = "nobody"
        elif client == "ringing" and self._legs.heard:
            client = "early"
        return _Places(
            client,
            None if operator is None else (operator.channel, audio.operator),
            None if guest is None else (guest.channel, audio.guest),
        )

    def _up(self, party: Party) -> Leg | None:
        leg = self._legs.at(party.endpoint)
        return leg if leg is not None and leg.state is LegState.UP else None

    async def _place(self, places: _Places, arrangement: Arrangement) -> None:
        line = self._line
        if places.client in ("nobody", "early"):
            return
        operator = self._up(arrangement.operator)
        if self._plain and places.client == "operator" and operator is not None:
            await self._legs.connect(operator)
            return
        unknown = self._placed is None
        self._plain = False
        with_caller, private = set[str](), set[str]()
        tones: dict[str, str] = {}
        if places.client == "operator" and places.operator is not None:
            with_caller = {line.channel, places.operator[0]}
        for place in (places.operator, places.guest):
            if place is not None:
                channel, where = place
                if where in ("guest", "operator"):
                    private.add(channel)
                elif where in ("ringing", "music"):
                    tones[channel] = where
        for channel in {place[0] for place in (places.operator, places.guest) if place is not None}:
            await self._silence(channel, tones.get(channel), unknown)
        if places.client == "operator":
            await line.hear_nothing()
            await line.answer()
        await self._fill(bridge_id(line.channel), with_caller, private_bridge_id(line.channel), private)
        self._legs.are_bridged(places.operator[0] if with_caller and places.operator is not None else None)
        if places.client == "music":
            await line.hear_music(None)
        elif places.client == "ringing":
            await line.hear_ringing(None)
        for channel, tone in tones.items():
            if self._tones.get(channel) != tone:
                self._tones[channel] = tone
                start = requests.start_ringback(channel) if tone == "ringing" else requests.start_music(channel, None)
                await line.ask(start)

    async def _silence(self, channel: str, wanted: str | None, unknown: bool) -> None:
        """End what a phone hears, unless it is what it shall hear."""
        heard = self._tones.get(channel)
        if heard is not None and heard != wanted:
            del self._tones[channel]
        if (heard == "ringing" != wanted) or unknown:
            await self._line.ask(requests.stop_ringback(channel))
        if (heard == "music" != wanted) or unknown:
            await self._line.ask(requests.stop_music(channel))

    async def _fill(self, bridge: str, members: set[str], private: str, private_members: set[str]) -> None:
        """Let exactly these channels be in the two bridges. Whoever leaves does so before anybody comes."""
        wanted = ((bridge, members), (private, private_members))
        present: list[set[str] | None] = []
        for name, wants in wanted:
            found = await self._line.ask(requests.get_bridge(name))
            inside = set(found.decode().get("channels", [])) if found.ok else None
            present.append(inside)
            for channel in (inside or set()) - wants:
                await self._line.ask(requests.remove_from_bridge(name, channel))
        for (name, wants), inside in zip(wanted, present, strict=True):
            if wants and inside is None:
                await self._line.ask(requests.create_bridge(name, "kommutator"))
            missing = wants - (inside or set())
            if missing and not (await self._line.ask(requests.add_to_bridge(name, sorted(missing)))).ok:
                # Somebody has just gone; his end is on its way. The caller's own is noticed here.
                await self._line.tell(requests.get_channel(self._line.channel))
                for channel in missing:
                    await self._line.ask(requests.add_to_bridge(name, [channel]))
