"""Pictures of every page: `python -m tests.ui.shots FOLDER [NAME…]`."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Error, Page, sync_playwright

from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from tests.browser.packages import browser
from tests.ui.conftest import signed_in
from tests.ui.stage import Stage, quiet, staged

KEYS = {"picker": "F4", "keys": "F1"}
"""Scenes that are opened anew by a key, when the page is loaded again."""
SIZES = {"wide": (1366, 768), "narrow": (390, 844)}


def incoming(stage: Stage, page: Page) -> str:
    """A known number calls."""
    call = stage.run(stage.live.ring("+79161112233"))
    page.get_by_role("button", name="Ответить").first.wait_for()
    return call


def wizard(stage: Stage, page: Page) -> str:
    """A new client is on the line, half taken down; another call rings."""
    call = stage.run(stage.live.ring("+79265550102"))
    stage.do(lambda live: live.answered(call))
    page.get_by_label("Тип услуги").select_option("equipment")
    page.get_by_label("Тема").fill("Котёл для цеха 400 м²")
    page.get_by_label("Имя").fill("Иван Седов")
    page.get_by_label("Компания").fill("Литейный двор")
    stage.run(stage.live.ring("+73435556677", region="Свердловская обл."))
    page.wait_for_timeout(400)
    return call


def several(stage: Stage, page: Page) -> None:
    """Several clients have the number."""
    call = stage.run(stage.live.ring("+79161112233"))
    stage.do(lambda live: live.answered(call))
    tab(page, "Клиент")
    page.get_by_text("Павел Громов").wait_for()


def picker(stage: Stage, page: Page) -> None:
    """Redirect."""
    wizard(stage, page)
    page.keyboard.press("F4")
    page.get_by_role("dialog").wait_for()


def consulting(stage: Stage, page: Page) -> None:
    """A manager has agreed."""
    call = wizard(stage, page)
    stage.do(lambda live: live.consults(call, "boris", "agreed"))
    page.get_by_text("Менеджер на линии").wait_for()


def ringing(stage: Stage, page: Page) -> None:
    """A manager at his workplace is asked whether he takes a client."""
    at("/work", "Котёл для цеха")(stage, page)
    call = stage.run(stage.live.ring("+79265550102"))
    stage.do(lambda live: live.change(call, role="guest", by="rita"))
    typed = {"service_type": "equipment", "topic": "Печь для цеха", "name": "Иван Седов", "company": "Литейный двор"}
    stage.do(lambda live: live.words(call, 1, {**typed, "to_do": "Посчитать две печи, доставка до конца месяца"}))
    page.get_by_text("Печь для цеха").first.wait_for()


def back(stage: Stage, page: Page) -> None:
    """A manager calls a client back."""
    at("/work?interest=1", "Взять в работу")(stage, page)
    page.get_by_role("button", name="Перезвонить").first.click()
    page.get_by_text("Звоним вам").first.wait_for()
    (call,) = stage.live.calls
    stage.do(lambda live: live.back(call, "calling"))
    page.get_by_text("Звоним клиенту").first.wait_for()


def empty(stage: Stage, page: Page) -> None:
    """A call has ended with nothing written."""
    call = stage.run(stage.live.ring("+79265550102"))
    stage.do(lambda live: live.answered(call))
    page.get_by_label("Тема").wait_for()
    stage.do(lambda live: live.over(call, "client"))
    page.get_by_text("ничего не записано").wait_for()


def asked(stage: Stage, page: Page) -> None:
    """The enquiry is asked for."""
    wizard(stage, page)
    page.keyboard.press("F9")
    page.get_by_role("alertdialog").wait_for()


def tab(page: Page, name: str) -> None:
    """On a narrow screen the columns are tabs."""
    found = page.get_by_role("tab", name=name)
    if found.is_visible():
        found.click()


def at(path: str, ready: str) -> Callable[[Stage, Page], None]:
    """A page by its address."""

    def opened(stage: Stage, page: Page) -> None:
        page.goto(stage.address + path)
        page.get_by_text(ready).first.wait_for()
        page.wait_for_timeout(300)

    return opened


def keys(_: Stage, page: Page) -> None:
    """The list of hotkeys."""
    page.keyboard.press("F1")
    page.get_by_role("dialog").wait_for()


SCENES: dict[str, tuple[str, Callable[[Stage, Page], object]]] = {
    "sign-in": ("", lambda stage, page: page.goto(stage.address)),
    "idle": ("olga", lambda stage, page: None),
    "incoming": ("olga", incoming),
    "wizard": ("olga", wizard),
    "several": ("olga", several),
    "picker": ("olga", picker),
    "consulting": ("olga", consulting),
    "asked": ("olga", asked),
    "empty": ("olga", empty),
    "ringing": ("boris", ringing),
    "back": ("boris", back),
    "keys": ("olga", keys),
    "work": ("boris", at("/work?interest=1", "Взять в работу")),
    "missed": ("boris", at("/work?tab=missed", "Обработан")),
    "clients": ("olga", at("/clients?q=громов", "Павел")),
    "client": ("olga", at("/clients/1", "Елена")),
    "calls": ("olga", at("/calls", "8 (343) 222-33-44")),
    "call": ("olga", at("/calls/call-c", "Ход звонка")),
    "company": ("admin", at("/company", "Служба поддержки")),
    "versions": ("admin", at("/versions", "Версия 1")),
    "version": ("admin", at("/versions/1", "Отчёт проверки")),
    "notices": ("admin", at("/notices", "не обслуживается")),
    "users": ("admin", at("/users", "Токены API")),
    "profile": ("olga", at("/profile", "Язык и вид")),
}


def shoot(stage: Stage, chromium: Browser, folder: Path, name: str, size: str, theme: str) -> None:
    """One picture."""
    login, scene = SCENES[name]
    width, height = SIZES[size]
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        locale="ru-RU",
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(8000)
    page = context.new_page()
    page.on("console", lambda told: _complain(name, told))
    page.on("pageerror", lambda error: print(f"{name}: {error}", file=sys.stderr))
    try:
        if login:
            signed_in(stage, page, login)
        scene(stage, page)
    except (Error, AssertionError) as error:
        print(f"{name} {size} {theme}: {str(error)[:600]}", file=sys.stderr)
    page.wait_for_timeout(200)
    page.screenshot(path=str(folder / f"{name}-{size}-{theme}.png"))
    context.close()
    stage.forget()


def _complain(name: str, told: ConsoleMessage) -> None:
    if told.type == "error":
        print(f"{name}: {told.text}", file=sys.stderr)


def main(folder: Path, names: list[str]) -> None:
    """All of them, or those named."""
    quiet()
    folder.mkdir(parents=True, exist_ok=True)
    found = browser()
    with tempfile.TemporaryDirectory(prefix="kt-pages-") as work:
        data = Path(work)
        data.chmod(0o755)
        server = embedded.start(PostgresSettings(data=data / "postgres", options={"fsync": "off"}))
        try:
            asyncio.run(migrate(server.dsn))
            (data / "stage").mkdir()
            with staged(server.dsn, data / "stage") as stage, sync_playwright() as playwright:
                environment = {**os.environ, **found.environment}
                chromium = playwright.chromium.launch(
                    executable_path=str(found.program), args=["--no-sandbox"], env=dict(environment)
                )
                for name in names or SCENES:
                    for size in SIZES:
                        for theme in ("light", "dark"):
                            shoot(stage, chromium, folder, name, size, theme)
                chromium.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
