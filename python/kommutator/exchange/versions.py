"""Company versions as a router has them: watched on the exchange, and kept on its disk.

A router starts with the last good version of its disk, whether there is an exchange or not. The last few stay there,
for calls that began on them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog
import trio

from kommutator.errors import ExchangeError, ExchangeRefused, KommutatorError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.bundle import pack, unpack
from kommutator.exchange.messages import ACTIVE, COMPANY, Activation, CompanyVersion, decode, token

_FETCH_S = 30.0
_PAUSES_S = (0.2, 5.0)
_KEPT = 8


class _Kept(msgspec.Struct):
    """The versions on disk, by name; the last is the active one."""

    versions: list[str] = []


class VersionShelf:
    """The last versions, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = structlog.get_logger()

    def read(self) -> list[CompanyVersion]:
        """The versions that are there, the active one last. One that cannot be read is left out, with an alarm."""
        found: list[CompanyVersion] = []
        for name in self._kept().versions:
            try:
                found.append(unpack(self._path(name).read_bytes()))
            except (OSError, ExchangeError) as error:
                self._log.critical("a kept version cannot be read", alarm="version", version=name, reason=str(error))
        return found

    def put(self, version: CompanyVersion) -> None:
        """Keep a version as the active one. Blocks. Raises `OSError`; what was there stays then."""
        self._folder.mkdir(parents=True, exist_ok=True)
        _write(self._path(version.version), pack(version))
        names = [name for name in self._kept().versions if name != version.version]
        gone, names = names[: 1 - _KEPT], names[1 - _KEPT :]
        _write(self._folder / "versions.json", msgspec.json.encode(_Kept([*names, version.version])))
        for name in gone:
            self._path(name).unlink(missing_ok=True)

    def _kept(self) -> _Kept:
        try:
            return msgspec.json.decode((self._folder / "versions.json").read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.DecodeError) as error:
            self._log.critical("the kept versions cannot be read", alarm="version", reason=str(error))
            return _Kept()

    def _path(self, version: str) -> Path:
        return self._folder / f"{token(version)}.version"


class VersionWatch:
    """Watches which version is active. `adopt` compiles a version aside and swaps it in; what it raises refuses the
    version.

    `current` is the version that the router has.
    """

    def __init__(
        self,
        bridge: Bridge,
        shelf: VersionShelf,
        adopt: Callable[[CompanyVersion], Awaitable[None]],
        current: str | None = None,
    ) -> None:
        self._bridge = bridge
        self._shelf = shelf
        self._adopt = adopt
        self._keys = bridge.watch(COMPANY)
        self._wanted: Activation | None = None
        self._changed = trio.Event()
        self._log = structlog.get_logger()
        self.current = current

    async def run(self) -> None:
        """Follow until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            nursery.start_soon(self._follow)

    async def _watch(self) -> None:
        while True:
            value = (await self._keys.get()).values.get(ACTIVE)
            if value is None:
                continue
            try:
                self._wanted = decode(value, Activation)
            except ExchangeError as error:
                self._log.error("which version is active cannot be read", alarm="version", reason=str(error))
                continue
            self._changed.set()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            wanted = self._wanted
            if wanted is not None and wanted.version != self.current:
                await self._become(wanted)

    async def _become(self, wanted: Activation) -> None:
        """The supervisor of becoming a version: fetch and adopt it, unless another is wanted meanwhile."""
        log = self._log.bind(version=wanted.version)
        pause_s = _PAUSES_S[0]
        while not self._changed.is_set():
            try:
                version = await self._fetch(wanted.version)
                await self._adopt(version)
            except ExchangeRefused as error:
                log.critical("the active version is refused; the last one stays", alarm="version", reason=str(error))
                return
            except ExchangeError as error:
                log.error("the active version cannot be had yet", alarm="version", reason=str(error))
            except KommutatorError as error:
                log.critical("the active version is refused; the last one stays", alarm="version", reason=str(error))
                return
            except OSError as error:
                log.critical("the active version cannot be put on disk yet", alarm="version", reason=str(error))
            except Exception:
                log.exception("the active version failed in our code; the last one stays", alarm="version")
                return
            else:
                self.current = version.version
                log.info("the company's version is active", by=wanted.by)
                await self._keep(version)
                return
            with trio.move_on_after(pause_s):
                await self._changed.wait()
            pause_s = min(2 * pause_s, _PAUSES_S[1])

    async def _fetch(self, name: str) -> CompanyVersion:
        content = await self._bridge.call(lambda connection: connection.fetch(COMPANY, token(name), _FETCH_S), _FETCH_S)
        if content is None:
            raise ExchangeError(f"the version {name} is not there")
        version = await trio.to_thread.run_sync(unpack, content)
        if version.version != name:
            raise ExchangeRefused(f"what is stored as {name} calls itself {version.version}")
        return version

    async def _keep(self, version: CompanyVersion) -> None:
        try:
            await trio.to_thread.run_sync(self._shelf.put, version)
        except OSError as error:
            self._log.critical("the active version cannot be kept on disk", alarm="version", reason=str(error))


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.new")
    part.write_bytes(content)
    part.replace(path)
