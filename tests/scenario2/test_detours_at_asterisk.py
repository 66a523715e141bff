"""The detours of scenario No. 2 with a real Asterisk and SIP phones: what everybody sees, hears, and has on his SIP leg."""

from __future__ import annotations

import re
import signal
import time

from playwright.sync_api import expect

from tests.scenario2.house import BOTH
from tests.scenario2.scene import BY_HAND, Scene, fill, on
from tests.telephony.dialogs import Behaviour
from tests.telephony.hearing import MUSIC_HZ, RINGBACK_HZ, hears, talk
from tests.telephony.sipp import Caller, Phone, media_address

GONE = re.compile("Нет связи \\d")


@on("79265550301", Behaviour("decline", after=0.3))
def test_the_manager_declines(scene: Scene) -> None:
    scene.call()
    scene.pick_up()
    scene.consult()
    scene.managers_phone.wait_for("603")
    expect(scene.anna.get_by_text("Борис Орлов: звонок отклонён").first).to_be_visible()
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()
    expect(scene.anna.get_by_text("Клиент положил трубку").first).to_be_visible()


@on("79265550302", BY_HAND)
def test_the_page_is_reloaded_while_the_manager_rings_and_he_does_not_answer(scene: Scene) -> None:
    anna = scene.anna
    scene.call()
    scene.pick_up()
    fill(anna, Тема="Котёл")
    scene.consult()
    scene.managers_phone.wait_for("180")
    anna.reload()
    expect(anna.get_by_label("Тема")).to_have_value("Котёл")
    expect(anna.get_by_text("Телефон звонит")).to_be_visible()
    scene.managers_phone.wait_for("CANCEL", seconds=60)
    expect(anna.get_by_text("Борис Орлов: не отвечает").first).to_be_visible()
    expect(anna.get_by_label("Тема")).to_have_value("Котёл")
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()


@on("79265550303", BY_HAND)
def test_the_client_goes_during_the_consultation_and_the_enquiry_is_accepted_once(scene: Scene) -> None:
    anna = scene.anna
    scene.call()
    scene.pick_up()
    fill(anna, Тема="Станок")
    scene.consult_and_agree()
    scene.client.hang_up()
    for phone in (scene.operators_phone, scene.managers_phone):
        phone.wait_for("BYE")
    expect(anna.get_by_text("Клиент положил трубку").first).to_be_visible()
    expect(anna.get_by_label("Тема")).to_have_value("Станок")
    anna.keyboard.press("Control+Enter")
    anna.keyboard.press("Control+Enter")
    expect(anna.get_by_text("Обращение принято. Ответственный: Борис Орлов")).to_be_visible()
    expect(scene.boris.get_by_role("link", name=re.compile("Станок"))).to_be_visible()
    assert scene.added() == {"clients": 1, "interactions": 1, "interests": 1}
    scene.ends()


@on("79265550304", BY_HAND)
def test_the_desk_is_killed_during_the_consultation_and_nobody_hears_it(scene: Scene) -> None:
    anna, stack = scene.anna, scene.house.stack
    scene.call()
    scene.pick_up()
    fill(anna, Тема="До")
    scene.consult_and_agree()
    heard, died = len(stack.heard()), time.time()
    stack.signal("desk", signal.SIGKILL)
    expect(anna.get_by_text(GONE)).to_be_visible()
    anna.get_by_label("Что сделать").fill("Набрано без стола")
    talk(scene.operators_phone.line, scene.managers_phone.line)
    hears(scene.client.line, MUSIC_HZ, died)
    scene.house.said(since=heard, process="desk", state="ready")
    expect(anna.get_by_text(GONE)).to_have_count(0)
    expect(anna.get_by_text("Менеджер на линии")).to_be_visible()
    expect(anna.get_by_label("Тема")).to_have_value("До")
    anna.keyboard.press("F9")
    scene.passed()
    scene.boris.goto("/")
    expect(scene.boris.get_by_label("Что сделать")).to_have_value("Набрано без стола")
    scene.ends()


@on("79265550305", BY_HAND)
def test_two_operators_are_rung_one_answers_and_the_other_takes_the_next(scene: Scene) -> None:
    house, anna = scene.house, scene.anna
    with (
        Phone(house.asterisk, "102", BY_HAND) as lenas_phone,
        Caller(house.asterisk, BOTH, "79265550306") as another,
    ):
        house.idle("lena")
        lena = house.page("lena")
        another.call()
        for page, phone in ((anna, scene.operators_phone), (lena, lenas_phone)):
            phone.wait_for("180")
            expect(page.get_by_text("8 (926) 555-03-06").first).to_be_visible()
        lenas_phone.act()
        cancel = scene.operators_phone.wait_for("CANCEL")
        assert "Call completed elsewhere" in (cancel.header("Reason") or "")
        expect(anna.get_by_text("Никто не звонит")).to_be_visible()
        expect(lena.get_by_label("Телефон")).to_have_value("+79265550306")
        another.line.connect(media_address(another.wait_for("200", of="INVITE").text))
        house.idle("anna")

        scene.client.call()
        scene.call_id = house.said(event="call began", caller=scene.number)["call"]
        scene.operators_phone.wait_for("180", count=2)
        scene.pick_up()
        expect(anna.get_by_label("Телефон")).to_have_value("+79265550305")
        talk(another.line, lenas_phone.line)
        assert len({each.call_id for each in lenas_phone.rung()}) == 1
        another.hang_up()
        expect(lena.get_by_text("Клиент положил трубку").first).to_be_visible()
        talk(scene.client.line, scene.operators_phone.line)
        scene.ends()


