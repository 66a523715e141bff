"""The outgoing legs of one call: which endpoints ring, which has answered, how the others ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from functools import partial

import structlog

from kommutator.pbx.ari import requests
from kommutator.pbx.ari.codec import (
    Channel,
    ChannelDestroyed,
    ChannelHold,
    ChannelStateChange,
    ChannelTransfer,
    ChannelUnhold,
    Dial,
    StasisStart,
)
from kommutator.pbx.ari.inbox import PickUp, Post
from kommutator.pbx.ari.line import CallerLine, together
from kommutator.pbx.ari.names import DIALLED, bridge_id, leg_id, parse_leg
from kommutator.pbx.asterisk import DialStrings, end_word
from kommutator.routing.conversation import Party

LONGEST_RING_S = 600
"""A leg is dialled with this limit of Asterisk's own, so that no phone rings for ever when no router comes back."""


class LegState(Enum):
    """How far a leg is."""

    CREATED = auto()
    DIALLED = auto()
    RINGING = auto()
    EARLY = auto()
    """It sends early media."""
    UP = auto()


class Leg:
    """One outgoing channel."""

    __slots__ = ("by_itself", "channel", "endpoint", "holds", "leaves_to", "state")

    def __init__(self, channel: str, endpoint: str, state: LegState, *, by_itself: bool = False) -> None:
        self.channel = channel
        self.endpoint = endpoint
        self.state = state
        self.by_itself = by_itself
        """The phone is asked to answer without anybody touching it."""
        self.holds = False
        """Somebody has put the other side on hold by a key of the phone."""
        self.leaves_to: Party | None = None
        """To whom somebody wants to leave the other side, by a key of the phone."""

    @property
    def is_number(self) -> bool:
        """Whether it is beyond the trunk."""
        return self.endpoint.startswith("+")


