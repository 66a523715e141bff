"""Every page, in both languages: no serious barrier by axe-core, no error in the console; and how pages are served."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

import kommutator.desk
from tests.ui.conftest import signed_in
from tests.ui.shots import KEYS, SCENES, SIZES
from tests.ui.stage import Stage, staged

pytestmark = pytest.mark.services

AXE = Path(kommutator.desk.__file__).parent / "ui/node_modules/axe-core/axe.min.js"
_RUN = """() => axe.run(document, {resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    .then(found => found.violations.map(each => [each.impact, each.id, each.nodes.map(node => node.html)]))"""
_LATE = "409"
"""A draft that was on its way when the page was loaded again is kept already."""
_BAD = ("serious", "critical")
MOST_SCRIPT = 150 * 1024
"""Bytes of JavaScript, as sent."""


@pytest.fixture(scope="module")
def shared(database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One desk for all pages: they only look."""
    with staged(database(), tmp_path_factory.mktemp("pages")) as made:
        yield made


def barriers(page: Page) -> list[Any]:
    """What axe-core finds serious."""
    page.evaluate(AXE.read_text())
    return [each for each in page.evaluate(_RUN) if each[0] in _BAD]


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("size", "theme"), [("wide", "light"), ("narrow", "dark")])
def test_nobody_is_kept_out(shared: Stage, chromium: Browser, name: str, size: str, theme: str) -> None:
    login, scene = SCENES[name]
    width, height = SIZES[size]
    look: Any = {"viewport": {"width": width, "height": height}, "color_scheme": theme, "reduced_motion": "reduce"}
    context = chromium.new_context(locale="ru-RU", **look)
    context.set_default_timeout(30_000)
    page = context.new_page()
    wrong: list[str] = []

    def heard(told: ConsoleMessage) -> None:
        if told.type == "error" and _LATE not in told.text:
            wrong.append(told.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    if login:
        signed_in(shared, page, login)
    scene(shared, page)
    assert barriers(page) == []
    page.evaluate("localStorage.setItem('kommutator.language', 'en')")
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.get_by_role("button", name="Hotkeys" if login else "Sign in").first.wait_for(state="attached")
    if name in KEYS:
        page.get_by_label("What to do").or_(page.get_by_text("No calls", exact=True)).first.wait_for()
        page.keyboard.press(KEYS[name])
        page.get_by_role("dialog").wait_for()
    assert barriers(page) == []
    letters = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert letters <= 0, "the page is wider than the screen"
    assert wrong == []
    context.close()
    shared.forget()


def test_the_page_is_served_with_its_guards_and_assets_are_kept_for_ever(shared: Stage) -> None:
    with httpx.Client(base_url=shared.address) as http:
        page = http.get("/clients/7")
        assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-cache")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert http.get("/", headers={"If-None-Match": page.headers["ETag"]}).status_code == 304
        (script,) = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)
        sent = http.get(script, headers={"Accept-Encoding": "gzip"})
        assert sent.headers["Content-Encoding"] == "gzip"
        assert "immutable" in sent.headers["Cache-Control"]
        assert http.get(script, headers={"Accept-Encoding": "identity"}).content == sent.content
        assert http.get("/assets/../app.py").status_code == 404
        assert http.get("/api/nothing").headers["Content-Type"] == "application/problem+json"
        assert http.post("/clients").status_code == 405


def test_the_scripts_are_small(shared: Stage) -> None:
    with httpx.Client(base_url=shared.address) as http:
        names = set(re.findall(r'"(/assets/[^"]+\.js)"', http.get("/").text))
        sizes = [int(http.get(name, headers={"Accept-Encoding": "gzip"}).headers["Content-Length"]) for name in names]
    assert 0 < sum(sizes) <= MOST_SCRIPT
