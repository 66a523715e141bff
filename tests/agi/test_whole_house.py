"""`kommutator up` at an Asterisk that asks by FastAGI: what arrives at the desk and in the database, and what a desk cannot order."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.drills.stack import PATIENCE_S, Stack
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Phone
from tests.telephony.sound import tone

from .house import AgiAsterisk

pytestmark = [pytest.mark.trio, pytest.mark.telephony]

_RING, _CALLER = "+74957770001", "+79160000001"
_PASSWORD = "correct horse battery"


@pytest.fixture
def stack(asterisk: AgiAsterisk, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The house, in a folder that the unprivileged user of PostgreSQL can enter."""
    folder = Path(tempfile.mkdtemp(prefix="kt-agi-"))
    folder.chmod(0o755)
    stack = Stack(folder, "office")
    text = stack.config.read_text(encoding="utf-8")
    assert text.count('kind = "simulated"') == 1
    pbx = (
        f'kind = "fastagi"\nlisten = "{asterisk.agi}"\nmessages = "{asterisk.recordings}"\n'
        f'outgoing = "{asterisk.recordings.parent / "outgoing"}"\nsilence_s = 2'
    )
    stack.config.write_text(text.replace('kind = "simulated"', pbx), encoding="utf-8")
    failed = request.session.testsfailed
    yield stack
    stack.close()
    if request.session.testsfailed == failed:
        shutil.rmtree(folder, ignore_errors=True)


class Screen:
    """An operator's page: it hears what happens, and orders."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._cards: list[dict[str, Any]] = []

    async def listen(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hear all cards."""
        name = ""
        async with self._client.stream("GET", "/api/events", params={"tab": "one"}, timeout=None) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    name = line[7:]
                    if name == "snapshot":
                        task_status.started()
                elif line.startswith("data: ") and name == "call":
                    self._cards.append(json.loads(line[6:]))

    async def shows(self, state: str) -> dict[str, Any]:
        """Wait for a card in this state, which has been told once."""
        with trio.fail_after(PATIENCE_S):
            while not (found := [card for card in self._cards if card["state"] == state]):
                await trio.sleep(0.02)
        return found[-1]

    async def orders(self, path: str, **body: str) -> tuple[bool, str | None]:
        """Whether it was done, and why not."""
        answer = await self._client.post(path, json={"order": str(uuid.uuid4()), **body})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return told["done"], told["reason"]


@asynccontextmanager
async def screen(stack: Stack, login: str) -> AsyncIterator[Screen]:
    """The page of somebody who signs in."""
    url = (await stack.says(event="the desk serves"))["url"]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client, trio.open_nursery() as nursery:
        me = (await client.post("/api/sign-in", json={"login": login, "password": _PASSWORD})).json()
        client.headers["X-CSRF-Token"] = me["csrf"]
        page = Screen(client)
        await nursery.start(page.listen)
        yield page
        nursery.cancel_scope.cancel()


async def test_a_call_is_at_the_desk_and_in_the_database(stack: Stack, asterisk: AgiAsterisk) -> None:
    stack.start()
    await stack.says(process="desk", state="ready")
    for name in ("menu", "leave"):
        tone(stack.folder / f"{name}.wav", hertz=300, seconds=1)
    await stack.activate(Path(__file__).with_name("company.yaml").read_text(encoding="utf-8"))
    await stack.sign_in()
    anna = {"login": "anna", "name": "Anna", "role": "operator", "employee": "anna", "password": _PASSWORD}
    await stack.post("/api/users", anna)
    await stack.ready()

    async def ended(count: int) -> list[tuple[str, str]]:
        query = "select caller, disposition from calls where ended_at is not null order by began_at"

        async def known() -> bool:
            return len(await stack.rows(query)) >= count

        await stack.until(known, f"{count} calls have ended in the database")
        return [(row["caller"], row["disposition"]) for row in await stack.rows(query)]

    with Phone(asterisk, "101", [Behaviour("answer", after=1.0), Behaviour("silent")]) as phone:
        async with screen(stack, "anna") as page:
            with Caller(asterisk, _RING, _CALLER) as caller:
                caller.call()
                offered = await page.shows("offered")
                assert offered["caller"] == _CALLER
                talking = await page.shows("talking")
                assert talking["call_id"] == offered["call_id"]
                # All that would need a hand on channels while they talk is left to the phone, and said so.
                call = f"/api/calls/{offered['call_id']}/orders"
                for kind in ("hang_up", "hold"):
                    assert await page.orders(call, kind=kind) == (False, "not_supported"), kind
                for kind in ("transfer", "consult"):
                    assert await page.orders(call, kind=kind, employee="boris") == (False, "not_supported"), kind
                caller.hang_up()
                caller.wait_end(seconds=PATIENCE_S)
            assert (await page.shows("over"))["over_by"] == "client"
            assert await ended(1) == [(_CALLER, "answered")]
            back = await page.orders("/api/call-backs", number=_CALLER)
            assert back == (False, "not_supported")

        # A caller who hangs up while all is down is known to have done so when it is up again, with no other call.
        with Caller(asterisk, _RING, "+79160000002") as caller:
            caller.call()
            phone.wait_for("180", count=2, seconds=PATIENCE_S)
            await stack.says(event="turn", action="ring")
            assert stack.stop() == 0
            caller.hang_up()
            caller.wait_end(seconds=PATIENCE_S)
        assert asterisk.wait_idle(PATIENCE_S) == []
        stack.start()
        await stack.says(process="desk", state="ready")
        assert await ended(2) == [(_CALLER, "answered"), ("+79160000002", "abandoned")]
    assert asterisk.wait_idle(PATIENCE_S) == []
    assert stack.stop() == 0
