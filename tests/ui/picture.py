"""The README's picture of the desk, taken from a demo that runs: `python -m tests.ui.picture` (`make picture`)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.packages import browser
from tests.ui.demo import ROOT, Demo, ask, demo, signed_in, without_traffic

PICTURE: Final = ROOT / "python/kommutator/desk/ui/desk.png"
MOST_BYTES: Final = 150 * 1024
SIZE: Final = {"width": 1366, "height": 768}
CLIENT: Final = "89161230099"
"""Whom the sample knows, with an interest that goes on."""
RINGS_S: Final = 20
OPERATOR: Final = "PJSIP/101"
NOT_PRESENT: Final = {"boris": "away", "kirill": "offline", "rita": "away"}
FOR_OPERATOR: Final = "+74951112208"
"""Rings the operator first, at any hour."""


def play(demo: Demo, chromium: Browser) -> Page:
    """The operator talks with a client whom the sample knows, and has half taken down what she wants."""
    boss = context(chromium)
    signed_in(demo, boss, "admin").close()
    people = ask(demo, boss, "GET", "/api/employees")["items"]
    for person in people:
        presence = NOT_PRESENT.get(person["id"], "present")
        ask(demo, boss, "PUT", f"/api/floor/{person['id']}/presence", {"presence": presence})
        ask(demo, boss, "PUT", f"/api/phones/{person['endpoint']}/hand", {"by_hand": True})
    operator = context(chromium)
    page = signed_in(demo, operator, "operator")
    page.get_by_text("Борис Орлов").first.wait_for()
    place_call(demo, boss, "+74951112204", "83432015566", "PJSIP/104")
    ask(demo, boss, "POST", "/api/phones/PJSIP/104/answer")
    place_call(demo, boss, FOR_OPERATOR, CLIENT, OPERATOR)
    page.get_by_role("button", name="Answer").first.wait_for()
    ask(demo, boss, "POST", f"/api/phones/{OPERATOR}/answer")
    page.get_by_label("Service type").select_option("equipment")
    page.get_by_label("Topic").fill("Насосы для второго цеха")
    page.get_by_label("What to do").fill("Подобрать замену, прислать цены до пятницы")
    page.get_by_text("Котёл для цеха").first.wait_for()
    page.get_by_text("Draft saved", exact=True).wait_for()
    return page


def place_call(demo: Demo, who: BrowserContext, did: str, caller: str, endpoint: str) -> None:
    """Somebody calls, and this phone rings."""
    ask(demo, who, "POST", "/api/phones/calls", {"did": did, "caller": caller})
    deadline = time.monotonic() + RINGS_S
    while time.monotonic() < deadline:
        phones = ask(demo, who, "GET", "/api/phones")["phones"]
        if any(each["endpoint"] == endpoint and each["line"] == "ringing" for each in phones):
            return
    raise AssertionError(f"{endpoint} does not ring for {caller}")


def context(chromium: Browser) -> BrowserContext:
    """A browser in English."""
    made = chromium.new_context(viewport=SIZE, locale="en-GB", reduced_motion="reduce")  # type: ignore[arg-type]
    made.set_default_timeout(20_000)
    return made


def main() -> None:
    """Take it."""
    found = browser()
    with tempfile.TemporaryDirectory(prefix="kt-picture-") as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(found.program), args=["--no-sandbox"], env={**os.environ, **found.environment}
        )
        with demo(Path(folder)) as running:
            without_traffic(running)
            page = play(running, chromium)
            page.evaluate("document.activeElement?.blur?.()")
            page.screenshot(path=str(PICTURE))
            chromium.close()
    size = PICTURE.stat().st_size
    click.echo(f"{PICTURE.relative_to(ROOT)}: {size // 1024} KiB")
    if size > MOST_BYTES:
        sys.exit(f"the picture is larger than {MOST_BYTES // 1024} KiB")


if __name__ == "__main__":
    main()
