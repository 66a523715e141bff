"""What the desk keeps, for how long, and what gateways tell of what was sent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr

from kommutator.app import channels
from kommutator.app.desk import now
from kommutator.app.process import SystemClock
from kommutator.configuration import Notices
from kommutator.crm import calls, drafts, effects, outbox, recordings
from kommutator.crm.ledger import Ledger
from kommutator.crm.pool import Database
from kommutator.desk.background.purge import Kept, Purge
from kommutator.engine import Engine
from kommutator.errors import SettingsInvalid
from kommutator.notices import CrmOutbox, HttpReceipts, ReceiptForm
from kommutator.notify.letters import Letterhead
from kommutator.notify.sms_http import HttpSms
from kommutator.routing.ledger import FileJournal
from tests.desk_services.router import COMPANY, play

pytestmark = pytest.mark.anyio
CLIENT = "+79161234567"
FORM = ReceiptForm(SecretStr("t0ken"), "msg_id", "status", frozenset({"DELIVRD"}), frozenset({"UNDELIV"}), "err")


async def a_sent_notice(db: Database, id: str = "n1") -> None:
    async with db.transaction() as tx:
        await outbox.enqueue(tx, id, "sms", CLIENT, {"text": "т"}, now())
        (claim,) = await outbox.claim(tx, "sms", "test", outbox.OutboxSettings(), now())
        await outbox.sent(tx, claim, now(), [f"gw-{id}"])


async def state(db: Database, id: str = "n1") -> tuple[str, str | None]:
    async with db.transaction() as tx:
        notice = await outbox.get(tx, id)
    return notice.state, notice.last_error


async def test_a_gateway_tells_what_became_of_a_message(db: Database) -> None:
    receipts = HttpReceipts(CrmOutbox(db, "test"), FORM, SystemClock())
    await a_sent_notice(db)
    good = {"token": "t0ken", "msg_id": "gw-n1", "status": "DELIVRD"}
    assert not await receipts.http_receipt({**good, "token": "guess"})
    assert not await receipts.http_receipt({"msg_id": "gw-n1", "status": "DELIVRD"})
    assert not await receipts.http_receipt({"token": "t0ken", "status": "DELIVRD"})
    assert await receipts.http_receipt({**good, "status": "ENROUTE"})
    assert await state(db) == ("sent", None)
    assert await receipts.http_receipt(good)
    assert await receipts.http_receipt(good)
    assert await state(db) == ("delivered", None)
    await a_sent_notice(db, "n2")
    assert await receipts.http_receipt({**good, "msg_id": "gw-n2", "status": "UNDELIV", "err": "034"})
    assert await state(db, "n2") == ("undelivered", "034")
    assert await receipts.http_receipt({**good, "msg_id": "gw-n3"}), "it may come before we know of the message"
    await a_sent_notice(db, "n3")
    assert await state(db, "n3") == ("delivered", None)


def test_gateways_are_configured_as_written(tmp_path: Path) -> None:
    table = {
        "kind": "http", "url": "https://sms.example.test/send", "body": '{"to": "{to}", "text": "{text}", "key": "{secret}"}',
        "secret": "s3cret", "success": "/status", "success_values": ["ok"], "provider_id": 'id="([^"]+)"',
    }  # fmt: skip
    receipts = {"token": "t", "id": "msg_id", "state": "s", "delivered": ["D"], "undelivered": ["U"]}
    notices = Notices.model_validate({"sms": {**table, "receipts": receipts}})

    class Nothing:
        async def wav(self, name: str) -> bytes | None:
            return None

    made = channels.channels(notices, tmp_path, lambda: Letterhead("a@b.test", ""), Nothing())
    assert isinstance(made["sms"], HttpSms)
    assert set(made) == {"sms"}
    form = channels.receipt_form(notices)
    assert form is not None and form.delivered == {"D"}
    assert channels.receipt_form(Notices.model_validate({"sms": table})) is None
    without = Notices.model_validate({"sms": {**table, "receipts": receipts, "provider_id": None}})
    with pytest.raises(SettingsInvalid, match="provider_id"):
        channels.channels(without, tmp_path, lambda: Letterhead("a@b.test", ""), Nothing())


async def test_what_is_kept_no_longer_goes_and_nothing_else(db: Database, tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    engine = Engine.load(COMPANY)
    today = now()
    days = {"old": 400, "young": 3}
    for name, age in days.items():
        at = today - timedelta(days=age)
        journal = FileJournal(tmp_path / name)
        play(journal, engine, name, "+74951110002", CLIENT, round(at.timestamp() * 1000))
        journal.close()
        await Ledger(db).write_lines((tmp_path / name / "spool.jsonl").read_bytes().splitlines())
        async with db.transaction() as tx:
            (recording,) = await recordings.of_call(tx, name)
            (folder / f"{name}.wav").write_bytes(b"sound")
            await recordings.stored(tx, recording.name, f"{name}.wav", 5, "audio/wav", at)
            (claim,) = await outbox.claim(tx, "email", "test", outbox.OutboxSettings(), at)
            await outbox.sent(tx, claim, at, [f"id-{name}"])
            await recordings.stored(tx, f"stray-{name}", f"stray-{name}.wav", 5, "audio/wav", at)
            (folder / f"stray-{name}.wav").write_bytes(b"sound")
            await tx.run("insert into sign_in_failures (company_id, login, address, at) values ($1, 'a', 'b', $2)", at)
            user = await tx.value(
                "insert into users (company_id, login, name, role, created_at) values ($1, $2, '', 'operator', $3) returning id",
                name, at,
            )  # fmt: skip
            await drafts.keep(tx, name, user, {"topic": "т"}, 1, at)
            await tx.run(
                """insert into sessions (company_id, token_hash, user_id, created_at, seen_at, expires_at)
                   values ($1, $2, $3, $4, $4, $5)""",
                name.encode().ljust(32), user, at, today if name == "young" else at,
            )  # fmt: skip
    purge = Purge(db, folder, Kept(turns=365), lambda: today)
    done = await purge.once()
    assert done == {"turns": 1, "notices": 1, "drafts": 1, "sessions": 1, "sign_in_failures": 2, "recordings": 2}
    assert {file.name for file in folder.iterdir()} == {"young.wav", "stray-young.wav"}
    async with db.transaction() as tx:
        old, young = await calls.story(tx, "old"), await calls.story(tx, "young")
        assert old.call.disposition == young.call.disposition == "voicemail"
        assert old.turns == [] and young.turns != []
        (gone,) = await recordings.of_call(tx, "old")
        assert gone.location is None and gone.expired_at == today
        assert await recordings.awaited(tx) == []
        assert [notice.call_id for notice in await outbox.listed(tx)] == ["young"]
    # What comes again of a call whose turns are gone changes nothing of how it is told.
    await Ledger(db).write_lines((tmp_path / "old" / "spool.jsonl").read_bytes().splitlines()[-1:])
    async with db.transaction() as tx:
        assert (await calls.story(tx, "old")).call == old.call
    assert not any((await purge.once()).values())


async def test_nothing_is_deleted_that_is_kept_for_ever(db: Database, tmp_path: Path) -> None:
    at = now() - timedelta(days=4000)
    async with db.transaction() as tx:
        await effects.write(tx, [effects.Effects("c", at, ({"type": "task", "id": "t", "assign": "a", "title": "т"},))])
        await outbox.enqueue(tx, "n1", "sms", CLIENT, {"text": "т"}, at)
    done = await Purge(db, tmp_path, Kept(recordings=None, notices=None, drafts=None), now).once()
    assert not any(done.values())
    assert await state(db) == ("waiting", None), "what still waits is never deleted"


def test_every_variable_of_a_template_is_filled(tmp_path: Path) -> None:
    names = ("caller", "did", "time", "date", "company", "employee", "client", "scheme", "recording", "seconds")
    text = " ".join(f"{name}={{{name}}}" for name in names)
    head, _, schemes = COMPANY.read_text().partition("\nnumbers:")
    assert schemes
    (tmp_path / "company.yaml").write_text(head.replace("Вы звонили {caller} — {company}, {time}", text) + _RECORDED)
    journal = FileJournal(tmp_path / "journal")
    play(journal, Engine.load(tmp_path / "company.yaml"), "c1", "+74951110001", CLIENT, 1_795_000_000_000)
    journal.close()
    line = msgspec.json.decode((tmp_path / "journal" / "ledger.jsonl").read_bytes().splitlines()[0])
    told = [effect["text"] for effect in line["effects"] if effect["type"] == "sms"][-1]
    (recording,) = [effect["recording"] for effect in line["effects"] if effect["type"] == "voicemail"]
    found = dict(part.split("=", 1) for part in told.replace("Анна Смирнова", "Анна").split(" "))
    assert found == {
        "caller": CLIENT, "did": "+74951110001", "time": "14:06", "date": "18.11.2026", "company": "Ромашка", "employee": "Анна",
        "client": CLIENT, "scheme": "card", "recording": recording, "seconds": "3",
    }  # fmt: skip


_RECORDED = """
numbers:
  default: {scheme: card}
schemes:
  card:
    start: team
    responsible: sales
    nodes:
      team: {kind: ring, ring: [{employee: anna}], seconds: 10, exits: {no_answer: box}}
      box: {kind: voicemail, prompt: leave-message, seconds: 9, email: [a@b.test], exits: {done: tell}}
      tell: {kind: sms, to: {employee: anna}, template: card, exits: {done: bye}}
      bye: {kind: hangup}
"""
