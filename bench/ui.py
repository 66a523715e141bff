"""How fast the desk is in a browser: its scripts, its first load, and a ringing phone painted as a card.

`python -m bench.ui [--short]`, a part of `make bench`. The demo runs whole (database, exchange, desk, router, simulated PBX), without
traffic of its own, beside one Chromium on the same machine. A load begins with an empty cache and a session, and ends when the
desk with its people is there and the page's thread is free. An enquiry's time runs from the operator's request to the frame after
it is listed at the manager's workplace. A card's time runs from the PBX's note that the operator's phone
rings to the frame after the card with the caller's number came, by the machine's clock, in whole milliseconds. In the same run stand
the limits: a load of a page that has nothing in it, and a request that asks nobody.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from bench.machine import conditions, keep
from kommutator.desk.pages import BUILT
from tests.browser.packages import browser
from tests.ui.demo import Demo, ask, demo, signed_in, without_traffic

CONSOLE: Final = Console()
DID: Final = "+74951112208"
"""Rings the operator first, at any hour."""
OPERATOR: Final = "PJSIP/101"
CALLERS: Final = (("89161230099", "Мария Соколова"), ("89007654321", "Not found"))
"""One whom the sample knows, one whom it does not; and what the card says of them."""
TARGETS: Final = {
    "first load, KiB of scripts": 150,
    "first load, ms": 1000,
    "ring to card, ms": 300,
    "accepted to the manager's workplace, ms": 1000,
}


def _painted(promise: str, found: str, clock: str) -> str:
    """A statement that makes `window.PROMISE`: by that clock, when what is `found` in the page was painted."""
    return f"""
window.{promise} = new Promise((resolve) => {{
  const watch = new MutationObserver(() => {{
    if (!({found})) return;
    watch.disconnect();
    requestAnimationFrame(() => {{
      const {{ port1, port2 }} = new MessageChannel();
      port1.onmessage = () => resolve({clock}.now());
      port2.postMessage(0);
    }});
  }});
  watch.observe(document, {{ subtree: true, childList: true, characterData: true }});
}});
"""


_SAYS: Final = 'document.querySelector("main")?.textContent.includes'
_LOADED: Final = _painted("interactive", f'{_SAYS}("Борис Орлов")', "performance")
_NUMBER: Final = 'document.querySelector(".incoming .number")?.textContent?.replace(/\\D/g, "")'
_PAINTED: Final = f"(digits) => {{{_painted('painted', f'{_NUMBER}.endsWith(digits)', 'Date')}}}"
_LISTED: Final = f"(topic) => {{{_painted('listed', f'{_SAYS}(topic)', 'Date')}}}"
_SCRIPTS: Final = """() => performance.getEntriesByType("resource")
    .filter((each) => new URL(each.name).pathname.endsWith(".js")).map((each) => each.encodedBodySize)"""


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="2 loads, 4 calls: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = {
        **conditions(),
    }
    folder = Path(tempfile.mkdtemp(prefix="kt-bench-"))
    found = browser()
    try:
        with sync_playwright() as playwright, demo(folder) as running:
            chromium = playwright.chromium.launch(
                executable_path=str(found.program), args=["--no-sandbox"], env={**os.environ, **found.environment}
            )
            figures["versions"] = {"kommutator": version("kommutator"), "chromium": chromium.version}
            without_traffic(running)
            figures |= loads(running, chromium, 2 if short else 10)
            figures |= rings(running, chromium, 4 if short else 20)
            figures |= enquiries(running, chromium, 4 if short else 20)
            chromium.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    show(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'ui')}")


def loads(demo: Demo, chromium: Browser, many: int) -> dict[str, Any]:
    """First loads of the desk and of an empty page, and the bytes of the scripts that came with one."""
    known = chromium.new_context(locale="en-GB")
    signed_in(demo, known, "operator").close()
    session = known.storage_state()
    desk, empty, paints, scripts = [], [], [], []
    for _ in range(many + 1):
        context = chromium.new_context(locale="en-GB", storage_state=session)
        context.add_init_script(_LOADED)
        page = context.new_page()
        page.goto(f"{demo.address}/healthz")
        empty.append(page.evaluate("performance.getEntriesByType('navigation')[0].duration"))
        page.goto(demo.address)
        desk.append(page.evaluate("window.interactive"))
        paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        scripts.append(sum(page.evaluate(_SCRIPTS)))
        context.close()
    known.close()
    assert len(set(scripts)) == 1 and scripts[0] > 0, scripts
    return {
        "first load, KiB of scripts": round(scripts[0] / 1024, 1),
        "all scripts, KiB": round(sum(path.stat().st_size for path in BUILT.rglob("*.js.br")) / 1024, 1),
        "first load, ms": figure(desk[1:]),
        "first paint, ms": figure(paints[1:]),
        "limit: an empty page, ms": figure(empty[1:]),
    }


def rings(demo: Demo, chromium: Browser, many: int) -> dict[str, Any]:
    """Calls one after another, each seen as a card and hung up before anybody answers."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="en-GB")
    page = signed_in(demo, context, "operator")
    page.get_by_text("Борис Орлов").first.wait_for()
    for phone in ask(demo, context, "GET", "/api/phones")["phones"]:
        ask(demo, context, "PUT", f"/api/phones/{phone['endpoint']}/hand", {"by_hand": True})
    cards, limit = [], []
    for number in range(many + 2):  # the first two warm up
        caller, says = CALLERS[number % len(CALLERS)]
        took = ring(demo, page, caller, says)
        began = time.perf_counter()
        ask(demo, context, "GET", "/healthz")
        if number >= 2:
            cards.append(took)
            limit.append(1000 * (time.perf_counter() - began))
    context.close()
    return {"ring to card, ms": figure(cards), "limit: a request, ms": figure(limit)}


