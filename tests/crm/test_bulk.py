"""Files of clients: who is meant by a row, what is written, and that a file taken again changes nothing."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kommutator.cli import main
from kommutator.crm import bulk, client_search, clients, lookups, people
from kommutator.crm.client_csv import BadRow, ClientRow
from kommutator.crm.clients import Client, Draft
from kommutator.crm.pool import Database, DatabaseSettings, Tx
from kommutator.errors import ClientsInvalid
from tests.crm.companies import COMPANY

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
A, B, C = "+79161230001", "+79161230002", "+79161230003"


@pytest.fixture
async def db(db: Database) -> Database:
    """A database with a company's people."""
    async with db.transaction() as tx:
        await people.project(tx, COMPANY)
    return db


def row(line: int, name: str, *numbers: str, email: str = "", **more: str) -> ClientRow:
    return replace(ClientRow(line, name, numbers=numbers, email=email), **more)  # type: ignore[arg-type]


async def everybody(tx: Tx) -> list[Client]:
    return [client async for batch in bulk.every(tx) for client in batch]


async def told(db: Database, *rows: ClientRow | BadRow, skip_bad: bool = False) -> tuple[int, int, int]:
    async with db.transaction("import") as tx:
        taken = await bulk.take(tx, rows, NOW, skip_bad=skip_bad)
        return taken.new, taken.changed, taken.same


@pytest.mark.anyio
async def test_new_clients_are_found_in_every_way(db: Database) -> None:
    rows = [row(n + 2, f"Клиент {n}", f"+7916{n:07}", f"+7495{n:07}", owner="anna", notes="x") for n in range(25_000)]
    assert await told(db, *rows) == (25_000, 0, 0)
    async with db.transaction() as tx:
        (found,) = await client_search.search(tx, "8 495 000-69-99")
        assert found.draft == Draft(
            "person", "Клиент 6999", "", ("+79160006999", "+74950006999"), "", "x", "anna", None
        )
        assert await lookups.owner(tx, "+79160000000") == "anna"
        assert [client.id for client in await client_search.search(tx, "клиент 6999")] == [found.id]
        assert len(await lookups.take_changes(tx, 60_000)) == 50_000
        assert (await clients.create(tx, Draft(name="После"), NOW)).id > found.id
    assert await told(db, *rows) == (0, 0, 25_000)


@pytest.mark.anyio
async def test_what_the_file_tells_is_written_and_what_it_leaves_empty_stays(db: Database) -> None:
    async with db.transaction() as tx:
        made = await clients.create(tx, Draft("company", "Ёлка ООО", "", (A,), "a@b.test", "было", "boris"), NOW)
    assert await told(db, row(2, "ооо «елка»", B, A, owner="anna", organisation="Лес")) == (0, 1, 0)
    async with db.transaction() as tx:
        after = await clients.get(tx, made.id)
        assert after.draft == Draft("company", "ооо «елка»", "Лес", (A, B), "a@b.test", "было", "anna")
        assert after.revision == 2
        assert [client.id for client in await client_search.search(tx, "лес")] == [made.id]


@pytest.mark.anyio
async def test_another_name_at_a_known_number_is_another_client(db: Database) -> None:
    assert await told(db, row(2, "Пётр", A), row(3, "Павел", A)) == (2, 0, 0)
    assert await told(db, row(2, "Павел", A, B), row(3, "Пётр", A)) == (0, 1, 1)
    async with db.transaction() as tx:
        assert {(c.name, c.numbers) for c in await everybody(tx)} == {("Пётр", (A,)), ("Павел", (A, B))}


@pytest.mark.anyio
async def test_who_has_no_name_is_meant_by_his_number(db: Database) -> None:
    async with db.transaction() as tx:
        nameless = await clients.create(tx, Draft(numbers=(A,)), NOW)
        named = await clients.create(tx, Draft(name="Пётр", numbers=(B,)), NOW)
    assert await told(db, row(2, "Анна", A), row(3, "", B, email="p@x.test"), row(4, "Вера", A)) == (1, 2, 0)
    async with db.transaction() as tx:
        assert (await clients.get(tx, nameless.id)).name == "Анна"
        assert (await clients.get(tx, named.id)).email == "p@x.test"


