"""Who gets which account: by the API, and as the PBX is told by `kommutator softphones`."""

from __future__ import annotations

import asyncio
import configparser
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kommutator.app.desk import softphones
from kommutator.cli import main
from kommutator.company.editing import edited
from kommutator.company.reader import load
from kommutator.configuration import Configuration
from kommutator.crm import versions
from kommutator.desk import app as desk
from kommutator.desk.requests import GUARDS
from kommutator.desk.softphone.servers import SoftphoneServer, user_of
from tests.api.conftest import NOW, Browser, Stage, stage, staged
from tests.crm.conftest import anyio_backend, db, dsn, server, server_folder

__all__ = ["anyio_backend", "db", "dsn", "server", "server_folder", "stage", "staged"]

CONFIGURATION = """\
[routers.north.pbx]
kind = "asterisk"
url = "http://127.0.0.1:8088"
user = "kommutator"
password = "not to be told"
[routers.north.pbx.softphones]
url = "wss://north.example:8089/ws"
secret = "of the north, not to be told"
[routers.south.pbx]
kind = "asterisk"
url = "http://127.0.0.1:8090"
user = "kommutator"
password = "not to be told"
[routers.south.pbx.softphones]
url = "wss://[2001:db8::1]/ws"
secret = "of the south, not to be told"
[routers.east.pbx]
kind = "simulated"
"""
SERVERS = {
    "north": SoftphoneServer("wss://north.example:8089/ws", "of the north, not to be told"),
    "south": SoftphoneServer("wss://[2001:db8::1]/ws", "of the south, not to be told"),
}
CARDS: dict[str, dict[str, Any]] = {
    "rita": {"softphone": True},
    "boris": {"softphone": True, "pbx": "south"},
    "nina": {"softphone": True, "pbx": "east"},
    "lev": {"softphone": True, "endpoint": "PJSIP/a b"},
}


def with_softphones(files: dict[str, bytes]) -> dict[str, bytes]:
    """The sample company with telephones in browsers."""
    return edited(files, {"employees": CARDS})


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    path = tmp_path / "kommutator.toml"
    path.write_text(CONFIGURATION)
    return path


async def enable(stage: Stage) -> None:
    """The company of `CARDS`, active."""
    await stage.company()
    async with stage.services.database.transaction("admin") as tx:
        files = with_softphones(await versions.files(tx, 1))
        number, _ = await versions.add(tx, versions.draft_of(files, round(NOW.timestamp() * 1000)), "", NOW)
        await versions.activate(tx, number, "", NOW)
    stage.services.softphones = softphones(Configuration.model_validate(tomllib.loads(CONFIGURATION)))


async def own(stage: Stage, login: str, employee: str | None) -> dict[str, Any]:
    """What somebody is told of his softphone."""
    await stage.user(login, "operator", employee)
    told: dict[str, Any] = await (await stage.signed_in(login)).json("/api/me/softphone")
    return told


@pytest.mark.anyio
async def test_an_employee_gets_the_account_of_his_own_pbx(stage: Stage) -> None:
    await enable(stage)
    assert await own(stage, "rita", "rita") == {
        "state": "ready",
        "account": {
            "url": "wss://north.example:8089/ws",
            "uri": "sip:106@north.example",
            "user": "106",
            "password": SERVERS["north"].password("106"),
        },
    }
    boris = (await own(stage, "boris", "boris"))["account"]
    assert boris["uri"] == "sip:102@[2001:db8::1]"
    assert boris["password"] == SERVERS["south"].password("102") != SERVERS["north"].password("102")


@pytest.mark.anyio
async def test_whose_phone_cannot_be_a_browser_is_told_so(stage: Stage) -> None:
    await enable(stage)
    off, wrong = {"state": "off", "account": None}, {"state": "not_configured", "account": None}
    assert await own(stage, "anna", "anna") == off
    assert await own(stage, "nobody", None) == off
    assert await own(stage, "nina", "nina") == wrong, "a simulated PBX"
    assert await own(stage, "lev", "lev") == wrong, "no name for a SIP user"


@pytest.mark.anyio
async def test_whoever_has_left_gets_none(stage: Stage) -> None:
    await enable(stage)
    await stage.user("rita", "operator", "rita")
    rita = await stage.signed_in("rita")
    async with stage.services.database.transaction("admin") as tx:
        files = edited(await versions.files(tx, 2), {"employees": {"rita": {"softphone": None}}})
        number, _ = await versions.add(tx, versions.draft_of(files, round(NOW.timestamp() * 1000)), "", NOW)
        await versions.activate(tx, number, "", NOW)
    assert (await rita.json("/api/me/softphone"))["state"] == "off"


@pytest.mark.anyio
async def test_pages_may_connect_to_these_pbxs_and_to_nothing_else(stage: Stage) -> None:
    await enable(stage)
    browser = Browser(desk.create(stage.services).test_client())
    policy = (await browser.get("/healthz")).headers["Content-Security-Policy"]
    assert "; connect-src 'self' wss://[2001:db8::1] wss://north.example:8089; " in policy
    assert policy.replace(" wss://[2001:db8::1] wss://north.example:8089", "") == GUARDS["Content-Security-Policy"]


@pytest.mark.anyio
@pytest.mark.parametrize(("router", "users"), [("north", ["106"]), ("south", ["102"])])
async def test_the_pbx_is_told_the_same_passwords(
    stage: Stage, configured: Path, dsn: str, router: str, users: list[str]
) -> None:
    await enable(stage)
    command = ["softphones", "--config", str(configured), "--router", router]
    printed = await asyncio.to_thread(CliRunner(env={"KOMMUTATOR_DSN": dsn}).invoke, main, command)
    assert printed.exit_code == 0, printed.output
    assert ("lev: PJSIP/a b is no PJSIP/NAME" in printed.stderr) == (router == "north")
    read = configparser.ConfigParser(comment_prefixes=";", strict=False)
    read.read_string(
        printed.stdout.replace("](softphone)", "]").replace("](phone-aor)", "-aor]").replace("](phone-auth)", "]")
    )
    assert [name for name in read if name.endswith("-auth")] == [f"{user}-auth" for user in users]
    for user in users:
        assert dict(read[f"{user}-auth"]) == {"username": user, "password": SERVERS[router].password(user)}
        assert read[user]["auth"] == f"{user}-auth"


def test_a_router_is_to_be_named(configured: Path) -> None:
    for arguments in ([], ["--router", "east"], ["--router", "west"]):
        done = CliRunner().invoke(main, ["softphones", "--config", str(configured), *arguments])
        assert (done.exit_code, "north, south" in done.output) == (1, True), done.output


def test_secrets_are_not_shown(configured: Path) -> None:
    shown = CliRunner().invoke(main, ["config", "show", "--config", str(configured)])
    assert shown.exit_code == 0
    assert "routers.north.pbx.softphones.url" in shown.output
    assert "not to be told" not in shown.output


def test_a_softphone_needs_an_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "company.yaml"
    path.write_text("company: {name: A, timezone: Europe/Moscow, country: RU}\nemployees:\n  anna: {softphone: true}\n")
    found = [each for each in load(path).findings if each["code"] == "missing_key" and each.get("line") == 3]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("endpoint", "user"),
    [
        ("PJSIP/106", "106"),
        ("PJSIP/rita.l-1", "rita.l-1"),
        ("SIP/106", None),
        ("PJSIP/1]\n[x", None),
        ("PJSIP/1\n", None),
        (None, None),
    ],
)
def test_only_a_name_of_pjsip_can_be_a_browser(endpoint: str | None, user: str | None) -> None:
    assert user_of(endpoint) == user
