"""A real Asterisk and a router for the tests of its adapter. They fail, and never skip, when Asterisk cannot be had."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.telephony.asterisk import Asterisk
from tests.telephony.router import RouterProcess

COMPANY = Path(__file__).with_name("company.yaml")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs an Asterisk."""
    for item in items:
        if "asterisk" in getattr(item, "fixturenames", ()):
            item.add_marker("telephony")


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Asterisk]:
    """One Asterisk for all."""
    with Asterisk() as running:
        yield running


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The company with its prompts, of 2, 3 and 1 seconds, in the rate of a studio."""
    folder = tmp_path_factory.mktemp("company")
    (folder / "company.yaml").write_text(COMPANY.read_text(encoding="utf-8"), encoding="utf-8")
    for name, seconds in (("greeting", 2), ("menu", 3), ("leave", 1)):
        with wave.open(str(folder / f"{name}.wav"), "wb") as writer:
            writer.setnchannels(2)
            writer.setsampwidth(2)
            writer.setframerate(44_100)
            writer.writeframes(b"".join(bytes((0, 32 if i // 50 % 2 else 224)) * 2 for i in range(44_100 * seconds)))
    return folder / "company.yaml"


@pytest.fixture
def router(asterisk: Asterisk, company: Path, tmp_path: Path) -> Iterator[RouterProcess]:
    """A router that runs."""
    with RouterProcess.of_command(asterisk, company, tmp_path / "data") as process:
        yield process
