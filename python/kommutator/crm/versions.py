"""Versions of the company document: numbered, never changed, and which of them is active.

A version is the files of the document, byte for byte, and the engine document made of them. Export gives the same
files back.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from kommutator.company import CheckReport, check_loaded
from kommutator.company.numbering_plan import PLAN_FILE
from kommutator.company.reader import LoadedCompany, load
from kommutator.company.source import read as read_source
from kommutator.crm import audit, people
from kommutator.crm.pool import Row, Tx
from kommutator.engine import Engine
from kommutator.errors import BadDocument, CompanyInvalid, CompanyUnreadable, NoRollback, NotFound, Refused

MAX_BYTES = 256 * 1024 * 1024
"""Of all files of one version."""
_PATH = re.compile(r"[^\x00-\x1f\x7f\\\\/][^\x00-\x1f\x7f\\\\]{0,254}")


@dataclass(frozen=True, slots=True)
class Draft:
    """A document read from disk, ready to become a version."""

    files: dict[str, bytes]
    """By path relative to the document's folder, with `/`."""
    engine_document: bytes
    report: CheckReport
    """Its check at the time of reading."""
    engine_version: str | None = None
    """The engine's own identity of the document, which the states of calls carry; None when the engine refuses it."""

    @property
    def digest(self) -> bytes:
        """SHA-256 over paths and contents: equal documents have equal digests."""
        total = hashlib.sha256()
        for path in sorted(self.files):
            total.update(hashlib.sha256(path.encode()).digest() + hashlib.sha256(self.files[path]).digest())
        return total.digest()


@dataclass(frozen=True, slots=True)
class Version:
    """What is told of a version."""

    number: int
    author: str
    comment: str
    created_at: datetime
    ok: bool
    """Whether its check found no error when it was imported."""
    active: bool


@dataclass(frozen=True, slots=True)
class Activation:
    """A moment at which another version became the active one."""

    id: int
    version: int
    undoes: int | None
    """The activation that this rollback took back."""
    author: str
    comment: str
    at: datetime


def read_draft(path: Path, from_ms: int) -> Draft:
    """Reads and checks the document at `path` (a YAML file, or a folder of them) with every file that it names.

    `from_ms`: from when the check looks at the coming twelve months. Blocks for milliseconds to seconds: call it in
    a thread.
    Raises `CompanyUnreadable`; `Refused` when its files are larger than 256 MiB.
    """
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise Refused(f"{path}: the file must be called *.yaml")
    company = load(path)
    return Draft(
        _files_of(path, company),
        company.engine_json,
        check_loaded(company, from_ms),
        engine_version(company.engine_json),
    )


def engine_version(document: bytes) -> str | None:
    """The engine's own identity of an engine document; None for one that has errors. Compiles it: milliseconds to seconds."""
    try:
        return identity(Engine(document).version)
    except (CompanyInvalid, BadDocument):
        return None


def identity(version: int) -> str:
    """An engine's identity of a version as it is written down: sixteen hexadecimal digits."""
    return f"{version:016x}"


def draft_of(given: dict[str, bytes], from_ms: int) -> Draft:
    """A document of these files, as `read_draft` gives one; its findings name files relative to its folder. Blocks.

    Raises `CompanyUnreadable`; `Refused` for a path that leads out of the folder, or cannot be one.
    """
    for path in given:
        if not _PATH.fullmatch(path) or {".", "..", ""} & set(path.split("/")):
            raise Refused(f"`{path}` is no path of a file in the document's folder")
    with tempfile.TemporaryDirectory(prefix="kommutator-") as name:
        folder = Path(name)
        try:
            write_files(given, folder)
            draft = read_draft(folder, from_ms)
        except CompanyUnreadable as error:
            raise CompanyUnreadable(error.message, _relative(error.file, folder), error.line) from None
        except OSError as error:
            raise Refused(f"these files cannot be a folder: {error.strerror}") from None
    _localise(draft.report, folder)
    return draft


def _localise(report: CheckReport, folder: Path) -> None:
    """Findings name files relative to the document's folder: where that was unpacked is nobody's business."""
    for finding in report.findings:
        finding["file"] = _relative(finding.get("file"), folder)
        finding["message"] = finding["message"].replace(str(folder), "the document's folder")


def _relative(file: str | None, folder: Path) -> str | None:
    if file is None:
        return None
    return "" if Path(file) == folder else str(Path(file).relative_to(folder))


