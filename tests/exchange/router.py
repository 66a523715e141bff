"""A router that only tells of calls, as fast as it can, and says which are on its disk. To be killed.

python -m tests.exchange.router FOLDER_OF_NATS FOLDER FIRST_CALL
"""

import sys
from itertools import count
from pathlib import Path

import trio

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.embedded import read_address
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import ExchangeSettings, SpoolSettings
from kommutator.exchange.shipper import Shipper
from kommutator.routing.ledger import FileJournal

from .calls import tell


async def main(nats: Path, folder: Path, first: int) -> None:
    address = read_address(nats)
    assert address is not None
    settings = ExchangeSettings((address.url,), address.user, address.password, request_s=1.0, retry_s=(0.02, 0.1))
    bridge = Bridge(settings, "r1")
    spool = OutgoingSpool(folder / "outgoing", SpoolSettings(segment_bytes=50_000, batch_entries=40))
    inner = FileJournal(folder)
    journal = ToldJournal(inner, spool)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(inner.run)
        nursery.start_soon(spool.run)
        nursery.start_soon(Shipper(bridge, spool, "pbx").run)
        for number in count(first):
            tell(journal, f"call-{number}", number)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            await trio.sleep(0.005)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
