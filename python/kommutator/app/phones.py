"""The virtual phones of a desk: those of the simulated PBXs of its configuration, by their control sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kommutator.configuration import Configuration, Simulated
from kommutator.desk.phones.ports import Caller, CallerStory, Happening, Phone
from kommutator.errors import CallGone, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.codec import ControlOperation
from kommutator.pbx.simulated.control_asyncio import control_of


def virtual_phones(configuration: Configuration) -> VirtualPhones | None:
    """Those of a configuration; None when no PBX of it is simulated."""
    names = [name for name, router in configuration.routers.items() if isinstance(router.pbx, Simulated)]
    return VirtualPhones({name: configuration.pbx_socket(name) for name in names}) if names else None


class VirtualPhones:
    """The phones of these PBXs. Each question is a connection of its own: there are few, and a PBX may come and go."""

    def __init__(self, sockets: Mapping[str, Path]) -> None:
        self._sockets = dict(sockets)

    async def phones(self) -> list[Phone]:
        """All phones."""
        found = await self._all(codec.Phones(), list[codec.PhoneThere])
        return [
            Phone(
                pbx, each.endpoint, each.name, each.line, each.call_id, each.caller,
                None if each.since_ms is None else _at(each.since_ms), each.by_hand, each.hears, each.held,
            )
            for pbx, phones in found.items() for each in phones
        ]  # fmt: skip

    async def callers(self) -> list[Caller]:
        """Who calls."""
        found = await self._all(codec.Callers(), list[codec.CallerThere])
        return [
            Caller(pbx, each.call_id, each.did, each.caller, _at(each.came_ms), each.talks_with)
            for pbx, callers in found.items() for each in callers
        ]  # fmt: skip

    async def numbers(self) -> dict[str, str]:
        """The company's own numbers, and the schemes that they begin with."""
        found = await self._all(codec.About(), codec.Glance)
        return {
            number: glance.sounds.schemes.get(number, "")
            for glance in found.values()
            for number in glance.sounds.numbers
        }

    async def story(self, call_id: str) -> CallerStory:
        """A caller's. Raises `CallGone` for one whom no PBX remembers."""
        missing: PbxUnreachable | None = None
        for pbx, socket in self._sockets.items():
            try:
                async with control_of(socket) as control:
                    told = await control.ask(codec.Story(call_id), codec.CallStory)
                    sounds = (await control.ask(codec.About(), codec.Glance)).sounds
            except CallGone:
                continue
            except PbxUnreachable as error:
                missing = error
                continue
            return _story(pbx, told, sounds)
        raise missing or CallGone(f"{call_id}: no such caller is remembered")

    async def take_in_hand(self, endpoint: str, by_hand: bool) -> None:
        """Whether a phone waits to be picked up by hand."""
        await self._at_phone(endpoint, codec.Behave(endpoint, () if by_hand else None))

    async def answer(self, endpoint: str) -> None:
        """Pick it up."""
        await self._at_phone(endpoint, codec.PickUp(endpoint))

    async def decline(self, endpoint: str) -> None:
        """Decline what rings it."""
        await self._at_phone(endpoint, codec.Decline(endpoint))

    async def put_down(self, endpoint: str) -> None:
        """Put it down."""
        await self._at_phone(endpoint, codec.PutDown(endpoint))

    async def hold(self, endpoint: str, held: bool) -> None:
        """Press its hold key."""
        await self._at_phone(endpoint, codec.HoldKey(endpoint, held))

    async def call(self, did: str, caller: str | None) -> str:
        """Let somebody call; the call's id. He is at the first PBX."""
        pbx = next(iter(self._sockets))
        return str(await self._ask(pbx, codec.Place(did, caller), str))

    async def press(self, call_id: str, keys: str) -> None:
        """The caller presses keys."""
        await self._of_call(call_id, codec.Press(call_id, keys))

    async def speak(self, call_id: str, seconds: float) -> None:
        """The caller speaks into the message that is being recorded."""
        await self._of_call(call_id, codec.Speak(call_id, seconds))

    async def hang_up(self, call_id: str) -> None:
        """The caller hangs up."""
        await self._of_call(call_id, codec.HangUp(call_id))

    async def _all(self, what: ControlOperation, kind: Any) -> dict[str, Any]:
        """The answers of all PBXs that are there. Raises `PbxUnreachable` when none is."""
        found: dict[str, Any] = {}
        missing: PbxUnreachable | None = None
        for pbx in self._sockets:
            try:
                found[pbx] = await self._ask(pbx, what, kind)
            except PbxUnreachable as error:
                missing = error
        if missing is not None and not found:
            raise missing
        return found

    async def _at_phone(self, endpoint: str, what: ControlOperation) -> None:
        phones = await self._all(codec.Phones(), list[codec.PhoneThere])
        for pbx, there in phones.items():
            if any(each.endpoint == endpoint for each in there):
                await self._ask(pbx, what, None)
                return
        raise PbxRefused(f"{endpoint}: no simulated PBX has heard of this phone")

    async def _of_call(self, call_id: str, what: ControlOperation) -> None:
        for pbx in self._sockets:
            try:
                await self._ask(pbx, what, None)
            except (CallGone, PbxUnreachable):
                continue
            return
        raise CallGone(f"{call_id}: the caller is not on the line")

    async def _ask(self, pbx: str, what: ControlOperation, kind: Callable[..., Any] | Any) -> Any:
        async with control_of(self._sockets[pbx]) as control:
            return await control.ask(what, kind)


def _story(pbx: str, told: codec.CallStory, sounds: codec.Sounds) -> CallerStory:
    happened = [
        Happening(
            _at(each.at_ms), each.what, each.endpoint, sounds.names.get(each.endpoint or ""),
            sounds.says.get(each.detail or "", each.detail) if each.what == "hears" else each.detail,
        )
        for each in told.happened
    ]  # fmt: skip
    return CallerStory(
        pbx,
        told.call_id,
        told.did,
        told.caller,
        _at(told.came_ms),
        None if told.gone_ms is None else _at(told.gone_ms),
        told.hears,
        told.talks_with,
        sounds.names.get(told.talks_with or ""),
        tuple(happened),
    )


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
