"""The desk killed -9 while calls are told and notices leave: nothing lost, nothing doubled by identity."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from kommutator.crm.pool import Database
from kommutator.notify.sms_text import decode
from tests.desk_services.conftest import Child, Configure, activate, free_port, until
from tests.desk_services.router import caller

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("nats")]
CALLS = 60


class Smsc:
    """The SMSC's process, and what it was sent."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.texts: list[tuple[str, str]] = []
        self._child = Child(folder / "smsc.log", "tests.notify.smsc_process", str(self.port))
        assert "up" in self._child.line()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self._child.process.stdout is not None
        for line in self._child.process.stdout:
            told = json.loads(line)
            if told["event"] == "submit":
                self.texts.append((told["to"], decode(bytes.fromhex(told["message"]), told["coding"])))

    def end(self) -> None:
        self._child.process.kill()
        self._reading.join()
        self._child.end()


async def test_a_desk_killed_again_and_again_loses_nothing_and_doubles_nothing(
    db: Database, dsn: str, configure: Configure, data: Path, tmp_path: Path
) -> None:
    mailbox = Child(tmp_path / "mailbox.log", "tests.desk_services.mailbox", str(tmp_path / "letters"))
    smsc = Smsc(tmp_path)
    smtp = {
        "kind": "smtp",
        "host": "127.0.0.1",
        "port": int(mailbox.line()),
        "security": "none",
        "sender": "kt@ex.test",
    }
    smpp = {
        "kind": "smpp",
        "host": "127.0.0.1",
        "port": smsc.port,
        "system_id": "kt",
        "password": "s",
        "sender": "Romashka",
    }
    desk = configure(postgres={"dsn": dsn}, **{"notices.email": smtp, "notices.sms": smpp})
    routers = []
    try:
        await activate(db)
        desk.start()
        for name, did, first in (("texts", "+74951110001", 0), ("messages", "+74951110002", CALLS)):
            arguments = (str(data / "nats"), str(tmp_path / name), did, str(first), str(CALLS))
            routers.append(Child(tmp_path / f"{name}.log", "tests.desk_services.router", *arguments))

        async def many(query: str) -> int:
            async with db.transaction() as tx:
                found: int = await tx.value(query)
                return found

        ended = "select count(*) from calls where company_id = $1 and ended_at is not null"
        sent = "select count(*) from outbox where company_id = $1 and state in ('sent', 'delivered')"
        for kill in range(1, 5):
            least = kill * CALLS // 6

            async def under_way(least: int = least) -> bool:
                return await many(ended) >= least and await many(sent) >= least // 2

            await until(under_way)
            desk.end()
            desk.start()

        async def all_sent() -> bool:
            return await many(ended) == await many(sent) == 2 * CALLS

        await until(all_sent, 120)
        assert desk.end(signal.SIGTERM) == 0
        async with db.transaction() as tx:
            turns = await tx.fetch(
                """select c.call_id, count(*) as turns, max(t.sequence) as last, min(c.version) as version
                   from calls c join call_turns t on t.company_id = $1 and t.call_id = c.call_id
                   where c.company_id = $1 group by c.call_id"""
            )
            notices = await tx.fetch("select id, channel, recipient, state, doubts from outbox where company_id = $1")
            kept = await tx.value("select count(*) from recordings where company_id = $1 and location is not null")
        assert len(turns) == 2 * CALLS
        assert all(row["turns"] == row["last"] + 1 and row["version"] == 1 for row in turns)
        assert kept == CALLS == len(list((data / "desk" / "recordings").glob("*.wav")))
        assert Counter(row["channel"] for row in notices) == {"sms": CALLS, "email": CALLS}

        came = Counter(to for to, _ in smsc.texts)
        assert set(came) == {caller(number).removeprefix("+") for number in range(CALLS)}
        # An SMSC knows no identity: a text under way at a kill is in doubt, and is told once more.
        in_doubt = {row["recipient"].removeprefix("+") for row in notices if row["doubts"] > 1}
        assert {to for to, times in came.items() if times > 1} <= in_doubt
        assert max(came.values()) <= 2
        assert "Ромашка" in smsc.texts[0][1]

        letters = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in letters_in(tmp_path)]
        by_id = Counter(str(letter["Message-ID"]) for letter in letters)
        assert len(by_id) == CALLS
        assert sum(by_id.values()) - CALLS <= 4 * 8, (
            "at most what was under way at each kill came twice, by one identity"
        )
        for letter in letters:
            assert isinstance(letter, EmailMessage)
            (sound,) = letter.iter_attachments()
            assert sound.get_content_type() == "audio/wav"
    finally:
        for child in (*routers, mailbox):
            child.end()
        smsc.end()


def letters_in(folder: Path) -> list[Path]:
    return sorted((folder / "letters").glob("*.eml"))
