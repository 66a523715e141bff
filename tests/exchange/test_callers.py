"""Who has called is told when his call ends, whichever process of the router it began in."""

from pathlib import Path

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.callers import SharedCallers
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import ExchangeSettings
from kommutator.routing.ledger import FileJournal


def test_a_caller_whose_call_outlives_his_router_is_told_by_the_next(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    for process in range(2):
        kept, outgoing = FileJournal(tmp_path / "router"), OutgoingSpool(tmp_path / "outgoing")
        callers = SharedCallers(Bridge(ExchangeSettings(()), "r1"), lambda number, at: told.append((number, at)))
        callers.go_on(kept.callers())
        journal = ToldJournal(kept, outgoing, callers.take)
        for call_id, caller, at in (("call-1", "+79161230099", 5), ("call-2", None, 6)):
            journal.began(call_id, "+74951112233", caller, at)
            if process == 1:
                journal.ended(call_id, 9, "answered", "none")
        kept.close()
        outgoing.close()
    assert told == [("+79161230099", 5)]
