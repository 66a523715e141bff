"""The page of virtual phones in a demo that runs: one person is client, operator and manager."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from tests.ui.demo import Demo, demo, signed_in, without_traffic
from tests.ui.test_pages import barriers

pytestmark = pytest.mark.services

MENU = "+74951112203"
EXPANDING = "+74951112208"
SPEECH_S = 5
PATIENCE_MS = 20_000


@pytest.fixture(scope="module")
def house() -> Iterator[Demo]:
    """A demo without traffic."""
    # Not pytest's own folder, which the database's server, another user when we are root, may not enter.
    with tempfile.TemporaryDirectory(prefix="kt-phones-") as folder, demo(Path(folder)) as running:
        without_traffic(running)
        yield running


def test_where_no_pbx_is_simulated_the_menu_has_no_phones(olga: Page) -> None:
    # The first test: its database is begun before the browser, whose loop stays in this thread.
    expect(olga.get_by_role("link", name="Звонки")).to_be_visible()
    expect(olga.get_by_role("link", name="Телефоны")).to_have_count(0)


def test_one_person_plays_them_all(house: Demo, chromium: Browser) -> None:
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="ru-RU", reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    desk = signed_in(house, context, "operator")
    desk.get_by_text("Борис Орлов").first.wait_for()
    page = context.new_page()
    wrong: list[str] = []

    def heard(told: ConsoleMessage) -> None:
        if told.type == "error" and "Failed to load resource" not in told.text:
            wrong.append(told.text)

    def answered(answer: Response) -> None:
        # Of two tabs with one wizard, the later to keep its draft is told that it is kept already.
        if answer.status >= 400 and not (answer.status == 409 and "/api/drafts/" in answer.url):
            wrong.append(f"{answer.status} {answer.url}")

    page.on("response", answered)
    page.on("console", heard)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(house.address)
    page.get_by_role("link", name="Телефоны").click()
    anna = page.get_by_role("article", name="Анна Смирнова").first
    expect(anna.get_by_role("switch")).not_to_be_checked()
    page.get_by_role("button", name="Взять все в руки").click()
    expect(anna.get_by_role("switch")).to_be_checked()

    # A client who is found by name calls; the operator's phone rings, and her card is at the desk beside.
    page.get_by_label("Кто звонит").fill("соколова")
    page.get_by_role("button", name=re.compile(r"Мария Соколова · 8 \(916\)")).click()
    page.get_by_label("Куда").select_option(EXPANDING)
    page.get_by_role("button", name="Позвонить").click()
    client = page.get_by_role("region", name="Клиент")
    expect(client.get_by_role("status")).to_contain_text("Слышит гудки")
    expect(anna).to_contain_text("Звонит")
    expect(desk.get_by_role("button", name=re.compile("^Ответить")).first).to_be_visible()
    shown(page)
    anna.get_by_role("button", name="Ответить").click()
    expect(anna).to_contain_text("Говорит с")
    expect(client.get_by_role("status")).to_contain_text("Говорит: Анна Смирнова")
    expect(desk.get_by_label("Тип услуги")).to_be_visible()
    assert page.url == f"{house.address}/phones", "the wizard opens at the desk, not here"

    # She holds him by her phone's key, and lets him go.
    anna.get_by_role("button", name="Удержать").click()
    expect(client.get_by_role("status")).to_contain_text("Слышит музыку")
    expect(anna.get_by_role("button", name="Удержать")).to_have_attribute("aria-pressed", "true")
    anna.get_by_role("button", name="Удержать").click()
    expect(client.get_by_role("status")).to_contain_text("Говорит: Анна Смирнова")
    anna.get_by_role("button", name="Отбой").click()
    expect(client.get_by_role("status")).to_contain_text("Звонок окончен")

    # He calls again, comes to the menu, and types by the keyboard; whoever rings declines, and he leaves a message.
    page.get_by_label("Куда").select_option(MENU)
    page.get_by_role("button", name="Позвонить").click()
    expect(client.get_by_role("status")).to_contain_text("Продажи – один")
    client.get_by_role("button", name="Клавиша 3", exact=True).focus()
    page.keyboard.press("3")
    nina = page.get_by_role("article", name="Нина Белова")
    expect(nina).to_contain_text("Звонит")
    nina.get_by_role("button", name="Отклонить").click()
    expect(client.get_by_role("status")).to_contain_text("Записывается сообщение")
    client.get_by_role("button", name=f"Говорить {SPEECH_S} с").click()
    client.get_by_role("button", name="Отбой").click()
    story = client.get_by_role("list", name="Ход звонка")
    expect(story).to_contain_text("Клиент положил трубку")
    for told in ("«Здравствуйте!", "Нажата клавиша 3", "Нина Белова: отклонено", "Сигнал, идёт запись", "Записано"):
        expect(story).to_contain_text(told)
    shown(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    page.evaluate("localStorage.setItem('kommutator.language', 'en')")
    page.reload()
    expect(page.get_by_role("list", name="Course of the call")).to_contain_text("Key 3 pressed")
    shown(page)
    assert wrong == []
    context.close()


def shown(page: Page) -> None:
    """Nobody is kept out, and nothing is wider than the screen."""
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
