"""Versions: what is imported comes back, what has errors is not activated, what was active comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from kommutator.company import load
from kommutator.crm import audit, people, versions
from kommutator.crm.diff import diff
from kommutator.crm.pool import Database
from kommutator.crm.versions import Draft, read_draft
from kommutator.errors import CompanyInvalid, NoRollback, NotFound, Refused

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)
SCENARIOS = Path(__file__).parent.parent / "scenarios"


def draft_of(folder: Path, **changes: tuple[str, str]) -> Draft:
    """The document in `folder` with a replacement made in each file named."""
    for name, (old, new) in changes.items():
        file = folder / f"{name}.yaml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
    return read_draft(folder, NOW_MS)


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A company in a folder of its own, to be changed: the eighth scheme, with ranks and departments."""
    source = SCENARIOS / "8-expanding"
    for file in source.rglob("*"):
        if file.is_file() and file.name not in ("scenarios.yaml", "company.json"):
            target = tmp_path / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path


async def add(db: Database, draft: Draft, comment: str = "") -> int:
    async with db.transaction("admin") as tx:
        number, _ = await versions.add(tx, draft, comment, NOW)
    return number


@pytest.mark.parametrize("name", sorted(path.name for path in SCENARIOS.iterdir() if (path / "company.yaml").exists()))
async def test_export_of_an_import_is_the_same_document(db: Database, tmp_path: Path, name: str) -> None:
    path = SCENARIOS / name / "company.yaml"
    number = await add(db, read_draft(path, NOW_MS))
    async with db.transaction() as tx:
        files = await versions.files(tx, number)
        engine_document = await versions.engine_document(tx, number)
    versions.write_files(files, tmp_path)
    assert (tmp_path / "company.yaml").read_bytes() == path.read_bytes()
    again = load(tmp_path / "company.yaml")
    assert again.findings == []
    assert again.engine_json == load(path).engine_json == engine_document


async def test_the_same_document_twice_is_one_version(db: Database, company: Path) -> None:
    draft = draft_of(company)
    async with db.transaction("admin") as tx:
        assert await versions.add(tx, draft, "", NOW) == (1, True)
        assert await versions.add(tx, draft, "", NOW) == (1, False)


async def test_activation_projects_people_and_marks_who_left(db: Database, company: Path) -> None:
    first = await add(db, draft_of(company))
    async with db.transaction("admin") as tx:
        await versions.activate(tx, first, "first", NOW)
        names = {employee.id for employee in await people.employees(tx)}
        assert names == set(load(company).document["employees"])
        assert [version.number for version in await versions.listed(tx) if version.active] == [first]
        assert (await audit.read(tx, subject="version"))[0].action == "version.activate"


async def test_a_version_with_errors_is_kept_and_not_activated(db: Database, company: Path) -> None:
    text = (company / "company.yaml").read_text()
    (company / "company.yaml").write_text(text + "\nnonsense: {}\n")
    draft = read_draft(company, NOW_MS)
    number = await add(db, draft)
    with pytest.raises(CompanyInvalid) as caught:
        async with db.transaction("admin") as tx:
            await versions.activate(tx, number, "", NOW)
    assert caught.value.findings[0]["code"] == "unknown_key"
    assert caught.value.findings[0]["file"] == "company.yaml"
    async with db.transaction() as tx:
        assert await versions.active(tx) is None
        assert not (await versions.get(tx, number)).ok


async def test_rollback_goes_back_step_by_step(db: Database, company: Path) -> None:
    numbers = [await add(db, draft_of(company))]
    for index in (2, 3):
        with (company / "company.yaml").open("a") as file:
            file.write(f"# {index}\n")
        numbers.append(await add(db, draft_of(company)))
    async with db.transaction("admin") as tx:
        for number in numbers:
            await versions.activate(tx, number, "", NOW)
        assert (await versions.rollback(tx, "", NOW)).version == 2
        assert (await versions.rollback(tx, "", NOW)).version == 1
        with pytest.raises(NoRollback):
            await versions.rollback(tx, "", NOW)
        await versions.activate(tx, 3, "", NOW)
        assert (await versions.rollback(tx, "", NOW)).version == 1
        with pytest.raises(Refused):
            await versions.activate(tx, 1, "", NOW)
        with pytest.raises(NotFound):
            await versions.activate(tx, 9, "", NOW)
        assert len(await versions.activations(tx)) == 7


async def test_a_version_cannot_be_changed(db: Database, company: Path) -> None:
    await add(db, draft_of(company))
    for statement in (
        "update company_versions set comment = 'x'",
        "delete from version_files",
        "update blobs set content = ''",
    ):
        with pytest.raises(asyncpg.RestrictViolationError):
            async with db.transaction() as tx:
                await tx.connection.execute(statement)


async def test_diff_shows_lines_and_values(db: Database, company: Path) -> None:
    first = await add(db, draft_of(company))
    name = next(iter(load(company).document["employees"].values()))["name"]
    second = await add(db, draft_of(company, company=(name, "Пётр Новый")))
    async with db.transaction() as tx:
        found = await diff(tx, first, second)
    assert "+" in found.text and "Пётр Новый" in found.text and "(version 2)" in found.text
    assert [(change.before, change.after) for change in found.changes] == [(name, "Пётр Новый")]


async def test_a_versions_prompts_can_be_read(db: Database, company: Path) -> None:
    number = await add(db, draft_of(company))
    async with db.transaction() as tx:
        files = await versions.files(tx, number)
    with versions.unpacked(files) as loaded:
        sounds = {name: source.file.read_bytes() for name, source in loaded.prompts.items() if source.file is not None}
    assert sounds
    assert set(sounds.values()) <= set(files.values())
