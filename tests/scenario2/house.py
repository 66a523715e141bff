"""The company of scenario No. 2: the whole stack, telephones at an Asterisk and at a simulated PBX, browsers at the desk.

Its calls are synchronous, because browsers are driven so: what `Stack` does runs in a thread of its own meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio
from playwright.sync_api import Browser, BrowserContext, Page, expect

from kommutator.pbx.simulated.control import PbxControl
from tests.drills.stack import Line, Stack
from tests.softphone.asterisk import WebAsterisk
from tests.telephony.sound import tone

T = TypeVar("T")

OFFICE, BRANCH = "+74951112201", "+74951112202"
"""The number that comes in at Asterisk, and the one of the simulated PBX."""
BOTH, HOME = "+74951112203", "+74951112204"
"""Two more at Asterisk: of two operators, and of one whose telephone is the browser."""
PATIENCE_MS = 30_000
PEOPLE = {
    "anna": ("Анна Смирнова", "operator"),
    "boris": ("Борис Орлов", "manager"),
    "lena": ("Елена Ветрова", "operator"),
    "tanya": ("Татьяна Лугина", "operator"),
    "dasha": ("Дарья Крылова", "operator"),
    "zoya": ("Зоя Ланская", "operator"),
    "gleb": ("Глеб Морозов", "manager"),
}
BRANCH_PHONES = {"dasha": "PJSIP/201", "zoya": "PJSIP/202", "gleb": "PJSIP/203"}
_PASSWORD = "correct horse battery"
_COMPANY = Path(__file__).parent / "company.yaml"


class House:
    """The processes, and hands on them."""

    def __init__(self, folder: Path, asterisk: WebAsterisk, browser: Browser) -> None:
        self.asterisk = asterisk
        self.stack = Stack(folder, "office", asterisk=asterisk)
        self.url = f"http://127.0.0.1:{asterisk.ports.party()[0]}"
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._errors: list[str] = []
        self._thread = ThreadPoolExecutor(1)
        config = self.stack.config
        text = config.read_text(encoding="utf-8").replace("127.0.0.1:0", self.url.removeprefix("http://"), 1)
        given = asterisk.server
        softphones = f'[routers.office.pbx.softphones]\nurl = "{given.url}"\nsecret = "{given.secret}"\n'
        config.write_text(f'{text}{softphones}[routers.branch.pbx]\nkind = "simulated"\n', encoding="utf-8")

    # --- its life

    def open(self) -> None:
        """Start everything, with the company active and an account for everybody."""

        async def opened() -> None:
            stack = self.stack
            stack.start()
            await stack.says(process="desk", state="ready")
            tone(stack.folder / "beep.wav", hertz=400, seconds=0.3)
            await stack.activate(_COMPANY.read_text(encoding="utf-8"))
            await stack.sign_in()
            for login, (name, role) in PEOPLE.items():
                account = {"login": login, "name": name, "role": role, "employee": login, "password": _PASSWORD}
                await stack.post("/api/users", account)
            await stack.ready()
            await stack.until(self._branch_routes, "the router of the branch has its PBX")
            async with stack.hand("branch") as control:
                for endpoint in BRANCH_PHONES.values():
                    await control.behave(endpoint, ())

        self.run(opened)

    def close(self) -> None:
        """End everything."""
        self._thread.shutdown()
        self.stack.close()

    def leave(self) -> None:
        """Close all browsers; no call goes on, no wizard is half-filled. An error of a page's script is one of the test."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()
        self.hand(_everybody_hangs_up)
        self.run(self.stack.rows, "delete from drafts")
        errors, self._errors[:] = list(self._errors), []
        assert errors == []

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Do something with the stack."""

        async def done() -> T:
            return await work(*arguments)

        return self._thread.submit(trio.run, done).result()

    # --- browsers

    def page(self, login: str, path: str = "/") -> Page:
        """A browser of its own in which somebody has signed in, is present, and hears what happens."""
        context = self._browser.new_context(
            base_url=self.url, viewport={"width": 1366, "height": 768}, locale="ru-RU", timezone_id="Europe/Moscow"
        )
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        signed = context.request.post("/api/sign-in", data={"login": login, "password": _PASSWORD})
        assert signed.ok, signed.text()
        page = context.new_page()
        page.on("pageerror", lambda error: self._errors.append(f"{login}: {error}"))
        with page.expect_response("**/api/events*"):
            page.goto(path)
        if path == "/":
            expect(page.get_by_text("Звонков нет")).to_be_visible()
        page.get_by_label("Где я").select_option("present")
        self.run(self.stack.until, partial(self._is, login, "presence", "present"), f"{login} is at the desk")
        return page

    # --- what is known

    def idle(self, *employees: str) -> None:
        """Wait until lines are free."""
        for employee in employees:
            self.run(self.stack.until, partial(self._is, employee, "line", "idle"), f"the phone of {employee} is free")

    def said(self, **wanted: Any) -> Line:
        """Wait for a line of the log."""
        return self.run(partial(self.stack.says, **wanted))

    def ledger(self, router: str, call_id: str) -> Line:
        """Wait until the database has the end of a call; its line in the router's own ledger."""

        async def line() -> Line:
            ended = f"select count(*) from calls where call_id = '{call_id}' and ended_at is not null"

            async def known() -> bool:
                return bool(await self.stack.value(ended))

            await self.stack.until(known, f"the end of {call_id}")
            return self.stack.ledger(router)[call_id]

        return self.run(line)

    def registered(self) -> dict[str, int]:
        """How many clients, interactions and interests there are."""
        tables = ("clients", "interactions", "interests")
        (counts,) = self.rows(f"select {', '.join(f'(select count(*) from {each}) as {each}' for each in tables)}")
        return counts

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the database."""
        return self.run(self.stack.rows, query)

    # --- the simulated PBX

    def hand(self, work: Callable[[PbxControl], Awaitable[T]]) -> T:
        """Do something at the simulated PBX."""

        async def done() -> T:
            async with self.stack.hand("branch") as control:
                return await work(control)

        return self.run(done)

    def when_it_rings(self, employee: str, work: Callable[[PbxControl, str], Awaitable[None]]) -> None:
        """Somebody does something with his phone, once it rings."""
        endpoint = BRANCH_PHONES[employee]

        async def done() -> None:
            async def rings() -> bool:
                async with self.stack.hand("branch") as control:
                    return any(each.endpoint == endpoint and each.line == "ringing" for each in await control.phones())

            await self.stack.until(rings, f"the phone of {employee} rings")
            async with self.stack.hand("branch") as control:
                await work(control, endpoint)

        self.run(done)

    # --- what is waited for

    async def _is(self, employee: str, kind: str, value: str) -> bool:
        facts = (await self.stack.get("/api/floor"))["items"]
        return any(each["employee"] == employee and each[kind] == value for each in facts)

    async def _branch_routes(self) -> bool:
        async with self.stack.hand("branch") as control:
            glance = await control.about()
            return glance.router and BRANCH in glance.sounds.numbers


async def _everybody_hangs_up(control: PbxControl) -> None:
    for caller in await control.callers():
        await control.hang_up(caller.call_id)


def draft_fields(house: House) -> list[dict[str, Any]]:
    """What half-filled wizards the desk keeps."""
    contents = [row["content"] for row in house.rows("select content from drafts")]
    return [json.loads(each) if isinstance(each, str) else each for each in contents]
