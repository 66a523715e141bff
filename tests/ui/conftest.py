"""A browser, and a desk for it."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from kommutator.crm.embedded import Server
from tests.browser.packages import browser
from tests.crm.conftest import server, server_folder
from tests.ui.stage import PASSWORD, Stage, staged, until

__all__ = ["server", "server_folder"]

_names = itertools.count(1)
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, driven by Playwright, which keeps a loop in this thread until these tests are over."""
    found = browser()
    with sync_playwright() as playwright:
        environment = {**os.environ, **found.environment}
        running = playwright.chromium.launch(
            executable_path=str(found.program), args=["--no-sandbox"], env=dict(environment)
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def database(server: Server) -> Callable[[], str]:
    """Makes an empty migrated database; its address."""

    def make() -> str:
        name = f"pages_{next(_names)}"

        async def created() -> None:
            admin = await asyncpg.connect(server.dsn.replace("/migrated?", "/postgres?"))
            await admin.execute(f"create database {name} template migrated")
            await admin.close()

        # Playwright's synchronous API keeps a loop of its own in this thread.
        with ThreadPoolExecutor(1) as another:
            another.submit(asyncio.run, created()).result()
        return server.dsn.replace("/migrated?", f"/{name}?")

    return make


@pytest.fixture
def stage(database: Callable[[], str], tmp_path: Path) -> Iterator[Stage]:
    """A desk of its own for a test."""
    with staged(database(), tmp_path) as made:
        yield made


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that knows nobody, 1366×768, Russian. What its pages report as errors fails the test."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="ru-RU", timezone_id="Asia/Tokyo")
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def olga(stage: Stage, context: BrowserContext) -> Page:
    """The operator at her desk."""
    return signed_in(stage, context.new_page(), "olga")


def signed_in(stage: Stage, page: Page, login: str) -> Page:
    """Signs in by the form, and waits until events come."""
    before = stage.live.listening
    page.goto(stage.address)
    page.get_by_label("Логин").fill(login)
    page.get_by_label("Пароль").fill(PASSWORD)
    page.get_by_role("button", name="Войти").click()
    page.get_by_role("heading", name="Приём", exact=True).wait_for(state="attached")
    page.get_by_text("Анна Смирнова").first.wait_for(state="attached")
    until(lambda: stage.live.listening > before, "the page listens to events")
    return page
