"""The telephone in the browser, whole: Chromium, the desk's own pages, a real Asterisk, and a SIPp caller at the other end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from kommutator.company.editing import edited
from kommutator.crm import versions
from kommutator.desk.softphone.servers import Softphones
from tests.browser.packages import browser
from tests.crm.conftest import server, server_folder
from tests.softphone.asterisk import WebAsterisk
from tests.telephony import sound
from tests.telephony.media import Line
from tests.telephony.sipp import Caller
from tests.ui.conftest import database, signed_in
from tests.ui.stage import Stage, staged

__all__ = ["database", "server", "server_folder"]

pytestmark = [pytest.mark.telephony, pytest.mark.services]

RINGS, PICKS_UP = "+74951112201", "+74951112202"
CLIENT = "+79265550102"
MICROPHONE_HZ, MUSIC_HZ, VOICE_HZ = 1000, 440, 220
RITA = "106"
DIALPLAN = f"""
[kommutator](+)
exten => {RINGS},1,Dial(PJSIP/{RITA},30)
exten => {PICKS_UP},1,Dial(PJSIP/{RITA},30,b(ordered^s^1))
[ordered]
exten => s,1,Set(PJSIP_HEADER(add,Alert-Info)=<http://127.0.0.1>\\;info=alert-autoanswer)
 same => n,Return()
"""
_HEARS = """async (hertz) => {
    const context = new AudioContext();
    const ear = context.createAnalyser();
    ear.fftSize = 4096;
    context.createMediaStreamSource(document.querySelector("audio").srcObject).connect(ear);
    const bins = new Float32Array(ear.frequencyBinCount);
    const until = performance.now() + 4000;
    let best = -Infinity;
    while (performance.now() < until && best < -50) {
        await new Promise((done) => setTimeout(done, 50));
        ear.getFloatFrequencyData(bins);
        best = Math.max(best, bins[Math.round(hertz / context.sampleRate * ear.fftSize)]);
    }
    await context.close();
    return best;
}"""
"""The loudest that a tone was within four seconds, in decibels of full scale."""


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
    """Chromium with a microphone that hears a tone, and with media on loopback, which browsers leave out otherwise."""
    voice = sound.tone(tmp_path_factory.mktemp("voice") / "voice.wav", hertz=MICROPHONE_HZ, seconds=10)
    found = browser()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=str(found.program),
            env={**os.environ, **found.environment},
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={voice}",
                "--allow-loopback-in-peer-connection",
                "--ignore-certificate-errors",
            ],
        )
        yield running
        running.close()


@pytest.fixture
def page(stage: Stage, chromium: Browser) -> Iterator[Page]:
    """Rita at her desk, with the telephone switched on."""
    context = chromium.new_context(viewport={"width": 1366, "height": 768}, locale="ru-RU")
    context.set_default_timeout(10_000)
    page = signed_in(stage, context.new_page(), "olga")
    page.get_by_role("button", name="Телефон в браузере").click()
    page.get_by_role("button", name="Включить телефон").click()
    registered(page)
    page.keyboard.press("Escape")
    yield page
    context.close()


@pytest.fixture
def caller(asterisk: WebAsterisk) -> Iterator[Caller]:
    with Caller(asterisk, RINGS, CLIENT) as one:
        yield one
    assert asterisk.wait_idle() == []


def registered(page: Page, seconds: float = 10) -> None:
    """Waits until the PBX has the telephone."""
    expect(page.locator("[data-registration=registered]")).to_be_attached(timeout=1000 * seconds)


def phase(page: Page, name: str) -> None:
    """Waits until the telephone is there."""
    expect(page.locator(f".softphone[data-phase={name}]")).to_be_attached()


def hears(line: Line, hertz: int, *, seconds: float = 5) -> None:
    """Waits until a tone is the loudest of what comes now."""
    deadline = time.monotonic() + seconds
    while True:
        heard = line.heard(since=time.time() - 0.3)
        levels = {each: round(sound.loudness_at(heard, each)) for each in (MICROPHONE_HZ, MUSIC_HZ, VOICE_HZ)}
        if len(heard) > 0.2 * sound.RATE and levels[hertz] > 200 and levels[hertz] == max(levels.values()):
            return
        assert time.monotonic() < deadline, (hertz, levels, len(heard))
        time.sleep(0.05)


def hears_nothing(line: Line, *, seconds: float = 5) -> None:
    """Waits until nothing loud comes any more."""
    deadline = time.monotonic() + seconds
    while sound.rms(line.heard(since=time.time() - 0.3)) > 100:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_she_answers_in_the_browser_and_both_hear_each_other(page: Page, caller: Caller) -> None:
    caller.call()
    phase(page, "ringing")
    caller.wait_for("180")
    page.get_by_role("button", name=f"Ответить {CLIENT}").click()
    caller.wait_for("200", of="INVITE")
    phase(page, "talking")
    hears(caller.line, MICROPHONE_HZ)
