"""The page about running says what is there."""

from __future__ import annotations

import re
import tomllib

import pytest

from kommutator.configuration import Configuration

from .conftest import ROOT
from .reference import PAGE, page, table

PAGES = sorted((ROOT / "deploy").rglob("README.md"))


def test_the_table_of_settings_is_that_of_the_forms() -> None:
    assert PAGE.read_text() == page(), "write it anew: python -m tests.processes.reference"
    undocumented = [line for line in table().splitlines() if line.endswith("|  |")]
    assert undocumented == []


def test_the_configurations_shown_can_be_used() -> None:
    shown = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(shown) == 3
    for text in shown:
        document = tomllib.loads(text)
        for router in document["routers"].values():
            if router["pbx"]["kind"] == "asterisk":
                router["pbx"]["password"] = "of the environment"
        assert list(Configuration.model_validate(document).routers) == ["office"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_links_lead_somewhere(page: object) -> None:
    path = ROOT / str(page)
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
