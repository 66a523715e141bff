"""The manager's side on the screen: what he is asked, what is passed to him, and his calls back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from kommutator.crm import interactions, interests
from tests.ui.conftest import signed_in
from tests.ui.stage import Stage, until

pytestmark = pytest.mark.services

NEW, ELENA = "+79265550102", "Елена Громова"

NOTIFICATIONS = """
    window.told = [];
    const Real = window.Notification;
    window.Notification = class extends Real {
        constructor(title, options) { super(title, options); window.told.push([title, options.body, options.tag]); }
    };
    Object.defineProperty(document, "hidden", { get: () => window.covered === true });
"""
"""Writes down what the page has the system tell; a browser without a screen never covers a window by another."""


@pytest.fixture
def boris(stage: Stage, context: BrowserContext) -> Page:
    """The manager at his workplace."""
    page = signed_in(stage, context.new_page(), "boris")
    page.get_by_role("link", name=re.compile("Моя работа")).click()
    expect(page.get_by_role("link", name=re.compile("Котёл для цеха"))).to_be_visible()
    return page


def asked(stage: Stage, number: str = NEW, **fields: Any) -> str:
    """An operator asks him whether he takes her client: his phone rings."""
    call = stage.run(stage.live.ring(number))
    stage.do(lambda live: live.change(call, role="guest", by="rita"))
    stage.do(lambda live: live.words(call, 1, fields))
    return call


def test_while_his_phone_rings_he_sees_whose_client_it_is_and_what_she_has_typed(stage: Stage, boris: Page) -> None:
    asked(stage, service_type="equipment", topic="Печь для цеха", name="Иван Седов", company="Литейный двор")
    ring = boris.get_by_role("region", name="Входящий звонок")
    expect(ring.get_by_text("Рита Львова спрашивает, возьмёте ли вы клиента")).to_be_visible()
    for text in ("Иван Седов", "Литейный двор", "8 (926) 555-01-02", "Поставка оборудования", "Печь для цеха"):
        expect(ring.get_by_text(text)).to_be_visible()
    boris.keyboard.press("F2")
    expect(boris.get_by_label("Тема")).to_have_value("Печь для цеха")
    expect(boris.get_by_label("Имя", exact=True)).to_have_value("Иван Седов")
    expect(ring).to_have_count(0)


def test_a_known_client_rings_by_name(stage: Stage, boris: Page) -> None:
    call = asked(stage, "+73432223344")
    ring = boris.get_by_role("region", name="Входящий звонок")
    expect(ring.get_by_text("Олег Тихий")).to_be_visible()
    stage.do(lambda live: live.gone(call, "elsewhere", "rita"))
    expect(ring).to_have_count(0)


def test_her_last_words_come_after_the_call_and_his_own_stay(stage: Stage, boris: Page) -> None:
    call = asked(stage, topic="Кот", to_do="Перезвонить")
    stage.do(lambda live: live.change(call, state="talking", role="operator"))
    expect(boris.get_by_label("Тема")).to_have_value("Кот")
    boris.get_by_label("Что сделать").fill("Сам приеду")
    stage.do(lambda live: live.words(call, 2, {"topic": "Котёл для цеха", "to_do": "Перезвонить завтра"}))
    expect(boris.get_by_label("Тема")).to_have_value("Котёл для цеха")
    expect(boris.get_by_label("Что сделать")).to_have_value("Сам приеду")
    before = stage.live.listening
    boris.reload()
    until(lambda: stage.live.listening > before, "the page listens again")
    expect(boris.get_by_label("Тема")).to_have_value("Котёл для цеха")
    stage.do(lambda live: live.words(call, 3, {"topic": "Два котла", "to_do": "Перезвонить завтра"}))
    expect(boris.get_by_label("Тема")).to_have_value("Два котла")
    expect(boris.get_by_label("Что сделать")).to_have_value("Сам приеду")


def test_he_calls_back_has_the_clients_card_and_notes_the_outcome(stage: Stage, boris: Page) -> None:
    boris.get_by_role("link", name=re.compile("Котёл для цеха")).click()
    boris.get_by_role("button", name="Перезвонить").click()
    strip = boris.get_by_role("group", name="Состояние звонка")
    expect(strip.get_by_text("Звоним вам: снимите трубку")).to_be_visible()
    expect(boris.get_by_label("Имя", exact=True)).to_have_value(ELENA)
    expect(boris.get_by_role("checkbox", name="Продолжить этот интерес").nth(2)).to_be_checked()
    expect(boris.get_by_text("Звонить после десяти")).to_be_visible()
    (call,) = stage.live.calls
    stage.do(lambda live: live.back(call, "calling"))
    expect(strip.get_by_text("Звоним клиенту")).to_be_visible()
    stage.do(lambda live: live.back(call, "talking"))
    expect(strip.get_by_text("Разговор")).to_be_visible()
    expect(boris.get_by_role("button", name="Перенаправить")).to_have_count(0)
    boris.get_by_label("Что сделать").fill("Выслать договор")
    stage.do(lambda live: live.back(call, "over"))
    expect(boris.get_by_text("Разговор окончен. Запишите итог")).to_be_visible()
    boris.keyboard.press("Control+Enter")
    expect(boris.get_by_text("Обращение принято. Ответственный: Борис Орлов")).to_be_visible()

    async def noted() -> tuple[list[str], list[tuple[str, str | None, str]]]:
        async with stage.services.database.transaction("test") as tx:
            wanted = await interests.of_client(tx, 1)
            contacts = await interactions.of_client(tx, 1)
        return [each.to_do for each in wanted if each.id == 1], [
            (each.kind, each.employee, each.body) for each in contacts if each.call_id == call
        ]

    assert stage.run(noted()) == (["Выслать договор"], [("call_back", "boris", "Выслать договор")])


def test_a_client_who_was_not_reached_leaves_no_wizard(stage: Stage, boris: Page) -> None:
    boris.get_by_role("tab", name=re.compile("Пропущенные")).click()
    boris.get_by_role("button", name="Перезвонить").click()
    expect(boris.get_by_text("Звоним вам: снимите трубку")).to_be_visible()
    until(lambda: len(stage.live.calls) == 1, "the call back is on its way")
    (call,) = stage.live.calls
    stage.do(lambda live: live.back(call, "over", "client_busy"))
    expect(boris.get_by_text("клиент: линия занята")).to_be_visible()
    expect(boris.get_by_text("Звонков нет")).to_be_visible()


def test_a_call_back_is_given_up_with_the_key(stage: Stage, boris: Page) -> None:
    boris.get_by_role("tab", name=re.compile("Пропущенные")).click()
    boris.get_by_role("button", name="Перезвонить").click()
    expect(boris.get_by_text("Звоним вам: снимите трубку")).to_be_visible()
    boris.keyboard.press("F9")
    until(lambda: [each["kind"] for each in stage.live.orders] == ["hang_up"], "the order is given")
    expect(boris.get_by_role("alertdialog")).to_have_count(0)


def test_an_account_of_no_employee_is_led_to_no_work_of_its_own_and_refusals_are_in_its_language(
    stage: Stage, context: BrowserContext
) -> None:
    page = signed_in(stage, context.new_page(), "root")
    expect(page.get_by_role("link", name="Пользователи")).to_be_visible()
    expect(page.get_by_role("link", name="Моя работа")).to_have_count(0)
    page.goto(f"{stage.address}/work")
    expect(page.get_by_text("не сотрудник компании").first).to_be_visible()
    page.goto(f"{stage.address}/users")
    page.get_by_role("button", name="Новый пользователь").click()
    card = page.get_by_role("dialog")
    for label, written in (("Логин", "olga"), ("Имя", "Ольга"), ("Пароль", "correct horse")):
        card.get_by_label(label).fill(written)
    card.get_by_role("button", name="Сохранить").click()
    expect(card.get_by_text("Такой логин уже есть")).to_be_visible()


def test_the_system_tells_when_nobody_looks_once_it_was_switched_on(stage: Stage, context: BrowserContext) -> None:
    context.grant_permissions(["notifications"], origin=stage.address)
    context.add_init_script(NOTIFICATIONS)
    page = signed_in(stage, context.new_page(), "boris")

    def told() -> list[list[str]]:
        found: list[list[str]] = page.evaluate("window.told")
        return found

    def covered(by_another: bool) -> None:
        page.evaluate("(is) => { window.covered = is; }", by_another)

    covered(True)
    first = stage.run(stage.live.ring(NEW))
    expect(page.get_by_text("8 (926) 555-01-02").first).to_be_visible()
    assert told() == []
    stage.do(lambda live: live.gone(first, "elsewhere"))
    page.get_by_role("link", name=re.compile("Профиль")).click()
    page.get_by_role("button", name="Включить уведомления").click()
    expect(page.get_by_text("Включены в этом браузере")).to_be_visible()

    covered(False)
    seen = stage.run(stage.live.ring(NEW))
    expect(page.get_by_role("region", name="Входящий звонок")).to_be_visible()
    stage.do(lambda live: live.gone(seen, "elsewhere"))
    expect(page.get_by_role("region", name="Входящий звонок")).to_have_count(0)
    assert told() == []

    covered(True)
    call = stage.run(stage.live.ring("+73432223344"))
    until(lambda: told() == [["Звонит Олег Тихий, 8 (343) 222-33-44", "Москва", f"call:{call}"]], "a call is told")
    stage.do(lambda live: live.gone(call, "elsewhere"))
    interest = {"id": 7, "client_id": 1, "title": "Печь", "assignee": "boris", "state": "new"}
    stage.do(lambda live: live.tell("interest", interest))
    until(lambda: told()[1:] == [["Новый интерес", "Печь", "interest:7"]], "an interest is told")
    passed = asked(stage, topic="Насос", name="Иван Седов")
    said = "Рита Львова спрашивает, возьмёте ли вы клиента: Иван Седов"
    until(lambda: told()[-1] == [said, "Насос", f"call:{passed}"], "a consultation is told")
    stage.do(lambda live: live.gone(passed, "elsewhere"))

    page.get_by_role("button", name="Выключить уведомления").click()
    before = len(told())
    stage.run(stage.live.ring(NEW))
    expect(page.get_by_role("region", name="Входящий звонок")).to_be_visible()
    assert len(told()) == before
