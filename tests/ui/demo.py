"""The demo as a newcomer has it, for whatever needs the whole product alive: `kommutator demo` on a folder of its own."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import APIResponse, BrowserContext, Page

from kommutator.cli.demo.filling import PASSWORD
from kommutator.cli.demo.house import ROUTER
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.control_asyncio import control_of

ROOT = Path(__file__).parents[2]
_START_S = 90
_END_S = 60


class DemoFailed(RuntimeError):
    """The demo did not start; the message has what it said."""


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs. No callers come by themselves."""

    address: str
    folder: Path


@contextmanager
def demo(folder: Path) -> Iterator[Demo]:
    """Run the demo in this folder while the context lasts. Raises `DemoFailed`."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # the database's server runs as another user when we are root
    command = [sys.executable, "-m", "kommutator", "demo", "--data", str(folder / "demo"), "--port", str(_free_port())]
    said = folder / "said.txt"
    with said.open("wb") as out:
        running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=ROOT)
    try:
        yield Demo(_address(running, said), folder / "demo")
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(_END_S)


def without_traffic(demo: Demo) -> None:
    """Nobody calls by himself any more, and who does is hung up on."""

    async def done() -> None:
        async with control_of(demo.folder / "pbx" / f"{ROUTER}.sock") as control:
            await control.ask(codec.Traffic(0))
            for caller in await control.ask(codec.Callers(), list[codec.CallerThere]):
                await control.ask(codec.HangUp(caller.call_id))

    _aside(done())


def signed_in(demo: Demo, context: BrowserContext, login: str) -> Page:
    """A page of this user at the desk; `context` keeps his session."""
    context.request.post(f"{demo.address}/api/sign-in", data={"login": login, "password": PASSWORD})
    page = context.new_page()
    page.goto(demo.address)
    return page


def ask(
    demo: Demo,
    context: BrowserContext,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """A request of whoever has signed in. It must be done."""
    token = next((each["value"] for each in context.cookies() if each["name"] == "kommutator-csrf"), "")
    answer: APIResponse = context.request.fetch(
        demo.address + path, method=method, data=body, headers={"X-CSRF-Token": str(token), **(headers or {})}
    )
    assert answer.ok, f"{method} {path}: {answer.status} {answer.text()}"
    return answer.json() if answer.body() else None


def _address(running: subprocess.Popen[bytes], said: Path) -> str:
    """Where the desk is, once all is there."""
    deadline = threading.Event()
    for _ in range(_START_S * 10):
        text = said.read_text(encoding="utf-8", errors="replace")
        if "Ctrl-C" in text:
            found = re.search(r"(http://127\.0\.0\.1:\d+)/", text)
            assert found is not None
            return found[1]
        if running.poll() is not None:
            break
        deadline.wait(0.1)
    raise DemoFailed(said.read_text(encoding="utf-8", errors="replace"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _aside(work: Any) -> None:
    """Playwright's synchronous API keeps a loop of its own in this thread."""
    thread = threading.Thread(target=lambda: asyncio.run(work))
    thread.start()
    thread.join()
