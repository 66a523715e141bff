"""Versions of the company document: import, check, compare, activate, go back."""

from __future__ import annotations

import asyncio
from typing import Any

from quart import Response, request

from kommutator.company.editing import edited
from kommutator.crm import diff, versions
from kommutator.desk.forms import MAX_NUMBER
from kommutator.desk.operations import Asked, Feature, Reply
from kommutator.desk.paging import Page, PageQuery, cut, number_after
from kommutator.desk.versions.bundle import YAML, ZIP, packed, unpacked
from kommutator.desk.versions.forms import (
    Activation,
    Activations,
    CardsForm,
    Comment,
    DiffChange,
    Finding,
    Imported,
    ImportQuery,
    Report,
    Version,
    VersionDiff,
    VersionFile,
    VersionFiles,
)
from kommutator.errors import Conflict

feature = Feature("versions", "Versions of the company document: kept for ever, one active, one step back at any time")
TAKES = (ZIP, YAML)
MAX_DOCUMENT = 64 * 1024 * 1024


@feature.get("/api/versions", query=PageQuery, returns=Page[Version])
async def list_versions(asked: Asked, query: PageQuery) -> Page[Version]:
    """Versions, the newest first."""
    async with asked.transaction() as tx:
        rows = await versions.listed(tx, before=number_after(query, MAX_NUMBER), limit=query.limit + 1)
    page, after = cut(rows, query.limit, lambda each: [each.number])
    return Page[Version](items=[Version.model_validate(each) for each in page], next=after)


@feature.post(
    "/api/versions",
    query=ImportQuery,
    takes=TAKES,
    limit=MAX_DOCUMENT,
    returns=Imported,
    statuses=(201, 200),
    also=(412,),
)
async def import_version(asked: Asked, query: ImportQuery) -> Reply:
    """Keeps a document as the next version: a zip of its folder, or one YAML file, at most 64 MiB.

    One with errors in its check is kept too, and cannot be activated. A document equal to the newest version is that
    version (200).
    """
    draft = await _draft(asked)
    async with asked.transaction() as tx:
        number, new = await versions.add(tx, draft, query.comment, asked.now)
        if new and query.base is not None and number != query.base + 1:
            raise Conflict("company", "document", number - 1)
        kept = Version.model_validate(await versions.get(tx, number))
        report = await versions.report(tx, number)
    imported = Imported(version=kept, new=new, report=_report(report))
    return Reply(imported, 201 if new else 200, {"Location": f"/api/versions/{number}"})


@feature.post("/api/versions/check", takes=TAKES, limit=MAX_DOCUMENT, returns=Report)
async def check_document(asked: Asked) -> Report:
    """Checks a document, and keeps nothing of it."""
    return _report((await _draft(asked)).report.to_dict())


@feature.get("/api/versions/<number:number>", returns=Version)
async def get_version(asked: Asked, number: int) -> Version:
    """One version."""
    async with asked.transaction() as tx:
        return Version.model_validate(await versions.get(tx, number))


@feature.get("/api/versions/<number:number>/report", returns=Report)
async def get_report(asked: Asked, number: int) -> Report:
    """The check of a version when it was imported."""
    async with asked.transaction() as tx:
        return _report(await versions.report(tx, number))


@feature.get("/api/versions/<number:number>/files", returns=VersionFiles)
async def list_version_files(asked: Asked, number: int) -> VersionFiles:
    """The files of a version by path."""
    async with asked.transaction() as tx:
        files = await versions.sizes(tx, number)
    return VersionFiles(items=[VersionFile(path=path, bytes=size) for path, size in files.items()])


@feature.get("/api/versions/<number:number>/document", media=ZIP)
async def get_document(asked: Asked, number: int) -> Response:
    """The files of a version, as they were imported, in a zip."""
    async with asked.transaction() as tx:
        files = await versions.files(tx, number)
    body = await asyncio.to_thread(packed, files)
    name = f'attachment; filename="company-{number}.zip"'
    response = Response(body, 200, {"Content-Disposition": name}, content_type=ZIP)
    response.timeout = None  # it takes as long as the line needs
    return response


@feature.get("/api/versions/<number:old>/diff/<number:new>", returns=VersionDiff)
async def diff_versions(asked: Asked, old: int, new: int) -> VersionDiff:
    """What is different from one version to another."""
    async with asked.transaction() as tx:
        found = await diff.diff(tx, old, new)
    changes = [DiffChange(at=list(each.at), before=each.before, after=each.after) for each in found.changes]
    return VersionDiff(text=found.text, changes=changes)


@feature.post("/api/versions/<number:number>/activate", body=Comment, returns=Activation)
async def activate_version(asked: Asked, number: int, body: Comment) -> Activation:
    """Makes a version the active one, after another check as of now; calls that go on finish on theirs."""
    async with asked.transaction() as tx:
        done = await versions.activate(tx, number, body.comment, asked.now)
    await asked.services.versions_changed()
    return Activation.model_validate(done)


@feature.post("/api/versions/<number:number>/cards", body=CardsForm, returns=Imported, statuses=(201, 200), also=(412,))
async def change_cards(asked: Asked, number: int, body: CardsForm) -> Reply:
    """Makes another version from this one with cards of employees, departments and service types changed.

    In the YAML every other byte stays as it was. With `activate`, all or nothing is done: 422 has the check's errors.
    """
    async with asked.transaction() as tx:
        files = await versions.files(tx, number)
    changed = await asyncio.to_thread(edited, files, body.changes())
    draft = await asyncio.to_thread(versions.draft_of, changed, round(asked.now.timestamp() * 1000))
    async with asked.transaction() as tx:
        made, new = await versions.add(tx, draft, body.comment, asked.now)
        if body.activate and made != number:
            active = await versions.active(tx)
            if active != number:
                raise Conflict("the active", "version", active or 0)
            await versions.activate(tx, made, body.comment, asked.now)
        imported = Imported(
            version=Version.model_validate(await versions.get(tx, made)),
            new=new,
            report=_report(await versions.report(tx, made)),
        )
    if imported.version.active:
        await asked.services.versions_changed()
    return Reply(imported, 201 if new else 200, {"Location": f"/api/versions/{made}"})


@feature.get("/api/activations", returns=Activations)
async def list_activations(asked: Asked) -> Activations:
    """The last fifty activations, the newest first."""
    async with asked.transaction() as tx:
        return Activations(items=[Activation.model_validate(each) for each in await versions.activations(tx)])


@feature.post("/api/activations/rollback", body=Comment, returns=Activation, also=(409,))
async def roll_back(asked: Asked, body: Comment) -> Activation:
    """Goes back to the version that was active before; once more goes back further."""
    async with asked.transaction() as tx:
        done = await versions.rollback(tx, body.comment, asked.now)
    await asked.services.versions_changed()
    return Activation.model_validate(done)


async def _draft(asked: Asked) -> versions.Draft:
    body = await request.get_data(True, False, False)
    files = await asyncio.to_thread(unpacked, request.mimetype, body)
    return await asyncio.to_thread(versions.draft_of, files, round(asked.now.timestamp() * 1000))


def _report(told: dict[str, Any]) -> Report:
    return Report(ok=told["ok"], findings=[Finding(**each) for each in told["findings"]], schemes=told["schemes"])