def ring(demo: Demo, page: Page, caller: str, says: str) -> float:
    """Milliseconds from the ringing to the card."""
    context = page.context
    page.evaluate(_PAINTED, caller[-7:])
    call_id = ask(demo, context, "POST", "/api/phones/calls", {"did": DID, "caller": caller})["call_id"]
    painted: float = page.evaluate("window.painted")
    card = page.locator(".incoming")
    card.get_by_text(says).wait_for()
    story = ask(demo, context, "GET", f"/api/phones/calls/{call_id}")["happened"]
    rang = next(each["at"] for each in story if (each["what"], each["endpoint"]) == ("rings", OPERATOR))
    ask(demo, context, "POST", f"/api/phones/calls/{call_id}/hang_up")
    card.wait_for(state="detached")
    return painted - 1000 * datetime.fromisoformat(rang).timestamp()


def enquiries(demo: Demo, chromium: Browser, many: int) -> dict[str, Any]:
    """Enquiries that an operator accepts, until they are painted at the workplace of the manager whose they are."""
    operator, manager = (chromium.new_context(locale="en-GB") for _ in range(2))
    signed_in(demo, operator, "operator").close()
    page = signed_in(demo, manager, "manager")
    with page.expect_response("**/api/events*"):
        page.goto(f"{demo.address}/work")
    page.locator("main").wait_for()
    took = []
    for number in range(many + 2):  # the first two warm up
        topic = f"Enquiry {number} of the bench"
        page.evaluate(_LISTED, topic)
        body = {"client": {"name": f"Client {number}"}, "topic": topic, "assignee": "vera"}
        began = time.time()
        ask(demo, operator, "POST", "/api/enquiries", body, {"Idempotency-Key": f"bench-{number}"})
        listed: float = page.evaluate("window.listed")
        if number >= 2:
            took.append(listed - 1000 * began)
    operator.close()
    manager.close()
    return {"accepted to the manager's workplace, ms": figure(took)}


def figure(samples: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(samples)
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[len(ordered) * 95 // 100], 1),
        "most": round(ordered[-1], 1),
        "samples": len(ordered),
    }


def show(figures: dict[str, Any]) -> None:
    """Prints them."""
    table = Table("what", "p50", "p95", "most", "wanted", title="the desk in a browser")
    for name, each in figures.items():
        wanted = str(TARGETS.get(name, ""))
        if isinstance(each, dict) and "p50" in each:
            table.add_row(name, *(f"{each[key]:.1f}" for key in ("p50", "p95", "most")), wanted)
        elif "KiB" in name:
            table.add_row(name, f"{each:.1f}", "", "", wanted)
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
