"""A router on one company document and one Asterisk, without an exchange: to try a company out on real phones."""

from __future__ import annotations

from pathlib import Path

import trio

from kommutator.app.adapters import asterisk, fastagi
from kommutator.app.process import SystemClock, first_of, the_only_router, until_told_to_stop
from kommutator.company.reader import LoadedCompany
from kommutator.configuration import Asterisk, FastAgi
from kommutator.engine import Engine
from kommutator.errors import KommutatorError
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.ports import Clock, Lookups
from kommutator.routing.prompts import DEFAULT_TTS, PromptLibrary
from kommutator.routing.turn import Event


class NoLookups:
    """Nobody can be asked: there is no desk."""

    async def owner(self, _caller: str, /) -> Event:
        """`failed`, always."""
        return {"type": "failed"}

    async def history(self, _caller: str, _days: int | None, /) -> Event:
        """`failed`, always."""
        return {"type": "failed"}


async def route(
    company: LoadedCompany,
    pbx: Asterisk | FastAgi,
    data: Path,
    *,
    tts: tuple[str, ...] = DEFAULT_TTS,
    engine: Engine | None = None,
    lookups: Lookups | None = None,
    clock: Clock | None = None,
) -> None:
    """Route calls until SIGTERM or SIGINT; the calls that go on then stay in the PBX, for the next router.

    `data` is the folder of the spool, the ledger, the fetched recordings and the prompts made; the PBX must be able to
    read its `prompts`. `engine` is the company's, when it has been told facts already.

    Raises `CompanyInvalid`, `PromptNotMade`, `DataFolderBusy`, and `PbxRefused` when Asterisk refuses the credentials.
    """
    engine = engine or Engine.of(company)
    prompts = PromptLibrary(data.resolve() / "prompts", tts)
    await prompts.prepare(company.prompts)
    made = data / "recordings", prompts, lines_of(company)
    adapter = asterisk(pbx, *made) if isinstance(pbx, Asterisk) else fastagi(pbx, *made)
    with the_only_router(data):
        journal = FileJournal(data)
        failure: KommutatorError | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
                nursery.start_soon(journal.run)
                try:
                    await Router(engine, adapter, journal, lookups or NoLookups(), clock or SystemClock()).run()
                except* KommutatorError as group:
                    failure = first_of(group)
                    nursery.cancel_scope.cancel()
        finally:
            journal.close()
    if failure is not None:
        raise failure


def lines_of(company: LoadedCompany) -> dict[str, list[str]]:
    """Whose phone each endpoint is."""
    lines: dict[str, list[str]] = {}
    for employee, card in company.document["employees"].items():
        if card.get("endpoint"):
            lines.setdefault(card["endpoint"], []).append(employee)
    return lines
