"""The company versions of a router: compiled aside, swapped in between two steps, and kept while a call is on them."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import structlog
import trio

from kommutator._engine import CallerTable, OwnerTable, normalize, outline
from kommutator.company.prompts import PromptSource
from kommutator.engine import Engine
from kommutator.errors import BadNumber, BadState, PromptNotMade, UnknownEmployee
from kommutator.exchange.bundle import unbundle
from kommutator.exchange.messages import CompanyVersion
from kommutator.exchange.versions import VersionShelf
from kommutator.routing.prompts import PromptLibrary

_RECENT = 8
"""So many versions are held whether a call is on them or not: a call that another router began may come."""
_DISK = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Company:
    """A version that is held."""

    version: str
    """Its name in the database."""
    document: Mapping[str, Any]
    """The engine document without what its lists and regions hold."""
    prompts: Mapping[str, PromptSource]
    library: PromptLibrary | None

    @property
    def employees(self) -> Mapping[str, Mapping[str, Any]]:
        """Their cards, by id."""
        employees: Mapping[str, Mapping[str, Any]] = self.document["employees"]
        return employees


class Versions:
    """The versions that this router holds, and what depends on the active one.

    `router` is this router's name, `routers` are all that the configuration has; whose card names no PBX has his phone at
    the first. `tts` is the command that speaks prompts; None: the PBX plays nothing that has to be made. `states` are
    those of the calls that go on. `swapping` is told of a version just before it becomes the active one, when the engine
    holds it already; nothing is awaited between the two.
    """

    def __init__(
        self,
        folder: Path,
        tts: Sequence[str] | None,
        router: str,
        routers: Sequence[str],
        states: Callable[[], Iterable[str]],
        swapping: Callable[[Company], None],
    ) -> None:
        self._folder = folder.resolve() / "prompts"
        self._tts = tts
        self._router = router
        self._routers = tuple(routers)
        self._states = states
        self._swapping = swapping
        self._held: dict[int, Company] = {}
        """By the engine's identity, the one activated last being the last."""
        self._homes: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}
        self._engine: Engine | None = None
        self._active: Company | None = None
        self._log = structlog.get_logger().bind(router=router)
        self.there = trio.Event()
        """Set when there is an active version."""

    @property
    def engine(self) -> Engine:
        """The engine; when there is an active version."""
        assert self._engine is not None
        return self._engine

    @property
    def active(self) -> Company | None:
        """The version on which new calls begin."""
        return self._active

    @property
    def held(self) -> tuple[str, ...]:
        """The names of the versions that calls can run on."""
        return tuple(company.version for company in self._held.values())

    def homes(self) -> Mapping[str, str]:
        """The PBX of everybody who has a phone."""
        return self._homes

    def lines(self) -> Mapping[str, Sequence[str]]:
        """Whose phone each endpoint of this router's PBX is."""
        return self._lines

    def phone_of(self, employee: str) -> str | None:
        """The endpoint of somebody's phone in the active version."""
        card = self._active.employees.get(employee) if self._active is not None else None
        endpoint: str | None = card.get("endpoint") if card is not None else None
        return endpoint

    def media(self, prompt: str, state: str) -> str:
        """A prompt of the version that a call in this state began on, as a media URI. Raises `PromptNotMade`."""
        company = self._held.get(self._version_of(state) or 0)
        if company is None or company.library is None:
            raise PromptNotMade(f"prompt `{prompt}`: the call's company version is not held")
        return company.library.media(prompt)

    # --- the engine for those who ask before there may be one

    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool:
        """Claim somebody for another router's call. Raises `UnknownEmployee`."""
        if self._engine is None:
            raise UnknownEmployee(f"{employee}: there is no company version yet")
        return self._engine.reserve(employee, call_id, now_ms)

    def release(self, employee: str, call_id: str) -> None:
        """Release him. Raises `UnknownEmployee`."""
        if self._engine is not None:
            self._engine.release(employee, call_id)

    def forget_owner(self, number: str) -> None:
        """Forget who owns a number."""
        if self._engine is not None:
            try:
                self._engine.forget_owner(number)
            except BadNumber:
                self._log.warning("the owner of what is no number cannot be forgotten", number=number)

    def owner_is(self, number: str, employee: str | None) -> None:
        """Who owns a number; None is nobody."""
        if self._engine is not None:
            with suppress(BadNumber):
                self._engine.owner_is(number, employee)

    def swap_owners(self, table: OwnerTable) -> None:
        """`Engine.swap_owners`, when there is an active version."""
        self.engine.swap_owners(table)

    def swap_callers(self, table: CallerTable) -> None:
        """`Engine.swap_callers`, when there is an active version."""
        self.engine.swap_callers(table)

    def normal(self, number: str) -> str | None:
        """A number as the engine has it, by the rules of the active version's country; None for what is none."""
        country = self._active.document["company"]["country"] if self._active is not None else "RU"
        return normalize(number, country)

    def called(self, number: str, at_ms: int) -> None:
        """A number has called another router."""
        if self._engine is not None:
            with suppress(BadNumber):
                self._engine.called(number, at_ms)

    def missed_calls(self, until_ms: int) -> None:
        """Calls of other routers until then may not have been heard of."""
        if self._engine is not None:
            self._engine.missed_calls(until_ms)

    # --- change

    async def begin(self, shelf: VersionShelf) -> None:
        """Hold what is on the shelf, and activate the last that can be used. What cannot be used is left, with an alarm."""
        for version in await trio.to_thread.run_sync(shelf.read):
            try:
                await self.adopt(version)
            except Exception as error:  # noqa: BLE001 - the supervisor of the shelf: whatever it is, the others are tried
                self._log.critical(
                    "a kept version cannot be used", alarm="version", version=version.version, reason=repr(error)
                )

    async def adopt(self, version: CompanyVersion) -> None:
        """Make a version the active one, once all that it needs is there; calls finish on the one they began with.

        Raises `CompanyInvalid`, `BadDocument` and `PromptNotMade`, which refuse the version, and `OSError` while the disk
        does not take its prompts. The version before stays active then.
        """
        shared = self._engine.list_files if self._engine is not None else None
        compiled = await trio.to_thread.run_sync(Engine, version.engine_json, shared)
        if self._engine is not None:
            await trio.to_thread.run_sync(compiled.prepare_for, self._engine)
        prompts, library = await self._prompts_of(version)
        document = orjson.loads(await trio.to_thread.run_sync(outline, version.engine_json))
        self._swap(compiled, Company(version.version, document, prompts, library))
        # An engine of tens of thousands of people is let go in milliseconds, in which calls would wait.
        last = [compiled]
        del compiled
        await trio.to_thread.run_sync(last.clear)

    async def _prompts_of(self, version: CompanyVersion) -> tuple[Mapping[str, PromptSource], PromptLibrary | None]:
        if self._tts is None:
            sounds = version.prompts.items()
            return {prompt: PromptSource(one.seconds, None, one.say, one.language) for prompt, one in sounds}, None
        prompts = await trio.to_thread.run_sync(unbundle, version, self._folder / "sources")
        library = PromptLibrary(self._folder, self._tts)
        try:
            await library.prepare(prompts)
        except PromptNotMade as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK:
                raise error.__cause__ from error
            raise
        return prompts, library

    def _swap(self, compiled: Engine, company: Company) -> None:
        if self._engine is None:
            self._engine = compiled
            identity = compiled.version
        else:
            identity = self._engine.hold_of(compiled)
        self._held.pop(identity, None)
        self._held[identity] = company
        had_phones, self._homes = self._homes, self._homes_of(company)
        for employee in (had_phones.keys() - self._homes.keys()) & company.employees.keys():
            # What his phone was doing last is nobody's news any more, and would keep his mobile from being rung.
            self._engine.line(employee, "idle")
        self._lines = {}
        for employee, home in self._homes.items():
            if home == self._router:
                self._lines.setdefault(company.employees[employee]["endpoint"], []).append(employee)
        self._swapping(company)
        self._engine.activate(identity)
        self._active = company
        self._drop_old(self._engine)
        self.there.set()
        self._log.info("company version", version=company.version, held=len(self._held))

    def _homes_of(self, company: Company) -> dict[str, str]:
        homes: dict[str, str] = {}
        for employee, card in company.employees.items():
            home = card.get("pbx") or self._routers[0]
            if card.get("endpoint"):
                homes[employee] = home
            if home not in self._routers:
                self._log.error(
                    "an employee's phone is at a pbx that the configuration does not have",
                    alarm="version", employee=employee, pbx=home, version=company.version,
                )  # fmt: skip
        return homes

    def _drop_old(self, engine: Engine) -> None:
        """Let versions go that are neither recent nor any call's."""
        old = list(self._held)[:-_RECENT]
        if not old:
            return
        used = {self._version_of(state) for state in self._states()}
        for identity in old:
            if identity not in used and engine.drop_version(identity):
                self._log.info("company version dropped", version=self._held.pop(identity).version)

    @staticmethod
    def _version_of(state: str) -> int | None:
        try:
            return Engine.version_of(state)
        except BadState:
            return None