@pytest.mark.anyio
async def test_a_client_merged_at_the_desk_stays_merged(db: Database) -> None:
    rows = [row(2, "Пётр", A), row(3, "Пётр", B)]
    assert await told(db, *rows) == (2, 0, 0)
    async with db.transaction() as tx:
        kept, merged = await everybody(tx)
        await clients.merge(tx, kept.id, merged.id, NOW)
    assert await told(db, *rows) == (0, 0, 1)


@pytest.mark.anyio
async def test_bad_rows_take_nothing_unless_they_are_skipped(db: Database) -> None:
    bad = BadRow(3, ("line 3, column owner: there is no employee `x`",))
    with pytest.raises(ClientsInvalid) as caught:
        await told(db, row(2, "Пётр", A), bad)
    assert caught.value.problems == list(bad.problems)
    async with db.transaction() as tx:
        assert await everybody(tx) == []
    assert await told(db, row(2, "Пётр", A), bad, skip_bad=True) == (1, 0, 0)


@pytest.mark.anyio
async def test_nobody_gets_more_numbers_than_a_client_may_have(db: Database) -> None:
    many = [row(n, "Пётр", A, *(f"+7916{n:03}{i:04}" for i in range(30))) for n in (2, 3)]
    with pytest.raises(ClientsInvalid, match="61 numbers"):
        await told(db, *many)
    assert await told(db, *many, row(4, "Анна", B), skip_bad=True) == (1, 0, 0)


@pytest.mark.anyio
async def test_routers_are_told_of_every_number_whose_owner_may_have_changed(db: Database) -> None:
    heard: list[object] = []
    connected = asyncio.Event()
    listening = asyncio.create_task(db.listen(heard.append, connected.set))
    try:
        await asyncio.wait_for(connected.wait(), 10)
        for _ in range(2):
            await told(db, row(2, "Пётр", A, owner="anna"), row(3, "Анна", B))
        async with db.transaction() as tx:
            await tx.tell("last")
        async with asyncio.timeout(10):
            while {"topic": "last"} not in heard:
                await asyncio.sleep(0.01)
        assert heard == [{"topic": "number_changes"}, {"topic": "last"}], "once: the second time nothing changed"
        async with db.transaction() as tx:
            assert await lookups.take_changes(tx) == [A]
        await told(db, row(2, "Пётр", A, C))
        async with db.transaction() as tx:
            assert set(await lookups.take_changes(tx)) == {A, C}
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


# --- any file


texts = st.sampled_from(["", "", "x", "y"])
names = st.sampled_from(["", "Пётр", "пётр", "Анна", "ООО Ель"])
phones = st.lists(st.sampled_from([A, B, C]), max_size=3, unique=True).map(tuple)
mails = st.sampled_from(["", "", "a@b.test", "A@b.test", "c@d.test"])
owners = st.sampled_from([None, "anna", "boris"])
rows_of_a_file = st.lists(
    st.builds(
        ClientRow,
        line=st.just(2),
        name=names,
        kind=st.sampled_from([None, "person", "company"]),
        organisation=texts,
        numbers=phones,
        email=mails,
        owner=owners,
        notes=texts,
    ).filter(lambda r: bool(r.name or r.numbers or r.email)),
    max_size=8,
)


@dataclass(frozen=True)
class Before:
    """What is here before a file is taken."""

    clients: Sequence[Draft]
    merges: Sequence[tuple[int, int]]


before = st.builds(
    Before,
    st.lists(st.builds(Draft, name=names, numbers=phones, email=mails, owner=owners, notes=texts), max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=2),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before, rows_of_a_file, rows_of_a_file)
