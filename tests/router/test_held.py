"""Which versions a router holds: the last few, and those that calls are on; and where it takes phones to be."""

from pathlib import Path

import orjson
import pytest

from kommutator.app.versions import Company, Versions
from kommutator.company import load
from kommutator.errors import BadState, CompanyInvalid, PromptNotMade
from kommutator.exchange.bundle import bundle
from kommutator.exchange.messages import CompanyVersion
from kommutator.exchange.versions import VersionShelf

from .house import COMPANY, DID

pytestmark = pytest.mark.trio
NOW_MS = 1_795_000_000_000


def version(folder: Path, name: str, company: str = COMPANY) -> CompanyVersion:
    path = folder / "company.yaml"
    path.write_text(company.replace("Дом", name), encoding="utf-8")
    loaded = load(path)
    return bundle(name, loaded.engine_json, loaded.prompts)


class Held:
    """Versions, with the states of the calls that go on."""

    def __init__(self, folder: Path, tts: tuple[str, ...] | None = None, *routers: str) -> None:
        self.calls: dict[str, str] = {}
        self.swapped: list[str] = []
        self.versions = Versions(
            folder / "data", tts, "west", routers or ("west",), lambda: self.calls.values(), self._swapping
        )

    def _swapping(self, company: Company) -> None:
        before = self.versions.active
        assert before is None or before.version != company.version, "it is told before"
        self.versions.engine.presence("anna", "present")  # the engine knows everybody of the new version
        self.swapped.append(company.version)

    def arrive(self, call_id: str) -> None:
        self.calls[call_id] = self.versions.engine.arrive(call_id, DID, "+79161230099", NOW_MS).state_text


async def test_old_versions_are_dropped_when_no_call_is_on_them(tmp_path: Path) -> None:
    held = Held(tmp_path)
    versions = held.versions
    await versions.adopt(version(tmp_path, "v0"))
    held.arrive("long")
    for number in range(1, 12):
        await versions.adopt(version(tmp_path, f"v{number}"))
    assert versions.held == ("v0", *(f"v{number}" for number in range(4, 12)))
    assert held.swapped == [f"v{number}" for number in range(12)]
    turn = versions.engine.handle(held.calls["long"], {"type": "no_answer"}, NOW_MS + 5000)
    assert turn.action.type == "record"
    old = held.calls.pop("long")
    await versions.adopt(version(tmp_path, "v12"))
    assert versions.held == tuple(f"v{number}" for number in range(5, 13))
    with pytest.raises(BadState):
        versions.engine.resume(old, NOW_MS + 6000)


async def test_a_version_that_comes_again_is_held_once(tmp_path: Path) -> None:
    held = Held(tmp_path)
    for name in ("v1", "v2", "v1"):
        await held.versions.adopt(version(tmp_path, name))
    assert held.versions.held == ("v2", "v1")
    assert held.versions.active is not None
    assert held.versions.active.version == "v1"


async def test_a_version_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    held = Held(tmp_path, ("/does/not/exist",))
    good = version(tmp_path, "good", COMPANY.replace("say:", "language: ru, say:"))
    with pytest.raises(PromptNotMade):
        await held.versions.adopt(good)
    assert held.versions.active is None
    held = Held(tmp_path)
    await held.versions.adopt(good)
    broken = orjson.loads(good.engine_json)
    broken["schemes"]["main"]["start"] = "nowhere"
    with pytest.raises(CompanyInvalid):
        await held.versions.adopt(CompanyVersion("broken", orjson.dumps(broken), {}))
    assert held.versions.held == ("good",)


async def test_the_shelf_is_used_as_far_as_it_can_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = VersionShelf(tmp_path / "versions")
    shelf.put(version(tmp_path, "v1"))
    shelf.put(CompanyVersion("v2", b"{", {}))
    held = Held(tmp_path)
    await held.versions.begin(shelf)
    assert held.versions.active is not None
    assert held.versions.active.version == "v1"
    assert "a kept version cannot be used" in capsys.readouterr().out


async def test_phones_are_where_the_cards_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = Held(tmp_path, None, "west", "east")
    company = COMPANY.replace("endpoint: PJSIP/102", "endpoint: PJSIP/102, pbx: east").replace(
        "departments:", "  vera: {name: Вера, endpoint: PJSIP/103, pbx: north}\n  gleb: {name: Глеб}\ndepartments:"
    )
    await held.versions.adopt(version(tmp_path, "v1", company))
    assert held.versions.homes() == {"anna": "west", "boris": "east", "vera": "north"}
    assert held.versions.lines() == {"PJSIP/101": ["anna"]}
    said = capsys.readouterr().out
    assert "a pbx that the configuration does not have" in said
    assert "employee=vera" in said
    assert "employee=boris" not in said


async def test_who_gave_up_a_busy_phone_can_be_rung_on_his_mobile(tmp_path: Path) -> None:
    mobile = COMPANY.replace("endpoint: PJSIP/101", 'endpoint: PJSIP/101, mobile: "+79161230001"').replace(
        "ring: [{department: sales}]", "ring: [{mobile: anna}]"
    )
    held = Held(tmp_path)
    await held.versions.adopt(version(tmp_path, "v1", mobile))
    held.versions.engine.line("anna", "busy")
    turn = held.versions.engine.arrive("one", DID, "+79161230099", NOW_MS)
    assert turn.action.type != "ring"
    await held.versions.adopt(version(tmp_path, "v2", mobile.replace("endpoint: PJSIP/101, ", "")))
    turn = held.versions.engine.arrive("two", DID, "+79161230099", NOW_MS)
    assert turn.action.type == "ring"
