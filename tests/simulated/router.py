"""A router of the simulated PBX, to be killed. `python -m tests.simulated.router SOCKET FOLDER`"""

import sys
from pathlib import Path

import trio

from kommutator import Engine
from kommutator.app.document import NoLookups, lines_of
from kommutator.app.process import SystemClock
from kommutator.company import load
from kommutator.pbx.simulated.house import sounds_of
from kommutator.pbx.simulated.remote import RemotePbx
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router

COMPANY = Path(__file__).with_name("company.yaml")


async def main(socket: Path, folder: Path) -> None:
    company = load(COMPANY)
    folder.mkdir(parents=True, exist_ok=True)
    journal = FileJournal(folder)
    pbx = RemotePbx(
        socket,
        lines_of(company),
        recordings=folder / "recordings",
        sounds=sounds_of(company.document, company.prompts),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        await Router(Engine.of(company), pbx, journal, NoLookups(), SystemClock()).run()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]))