@example(
    Before([Draft(name="Пётр", numbers=(A,))], []),
    [],
    [ClientRow(2, "Пётр", email="a@b.test"), ClientRow(3, numbers=(A,), email="a@b.test")],
)
@example(
    Before([Draft(numbers=(A, B))], []),
    [],
    [ClientRow(2, "Пётр", numbers=(A,)), ClientRow(3, "Пётр", numbers=(B,), notes="x")],
)
def test_a_file_taken_again_changes_nothing(
    dsn_of_company: str, here: Before, first: list[ClientRow], second: list[ClientRow]
) -> None:
    async def play() -> None:
        async with Database.opened(DatabaseSettings(dsn_of_company, connections=1)) as db:
            async with db.transaction() as tx:
                await tx.connection.execute("truncate clients, client_words cascade")
                await _here(tx, here)
            for rows in (first, second):
                await _again_the_same(db, [replace(row, line=n) for n, row in enumerate(rows, 2)])

    asyncio.run(play())


async def _here(tx: Tx, here: Before) -> None:
    made = [await clients.create(tx, draft, NOW) for draft in here.clients]
    for kept, merged in here.merges:
        if max(kept, merged) < len(made) and kept != merged:
            pair = [await clients.get(tx, made[place].id) for place in (kept, merged)]
            if all(client.merged_into is None for client in pair):
                await clients.merge(tx, pair[0].id, pair[1].id, NOW)


async def _again_the_same(db: Database, rows: list[ClientRow]) -> None:
    async with db.transaction() as tx:
        start = {client.id: client for client in await everybody(tx)}
        taken = await bulk.take(tx, rows, NOW)
        after = await everybody(tx)
    changed = [client for client in after if client.id in start and client != start[client.id]]
    assert taken.changed == len(changed)
    assert taken.new == len([client for client in after if client.id not in start])
    for client in changed:  # nobody loses a number or a word
        assert client.numbers[: len(start[client.id].numbers)] == start[client.id].numbers
        assert all(getattr(client, key) for key in ("name", "email", "owner") if getattr(start[client.id], key))
    for row in rows:  # every number of the file stands at somebody of that name
        for number in row.numbers:
            assert any(not row.name or c.name.casefold() == row.name.casefold() for c in after if number in c.numbers)
    async with db.transaction() as tx:
        again = await bulk.take(tx, rows, NOW)
        assert (again.new, again.changed) == (0, 0)
        assert await everybody(tx) == after


# --- the commands


def run(dsn: str, *arguments: object, exit_code: int = 0) -> Result:
    done = CliRunner(env={"KOMMUTATOR_DSN": dsn, "COLUMNS": "200"}).invoke(main, ["clients", *map(str, arguments)])
    assert done.exit_code == exit_code, done.output
    return done


CSV = '''\ufeffИмя;Тип;number_1;number_2;email;Ответственный;notes;внутреннее
Пётр Ёлкин;person;8 (916) 123-00-01;;p@x.test;анна ильина;"две
строки";1
"ООО ""Ель""";company;8 495 111-22-33 8 916 123 00 02;+7 495 111-22-34;;boris;;2
;;;;;;;
'''
COLUMNS = ("--name-column", "имя", "--kind-column", "Тип", "--owner-column", "Ответственный")


def test_a_file_goes_in_and_comes_out(dsn_of_company: str, tmp_path: Path) -> None:
    file, out = tmp_path / "in.csv", tmp_path / "out.csv"
    file.write_text(CSV, encoding="utf-8")
    done = run(dsn_of_company, "import", file, *COLUMNS)
    assert "columns not read: внутреннее" in done.stderr
    assert done.stdout == "2 rows: 2 new clients, 0 changed, 0 as they were\n"
    assert run(dsn_of_company, "export", out).stdout == "2 clients\n"
    written = out.read_text()
    assert written == (
        "name,kind,company,numbers,email,owner,notes\n"
        'Пётр Ёлкин,person,,+79161230001,p@x.test,anna,"две\nстроки"\n'
        '"ООО ""Ель""",company,,+74951112233; +79161230002; +74951112234,,boris,\n'
    )
    assert run(dsn_of_company, "import", out).stdout == "2 rows: 0 new clients, 0 changed, 2 as they were\n"
    run(dsn_of_company, "export", out, exit_code=1)
    run(dsn_of_company, "export", out, "--excel", "--force")
    assert run(dsn_of_company, "import", out).stdout == "2 rows: 0 new clients, 0 changed, 2 as they were\n"
    assert run(dsn_of_company, "export", "-").stdout == written
    assert sorted(tmp_path.iterdir()) == [file, out]


