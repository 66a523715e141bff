"""Scenario No. 2 of an operator whose telephone is the browser: from her order at the desk through a router to her headset."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.scenario2.house import HOME, House
from tests.scenario2.scene import BY_HAND
from tests.softphone.telephone import MICROPHONE_HZ, MUSIC_HZ, hears, page_hears, phase, switch_on
from tests.telephony.hearing import talk
from tests.telephony.sipp import Caller, Phone


@pytest.fixture
def tanya(house: House) -> Iterator[Page]:
    """At home, with the telephone in her page switched on."""
    page = house.page("tanya")
    switch_on(page)
    house.idle("tanya")
    yield page
    phase(page, "idle")
    assert house.asterisk.wait_idle() == []


def test_she_answers_asks_a_manager_and_hands_the_client_over(house: House, tanya: Page) -> None:
    before = house.registered()
    with (
        Caller(house.asterisk, HOME, "79265550401") as client,
        Phone(house.asterisk, "103", BY_HAND) as managers_phone,
    ):
        house.idle("boris")
        boris = house.page("boris")
        client.call()
        phase(tanya, "ringing")
        expect(tanya.get_by_text("8 (926) 555-04-01").first).to_be_visible()
        tanya.keyboard.press("F2")
        client.wait_for("200", of="INVITE")
        phase(tanya, "talking")
        expect(tanya.get_by_label("Тип услуги")).to_be_focused()
        hears(client.line, MICROPHONE_HZ)
        page_hears(tanya, client.line)

        tanya.get_by_label("Тип услуги").select_option(label="Поставка оборудования")
        tanya.get_by_label("Тема").fill("Пресс")
        tanya.keyboard.press("F4")
        picker = tanya.get_by_role("dialog", name="Перенаправить")
        expect(picker.get_by_role("option").first).to_contain_text(re.compile("Борис Орлов.*На месте.*Линия свободна"))
        tanya.keyboard.press("Enter")
        managers_phone.wait_for("180")
        hears(client.line, MUSIC_HZ, since=time.time())
        managers_phone.act()
        expect(tanya.get_by_text("Менеджер на линии")).to_be_visible()
        hears(managers_phone.line, MICROPHONE_HZ)
        page_hears(tanya, managers_phone.line)

        tanya.keyboard.press("F9")
        expect(tanya.get_by_text("Звонок передан: Борис Орлов")).to_be_visible()
        phase(tanya, "idle")
        talk(client.line, managers_phone.line)
        expect(boris.get_by_label("Тема")).to_have_value("Пресс")
        client.hang_up()
        managers_phone.wait_for("BYE")
    assert house.registered() == before


def test_an_order_from_another_browser_of_hers_picks_the_telephone_up(house: House, tanya: Page) -> None:
    """The router rings her telephone anew and asks it to answer by itself: there is nothing else a PBX can do."""
    another = house.page("tanya")
    with Caller(house.asterisk, HOME, "79265550402") as client:
        client.call()
        phase(tanya, "ringing")
        expect(another.get_by_role("button", name="Ответить").first).to_be_visible()
        another.keyboard.press("F2")
        phase(tanya, "talking")
        client.wait_for("200", of="INVITE")
        for page in (another, tanya):
            expect(page.get_by_label("Телефон", exact=True)).to_have_value("+79265550402")
        hears(client.line, MICROPHONE_HZ)
        page_hears(tanya, client.line)
        another.keyboard.press("F7")
        hears(client.line, MUSIC_HZ, since=time.time())
        another.keyboard.press("F7")
        hears(client.line, MICROPHONE_HZ, since=time.time())
        client.hang_up()
        for page in (another, tanya):
            expect(page.get_by_text("Клиент положил трубку").first).to_be_visible()
