"""Tables of owners and callers in an engine, or aside of it."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from kommutator._engine import CallerTable, OwnerTable
from kommutator.exchange.tables_file import Kind
from kommutator.exchange.tables_shelf import Built

_CLEAR_S: Final = 0.5


class Facts(Protocol):
    """The engine's facts; of an engine that may not be there yet."""

    def owner_is(self, number: str, employee: str | None) -> None: ...
    def forget_owner(self, number: str) -> None: ...
    def called(self, number: str, at_ms: int) -> None: ...
    def missed_calls(self, until_ms: int) -> None: ...
    def swap_owners(self, table: OwnerTable) -> None: ...
    def swap_callers(self, table: CallerTable) -> None: ...
    def normal(self, number: str) -> str | None: ...


class Seat:
    """Swaps tables in and out: microseconds, whatever their sizes. What they replace is let go where no call waits.

    Tables that are aside are those of their `Built`; while they are in the engine it has none.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._garbage: list[OwnerTable | CallerTable] = []
        self.sizes: dict[Kind, tuple[int, int]] = {}
        """Of each table that was swapped in last: how many numbers it had, and how many bytes these took."""
        self.taken = False
        """Whether the engine has the tables."""

    def answers(self, kind: Kind) -> bool:
        """Whether the engine has such a table."""
        return self.taken and kind in self.sizes

    def swap_in(self, held: Built, missed_until_ms: int) -> None:
        """The engine gets the tables, and says of nobody that he has not called whose calls until then may not have been told."""
        self.sizes = {kind: (len(table), table.size) for kind, table in held.tables.items()}
        for table in held.tables.values():
            table.complete()
            self._swap(table)
        self.let_go(held)
        self.taken = True
        if missed_until_ms:
            self._facts.missed_calls(missed_until_ms)

    def swap_out(self, held: Built) -> None:
        """The engine gets empty tables: it asks, and learns from answers."""
        if "owners" in self.sizes:
            held.tables["owners"] = OwnerTable()
        if "callers" in self.sizes:
            held.tables["callers"] = CallerTable()
        for table in held.tables.values():
            self._swap(table)
        self.taken = False

    def let_go(self, held: Built) -> None:
        """What is aside is wanted no more."""
        self._garbage += held.tables.values()
        held.tables = {}

    async def run(self) -> None:
        """Clear what was let go, until cancelled."""
        while True:
            await trio.sleep(_CLEAR_S)
            while self._garbage:
                await trio.to_thread.run_sync(self._garbage.pop().clear)

    def _swap(self, table: OwnerTable | CallerTable) -> None:
        if isinstance(table, OwnerTable):
            self._facts.swap_owners(table)
        else:
            self._facts.swap_callers(table)