class Legs:
    """The legs of one call.

    `ended` collects, until `forget_ended`, how legs ended: endpoint → `busy`, `declined`, `unavailable` or `no_answer`.
    `withhold` is told the channel and the endpoint of each leg that a hunt rings and of each that is about to be ended by
    us, `release` the channel of one that counts after all; `dialled` says whom a phone means by an extension.
    """

    def __init__(
        self,
        line: CallerLine,
        application: str,
        dial_strings: DialStrings,
        withhold: Callable[[str, str], None],
        release: Callable[[str], None],
        dialled: Callable[[str], Party | None],
    ) -> None:
        self._withhold = withhold
        self.release = release
        self._dialled = dialled
        self._sequence = 0
        self._line = line
        self._application = application
        self._dial_strings = dial_strings
        self._legs: dict[str, Leg] = {}
        self._bridged: str | None = None
        self._never_rang: set[str] = set()
        self.ended: dict[str, str] = {}
        self._log = structlog.get_logger().bind(call=line.channel)

    def __len__(self) -> int:
        return len(self._legs)

    def answered(self, endpoint: str | None = None) -> Leg | None:
        """The leg that has answered: that endpoint's, or the first."""
        for leg in self._legs.values():
            if leg.state is LegState.UP and endpoint in (None, leg.endpoint):
                return leg
        return None

    def at(self, endpoint: str) -> Leg | None:
        """The leg of an endpoint."""
        return self._legs.get(endpoint)

    def __iter__(self) -> Iterator[Leg]:
        return iter(list(self._legs.values()))

    @property
    def heard(self) -> bool:
        """Whether the caller hears a leg."""
        return self._bridged is not None

    def are_bridged(self, channel: str | None) -> None:
        """The caller hears this leg now, or none."""
        self._bridged = channel

    def forget_ended(self) -> None:
        """A new round begins."""
        self.ended.clear()

    async def adopt(self, found: Iterable[Channel]) -> None:
        """These are the call's legs that exist at the PBX now, after nobody watched for a while.

        A leg that was created and not yet dialled is given up; it has rung nowhere.
        """
        known, self._legs = self._legs, {}
        self._bridged = None
        self._never_rang.clear()
        there = list(found)
        for leg in known.values():
            if all(channel.id != leg.channel for channel in there):
                self.release(leg.channel)
        for channel in there:
            parsed = parse_leg(channel.id)
            if parsed is None or parsed[1] in self._legs:
                await self._line.ask(requests.hang_up(channel.id, "normal"))
                continue
            leg = Leg(channel.id, parsed[1], _state_of(channel))
            before = known.get(leg.endpoint)
            watched = before is not None and before.channel == leg.channel and before.state is not LegState.CREATED
            if channel.state == "Down" and not watched:
                dialled = await self._line.ask(requests.get_variable(channel.id, DIALLED))
                if not dialled.ok or not dialled.decode().get("value"):
                    self._never_rang.add(leg.endpoint)
                    await self._line.ask(requests.hang_up(channel.id, "normal"))
                    continue
            self._legs[leg.endpoint] = leg
        if self._legs:
            bridge = await self._line.ask(requests.get_bridge(bridge_id(self._line.channel)))
            members = bridge.decode().get("channels", []) if bridge.ok else []
            if self._line.channel in members:
                together = [leg.channel for leg in self._legs.values() if leg.channel in members]
                self._bridged = together[0] if together else None
                if not together:
                    await self._unbridge()

    async def ring_exactly(self, endpoints: Iterable[str], sequence: int, *, already_begun: bool) -> None:
        """Cancel the legs that are not wanted, keep those that ring, start the missing.

        `already_begun` says that this very round was begun before the PBX was looked at again: a leg that is missing
        then has ended meanwhile, and is not rung again.
        """
        self._sequence = sequence
        wanted = list(endpoints)
        parts = [partial(self.cancel, leg, "normal") for leg in self._legs.values() if leg.endpoint not in wanted]
        for endpoint in wanted:
            if endpoint in self._legs or endpoint in self.ended:
                continue
            if already_begun and endpoint not in self._never_rang:
                self.ended[endpoint] = "no_answer"
            else:
                parts.append(partial(self._hunt, endpoint, str(sequence)))
        await together(parts)

    async def call(self, endpoint: str, attempt: str) -> None:
        """Ring an endpoint once more, beside whatever else there is."""
        self.ended.pop(endpoint, None)
        await self._create(self._leg(endpoint, attempt))

    async def _pick_up(self, endpoint: str) -> None:
        """Ring a phone anew, asking it to answer by itself: a ringing INVITE cannot be told to."""
        leg = self._legs.get(endpoint)
        if leg is not None and leg.state is not LegState.UP and not leg.by_itself:
            await self.cancel(leg, "normal")
            await self._hunt(endpoint, f"{self._sequence}auto", by_itself=True)

    async def cancel_all(self, reason: str, keep: Leg | None = None) -> None:
        """End every leg but `keep`."""
        await together([partial(self.cancel, leg, reason) for leg in self._legs.values() if leg is not keep])

    async def cancel_beyond(self, endpoints: Iterable[str]) -> None:
        """End the legs at all endpoints but these."""
        kept = frozenset(endpoints)
        await together([partial(self.cancel, leg, "normal") for leg in self._legs.values() if leg.endpoint not in kept])

    async def cancel(self, leg: Leg, reason: str) -> None:
        """End one leg: CANCEL while it rings, BYE when it has answered."""
        self._withhold(leg.channel, leg.endpoint)
        if self._legs.get(leg.endpoint) is leg:
            del self._legs[leg.endpoint]
        if self._bridged == leg.channel:
            await self._unbridge()
        if not (await self._line.ask(requests.hang_up(leg.channel, reason))).ok:
            self.release(leg.channel)  # it has ended by itself, and that was heard before

    async def take(self, event: Post) -> None:
        """Let an event about a leg have its effect; any other event is ignored."""
        match event:
            case StasisStart(channel=channel):
                leg = self._find(channel.id)
                if leg is not None and leg.state is LegState.CREATED:
                    await self._dial(leg)
            case PickUp(endpoint=endpoint):
                await self._pick_up(endpoint)
            case Dial(peer=channel, dialstatus="RINGING"):
                leg = self._find(channel.id)
                if leg is not None and leg.state is LegState.DIALLED:
                    leg.state = LegState.RINGING
            case Dial(peer=channel, dialstatus="PROGRESS"):
                leg = self._find(channel.id)
                if leg is not None and leg.state in (LegState.DIALLED, LegState.RINGING):
                    leg.state = LegState.EARLY
                    await self._pass_early_media(leg)
            case ChannelHold(channel=channel) | ChannelUnhold(channel=channel):
                leg = self._find(channel.id)
                if leg is not None:
                    leg.holds = isinstance(event, ChannelHold)
            case ChannelTransfer(referred_by=who, refer_to=whom):
                leg = self._find(who.source_channel.id)
                if leg is not None and leg.leaves_to is None:
                    extension = whom.requested_destination.destination
                    leg.leaves_to = None if extension is None else self._dialled(extension)
                    told = "channel_declined" if leg.leaves_to is None else "channel_answered"
                    await self._line.ask(requests.tell_transfer(leg.channel, told))
            case ChannelStateChange(channel=channel) | Dial(peer=channel) if channel.up:
                leg = self._find(channel.id)
                if leg is not None:
                    leg.state = LegState.UP
            case ChannelDestroyed(channel=channel):
                leg = self._find(channel.id)
                if leg is not None:
                    del self._legs[leg.endpoint]
                    self.ended[leg.endpoint] = end_of(event)
                    if self._bridged == leg.channel:
                        await self._unbridge()

    async def connect(self, leg: Leg) -> None:
        """Let the caller and an answered leg talk. Repeating it is harmless."""
        line, bridge = self._line, bridge_id(self._line.channel)
        await line.hear_nothing()
        await line.answer()
        if self._bridged != leg.channel:
            present = await self._bridge_members(bridge)
            missing = [channel for channel in (line.channel, leg.channel) if channel not in present]
            if missing and not (await line.ask(requests.add_to_bridge(bridge, missing))).ok:
                await line.tell(requests.get_channel(line.channel))
                self._log.info("the leg ended before it could be connected", endpoint=leg.endpoint)
                await self.cancel(leg, "normal")
                return
            self._bridged = leg.channel

    # --- inside

    def _find(self, channel: str) -> Leg | None:
        parsed = parse_leg(channel)
        leg = self._legs.get(parsed[1]) if parsed else None
        return leg if leg is not None and leg.channel == channel else None

    async def _hunt(self, endpoint: str, attempt: str, *, by_itself: bool = False) -> None:
        leg = self._leg(endpoint, attempt, by_itself=by_itself)
        self._withhold(leg.channel, endpoint)
        await self._create(leg)

    def _leg(self, endpoint: str, attempt: str, *, by_itself: bool = False) -> Leg:
        again = "again" if endpoint in self._never_rang else ""
        channel = leg_id(self._line.channel, f"{attempt}{again}", endpoint)
        leg = self._legs[endpoint] = Leg(channel, endpoint, LegState.CREATED, by_itself=by_itself)
        return leg

    async def _create(self, leg: Leg) -> None:
        endpoint = leg.endpoint
        response = await self._line.ask(
            requests.create_leg(
                leg.channel, self._dial_strings.of(endpoint), self._application, ("leg",), self._line.channel
            )
        )
        if not response.ok:
            # Asterisk 22 answers 500 "Allocation failed" when the endpoint has no contact to send to.
            self._log.info("leg could not be created", endpoint=endpoint, status=response.status)
            del self._legs[endpoint]
            self.ended[endpoint] = "unavailable"
            self.release(leg.channel)

    async def _dial(self, leg: Leg) -> None:
        # Marked after it was dialled: a leg that is found without the mark is made anew, and one too many is better
        # than none. `caller` passes the caller's id on to the phone.
        *_, response, _ = await self._line.ask_in_order(
            *(requests.set_variable(leg.channel, name, value) for name, value in _TRANSFERS if not leg.is_number),
            *(requests.set_variable(leg.channel, name, value) for name, value in _BY_ITSELF if leg.by_itself),
            requests.dial(leg.channel, self._line.channel, LONGEST_RING_S),
            requests.set_variable(leg.channel, DIALLED, "1"),
        )
        if response.ok:
            leg.state = LegState.DIALLED
        elif response.status != 404:
            self._log.warning("leg could not be dialled", endpoint=leg.endpoint, status=response.status)
            await self.cancel(leg, "normal")
            self.ended[leg.endpoint] = "unavailable"

    async def _pass_early_media(self, leg: Leg) -> None:
        """One phone alone is heard before it answers; several at once would be a babel."""
        if len(self._legs) != 1 or self._bridged is not None:
            return
        line, bridge = self._line, bridge_id(self._line.channel)
        await line.hear_nothing()
        await line.open_media()
        await self._bridge_members(bridge)
        await line.tell(requests.add_to_bridge(bridge, (line.channel, leg.channel)))
        self._bridged = leg.channel

    async def _bridge_members(self, bridge: str) -> list[str]:
        """The channels in the bridge, which is made if there is none."""
        created = await self._line.ask(requests.create_bridge(bridge, "kommutator"))
        if created.ok:
            return []
        found = await self._line.ask(requests.get_bridge(bridge))
        return list(found.decode().get("channels", [])) if found.ok else []

    async def _unbridge(self) -> None:
        self._bridged = None
        await self._line.ask(requests.remove_from_bridge(bridge_id(self._line.channel), self._line.channel))


