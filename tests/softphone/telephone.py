"""The telephone in a page: what it is doing, what it hears, and what is heard of it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import Page, expect

from tests.telephony import sound
from tests.telephony.media import Line

MICROPHONE_HZ, MUSIC_HZ, VOICE_HZ = 1000, 440, 220
"""What the browser's microphone hears, what waiting parties hear, and what SIPp's parties speak with."""
MICROPHONE_ARGUMENTS = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--ignore-certificate-errors",
)
"""Chromium's, for a microphone that needs no consent, and media on loopback, which browsers leave out otherwise."""
PATIENCE_S = 30.0
_QUIET_DB = -50
_HEARS = """async ([hertz, limit]) => {
    const context = new AudioContext();
    const ear = context.createAnalyser();
    ear.fftSize = 4096;
    context.createMediaStreamSource(document.querySelector("audio").srcObject).connect(ear);
    const bins = new Float32Array(ear.frequencyBinCount);
    const until = performance.now() + 4000;
    let best = -Infinity;
    while (performance.now() < until && best < limit) {
        await new Promise((done) => setTimeout(done, 50));
        ear.getFloatFrequencyData(bins);
        best = Math.max(best, bins[Math.round(hertz / context.sampleRate * ear.fftSize)]);
    }
    await context.close();
    return best;
}"""
"""The loudest that a tone was within four seconds, in decibels of full scale."""


def registered(page: Page, seconds: float = PATIENCE_S) -> None:
    """Waits until the PBX has the telephone."""
    expect(page.locator("[data-registration=registered]")).to_be_attached(timeout=1000 * seconds)


def phase(page: Page, name: str) -> None:
    """Waits until the telephone is there."""
    expect(page.locator(f".softphone[data-phase={name}]")).to_be_attached()


def hears(line: Line, hertz: int, *, since: float = 0, seconds: float = PATIENCE_S) -> None:
    """Waits until a tone is the loudest of what comes now, or after a moment."""
    deadline = time.monotonic() + seconds
    while True:
        heard = line.heard(since=max(since, time.time() - 0.3))
        levels = {each: round(sound.loudness_at(heard, each)) for each in (MICROPHONE_HZ, MUSIC_HZ, VOICE_HZ)}
        if len(heard) > 0.2 * sound.RATE and levels[hertz] > 200 and levels[hertz] == max(levels.values()):
            return
        assert time.monotonic() < deadline, (hertz, levels, len(heard))
        time.sleep(0.05)


def hears_nothing(line: Line, *, seconds: float = PATIENCE_S) -> None:
    """Waits until nothing loud comes any more."""
    deadline = time.monotonic() + seconds
    while sound.rms(line.heard(since=time.time() - 0.3)) > 100:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def page_hears(page: Page, speaker: Line) -> None:
    """Waits until a voice is heard in the page, which is said again and again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with ThreadPoolExecutor(1) as mouth:
            speaking = mouth.submit(speaker.speak, sound.murmur(2))
            loudest = float(page.evaluate(_HEARS, [VOICE_HZ, _QUIET_DB]))
            speaking.result()
        if loudest > _QUIET_DB:
            return
        assert time.monotonic() < deadline, f"the voice was at {loudest:.0f} dB in the page"


def switch_on(page: Page) -> None:
    """Makes the page her telephone."""
    page.get_by_role("button", name="Телефон в браузере").click()
    page.get_by_role("button", name="Включить телефон").click()
    registered(page)
    page.keyboard.press("Escape")
