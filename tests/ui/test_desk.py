"""Scenario No. 2 and its detours on the screen: real pages, API and database; telephones are played by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from kommutator.crm import clients, interactions, interests
from tests.ui.conftest import signed_in
from tests.ui.live import Live
from tests.ui.stage import Stage, until

pytestmark = pytest.mark.services

NEW, KNOWN_TWICE, KNOWN = "+79265550102", "+79161112233", "+73432223344"


def wanted(stage: Stage, assignee: str) -> list[interests.Interest]:
    """The open interests of an employee, as the database has them."""

    async def read() -> list[interests.Interest]:
        async with stage.services.database.transaction("test") as tx:
            return await interests.of_assignee(tx, assignee)

    return stage.run(read())


def client_of(stage: Stage, interest: interests.Interest) -> clients.Client:
    """Whose interest it is."""

    async def read() -> clients.Client:
        async with stage.services.database.transaction("test") as tx:
            return await clients.get(tx, interest.client_id)

    return stage.run(read())


def drafts(stage: Stage) -> list[dict[str, Any]]:
    """What half-filled wizards the database has."""

    async def read() -> list[dict[str, Any]]:
        async with stage.services.database.transaction("test") as tx:
            rows = await tx.fetch("select content from drafts where company_id = $1 order by created_at")
            return [dict(row["content"]) for row in rows]

    return stage.run(read())


def kinds(stage: Stage) -> list[str]:
    """The orders that pages gave."""
    return [each["kind"] for each in stage.live.orders]


def ordered(stage: Stage, *expected: str) -> None:
    """The pages give these orders and no other; the page may show what it will give before it has."""
    until(lambda: len(kinds(stage)) >= len(expected), f"{expected} are given")
    assert kinds(stage) == list(expected)


def talks(stage: Stage, page: Page, number: str = NEW) -> str:
    """A call that was picked up on the telephone."""
    call = stage.run(stage.live.ring(number))
    stage.do(lambda live: live.answered(call))
    expect(page.get_by_label("Тип услуги")).to_be_focused()
    return call


def test_the_card_is_there_while_it_rings_and_goes_where_the_call_goes(stage: Stage, olga: Page) -> None:
    call = stage.run(stage.live.ring(NEW))
    expect(olga.get_by_text("8 (926) 555-01-02").first).to_be_visible()
    expect(olga.get_by_text("Не найден")).to_be_visible()
    expect(olga.get_by_text("Москва").first).to_be_visible()
    stage.do(lambda live: live.gone(call, "elsewhere", "anna"))
    expect(olga.get_by_text("Звонков нет")).to_be_visible()
    assert drafts(stage) == []


def test_branch_one_the_manager_agrees_and_nothing_is_registered(stage: Stage, olga: Page) -> None:
    before = len(wanted(stage, "boris"))
    stage.run(stage.live.ring(NEW))
    expect(olga.get_by_role("button", name="Ответить")).to_be_visible()
    olga.keyboard.press("F2")
    expect(olga.get_by_label("Тип услуги")).to_be_focused()
    expect(olga.get_by_label("Поиск")).to_have_value(NEW)
    expect(olga.get_by_label("Телефон")).to_have_value(NEW)
    expect(olga.get_by_role("radio", name="Новый клиент")).to_be_checked()
    olga.get_by_label("Тип услуги").select_option(label="Консультация")
    olga.keyboard.press("F4")
    picker = olga.get_by_role("dialog", name="Перенаправить")
    expect(picker.get_by_role("button", name="Подразделения")).to_have_attribute("aria-pressed", "true")
    expect(picker.get_by_role("option")).to_have_count(5)
    expect(picker.get_by_role("option").first).to_contain_text("Борис Орлов")
    expect(picker.get_by_text("Отдел доставки")).to_have_count(0)
    olga.keyboard.press("Enter")
    (call,) = stage.live.calls
    for state, words in (("ringing", "Телефон звонит"), ("agreed", "Менеджер на линии")):
        stage.do(partial(Live.consults, call_id=call, employee="boris", state=state))
        expect(olga.get_by_text(words)).to_be_visible()
    olga.keyboard.press("F9")
    expect(olga.get_by_text("Звонок передан: Борис Орлов")).to_be_visible()
    expect(olga.get_by_text("Звонков нет")).to_be_visible()
    ordered(stage, "answer", "consult", "complete")
    assert len(wanted(stage, "boris")) == before
    until(lambda: drafts(stage) == [], "the draft goes with the call")


def test_branch_two_the_manager_is_busy_and_gets_the_enquiry(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    olga.get_by_label("Тип услуги").select_option(label="Поставка оборудования")
    olga.keyboard.press("F4")
    olga.keyboard.press("Enter")
    stage.do(lambda live: live.consults(call, "boris", "busy"))
    expect(olga.get_by_text("Борис Орлов: линия занята").first).to_be_visible()
    expect(olga.get_by_text("с вами в ближайшее время свяжется наш менеджер")).to_be_visible()
    for label, text in (
        ("Тема", "Печь для цеха"),
        ("Что сделать", "Перезвонить с ценами"),
        ("Имя", "Иван Седов"),
        ("Компания", "Литейный двор"),
        ("Email", "sedov@example.test"),
    ):
        olga.get_by_label(label, exact=True).fill(text)
    olga.keyboard.press("F9")
    asked = olga.get_by_role("alertdialog", name="Принять обращение?")
    expect(asked.get_by_role("button", name="Да")).to_be_focused()
    olga.keyboard.press("Enter")
    expect(olga.get_by_text("Обращение принято. Ответственный: Борис Орлов")).to_be_visible()
    (made,) = (each for each in wanted(stage, "boris") if each.topic == "Печь для цеха")
    client = client_of(stage, made)
    assert (made.status, made.service_type, made.to_do) == ("new", "equipment", "Перезвонить с ценами")
    assert (client.name, client.organisation, client.numbers) == ("Иван Седов", "Литейный двор", (NEW,))
    assert client.email == "sedov@example.test"
    until(lambda: drafts(stage) == [], "the draft goes with its acceptance")


def test_cancel_ends_the_call_and_leaves_the_wizard_for_later(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.keyboard.press("F9")
    expect(olga.get_by_role("alertdialog")).to_be_visible()
    olga.keyboard.press("Escape")
    expect(olga.get_by_role("alertdialog")).to_have_count(0)
    olga.get_by_label("Тема").fill("Течёт насос")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    ordered(stage, "hang_up")


def test_accepted_twice_is_one_interest(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.get_by_label("Тема").fill("Насос")
    olga.keyboard.press("Control+Enter")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    assert len([each for each in wanted(stage, "pyotr") + wanted(stage, "rita") if each.topic == "Насос"]) == 1


def test_accepted_while_the_client_is_on_the_line_the_call_stays_in_hand(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.get_by_label("Тема").fill("Насос")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Ответственный: Служба поддержки")).to_be_visible()
    expect(olga.get_by_label("Тема")).to_be_disabled()
    olga.keyboard.press("F9")
    expect(olga.get_by_text("Звонков нет")).to_be_visible()
    expect(olga.get_by_role("alertdialog")).to_have_count(0)
    ordered(stage, "hang_up")


def test_a_manager_sees_who_asks_and_takes_the_client_or_not(stage: Stage, context: BrowserContext) -> None:
    page = signed_in(stage, context.new_page(), "boris")
    call = stage.run(stage.live.ring(KNOWN))
    stage.do(lambda live: live.change(call, role="guest", by="rita"))
    expect(page.get_by_text("Рита Львова спрашивает, возьмёте ли вы клиента")).to_be_visible()
    stage.do(lambda live: live.answered(call))
    expect(page.get_by_label("Имя", exact=True)).to_have_value("Олег Тихий")
    page.keyboard.press("F4")
    expect(page.get_by_role("button", name="Позвонить")).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("Escape")
    stage.do(lambda live: live.change(call, role="operator"))
    expect(page.get_by_text("Звонок передал(а) Рита Львова")).to_be_visible()
    stage.do(lambda live: live.gone(call, "ended"))
    expect(page.get_by_role("alertdialog")).to_have_count(0)


def test_what_is_missing_is_said_at_the_field_which_has_the_focus(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_label("Тема")).to_be_focused()
    expect(olga.get_by_label("Тема")).to_have_attribute("aria-invalid", "true")
    expect(olga.get_by_text("Выберите менеджера или тип услуги")).to_be_visible()


def test_the_first_keystroke_survives_a_reload_and_another_browser(
    stage: Stage, olga: Page, context: BrowserContext
) -> None:
    call = talks(stage, olga)
    olga.get_by_label("Тема").press_sequentially("Котёл")
    olga.reload()
    expect(olga.get_by_label("Тема")).to_have_value("Котёл")
    expect(olga.get_by_text("Разговор").first).to_be_visible()
    until(lambda: [each["topic"] for each in drafts(stage)] == ["Котёл"], "the draft reaches the desk")
    elsewhere = context.browser
    assert elsewhere is not None
    second = elsewhere.new_context(locale="ru-RU")
    page = signed_in(stage, second.new_page(), "olga")
    expect(page.get_by_label("Тема")).to_have_value("Котёл")
    second.close()
    assert call in stage.live.calls


def test_two_tabs_show_the_same_wizard(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    second = olga.context.new_page()
    second.goto(stage.address)
    expect(second.get_by_label("Тип услуги")).to_be_visible()
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.get_by_label("Тема").fill("Насос")
    expect(second.get_by_label("Тема")).to_have_value("Насос")
    second.get_by_label("Имя", exact=True).fill("Иван")
    expect(olga.get_by_label("Имя", exact=True)).to_have_value("Иван")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    expect(second.get_by_label("Тема")).to_be_disabled()
    second.keyboard.press("F9")
    expect(second.get_by_text("Звонков нет")).to_be_visible()
    expect(olga.get_by_text("Звонков нет")).to_be_visible()


def test_typed_and_accepted_while_the_desk_is_away_is_not_lost(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    olga.context.set_offline(True)
    stage.do(lambda live: live.lose())
    expect(olga.get_by_text(re.compile("Нет связи \\d"))).to_be_visible()
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.get_by_label("Тема").fill("Без связи")
    olga.keyboard.press("F7")
    expect(olga.get_by_text("команда не дошла, звонок остался как был").first).to_be_visible()
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("обращение сохранено и будет принято само").first).to_be_visible()
    stage.live.cut = False
    olga.context.set_offline(False)
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    found = [each for each in wanted(stage, "pyotr") + wanted(stage, "rita") if each.topic == "Без связи"]
    assert len(found) == 1
    assert call in stage.live.calls


def test_the_client_hangs_up_during_the_consultation(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    olga.get_by_label("Тема").fill("Котёл")
    stage.do(lambda live: live.consults(call, "boris", "agreed"))
    stage.do(lambda live: live.over(call, "client"))
    expect(olga.get_by_text("Клиент положил трубку").first).to_be_visible()
    expect(olga.get_by_label("Тема")).to_have_value("Котёл")
    expect(olga.get_by_role("alertdialog")).to_have_count(0)


def test_the_telephone_leads_to_the_same_states(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    olga.get_by_label("Тема").fill("Котёл")
    stage.do(lambda live: live.change(call, held=True))
    expect(olga.get_by_role("button", name="Снять с удержания")).to_be_visible()
    stage.do(lambda live: live.change(call, held=False))
    stage.do(lambda live: live.over(call, "us"))
    expect(olga.get_by_role("alertdialog", name="Принять обращение?")).to_be_visible()
    assert kinds(stage) == []


def test_a_call_with_nothing_written_closes_by_itself_and_can_be_brought_back(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    stage.do(lambda live: live.over(call, "client"))
    expect(olga.get_by_text("Звонок окончен, ничего не записано: 8 (926) 555-01-02")).to_be_visible()
    expect(olga.get_by_text("Звонков нет")).to_be_visible()
    until(lambda: drafts(stage) == [], "no draft is left of it")
    olga.get_by_role("button", name="Вернуть").click()
    olga.get_by_label("Тип услуги").select_option(label="Ремонт")
    olga.get_by_label("Тема").fill("Вспомнила")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    (made,) = (each for each in wanted(stage, "pyotr") + wanted(stage, "rita") if each.topic == "Вспомнила")
    assert client_of(stage, made).numbers == (NEW,)


def test_hung_up_with_nothing_written_asks_nothing(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.keyboard.press("F9")
    expect(olga.get_by_text("ничего не записано")).to_be_visible()
    expect(olga.get_by_role("alertdialog")).to_have_count(0)
    ordered(stage, "hang_up")


def test_her_last_keystrokes_go_with_the_call_that_her_phone_passes_on(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    stage.do(lambda live: live.consults(call, "boris", "agreed"))
    expect(olga.get_by_text("Менеджер на линии")).to_be_visible()
    olga.get_by_label("Тема").press_sequentially("Котёл")
    stage.do(lambda live: live.gone(call, "elsewhere", "boris"))

    async def kept() -> list[str]:
        async with stage.services.database.transaction("test") as tx:
            rows = await tx.fetch("select content from closed_drafts where company_id = $1 and call_id = $2", call)
            return [row["content"]["topic"] for row in rows]

    until(lambda: stage.run(kept()) == ["Котёл"], "what she typed last is at the desk")
    until(lambda: drafts(stage) == [], "and the wizard is closed there")


def test_swap_and_back(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    stage.do(lambda live: live.consults(call, "boris", "agreed"))
    expect(olga.get_by_text("вы говорите с менеджером")).to_be_visible()
    olga.keyboard.press("F7")
    expect(olga.get_by_text("вы говорите с клиентом")).to_be_visible()
    olga.keyboard.press("F8")
    expect(olga.get_by_text("Разговор").first).to_be_visible()
    ordered(stage, "swap", "cancel_consult")


def test_a_refused_order_is_said_and_the_call_stays(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    stage.live.refuse = "too_late"
    olga.keyboard.press("F9")
    expect(olga.get_by_text("АТС не ответила вовремя").first).to_be_visible()
    expect(olga.get_by_role("alertdialog")).to_have_count(0)


def test_a_blind_transfer(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    olga.keyboard.press("F4")
    olga.keyboard.press("Shift+Enter")
    expect(olga.get_by_text("Вызываем").first).to_be_visible()
    stage.do(lambda live: live.gone(call, "elsewhere", "boris"))
    expect(olga.get_by_text("Звонок передан")).to_be_visible()
    ordered(stage, "transfer")


def test_several_matches_are_offered_and_one_is_opened(stage: Stage, olga: Page) -> None:
    talks(stage, olga, KNOWN_TWICE)
    expect(olga.get_by_label("Имя", exact=True)).to_have_value("")
    olga.get_by_label("Тема").fill("Котёл")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Выберите клиента: номер есть у нескольких")).to_be_visible()
    olga.get_by_role("radio", name="Елена Громова").check()
    expect(olga.get_by_label("Имя", exact=True)).to_have_value("Елена Громова")
    expect(olga.locator("#w-manager")).to_contain_text("Борис Орлов")


def test_one_match_is_opened_with_what_is_known(stage: Stage, olga: Page) -> None:
    talks(stage, olga, KNOWN)
    expect(olga.get_by_label("Имя", exact=True)).to_have_value("Олег Тихий")
    expect(olga.locator("#w-manager")).to_contain_text("Илья Уралов")


def test_an_interest_is_continued(stage: Stage, olga: Page) -> None:
    before = len(wanted(stage, "boris"))
    talks(stage, olga, KNOWN_TWICE)
    olga.get_by_role("radio", name="Елена Громова").check()
    olga.get_by_role("checkbox", name="Продолжить этот интерес").first.check()
    olga.get_by_label("Что сделать").fill("Выслать сегодня")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    assert len(wanted(stage, "boris")) == before
    assert "Выслать сегодня" in {each.to_do for each in wanted(stage, "boris")}


def test_an_interest_is_continued_once_though_the_answer_is_lost(stage: Stage, olga: Page) -> None:
    talks(stage, olga, KNOWN_TWICE)
    olga.get_by_role("checkbox", name="Продолжить этот интерес").first.check()
    olga.get_by_label("Что сделать").fill("Выслать сегодня")
    olga.get_by_label("Имя", exact=True).fill("Елена Петровна Громова")
    statuses: list[int] = []

    def cut(route: Route) -> None:
        answer = route.fetch()
        statuses.append(answer.status)
        if len(statuses) == 1:
            route.abort("connectionreset")
        else:
            route.fulfill(response=answer)

    olga.route("**/api/enquiries", cut)
    olga.keyboard.press("Control+Enter")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("обращение сохранено и будет принято само").first).to_be_visible()
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    assert statuses == [201, 200]
    (interest,) = (each for each in wanted(stage, "boris") if each.to_do == "Выслать сегодня")
    assert client_of(stage, interest).name == "Елена Петровна Громова"

    async def noted() -> tuple[int, int]:
        async with stage.services.database.transaction("test") as tx:
            steps = await interests.history(tx, interest.id)
            contacts = await interactions.of_client(tx, interest.client_id)
        return sum("to_do" in each.changes for each in steps[1:]), sum(
            each.body == "Выслать сегодня" for each in contacts
        )

    assert stage.run(noted()) == (1, 1)


def test_an_interest_that_was_changed_meanwhile_is_shown_before_it_goes_on(stage: Stage, olga: Page) -> None:
    talks(stage, olga, KNOWN_TWICE)
    olga.get_by_role("checkbox", name="Продолжить этот интерес").first.check()
    olga.get_by_label("Что сделать").fill("Выслать сегодня")

    async def change() -> None:
        async with stage.services.database.transaction("boris") as tx:
            (interest,) = (each for each in await interests.of_client(tx, 1) if each.id == 3)
            draft = replace(interest.draft, topic="Договор на два года", to_do="Уже выслан")
            await interests.change(tx, 3, draft, interest.revision, stage.services.clock())

    stage.run(change())
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Интерес изменили, пока вы писали").first).to_be_visible()
    expect(olga.get_by_label("Тема")).to_have_value("Договор на два года")
    expect(olga.get_by_label("Что сделать")).to_have_value("Выслать сегодня")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    (after,) = (each for each in wanted(stage, "boris") if each.id == 3)
    assert (after.topic, after.to_do) == ("Договор на два года", "Выслать сегодня")


def test_notes_of_a_known_client_are_noted_of_him_and_are_nothing_to_do(stage: Stage, olga: Page) -> None:
    talks(stage, olga, KNOWN)
    olga.get_by_label("Тема").fill("Насос")
    olga.get_by_label("Что сделать").fill("Перезвонить")
    olga.get_by_label("Заметки").fill("Говорит быстро")
    olga.keyboard.press("Control+Enter")
    expect(olga.get_by_text("Обращение принято. ").first).to_be_visible()
    (made,) = (each for each in wanted(stage, "ilya") if each.topic == "Насос")
    assert made.to_do == "Перезвонить"
    assert client_of(stage, made).notes == "Говорит быстро"


def test_a_second_call_takes_nothing_from_under_the_hands(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    topic = olga.get_by_label("Тема")
    topic.press_sequentially("Кот")
    place = olga.get_by_role("button", name="Принять обращение").bounding_box()
    second = stage.run(stage.live.ring(KNOWN))
    expect(olga.get_by_role("button", name=re.compile("Олег Тихий.*Звонит"))).to_be_visible()
    expect(topic).to_be_focused()
    olga.keyboard.type("ёл")
    expect(topic).to_have_value("Котёл")
    assert olga.get_by_role("button", name="Принять обращение").bounding_box() == place
    stage.do(lambda live: live.answered(second))
    expect(olga.get_by_label("Имя", exact=True)).to_have_value("Олег Тихий")
    olga.keyboard.press("Control+ArrowUp")
    expect(olga.get_by_label("Тема")).to_have_value("Котёл")


def test_nothing_moves_while_the_manager_is_called(stage: Stage, olga: Page) -> None:
    call = talks(stage, olga)
    buttons = [
        olga.get_by_role("button", name=name) for name in ("Перенаправить", "Положить трубку", "Принять обращение")
    ]
    fields = [olga.get_by_label("Тема"), olga.get_by_label("Заметки")]
    before = [each.bounding_box() for each in (*buttons, *fields)]
    for state in ("calling", "ringing", "agreed", "declined"):
        stage.do(partial(Live.consults, call_id=call, employee="boris", state=state))
        expect(olga.get_by_text("звонок отклонён" if state == "declined" else "Борис Орлов").first).to_be_visible()
        assert [each.bounding_box() for each in (*buttons, *fields)] == before, state


def test_the_picker_keeps_its_order_while_the_floor_changes(stage: Stage, olga: Page) -> None:
    talks(stage, olga)
    olga.keyboard.press("F4")
    options = olga.get_by_role("listbox").get_by_role("option")
    first = options.first
    expect(first).to_contain_text("Борис Орлов")
    stage.do(lambda live: live.fact("boris", line="busy"))
    expect(first).to_contain_text("Занята")
    expect(first).to_contain_text("Борис Орлов")
    olga.get_by_role("button", name="Обновить порядок").click()
    expect(options.first).not_to_contain_text("Борис Орлов")


def test_presence_survives_a_reload(stage: Stage, olga: Page) -> None:
    olga.get_by_role("combobox", name="Где я").select_option("away")
    stage.do(lambda live: live.fact("rita", presence="away"))
    olga.reload()
    expect(olga.get_by_role("combobox", name="Где я")).to_have_value("away")


def test_an_interest_is_on_the_managers_workplace_at_once(stage: Stage, context: BrowserContext) -> None:
    page = signed_in(stage, context.new_page(), "boris")
    page.get_by_role("link", name=re.compile("Моя работа")).click()
    expect(page.get_by_role("link", name=re.compile("Котёл для цеха"))).to_be_visible()

    async def accept() -> int:
        async with stage.services.database.transaction("olga") as tx:
            draft = interests.Draft("Срочный заказ", "Позвонить", "equipment", "boris")
            made, _ = await interests.create(tx, 1, draft, "late", stage.services.clock())
            return made.id

    made = stage.run(accept())
    told = {"id": made, "client_id": 1, "title": "Срочный заказ", "assignee": "boris", "state": "new"}
    stage.do(lambda live: live.tell("interest", told))
    expect(page.get_by_text("Новый интерес: Срочный заказ").first).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("Срочный заказ.*Позвонить"))).to_be_visible()


def test_a_transferred_call_brings_what_the_operator_had_typed(stage: Stage, context: BrowserContext) -> None:
    page = signed_in(stage, context.new_page(), "boris")
    call = stage.run(stage.live.ring(NEW))
    stage.do(lambda live: live.answered(call))
    expect(page.get_by_label("Тип услуги")).to_be_focused()
    told = {
        "call_id": call,
        "card": stage.live.calls[call],
        "draft": {
            "id": "d",
            "call_id": call,
            "revision": 2,
            "fields": {"topic": "Котёл", "name": "Иван", "_chosen": "new"},
        },
    }
    stage.do(lambda live: live.tell("passed_to_me", told))
    expect(page.get_by_label("Тема")).to_have_value("Котёл")
    expect(page.get_by_label("Имя", exact=True)).to_have_value("Иван")
