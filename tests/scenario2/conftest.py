"""One house for all tests of the folder; each has browsers and telephones of its own in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.packages import browser
from tests.scenario2.house import PATIENCE_MS, House
from tests.scenario2.scene import Scene
from tests.softphone.asterisk import WebAsterisk
from tests.softphone.telephone import MICROPHONE_ARGUMENTS, MICROPHONE_HZ
from tests.telephony.sound import tone

_HOUSE = pytest.StashKey[House]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder, so that a quick run can leave them out."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.telephony)


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Debian's Chromium with a microphone that hears a tone.

    It goes with the folder: its driver keeps an event loop in this thread.
    """
    voice = tone(tmp_path_factory.mktemp("voice") / "voice.wav", hertz=MICROPHONE_HZ, seconds=10)
    found = browser()
    expect.set_options(timeout=PATIENCE_MS)
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


@pytest.fixture(scope="package")
def open_house(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[House]:
    """The house. Its folder is one that the unprivileged user of PostgreSQL can enter, as pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="kt-scenario-"))
    folder.chmod(0o755)
    failed = request.session.testsfailed
    asterisk = WebAsterisk(["106"], phones=["101", "102", "103"])
    try:
        asterisk.start()
        house = House(folder, asterisk, chromium)
        try:
            house.open()
            yield house
        finally:
            house.close()
    finally:
        asterisk.close(keep=request.session.testsfailed > failed)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def house(open_house: House, request: pytest.FixtureRequest) -> Iterator[House]:
    """The house with nobody at the desks."""
    request.node.stash[_HOUSE] = open_house
    yield open_house
    open_house.leave()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of the stack's log to the report of a failure, and says where Asterisk's logs are."""
    report = yield
    house = item.stash.get(_HOUSE, None)
    if report.failed and call.when == "call" and house is not None:
        report.sections.append(("the stack's log", house.stack.tail()))
        report.sections.append(("Asterisk", f"logs and SIP traces are kept in {house.asterisk.folder}"))
    return report


@pytest.fixture
def scene(house: House, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """With this manager's phone, and a number that nobody knows."""
    number, manager = request.param
    with ExitStack() as stack:
        yield Scene(house, stack, number, manager)
    assert house.asterisk.wait_idle() == []
