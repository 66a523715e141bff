"""The detours of scenario No. 2, in browsers over the whole stack; telephones are picked up and put down by hand."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from kommutator.pbx.simulated.codec import Place
from kommutator.pbx.simulated.control import PbxControl
from tests.scenario2.house import BRANCH, House

GONE = re.compile("Нет связи \\d")


@pytest.fixture
def dasha(house: House) -> Page:
    """An operator of the branch at her desk."""
    house.idle("dasha", "zoya", "gleb")
    return house.page("dasha")


def rings(house: House, page: Page, number: str) -> str:
    """A client calls; the call's id. His card is at the desk."""
    call_id = house.hand(lambda control: control.place(Place(BRANCH, number)))
    expect(page.get_by_role("button", name="Ответить")).to_be_visible()
    return call_id


def talks(house: House, page: Page, number: str) -> str:
    """A client calls, and Dasha picks her phone up; the call's id."""
    call_id = rings(house, page, number)
    house.when_it_rings("dasha", PbxControl.pick_up)
    expect(page.get_by_label("Тип услуги")).to_be_focused()
    return call_id


def asks_gleb(page: Page) -> None:
    """She calls the manager who repairs."""
    page.get_by_label("Тип услуги").select_option(label="Ремонт")
    page.keyboard.press("F4")
    picker = page.get_by_role("dialog", name="Перенаправить")
    expect(picker.get_by_role("option")).to_contain_text([re.compile("Глеб Морозов.*На месте.*Линия свободна")])
    page.keyboard.press("Enter")
    expect(page.get_by_text("Телефон звонит")).to_be_visible()


def goes(house: House, call_id: str) -> None:
    """The client hangs up, if he is still there, and the call is in the ledger."""

    async def hung_up(control: PbxControl) -> None:
        if any(each.call_id == call_id for each in await control.callers()):
            await control.hang_up(call_id)

    house.hand(hung_up)
    house.ledger("branch", call_id)


def discarded(page: Page) -> None:
    """She does without the enquiry."""
    page.get_by_role("button", name="Отказаться от обращения").click()
    expect(page.get_by_text("Звонков нет")).to_be_visible()


def counted(house: House) -> Callable[[], dict[str, int]]:
    """Tells what was registered since."""
    before = house.registered()
    return lambda: {kind: count - before[kind] for kind, count in house.registered().items()}


ONE = {"clients": 1, "interactions": 1, "interests": 1}


def test_the_manager_declines_and_the_client_is_with_the_operator_again(house: House, dasha: Page) -> None:
    gleb = house.page("gleb")
    call_id = talks(house, dasha, "+79265550201")
    asks_gleb(dasha)
    expect(gleb.get_by_text("Дарья Крылова спрашивает, возьмёте ли вы клиента").first).to_be_visible()
    house.when_it_rings("gleb", PbxControl.decline)
    expect(dasha.get_by_text("Глеб Морозов: звонок отклонён").first).to_be_visible()
    expect(gleb.get_by_text("Звонков нет")).to_be_visible()
    expect(dasha.get_by_role("button", name="Перенаправить")).to_be_enabled()
    dasha.get_by_label("Тема").fill("Насос")
    assert house.hand(talking_with) == {call_id: "PJSIP/201"}
    goes(house, call_id)
    expect(dasha.get_by_text("Клиент положил трубку").first).to_be_visible()
    discarded(dasha)


def test_the_client_goes_during_the_consultation_and_everything_typed_is_kept(house: House, dasha: Page) -> None:
    gleb = house.page("gleb")
    added = counted(house)
    call_id = talks(house, dasha, "+79265550202")
    dasha.get_by_label("Тема").fill("Котёл")
    asks_gleb(dasha)
    house.when_it_rings("gleb", PbxControl.pick_up)
    expect(dasha.get_by_text("Менеджер на линии")).to_be_visible()
    goes(house, call_id)
    expect(dasha.get_by_text("Клиент положил трубку").first).to_be_visible()
    expect(gleb.get_by_text(re.compile("Звонков нет|Клиент положил трубку")).first).to_be_visible()
    expect(dasha.get_by_role("alertdialog")).to_have_count(0)
    expect(dasha.get_by_label("Тема")).to_have_value("Котёл")
    house.idle("dasha", "gleb")
    dasha.keyboard.press("Control+Enter")
    expect(dasha.get_by_text("Обращение принято. Ответственный: Глеб Морозов")).to_be_visible()
    assert added() == ONE


def test_accepted_twice_is_one_enquiry(house: House, dasha: Page) -> None:
    house.page("gleb")
    added = counted(house)
    call_id = talks(house, dasha, "+79265550203")
    dasha.get_by_label("Тип услуги").select_option(label="Ремонт")
    dasha.get_by_label("Тема").fill("Насос")
    dasha.keyboard.press("F9")
    expect(dasha.get_by_role("alertdialog")).to_be_visible()
    dasha.keyboard.press("Escape")
    expect(dasha.get_by_role("alertdialog")).to_have_count(0)
    dasha.keyboard.press("Control+Enter")
    dasha.keyboard.press("Control+Enter")
    expect(dasha.get_by_text("Обращение принято").first).to_be_visible()
    expect(dasha.get_by_text("Звонков нет")).to_be_visible()
    goes(house, call_id)
    assert added() == ONE