@on("79265550307", BY_HAND)
def test_several_have_the_number_and_the_chosen_one_is_transferred_at_once(scene: Scene) -> None:
    house, anna, boris = scene.house, scene.anna, scene.boris
    for name, owner in (("Елена Громова", "boris"), ("Павел Громов", None)):
        house.run(house.stack.post, "/api/clients", {"name": name, "numbers": ["+79265550307"], "owner": owner})
    scene.registered = house.registered()
    scene.call()
    expect(anna.get_by_text("Найдено 2").first).to_be_visible()
    scene.pick_up()
    anna.get_by_role("radio", name="Елена Громова").check()
    expect(anna.get_by_label("Имя", exact=True)).to_have_value("Елена Громова")
    anna.get_by_label("Тип услуги").select_option(label="Поставка оборудования")
    anna.keyboard.press("F4")
    picker = anna.get_by_role("dialog", name="Перенаправить")
    expect(picker.get_by_role("option").first).to_contain_text(re.compile("Борис Орлов.*Линия свободна"))
    left = time.time()
    anna.keyboard.press("Shift+Enter")
    scene.managers_phone.wait_for("180")
    scene.operators_phone.wait_for("BYE")
    hears(scene.client.line, RINGBACK_HZ, left)
    expect(boris.get_by_role("region", name="Входящий звонок").get_by_text("8 (926) 555-03-07")).to_be_visible()
    scene.managers_phone.act()
    scene.passed()
    boris.goto("/")
    expect(boris.get_by_label("Имя", exact=True)).to_have_value("Елена Громова")
    scene.ends()


@on("79265550308", BY_HAND)
def test_hold_and_talks_by_turns(scene: Scene) -> None:
    anna, client, manager = scene.anna, scene.client, scene.managers_phone
    scene.call()
    scene.pick_up()
    anna.keyboard.press("F7")
    expect(anna.get_by_text("На удержании").first).to_be_visible()
    hears(client.line, MUSIC_HZ, time.time())
    anna.keyboard.press("F7")
    expect(anna.get_by_text("На удержании")).to_have_count(0)
    talk(client.line, scene.operators_phone.line)
    scene.consult_and_agree()
    anna.keyboard.press("F7")
    expect(anna.get_by_text("вы говорите с клиентом").first).to_be_visible()
    talk(client.line, scene.operators_phone.line)
    hears(manager.line, MUSIC_HZ, time.time())
    anna.keyboard.press("F7")
    expect(anna.get_by_text("вы говорите с менеджером").first).to_be_visible()
    talk(manager.line, scene.operators_phone.line)
    hears(client.line, MUSIC_HZ, time.time())
    anna.keyboard.press("F8")
    manager.wait_for("BYE")
    expect(anna.get_by_text("Менеджер на линии")).to_have_count(0)
    talk(client.line, scene.operators_phone.line)
    scene.ends()


@on("79265550309", BY_HAND)
def test_the_page_follows_the_keys_of_the_phone(scene: Scene) -> None:
    anna, phone = scene.anna, scene.operators_phone
    scene.call()
    scene.pick_up()
    phone.press_hold(True)
    expect(anna.get_by_text("На удержании").first).to_be_visible()
    hears(scene.client.line, MUSIC_HZ, time.time())
    phone.press_hold(False)
    expect(anna.get_by_text("На удержании")).to_have_count(0)
    talk(scene.client.line, phone.line)
    phone.press_transfer("103")
    scene.managers_phone.wait_for("180")
    phone.wait_for("BYE")
    scene.managers_phone.act()
    scene.passed()
    scene.boris.goto("/")
    expect(scene.boris.get_by_text("Звонок передал(а) Анна Смирнова").first).to_be_visible()
    scene.ends()


@on("79265550310", BY_HAND)
def test_she_hands_over_by_putting_her_phone_down(scene: Scene) -> None:
    scene.call()
    scene.pick_up()
    scene.consult_and_agree()
    scene.operators_phone.hang_up()
    expect(scene.anna.get_by_text("Звонок передан: Борис Орлов")).to_be_visible()
    scene.passed()
    scene.ends()
