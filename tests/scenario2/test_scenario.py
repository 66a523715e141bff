"""Scenario No. 2 as it is written, both branches: a client, an operator and a manager at SIP phones, two of them at desks."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from tests.scenario2.house import draft_fields
from tests.scenario2.scene import BY_HAND, Scene, fill, on
from tests.telephony.dialogs import Behaviour
from tests.telephony.hearing import MUSIC_HZ, RINGBACK_HZ, hears, talk


@on("79265550101", BY_HAND)
def test_a_manager_agrees_and_talks_with_the_client_and_nothing_is_registered(scene: Scene) -> None:
    anna, boris = scene.anna, scene.boris
    scene.call()
    expect(anna.get_by_text("8 (926) 555-01-01").first).to_be_visible()
    expect(anna.get_by_text("Не найден")).to_be_visible()
    assert not [event for event in scene.operators_phone.events if event.name == "200" and event.of == "INVITE"]

    scene.pick_up()
    expect(anna.get_by_label("Поиск")).to_have_value("+79265550101")
    expect(anna.get_by_label("Телефон")).to_have_value("+79265550101")
    expect(anna.get_by_role("radio", name="Новый клиент")).to_be_checked()

    anna.get_by_label("Тип услуги").select_option(label="Поставка оборудования")
    anna.keyboard.press("F4")
    picker = anna.get_by_role("dialog", name="Перенаправить")
    expect(picker.get_by_role("button", name="Подразделения")).to_have_attribute("aria-pressed", "true")
    expect(picker.get_by_role("listbox").get_by_role("group")).to_have_count(1)
    expect(picker.get_by_role("group", name="Отдел продаж")).to_be_visible()
    expect(picker.get_by_role("option")).to_have_count(2)
    expect(picker.get_by_role("option").first).to_contain_text(re.compile("Борис Орлов.*На месте.*Линия свободна"))
    expect(picker.get_by_role("option").last).to_contain_text(re.compile("Вера Белова.*Недоступна"))
    asked = time.time()
    anna.keyboard.press("Enter")
    invite = scene.managers_phone.wait_for("INVITE")
    assert scene.number in (invite.header("From") or "")
    expect(anna.get_by_text("Телефон звонит")).to_be_visible()
    ring = boris.get_by_role("region", name="Входящий звонок")
    expect(ring.get_by_text("8 (926) 555-01-01")).to_be_visible()
    expect(ring.get_by_text("Поставка оборудования")).to_be_visible()
    boris.get_by_role("navigation").get_by_role("link", name="Приём").click()
    expect(boris.get_by_text("Анна Смирнова спрашивает, возьмёте ли вы клиента").first).to_be_visible()
    hears(scene.client.line, MUSIC_HZ, asked + 0.3)
    hears(scene.operators_phone.line, RINGBACK_HZ, asked + 0.3)

    scene.managers_phone.act()
    expect(anna.get_by_text("Менеджер на линии")).to_be_visible()
    agreed = time.time()
    talk(scene.operators_phone.line, scene.managers_phone.line)
    hears(scene.client.line, MUSIC_HZ, agreed)

    anna.keyboard.press("F9")
    scene.operators_phone.wait_for("BYE")
    expect(anna.get_by_text("Звонок передан: Борис Орлов")).to_be_visible()
    expect(anna.get_by_text("Звонков нет")).to_be_visible()
    talk(scene.client.line, scene.managers_phone.line)
    assert not [event for event in scene.managers_phone.events if event.name == "BYE"]
    expect(boris.get_by_text("Звонок передал(а) Анна Смирнова").first).to_be_visible()
    expect(boris.get_by_label("Тип услуги")).to_have_value("equipment")

    scene.client.hang_up()
    scene.managers_phone.wait_for("BYE")
    expect(boris.get_by_text("Клиент положил трубку").first).to_be_visible()
    assert scene.house.ledger("office", scene.call_id)["disposition"] == "answered"
    assert scene.added() == {"clients": 0, "interactions": 0, "interests": 0}


@on("79265550102", Behaviour("busy"))
def test_a_manager_is_busy_and_gets_the_enquiry(scene: Scene) -> None:
    anna, boris = scene.anna, scene.boris
    scene.call()
    scene.pick_up()
    scene.consult()
    scene.busy()
    fill(
        anna,
        Тема="Печь для цеха",
        Что_сделать="Перезвонить с ценами",
        Имя="Иван Седов",
        Компания="Литейный двор",
        Email="sedov@example.test",
    )
    anna.keyboard.press("F9")
    scene.operators_phone.wait_for("BYE")
    scene.client.wait_for("BYE")
    asked = anna.get_by_role("alertdialog", name="Принять обращение?")
    expect(asked.get_by_role("button", name="Да")).to_be_focused()
    assert scene.added() == {"clients": 0, "interactions": 0, "interests": 0}

    anna.keyboard.press("Enter")
    began = time.monotonic()
    expect(boris.get_by_role("link", name=re.compile("Печь для цеха.*Перезвонить с ценами"))).to_be_visible()
    took_s = time.monotonic() - began
    assert took_s < 1.0, f"the interest was at the manager's workplace after {took_s:.2f} s"
    expect(boris.get_by_text("Новый интерес: Печь для цеха").first).to_be_visible()
    expect(anna.get_by_text("Обращение принято. Ответственный: Борис Орлов")).to_be_visible()
    expect(anna.get_by_text("Звонков нет")).to_be_visible()

    assert scene.added() == {"clients": 1, "interactions": 1, "interests": 1}
    (made,) = scene.house.rows(
        "select i.topic, i.to_do, i.service_type, i.assignee, i.status, c.name, c.organisation, c.email, n.number "
        "from interests i join clients c on c.id = i.client_id join client_numbers n on n.client_id = c.id "
        "where i.topic = 'Печь для цеха'"
    )
    assert tuple(made.values()) == (
        "Печь для цеха", "Перезвонить с ценами", "equipment", "boris", "new",
        "Иван Седов", "Литейный двор", "sedov@example.test", "+79265550102",
    )  # fmt: skip
    assert draft_fields(scene.house) == []


@on("79265550103", Behaviour("busy"))
def test_she_cancels_adds_something_and_accepts(scene: Scene) -> None:
    anna = scene.anna
    scene.call()
    scene.pick_up()
    scene.consult()
    scene.busy()
    fill(anna, Тема="Насос", Имя="Пётр")
    anna.keyboard.press("F9")
    scene.client.wait_for("BYE")
    anna.get_by_role("alertdialog").get_by_role("button", name="Отмена").click()
    expect(anna.get_by_role("alertdialog")).to_have_count(0)
    expect(anna.get_by_text("Звонок закончен").first).to_be_visible()
    fill(anna, Что_сделать="Выслать каталог")
    assert scene.added() == {"clients": 0, "interactions": 0, "interests": 0}

    anna.keyboard.press("Control+Enter")
    expect(anna.get_by_text("Обращение принято. Ответственный: Борис Орлов")).to_be_visible()
    expect(scene.boris.get_by_role("link", name=re.compile("Насос.*Выслать каталог"))).to_be_visible()
    assert scene.added() == {"clients": 1, "interactions": 1, "interests": 1}