def test_a_reload_in_the_middle_changes_nothing(house: House, dasha: Page) -> None:
    gleb = house.page("gleb")
    call_id = talks(house, dasha, "+79265550204")
    dasha.get_by_label("Тема").press_sequentially("Котёл")
    asks_gleb(dasha)
    dasha.reload()
    expect(dasha.get_by_label("Тема")).to_have_value("Котёл")
    expect(dasha.get_by_text("Телефон звонит")).to_be_visible()
    house.when_it_rings("gleb", PbxControl.pick_up)
    expect(dasha.get_by_text("Менеджер на линии")).to_be_visible()
    dasha.keyboard.press("F9")
    expect(dasha.get_by_text("Звонков нет")).to_be_visible()
    expect(gleb.get_by_label("Тема")).to_have_value("Котёл")
    assert house.hand(talking_with) == {call_id: "PJSIP/203"}
    gleb.reload()
    expect(gleb.get_by_label("Тема")).to_have_value("Котёл")
    goes(house, call_id)


def test_the_desk_is_killed_in_the_middle_and_nothing_typed_is_lost(house: House, dasha: Page) -> None:
    house.page("gleb")
    added = counted(house)
    call_id = talks(house, dasha, "+79265550205")
    dasha.get_by_label("Тема").fill("До")
    asks_gleb(dasha)
    heard = len(house.stack.heard())
    house.stack.signal("desk", signal.SIGKILL)
    expect(dasha.get_by_text(GONE)).to_be_visible()
    dasha.get_by_label("Что сделать").fill("Набрано без стола")
    house.when_it_rings("gleb", PbxControl.pick_up)
    house.said(since=heard, process="desk", state="ready")
    expect(dasha.get_by_text("Менеджер на линии")).to_be_visible()
    expect(dasha.get_by_text(GONE)).to_have_count(0)
    expect(dasha.get_by_label("Тема")).to_have_value("До")
    dasha.keyboard.press("F8")
    expect(dasha.get_by_text("Разговор").first).to_be_visible()
    dasha.keyboard.press("F9")
    expect(dasha.get_by_role("alertdialog")).to_be_visible()
    dasha.keyboard.press("Enter")
    expect(dasha.get_by_text("Обращение принято. Ответственный: Глеб Морозов")).to_be_visible()
    goes(house, call_id)
    assert added() == ONE
    (made,) = house.rows("select topic, to_do, assignee from interests where topic = 'До'")
    assert made == {"topic": "До", "to_do": "Набрано без стола", "assignee": "gleb"}


def test_two_operators_are_rung_and_the_card_stays_where_it_was_answered(house: House, dasha: Page) -> None:
    zoya = house.page("zoya")
    call_id = rings(house, dasha, "+79265550206")
    for page in (dasha, zoya):
        expect(page.get_by_text("8 (926) 555-02-06").first).to_be_visible()
        expect(page.get_by_text("Не найден")).to_be_visible()
    house.when_it_rings("zoya", PbxControl.pick_up)
    expect(zoya.get_by_label("Тип услуги")).to_be_focused()
    expect(dasha.get_by_text("Звонков нет")).to_be_visible()
    expect(dasha.get_by_text("Никто не звонит")).to_be_visible()
    goes(house, call_id)
    expect(zoya.get_by_text("Звонков нет")).to_be_visible()


def test_several_clients_have_the_number_and_she_chooses(house: House, dasha: Page) -> None:
    number = "+79265550207"
    for name, owner in (("Елена Громова", "gleb"), ("Павел Громов", None)):
        house.run(house.stack.post, "/api/clients", {"name": name, "numbers": [number], "owner": owner})
    added = counted(house)
    call_id = rings(house, dasha, number)
    expect(dasha.get_by_text("Найдено 2").first).to_be_visible()
    house.when_it_rings("dasha", PbxControl.pick_up)
    expect(dasha.get_by_label("Тип услуги")).to_be_focused()
    expect(dasha.get_by_label("Имя", exact=True)).to_have_value("")
    dasha.get_by_label("Тема").fill("Котёл")
    dasha.keyboard.press("Control+Enter")
    expect(dasha.get_by_text("Выберите клиента: номер есть у нескольких")).to_be_visible()
    dasha.get_by_role("radio", name="Елена Громова").check()
    expect(dasha.get_by_label("Имя", exact=True)).to_have_value("Елена Громова")
    expect(dasha.locator("#w-manager")).to_contain_text("Глеб Морозов")
    dasha.keyboard.press("F9")
    dasha.get_by_role("alertdialog").get_by_role("button", name="Да").click()
    expect(dasha.get_by_text("Обращение принято. Ответственный: Глеб Морозов")).to_be_visible()
    goes(house, call_id)
    assert added() == {"clients": 0, "interactions": 1, "interests": 1}


async def talking_with(control: PbxControl) -> dict[str, str | None]:
    """Whom each caller on the line talks with."""
    return {each.call_id: each.talks_with for each in await control.callers()}
