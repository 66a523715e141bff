"""Changes of owners and callers in their order, whichever desks log and tell them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kommutator.crm import tables
from kommutator.crm.pool import Database, Tx

pytestmark = [pytest.mark.anyio, pytest.mark.services]
NUMBER = "+79161230099"


async def change(tx: Tx, times: int = 1) -> None:
    """The number's owner has changed so many times."""
    await tx.run(
        "insert into number_changes (company_id, number) select $1, $2 from generate_series(1, $3)", NUMBER, times
    )


class Interrupted:
    """A transaction of a desk in which another does something after so many statements."""

    def __init__(self, tx: Tx, after: int, other: Callable[[], Awaitable[None]]) -> None:
        self._tx = tx
        self._left = after
        self._other = other

    async def one(self, query: str, *arguments: object) -> Any:
        return await self._then(await self._tx.one(query, *arguments))

    async def value(self, query: str, *arguments: object) -> Any:
        return await self._then(await self._tx.value(query, *arguments))

    async def _then(self, found: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            await self._other()
        return found


async def test_what_was_changed_many_times_is_logged_once_and_the_limit_is_of_changes(db: Database) -> None:
    async with db.transaction() as tx:
        await change(tx, 5)
    async with db.transaction() as tx:
        assert [await tables.log(tx, 2) for _ in range(4)] == [2, 2, 1, 0], "there are more as long as the limit is met"
        assert [logged.owners for logged in await tables.logged(tx, 10)] == [((NUMBER, None),)] * 3


@pytest.mark.parametrize("after", [1, 2, 3])
async def test_nothing_more_is_said_of_no_change_that_another_desk_has_yet_to_tell(db: Database, after: int) -> None:
    async def logs() -> None:
        async with db.transaction() as other:
            await change(other)
            await tables.log(other, 10)

    async with db.transaction() as tx:
        first = await tables.state(tx)
    async with db.transaction() as tx:
        found = await tables.moment(Interrupted(tx, after, logs))  # type: ignore[arg-type]
    assert found is None or found[0] == first, "routers would take it for the change, and miss what is in it"
