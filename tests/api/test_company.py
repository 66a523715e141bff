"""Versions, accounts and tokens through the API."""

from __future__ import annotations

import base64
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from quart import Response

from tests.api.conftest import COMPANY, NOW, PASSWORD, Browser, Stage

pytestmark = pytest.mark.anyio

ZIP, YAML = {"Content-Type": "application/zip"}, {"Content-Type": "application/yaml"}
FILES = {path.relative_to(COMPANY.parent).as_posix(): path.read_bytes() for path in COMPANY.parent.rglob("*.csv")} | {
    "company.yaml": COMPANY.read_bytes()
}


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return out.getvalue()


def changed(old: str, new: str) -> bytes:
    """The sample with a replacement, in a folder inside the zip."""
    text = FILES["company.yaml"].decode()
    assert old in text
    return zipped(
        {
            f"company/{path}": content
            for path, content in {**FILES, "company.yaml": text.replace(old, new).encode()}.items()
        }
    )


async def sent(browser: Browser, path: str, body: bytes, headers: dict[str, str] = ZIP, **options: Any) -> Response:
    """Posts a document."""
    return await browser.post(path, data=body, headers=headers, **options)


async def told(answer: Response, status: int) -> Any:
    """What was answered."""
    assert answer.status_code == status, await answer.get_data(as_text=True)
    return await answer.get_json()


async def test_a_document_is_imported_activated_compared_and_rolled_back(stage: Stage, admin: Browser) -> None:
    first = await told(await sent(admin, "/api/versions", zipped(FILES), query_string={"comment": "начало"}), 201)
    assert first["version"] == {
        "number": 1, "author": "root", "comment": "начало", "created_at": "2026-11-18T09:00:00.000Z", "ok": True, "active": False,
    }  # fmt: skip
    assert first["report"]["ok"] and first["report"]["schemes"]["office-hours"]["longest_seconds"] > 0
    assert (await told(await sent(admin, "/api/versions", zipped(FILES)), 200))["new"] is False
    assert (await told(await admin.post("/api/versions/1/activate", {"comment": "да"}), 200))["version"] == 1
    assert (await admin.json("/api/company"))["active_version"] == 1

    second = await told(await sent(admin, "/api/versions?base=1", changed("Анна Смирнова", "Анна Орлова")), 201)
    assert second["version"]["number"] == 2
    await told(await admin.post("/api/versions/2/activate", {}), 200)
    diff = await admin.json("/api/versions/1/diff/2")
    assert "+  anna:   {name: Анна Орлова" in diff["text"]
    assert diff["changes"] == [{"at": ["employees", "anna", "name"], "before": "Анна Смирнова", "after": "Анна Орлова"}]
    assert (await admin.json("/api/employees"))["items"][0]["name"] == "Анна Орлова"

    assert (await told(await admin.post("/api/activations/rollback", {"comment": "назад"}), 200))["version"] == 1
    nothing = await told(await admin.post("/api/activations/rollback", {}), 409)
    assert nothing["code"] == "no_rollback"
    history = (await admin.json("/api/activations"))["items"]
    assert [(each["version"], each["undoes"] is not None) for each in history] == [(1, True), (2, False), (1, False)]
    assert stage.changes == ["version"] * 3
    assert [(each["number"], each["active"]) for each in (await admin.json("/api/versions"))["items"]] == [
        (2, False),
        (1, True),
    ]