def test_what_is_wrong_is_told_with_its_line_and_column(dsn_of_company: str, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(
        "name,kind,numbers,owner\n"
        'Пётр,robot,"12; 8 916 123-00-01",nobody\n'
        '"a\nb",,,борис\n'
        "Анна,person,8 916 123-00-02,anna\n"
        "Вера,,,,5\n"
        ',,"",anna\n',
        encoding="utf-8",
    )
    wrong = run(dsn_of_company, "import", file, exit_code=1).stderr.splitlines()
    assert wrong == [
        "line 2, column kind: `robot` is neither person nor company",
        "line 2, column numbers: `12` is no telephone number",
        "line 2, column owner: there is no employee `nobody`, or several of that name",
        "line 3, column owner: there is no employee `борис`, or several of that name",
        "line 6: 5 cells, and the header has 4",
        "line 7: neither a name, nor a number, nor an e-mail address",
        "Error: 4 rows cannot be taken, and none was: mend what is wrong, or leave it out with --skip-bad",
    ]
    assert run(dsn_of_company, "export", "-").stdout.count("\n") == 1
    done = run(dsn_of_company, "import", file, "--skip-bad")
    assert done.stdout == "1 row: 1 new client, 0 changed, 0 as they were; 4 rows skipped\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "none of the columns name, numbers, email, only nothing"),
        ("имя\nПётр\n".encode(), "only имя"),
        ("name\nПётр\n".encode("windows-1251"), "line 2: this is not utf-8; perhaps windows-1251?"),
        (b"name,name\n", "line 1: the header has the column `name` twice"),
        (b'name\nx\n"a"b\n', "line 3: the row that begins here cannot be read"),
        (b'name\nx\n"a\n', "line 3: the row that begins here cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(dsn_of_company: str, tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(content)
    assert told in run(dsn_of_company, "import", file, exit_code=2).stderr


def test_a_column_is_named_as_the_file_writes_it(dsn_of_company: str, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("ФИО,Телефон\nПётр,12\n", encoding="utf-8")
    columns = ("--name-column", "ФИО", "--numbers-column", "телефон")
    assert "line 2, column Телефон: `12`" in run(dsn_of_company, "import", file, *columns, exit_code=1).stderr


def test_another_encoding_is_read_when_it_is_named(dsn_of_company: str, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes("name\tnumbers\nПётр\t9161230001\n".encode("windows-1251"))
    run(dsn_of_company, "import", file, "--encoding", "windows-1251")
    assert "Пётр,person,,+79161230001" in run(dsn_of_company, "export", "-").stdout


def test_an_import_that_is_killed_leaves_nothing(dsn_of_company: str, tmp_path: Path) -> None:
    many = 30_000
    file = tmp_path / "in.csv"
    file.write_text("name,numbers\n" + "".join(f"Клиент {n},+7916{n:07}\n" for n in range(many)), encoding="utf-8")
    command = [sys.executable, "-m", "kommutator", "clients", "import", str(file), "--dsn", dsn_of_company]

    async def writing() -> bool:
        connection = await asyncpg.connect(dsn_of_company)
        try:
            return bool(
                await connection.fetchval(
                    "select exists (select 1 from pg_locks where relation = 'clients'::regclass "
                    "and mode = 'RowExclusiveLock' and pid <> pg_backend_pid())"
                )
            )
        finally:
            await connection.close()

    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not asyncio.run(writing()):
            assert child.poll() is None and time.monotonic() < deadline
    finally:
        child.kill()
        child.wait()
    assert child.returncode == -signal.SIGKILL
    assert run(dsn_of_company, "export", "-").stdout.count("\n") == 1
    assert run(dsn_of_company, "import", file).stdout.startswith(f"{many} rows: {many} new clients, 0 changed")
