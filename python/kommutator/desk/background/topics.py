"""What transactions tell, handed to whoever asked for its topic: one listening connection for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from kommutator.crm.pool import Database

Heard = Callable[[Mapping[str, Any] | None], None]
"""Called with what was told; with None when listening (re)started, and anything may have been missed. Must not raise."""


class Topics:
    """The tellings of one company."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heard: dict[str, list[Heard]] = {}

    def on(self, topic: str, heard: Heard) -> Callable[[], None]:
        """Have `heard` called from now on; the answer ends that."""
        listeners = self._heard.setdefault(topic, [])
        listeners.append(heard)
        return lambda: listeners.remove(heard)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._database.listen(self._tell, self._tell_all)

    def _tell(self, told: dict[str, Any]) -> None:
        self._call(tuple(self._heard.get(str(told.get("topic")), ())), told)

    def _tell_all(self) -> None:
        self._call(tuple(heard for listeners in self._heard.values() for heard in listeners), None)

    def _call(self, listeners: tuple[Heard, ...], told: Mapping[str, Any] | None) -> None:
        for heard in listeners:
            try:
                heard(told)
            except Exception:  # noqa: BLE001 - one listener's defect is not another's loss
                structlog.get_logger().exception("a telling could not be taken", topic=told and told.get("topic"))
