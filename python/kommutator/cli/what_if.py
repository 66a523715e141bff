"""`kommutator what-if`: where the calls of a ledger would go, and what would become of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
import orjson
from rich.console import Console
from rich.table import Table

from kommutator._engine import Decision, Walk
from kommutator.cli.happened import Call, Line, ms, outcomes
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, read_company
from kommutator.engine import Engine
from kommutator.errors import CompanyInvalid

_Line = TypeVar("_Line", bound=Line)


@dataclass(slots=True)
class _Calls:
    """The calls of a ledger, by columns."""

    call_ids: list[str] = field(default_factory=list)
    dids: list[str] = field(default_factory=list)
    callers: list[str | None] = field(default_factory=list)
    moments_ms: list[int] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    """What happened, where that was asked for."""


@click.command("what-if")
@click.argument("company")
@click.option(
    "--ledger",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A router's ledger.jsonl, or any JSON lines with call_id, did, caller and began (ISO 8601 with an offset).",
)
@click.option("--against", metavar="COMPANY", help="Another company: show which calls would go otherwise there.")
@click.option(
    "--to-the-end",
    is_flag=True,
    help="Follow each call to its end, its people doing what they did. Needs a router's ledger.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each row.")
def command(company: str, ledger: Path, against: str | None, to_the_end: bool, as_json: bool) -> None:
    """Show where the calls of a ledger would go, or which of them another version would send elsewhere.

    Each call is followed from its arrival, over announcements, to the first thing that waits for an answer: phones that
    ring, a menu, a message, a look-up. Everybody is at work and free, nothing is known of clients, and a call's id decides
    by chance as it did. A million calls take seconds.

    With --to-the-end the row is all that the caller meets, from the greeting to the end. He presses what he pressed, and hangs
    up when he did, where nobody had answered by then; who answered, answers again whenever that phone rings, and who was
    busy or declined does so again; a phone that did not ring then does not answer. Clients are known as far as the call
    asked. A million calls take seconds, too.

    \b
    Examples:
      kommutator what-if company.yaml --ledger data/routers/main/ledger.jsonl
      kommutator what-if company.yaml --against new.yaml --ledger yesterday.jsonl
      kommutator what-if company.yaml --against new.yaml --ledger yesterday.jsonl --to-the-end

    Exit code: 0; 1 a company is invalid; 2 wrong usage, or a document or the ledger cannot be read.
    """
    calls = _read(ledger, to_the_end)
    follow = _walked if to_the_end else _decided
    ways = [follow(each, calls) for each in (company, against) if each is not None]
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


def _read(ledger: Path, to_the_end: bool) -> _Calls:
    calls = _Calls()
    for read in _lines(ledger, Call if to_the_end else Line):
        calls.call_ids.append(read.call_id)
        calls.dids.append(read.did)
        calls.callers.append(read.caller)
        calls.moments_ms.append(ms(read.began))
        if isinstance(read, Call):
            calls.outcomes.append(outcomes(read))
    return calls


def _lines(ledger: Path, kind: type[_Line]) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(kind)
    with ledger.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                read = decoder.decode(line)
            except msgspec.DecodeError as error:
                fail(f"{ledger}:{number}: {error}", EXIT_UNREADABLE)
            if read.began.tzinfo is None:
                fail(f"{ledger}:{number}: `began` has no offset from UTC", EXIT_UNREADABLE)
            yield read


def _engine(company: str) -> Engine:
    try:
        return Engine.of(read_company(company))
    except CompanyInvalid as error:
        first = error.findings[0]
        fail(f"{company} is invalid: {first['code']}: {first['message']}", EXIT_INVALID)


def _decided(company: str, calls: _Calls) -> list[str]:
    """Where each call goes, in words."""
    decisions, places = _engine(company).decide_many(calls.dids, calls.callers, calls.moments_ms, calls.call_ids)
    told = [words(decision) for decision in decisions]
    return [told[place] for place in places]


def _walked(company: str, calls: _Calls) -> list[str]:
    """What each caller meets, in words."""
    engine, told = _engine(company), dict[Walk, str]()
    columns = zip(calls.dids, calls.callers, calls.moments_ms, calls.outcomes, calls.call_ids, strict=True)
    walks = [engine.walk(*call) for call in columns]
    for walk in set(walks):
        actions = walk.actions
        told[walk] = " → ".join(
            _action(action) for action in actions if action["type"] != "hang_up" or action["prompt"]
        )
    return [told[walk] for walk in walks]


def words(decision: Decision) -> str:
    """Where a call goes: the node, and what happens there."""
    place = f"{decision.scheme}/{decision.node}" if decision.node else "no scheme"
    return f"{place}: {_action(decision.action)}"


def _action(action: dict[str, Any]) -> str:
    """An action, and what it is about."""
    match action["type"]:
        case "ring":
            about = " ".join(str(rung["endpoint"]) for rung in action["endpoints"])
        case "transfer":
            about = str(action["to"])
        case "talk":
            about = str(action["endpoint"])
        case "end":
            about = str(action["disposition"])
        case _:
            about = str(action.get("prompt") or action.get("cause") or "")
    return f"{action['type']} {about}".rstrip()
