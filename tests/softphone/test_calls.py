"""The telephone in the browser, whole: Chromium, the desk's own pages, a real Asterisk, and a SIPp caller at the other end."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from kommutator.company.editing import edited
from kommutator.crm import versions
from kommutator.desk.softphone.servers import Softphones
from tests.browser.packages import browser
from tests.crm.conftest import server, server_folder
from tests.softphone.asterisk import WebAsterisk
from tests.softphone.telephone import (
    MICROPHONE_ARGUMENTS,
    MICROPHONE_HZ,
    MUSIC_HZ,
    PATIENCE_S,
    hears,
    hears_nothing,
    page_hears,
    phase,
    registered,
    switch_on,
)
from tests.telephony import sound
from tests.telephony.router import RouterProcess
from tests.telephony.sipp import Caller
from tests.ui.conftest import database, signed_in
from tests.ui.stage import Stage, staged
from tests.ui.test_pages import barriers

__all__ = ["database", "server", "server_folder"]

pytestmark = [pytest.mark.telephony, pytest.mark.services]

RINGS, PICKS_UP, ROUTED = "+74951112201", "+74951112202", "+74951112203"
"""Our numbers: two of the dialplan, and one of the router."""
CLIENT = "+79265550102"
RITA = "106"
DIALPLAN = f"""
[kommutator](+)
exten => {RINGS},1,Dial(PJSIP/{RITA},30)
exten => {PICKS_UP},1,Dial(PJSIP/{RITA},30,b(ordered^s^1))
[ordered]
exten => s,1,Set(PJSIP_HEADER(add,Alert-Info)=<http://127.0.0.1>\\;info=alert-autoanswer)
 same => n,Return()
"""
COMPANY = f"""\
company: {{name: Ромашка, timezone: Europe/Moscow, country: RU}}
employees:
  rita: {{name: Рита, endpoint: PJSIP/{RITA}, softphone: true}}
numbers:
  "{ROUTED}": {{scheme: main}}
schemes:
  main:
    start: ring
    responsible: rita
    nodes:
      ring: {{kind: ring, ring: [{{employee: rita}}], seconds: 20, exits: {{no_answer: left}}}}
      left: {{kind: task, assign: rita, title: "Call {{caller}}", exits: {{done: bye}}}}
      bye: {{kind: hangup}}
"""


@pytest.fixture(scope="module")
def asterisk() -> Iterator[WebAsterisk]:
    with WebAsterisk([RITA], DIALPLAN) as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    asterisk: WebAsterisk, database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A desk where Rita's telephone is the browser."""
    softphones = Softphones({"main": asterisk.server}, "main")
    with staged(database(), tmp_path_factory.mktemp("desk"), softphones) as made:

        async def enable() -> None:
            services = made.services
            async with services.database.transaction("admin") as tx:
                files = edited(await versions.files(tx, 1), {"employees": {"rita": {"softphone": True}}})
                draft = versions.draft_of(files, round(time.time() * 1000))
                number, _ = await versions.add(tx, draft, "", services.clock())
                await versions.activate(tx, number, "", services.clock())

        made.run(enable())
        yield made


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with a microphone that hears a tone."""
    voice = sound.tone(tmp_path_factory.mktemp("voice") / "voice.wav", hertz=MICROPHONE_HZ, seconds=10)
    found = browser()
    expect.set_options(timeout=1000 * PATIENCE_S)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(found.program),
            env={**os.environ, **found.environment},
            args=[
                "--no-sandbox",
                *MICROPHONE_ARGUMENTS,
                f"--use-file-for-fake-audio-capture={voice}",
            ],
        )
        yield running
        running.close()


@pytest.fixture(scope="module")
def shared(stage: Stage, chromium: Browser) -> Iterator[Page]:
    """Rita at her desk, with the telephone switched on."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="ru-RU")
    yield switched_on(stage, context)
    context.close()


@pytest.fixture
def page(shared: Page) -> Iterator[Page]:
    """The same, and nothing on the telephone before and after."""
    phase(shared, "idle")
    yield shared
    phase(shared, "idle")


@pytest.fixture
def caller(asterisk: WebAsterisk, request: pytest.FixtureRequest) -> Iterator[Caller]:
    request.getfixturevalue("page")  # it ends after the call
    with Caller(asterisk, RINGS, CLIENT) as one:
        yield one
    assert asterisk.wait_idle() == []


def switched_on(stage: Stage, context: BrowserContext) -> Page:
    """A page of Rita's with her telephone."""
    context.set_default_timeout(1000 * PATIENCE_S)
    page = signed_in(stage, context.new_page(), "olga")
    switch_on(page)
    return page


def test_she_answers_in_the_browser_and_both_hear_each_other(page: Page, caller: Caller) -> None:
    caller.call()
    phase(page, "ringing")
    caller.wait_for("180")
    page.get_by_role("button", name=f"Ответить {CLIENT}").click()
    caller.wait_for("200", of="INVITE")
    phase(page, "talking")
    hears(caller.line, MICROPHONE_HZ)
    page_hears(page, caller.line)


def test_muted_held_and_keys(asterisk: WebAsterisk, page: Page, caller: Caller) -> None:
    talk(page, caller)
    hears(caller.line, MICROPHONE_HZ)
    page.get_by_role("button", name="Телефон в браузере").click()
    page.get_by_role("button", name="Выключить микрофон").last.click()
    hears_nothing(caller.line)
    page.get_by_role("button", name="Удержать").click()
    expect(page.get_by_role("button", name="На удержании").last).to_be_visible()
    hears(caller.line, MUSIC_HZ)
    page.get_by_role("button", name="На удержании").last.click()
    expect(page.get_by_role("button", name="Удержать")).to_be_visible()
    hears_nothing(caller.line)
    page.get_by_role("button", name="Микрофон выключен").click()
    hears(caller.line, MICROPHONE_HZ)
    assert barriers(page) == []
    for device in ("Микрофон", "Динамик"):
        choice = page.get_by_label(device, exact=True)
        choice.select_option(index=choice.locator("option").count() - 1)
    changed = time.time()
    hears(caller.line, MICROPHONE_HZ, since=changed + 0.2)
    for key in ("5", "#"):
        page.get_by_role("group", name="Клавиши").get_by_role("button", name=key, exact=True).click()
    until(lambda: keys_heard(asterisk) == ["5", "#"], "the PBX did not hear the keys")
    page.keyboard.press("Escape")


def test_she_hangs_up(page: Page, caller: Caller) -> None:
    talk(page, caller)
    page.get_by_role("button", name="Положить трубку").first.click()
    caller.wait_for("BYE")
    phase(page, "idle")
    caller.wait_end()


def test_the_caller_hangs_up(page: Page, caller: Caller) -> None:
    talk(page, caller)
    caller.hang_up()
    phase(page, "idle")
    assert page.evaluate("document.querySelector('audio').srcObject") is None


def test_she_declines_and_he_gives_up(asterisk: WebAsterisk, page: Page, caller: Caller) -> None:
    caller.call()
    phase(page, "ringing")
    caller.hang_up()
    phase(page, "idle")
    with Caller(asterisk, RINGS, None) as withheld:
        withheld.call()
        phase(page, "ringing")
        page.get_by_role("button", name="Отклонить").click()
        phase(page, "idle")
        withheld.wait_end()


def test_the_button_on_the_card_answers_the_telephone(stage: Stage, page: Page, caller: Caller) -> None:
    caller.call()
    phase(page, "ringing")
    call = stage.run(stage.live.ring(CLIENT))
    page.get_by_role("button", name="Ответить F2").wait_for()  # the card is there
    page.keyboard.press("F2")
    caller.wait_for("200", of="INVITE")
    phase(page, "talking")
    assert stage.live.orders == [], "the telephone was picked up here: nothing is to be ordered"
    stage.do(lambda live: live.answered(call))
    expect(page.get_by_label("Тип услуги")).to_be_focused()
    hears(caller.line, MICROPHONE_HZ)
    stage.do(lambda live: live.gone(call, "ended"))
    stage.forget()


def test_the_pbx_has_it_picked_up(asterisk: WebAsterisk, page: Page) -> None:
    with Caller(asterisk, PICKS_UP, CLIENT) as caller:
        caller.call()
        phase(page, "talking")
        hears(caller.line, MICROPHONE_HZ)


def test_a_router_rings_it_and_follows_its_hold_key(asterisk: WebAsterisk, page: Page, tmp_path: Path) -> None:
    company = tmp_path / "company.yaml"
    company.write_text(COMPANY, encoding="utf-8")
    with (
        RouterProcess.of_command(asterisk, company, tmp_path / "router") as router,
        Caller(asterisk, ROUTED, CLIENT) as caller,
    ):
        talk(page, caller)
        hears(caller.line, MICROPHONE_HZ)
        page_hears(page, caller.line)
        page.get_by_role("button", name="Телефон в браузере").click()
        page.get_by_role("button", name="Удержать").click()
        hears(caller.line, MUSIC_HZ)
        page.get_by_role("button", name="На удержании").last.click()
        hears(caller.line, MICROPHONE_HZ)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Положить трубку").click()
        caller.wait_for("BYE")
        (line,) = router.wait_ledger()
        assert line["disposition"] == "answered"
    assert asterisk.wait_idle() == []


def test_a_reload_registers_again_without_asking(page: Page, caller: Caller) -> None:
    page.reload()
    registered(page)
    talk(page, caller)


def test_it_comes_back_when_the_pbx_does(asterisk: WebAsterisk, page: Page) -> None:
    asterisk.crash()
    expect(page.locator("[data-registration=unreachable]")).to_be_attached()
    asterisk.start()
    registered(page)
    with Caller(asterisk, RINGS, CLIENT) as caller:
        talk(page, caller)
        hears(caller.line, MICROPHONE_HZ)


def test_one_tab_has_it_and_another_takes_it_over(asterisk: WebAsterisk, stage: Stage, shared: Page) -> None:
    second = shared.context.new_page()
    second.goto(stage.address)
    expect(second.locator("[data-registration=elsewhere]")).to_be_attached()
    shared.close()
    registered(second)
    with Caller(asterisk, RINGS, CLIENT) as caller:
        caller.call()
        phase(second, "ringing")
    phase(second, "idle")


def talk(page: Page, caller: Caller) -> None:
    """He calls and she answers."""
    caller.call()
    phase(page, "ringing")
    page.get_by_role("button", name=f"Ответить {CLIENT}").click()
    phase(page, "talking")


def keys_heard(asterisk: WebAsterisk) -> list[str]:
    """The keys that came from the browser."""
    return re.findall(rf"DTMF end '(.)' received on PJSIP/{RITA}", asterisk.log.read_text(errors="replace"))


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for what no element on the page shows."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
