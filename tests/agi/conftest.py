"""An Asterisk that asks by FastAGI, and a company for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.telephony import sound

from .house import AgiAsterisk


@pytest.fixture(scope="session")
def asterisk() -> Iterator[AgiAsterisk]:
    """One Asterisk for all."""
    with AgiAsterisk() as running:
        yield running


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The company, with its prompts of one second."""
    folder = tmp_path_factory.mktemp("company")
    for name in ("menu", "leave"):
        sound.tone(folder / f"{name}.wav", hertz=300, seconds=1)
    document = folder / "company.yaml"
    document.write_text(Path(__file__).with_name("company.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return document