async def test_what_is_downloaded_is_what_was_imported(admin: Browser) -> None:
    await sent(admin, "/api/versions", zipped(FILES))
    answer = await admin.get("/api/versions/1/document")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="company-1.zip"'
    with zipfile.ZipFile(io.BytesIO(await answer.get_data(as_text=False))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    listed = (await admin.json("/api/versions/1/files"))["items"]
    assert {each["path"]: each["bytes"] for each in listed} == {path: len(content) for path, content in FILES.items()}
    for path in ("", "/report", "/files", "/document", "/diff/1"):
        await admin.json(f"/api/versions/7{path}", 404)


async def test_a_document_with_errors_is_kept_and_not_activated(admin: Browser) -> None:
    broken = changed("[anna, boris]", "[anna, nobody]")
    checked = await told(await sent(admin, "/api/versions/check", broken), 200)
    assert not checked["ok"]
    assert (await admin.json("/api/versions"))["items"] == []
    imported = await told(await sent(admin, "/api/versions", broken), 201)
    assert imported["report"] == checked == await admin.json("/api/versions/1/report")
    error = next(each for each in checked["findings"] if each["severity"] == "error")
    assert (error["file"], error["line"]) == ("company.yaml", 25)
    refused = await told(await admin.post("/api/versions/1/activate", {}), 422)
    assert refused["code"] == "company_invalid"
    assert refused["errors"][0]["path"] == "company.yaml:25" and refused["errors"][0]["code"] == error["code"]


async def test_a_document_made_from_an_older_version_is_refused(admin: Browser) -> None:
    await sent(admin, "/api/versions", zipped(FILES))
    await sent(admin, "/api/versions?base=1", changed("Анна Смирнова", "Анна Орлова"))
    late = await sent(admin, "/api/versions?base=1", changed("Анна Смирнова", "Анна Львова"))
    assert (late.status_code, late.headers["ETag"]) == (412, '"2"')
    assert len((await admin.json("/api/versions"))["items"]) == 2


async def test_cards_are_changed_by_making_and_activating_a_version(stage: Stage, admin: Browser) -> None:
    await sent(admin, "/api/versions", zipped(FILES))
    await admin.post("/api/versions/1/activate", {})
    cards = {
        "employees": {"anna": {"name": "Анна Орлова", "email": None}, "boris": {"rank": 5}},
        "departments": {"delivery": {"service_types": ["equipment", "repair"]}},
        "comment": "замужем", "activate": True,
    }  # fmt: skip
    made = await told(await admin.post("/api/versions/1/cards", cards), 201)
    assert (made["version"]["number"], made["version"]["active"], made["version"]["comment"]) == (2, True, "замужем")
    anna, boris = (await admin.json("/api/employees"))["items"][:2]
    assert (anna["name"], anna["email"], anna["mobile"], boris["rank"]) == ("Анна Орлова", None, "+79161230001", 5)
    diff = await admin.json("/api/versions/1/diff/2")
    assert len([line for line in diff["text"].splitlines() if line.startswith(("+ ", "- "))]) == 6
    assert len(stage.changes) == 2

    behind = await admin.post("/api/versions/1/cards", cards)
    assert (behind.status_code, behind.headers["ETag"]) == (412, '"2"')
    broken = await told(await admin.post("/api/versions/2/cards", {"employees": {"anna": None}, "activate": True}), 422)
    assert broken["code"] == "company_invalid" and broken["errors"][0]["path"].startswith("company.yaml:")
    assert len((await admin.json("/api/versions"))["items"]) == 2, "nothing was kept"
    assert (await told(await admin.post("/api/versions/2/cards", {}), 200))["new"] is False
    missing = await told(await admin.post("/api/versions/2/cards", {"employees": {"nobody": None}}), 422)
    assert missing["code"] == "refused"


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", ZIP, 422, "refused"),
        (b"PK\x03\x04 no zip", ZIP, 422, "refused"),
        (zipped({}), ZIP, 422, "refused"),
        (zipped({"../company.yaml": b"a: 1"}), ZIP, 422, "refused"),
        (zipped({"company.yaml": b"a: 1", "/etc/x": b""}), ZIP, 422, "refused"),
        (zipped({"company.yaml": b"a: 1", "a//b": b""}), ZIP, 422, "refused"),
        (zipped({"company.yaml": b"a: 1", "a": b"", "a/b": b""}), ZIP, 422, "refused"),
        (zipped({"notes.txt": b"x"}), ZIP, 422, "unreadable"),
        (b"- a list", YAML, 422, "unreadable"),
        (b"\xff\xfe", YAML, 422, "unreadable"),
        (b"{}", {"Content-Type": "application/json"}, 415, "unsupported_media_type"),
    ],
)
async def test_what_is_no_document_is_told(
    admin: Browser, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    for path in ("/api/versions", "/api/versions/check"):
        answer = await sent(admin, path, body, headers)
        problem = await told(answer, status)
        assert problem["code"] == code
        assert "/tmp" not in await answer.get_data(as_text=True)


async def test_a_document_reads_no_other_file_of_the_machine(admin: Browser, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("number\nthe secret\n")
    named = changed("lists/delivery.csv", str(secret))
    answer = await sent(admin, "/api/versions/check", named)
    report = await told(answer, 200)
    assert "outside_folder" in {each["code"] for each in report["findings"]}
    assert "the secret" not in await answer.get_data(as_text=True)


async def test_accounts_are_kept_by_an_administrator(stage: Stage, admin: Browser) -> None:
    form = {"login": "Anna", "name": "Анна", "role": "operator", "password": PASSWORD}
    made = await admin.post("/api/users", form)
    user = await told(made, 201)
    assert (user["login"], user["active"], "password" in user) == ("anna", True, False)
    path = made.headers["Location"]
    anna = await stage.signed_in("anna")
    await told(await admin.put(path, {"name": "Анна", "role": "manager"}, revision=1), 200)
    assert (await anna.json("/api/me"))["role"] == "manager"
    await told(await admin.put(path, {"name": "Анна", "role": "manager"}, revision=1), 412)
    assert (await admin.post(f"{path}/sign-out")).status_code == 204
    await anna.json("/api/me", 401)
    assert (await admin.put(f"{path}/password", {"password": "another horse"})).status_code == 204
    await told(await admin.put(path, {"name": "Анна", "role": "manager", "active": False}, revision=2), 200)
    closed = await Browser(stage.app.test_client()).post("/api/sign-in", {"login": "anna", "password": "another horse"})
    assert closed.status_code == 401
    for wrong, code in (({"login": "ANNA"}, "account_taken"), ({"login": "b", "employee": "nobody"}, "refused")):
        assert (await told(await admin.post("/api/users", {**form, **wrong}), 422))["code"] == code
    deeds = (await admin.json("/api/audit", query_string={"subject": "user", "subject_id": str(user["id"])}))["items"]
    assert [each["action"] for each in deeds] == [
        "user.change", "user.password", "user.sign_out", "user.change", "user.sign_in", "user.create",
    ]  # fmt: skip
    assert "horse" not in str(deeds)


async def test_a_cursor_beyond_any_version_is_told(admin: Browser) -> None:
    for key in ("9999999999", "-1", "1.5"):
        after = base64.urlsafe_b64encode(f"[{key}]".encode()).decode().rstrip("=")
        await admin.json("/api/versions", 422, query_string={"after": after})


async def test_the_last_administrator_stays_one(stage: Stage, admin: Browser) -> None:
    me = await admin.json("/api/me")
    path = f"/api/users/{me['id']}"
    for change in ({"role": "operator"}, {"role": "administrator", "active": False}):
        refused = await admin.put(path, {"name": "Root", **change}, revision=1)
        assert (await told(refused, 422))["code"] == "last_administrator"
    await stage.user("other", "administrator")
    await told(await admin.put(path, {"name": "Root", "role": "operator"}, revision=1), 200)
    await admin.json("/api/users", 403)


async def test_the_own_name_is_changed(admin: Browser) -> None:
    answer = await admin.put("/api/me", {"name": "Вера"}, revision=1)
    assert ((await told(answer, 200))["name"], answer.headers["ETag"]) == ("Вера", '"2"')
    assert (await admin.json("/api/me"))["role"] == "administrator"


async def test_a_token_is_told_once_used_and_revoked(stage: Stage, admin: Browser) -> None:
    form = {"name": "1C", "scopes": ["clients:read"], "expires_at": "2026-11-19T09:00:00Z"}
    made = await told(await admin.post("/api/tokens", form), 201)
    headers = {"Authorization": f"Bearer {made['secret']}"}
    machine = Browser(stage.app.test_client())
    await machine.json("/api/clients?q=anna", headers=headers)
    (listed,) = (await admin.json("/api/tokens"))["items"]
    assert "secret" not in listed and listed["used_at"] == "2026-11-18T09:00:00.000Z"
    assert (listed["created_by"], listed["scopes"]) == ("root", ["clients:read"])
    stage.clock.now = NOW + timedelta(hours=11)
    await machine.json("/api/clients?q=anna", headers=headers)
    assert (await admin.ask("DELETE", f"/api/tokens/{made['id']}")).status_code == 204
    await machine.json("/api/clients?q=anna", 401, headers=headers)
    for wrong in (
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["users:write"]},
        {"name": "", "scopes": ["clients:read"]},
    ):
        assert (await admin.post("/api/tokens", wrong)).status_code == 422