_TRANSFERS = (("PJSIP_TRANSFER_HANDLING()", "ari-only"),)
"""Leaves a phone's transfer key (REFER) to us. Asterisk (22.10) itself would put a channel of its own in the caller's
place, which comes to the application as a new call."""
_BY_ITSELF = (
    ("PJSIP_HEADER(add,Call-Info)", "<sip:kommutator>;answer-after=0"),
    ("PJSIP_HEADER(add,Alert-Info)", "<http://kommutator>;info=alert-autoanswer;delay=0"),
)
"""What asks a phone to answer by itself. `Call-Info: …;answer-after=0` is honoured by Yealink, Snom, Grandstream, Fanvil,
Gigaset, Linphone and MicroSIP; `Alert-Info: …;info=alert-autoanswer` by Yealink, Polycom, Cisco SPA and Panasonic. Most
want it allowed in their settings (Yealink: *Auto Answer*, *Allow IP Call*; Snom: *Auto connect type*). A phone that knows
neither rings anew. The headers are those of RFC 3261, 20.9 and 20.4."""


def _state_of(channel: Channel) -> LegState:
    if channel.up:
        return LegState.UP
    return LegState.RINGING if channel.state == "Ringing" else LegState.DIALLED


def end_of(event: ChannelDestroyed) -> str:
    """The contract's word for a leg's end."""
    return end_word(event.cause, event.tech_cause)
