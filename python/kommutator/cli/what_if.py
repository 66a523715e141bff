"""`kommutator what-if`: where the calls of a ledger would go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from kommutator._engine import Decision
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, read_company
from kommutator.engine import Engine
from kommutator.errors import CompanyInvalid


class _Line(msgspec.Struct):
    """What is read of a ledger's line: a call of a router, or of anybody who writes four fields."""

    call_id: str
    did: str
    caller: str | None
    began: datetime


@dataclass(slots=True)
class _Calls:
    """The calls of a ledger, by columns."""

    call_ids: list[str] = field(default_factory=list)
    dids: list[str] = field(default_factory=list)
    callers: list[str | None] = field(default_factory=list)
    moments_ms: list[int] = field(default_factory=list)


@click.command("what-if")
@click.argument("company")
@click.option(
    "--ledger",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A router's ledger.jsonl, or any JSON lines with call_id, did, caller and began (ISO 8601 with an offset).",
)
@click.option("--against", metavar="COMPANY", help="Another company: show which calls would go otherwise there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each row.")
def command(company: str, ledger: Path, against: str | None, as_json: bool) -> None:
    """Show where the calls of a ledger would go, or which of them another version would send elsewhere.

    Each call is followed from its arrival, over announcements, to the first thing that waits for an answer: phones that
    ring, a menu, a message, a look-up. Everybody is at work and free, nothing is known of clients, and a call's id decides
    by chance as it did. A million calls take seconds.

    \b
    Examples:
      kommutator what-if company.yaml --ledger data/routers/main/ledger.jsonl
      kommutator what-if company.yaml --against new.yaml --ledger yesterday.jsonl

    Exit code: 0; 1 a company is invalid; 2 wrong usage, or a document or the ledger cannot be read.
    """
    calls = _read(ledger)
    ways = [_decided(each, calls) for each in (company, against) if each is not None]
    names = ("goes", "would_go")[: len(ways)]
    rows = list(zip(*ways, strict=True))
    examples = dict(zip(rows, calls.call_ids, strict=True))
    counted = Counter(rows).most_common()
    shown = counted if against is None else [(row, count) for row, count in counted if row[0] != row[1]]
    if as_json:
        for row, count in shown:
            click.echo(orjson.dumps({"calls": count, **dict(zip(names, row, strict=True)), "example": examples[row]}))
        return
    table = Table("calls", *(f"{name.replace('_', ' ')} to" for name in names), "for example", box=None)
    for row, count in shown:
        table.add_row(f"{count:,}", *row, examples[row])
    console = Console()
    console.print(table)
    if against is not None:
        console.print(f"{sum(count for _, count in shown):,} of {len(rows):,} calls would go otherwise")


def _read(ledger: Path) -> _Calls:
    calls, decoder = _Calls(), msgspec.json.Decoder(_Line)
    with ledger.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                read = decoder.decode(line)
            except msgspec.DecodeError as error:
                fail(f"{ledger}:{number}: {error}", EXIT_UNREADABLE)
            if read.began.tzinfo is None:
                fail(f"{ledger}:{number}: `began` has no offset from UTC", EXIT_UNREADABLE)
            calls.call_ids.append(read.call_id)
            calls.dids.append(read.did)
            calls.callers.append(read.caller)
            calls.moments_ms.append(round(read.began.timestamp() * 1000))
    return calls


def _decided(company: str, calls: _Calls) -> list[str]:
    """Where each call goes, in words."""
    try:
        engine = Engine.of(read_company(company))
    except CompanyInvalid as error:
        first = error.findings[0]
        fail(f"{company} is invalid: {first['code']}: {first['message']}", EXIT_INVALID)
    decisions, places = engine.decide_many(calls.dids, calls.callers, calls.moments_ms, calls.call_ids)
    told = [words(decision) for decision in decisions]
    return [told[place] for place in places]


def words(decision: Decision) -> str:
    """Where a call goes: the node, and what happens there."""
    action = decision.action
    match action["type"]:
        case "ring":
            about = " ".join(str(rung["endpoint"]) for rung in action["endpoints"])
        case "transfer":
            about = str(action["to"])
        case _:
            about = str(action.get("prompt") or action.get("cause") or "")
    place = f"{decision.scheme}/{decision.node}" if decision.node else "no scheme"
    return f"{place}: {action['type']} {about}".rstrip()