async def add(tx: Tx, draft: Draft, comment: str, now: datetime) -> tuple[int, bool]:
    """Keeps a document as the next version; its number, and whether it is new: the same document as the newest
    version is that version.

    A document with errors is kept too, and cannot be activated. A few statements and one insertion a file.
    """
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext('versions'))")
    last = await tx.one(
        "select number, digest from company_versions where company_id = $1 order by number desc limit 1"
    )
    if last is not None and last["digest"] == draft.digest:
        return last["number"], False
    number = (last["number"] if last is not None else 0) + 1
    await tx.run(
        """insert into company_versions (company_id, number, author, comment, created_at, digest, engine_document,
        report, engine_version)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        number, tx.actor, comment, now, draft.digest, draft.engine_document, draft.report.to_dict(), draft.engine_version,
    )  # fmt: skip
    hashes = {path: hashlib.sha256(content).digest() for path, content in draft.files.items()}
    for path, content in draft.files.items():
        await tx.run(
            "insert into blobs (company_id, sha256, content) values ($1, $2, $3) on conflict do nothing",
            hashes[path],
            content,
        )
    await tx.run(
        "insert into version_files (company_id, version, path, sha256) "
        "select $1, $2, * from unnest($3::text[], $4::bytea[])",
        number, list(hashes), list(hashes.values()),
    )  # fmt: skip
    await audit.record(tx, "version.add", "version", number, {"comment": comment, "ok": draft.report.ok})
    return number, True


async def listed(tx: Tx, *, before: int | None = None, limit: int = 50) -> list[Version]:
    """The newest versions first; `before` is the number that the next page begins after. One index range."""
    rows = await tx.fetch(
        f"{_VERSION} and ($2::integer is null or v.number < $2) order by v.number desc limit $3", before, limit
    )
    return [Version(**dict(row)) for row in rows]


async def get(tx: Tx, number: int) -> Version:
    """One version. Raises `NotFound`."""
    return Version(**dict(_there(await tx.one(f"{_VERSION} and v.number = $2", number), number)))


async def report(tx: Tx, number: int) -> dict[str, Any]:
    """The check of a version when it was imported, in the form of `kommutator check --json`. Raises `NotFound`."""
    row = await tx.one("select report from company_versions where company_id = $1 and number = $2", number)
    found: dict[str, Any] = _there(row, number)["report"]
    return found


async def engine_document(tx: Tx, number: int) -> bytes:
    """What routers load. Raises `NotFound`."""
    row = await tx.one("select engine_document from company_versions where company_id = $1 and number = $2", number)
    found: bytes = _there(row, number)["engine_document"]
    return found


async def files(tx: Tx, number: int) -> dict[str, bytes]:
    """The files of a version by path, as they were imported. Reads all of them. Raises `NotFound`."""
    rows = await tx.fetch(
        """select f.path, b.content from version_files f join blobs b on b.company_id = f.company_id and b.sha256 =
        f.sha256
           where f.company_id = $1 and f.version = $2 order by f.path""",
        number,
    )
    if not rows:
        raise NotFound("version", number)
    return {row["path"]: row["content"] for row in rows}


async def sizes(tx: Tx, number: int) -> dict[str, int]:
    """The bytes of each file of a version by path. Raises `NotFound`."""
    rows = await tx.fetch(
        """select f.path, octet_length(b.content) as bytes from version_files f
           join blobs b on b.company_id = f.company_id and b.sha256 = f.sha256
           where f.company_id = $1 and f.version = $2 order by f.path""",
        number,
    )
    if not rows:
        raise NotFound("version", number)
    return {row["path"]: row["bytes"] for row in rows}


async def active(tx: Tx) -> int | None:
    """The number of the active version; None before the first activation. One row by key."""
    number: int | None = await tx.value("select active_version from companies where id = $1")
    return number


async def activations(tx: Tx, *, limit: int = 50) -> list[Activation]:
    """The newest activations first."""
    rows = await tx.fetch(
        "select id, version, undoes, author, comment, at from activations where company_id = $1 "
        "order by id desc limit $2",
        limit,
    )
    return [Activation(**dict(row)) for row in rows]


async def activate(tx: Tx, number: int, comment: str, now: datetime) -> Activation:
    """Makes a version the active one, after a check of its own files as of `now`, and projects its people.

    The check takes up to seconds, in a thread. Raises `NotFound`; `CompanyInvalid` with the findings when the check
    finds an error;
    `Refused` when the version is active already.
    """
    await _alone(tx)
    if await active(tx) == number:
        raise Refused(f"version {number} is active already")
    return await _activate(tx, number, None, comment, now)


async def rollback(tx: Tx, comment: str, now: datetime) -> Activation:
    """Goes back to the version that was active before the present one; another rollback goes back further.

    The way back is that of the activations which were not undone. Raises `NoRollback`, and `CompanyInvalid` as
    `activate` does.
    """
    await _alone(tx)
    way = await tx.fetch(
        """select a.id, a.version from activations a where a.company_id = $1 and a.undoes is null and not exists
               (select 1 from activations u where u.company_id = a.company_id and u.undoes = a.id)
           order by a.id desc limit 2"""
    )
    if len(way) < 2:
        raise NoRollback("there is no earlier activation to go back to")
    return await _activate(tx, way[1]["version"], way[0]["id"], comment, now)


async def _alone(tx: Tx) -> None:
    """One activation of a company at a time."""
    await tx.value("select id from companies where id = $1 for update")


async def _activate(tx: Tx, number: int, undoes: int | None, comment: str, now: datetime) -> Activation:
    kept = await files(tx, number)
    checked = await asyncio.to_thread(_check, kept, round(now.timestamp() * 1000))
    errors = [finding for finding in checked.findings if finding["severity"] == "error"]
    if errors:
        raise CompanyInvalid(errors)
    await people.project(tx, orjson.loads(await engine_document(tx, number)))
    row = await tx.one(
        """insert into activations (company_id, version, undoes, author, comment, at) values ($1, $2, $3, $4, $5, $6)
           returning id, version, undoes, author, comment, at""",
        number, undoes, tx.actor, comment, now,
    )  # fmt: skip
    await tx.run("update companies set active_version = $2 where id = $1", number)
    await audit.record(
        tx, "version.rollback" if undoes else "version.activate", "version", number, {"comment": comment}
    )
    await tx.tell("version", number=number)
    return Activation(**dict(_there(row, number)))


def write_files(kept: dict[str, bytes], folder: Path) -> None:
    """Writes the files of a version into a folder."""
    for path, content in kept.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


@contextmanager
def unpacked(kept: dict[str, bytes]) -> Iterator[LoadedCompany]:
    """A version as it is read from disk, with its prompts in files that are there as long as the context lasts. Blocks."""
    with _in_folder(kept) as folder:
        yield load(folder)


@contextmanager
def _in_folder(kept: dict[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="kommutator-") as name:
        write_files(kept, Path(name))
        yield Path(name)


def _check(kept: dict[str, bytes], from_ms: int) -> CheckReport:
    with _in_folder(kept) as folder:
        found = check_loaded(load(folder), from_ms)
    _localise(found, folder)
    return found


def _files_of(path: Path, company: LoadedCompany) -> dict[str, bytes]:
    """The YAML files and everything that they name and that is there."""
    source = read_source(path)
    folder = source.folder
    names = {
        str(file.relative_to(folder)) for file in {place.file for place in source.places.values()} | {source.root.file}
    }
    for section in ("prompts", "lists"):
        items = source.data.get(section)
        for item in items.values() if isinstance(items, dict) else ():
            named = item.get("file") if isinstance(item, dict) else None
            if isinstance(named, str):
                names.add(named)
    if any("ranges" in region for region in company.document["regions"].values()):
        names.add(PLAN_FILE)
    kept: dict[str, bytes] = {}
    room = MAX_BYTES
    for name in sorted(names):
        file = folder / name
        if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
            continue  # the check has said so
        kept[file.resolve().relative_to(folder.resolve()).as_posix() if ".." in name else Path(name).as_posix()] = (
            file.read_bytes()
        )
        room -= file.stat().st_size
        if room < 0:
            raise Refused(f"{path}: the files of the document are larger than {MAX_BYTES:,} bytes")
    return kept


def _there(row: Row | None, number: int) -> Row:
    if row is None:
        raise NotFound("version", number)
    return row


_VERSION = """
select v.number, v.author, v.comment, v.created_at, (v.report ->> 'ok')::boolean as ok,
       v.number is not distinct from c.active_version as active
from company_versions v join companies c on c.id = v.company_id where v.company_id = $1"""
