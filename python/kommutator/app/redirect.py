"""The SIP redirect endpoint, made from its form; and one on a company document alone, to try a company out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import structlog
import trio

from kommutator import readiness
from kommutator._engine import Engine as CompiledEngine
from kommutator.app.document import NoLookups
from kommutator.app.process import the_only_router, until_told_to_stop
from kommutator.company.reader import LoadedCompany
from kommutator.configuration import Redirect
from kommutator.engine import Engine
from kommutator.query.decisions import Decisions
from kommutator.query.sip import SipEndpoint, SipSettings
from kommutator.routing.ports import Lookups


def sip_endpoint(
    form: Redirect, engine: CompiledEngine, decisions: Decisions | None, lookups: Lookups, key: bytes | None = None
) -> SipEndpoint:
    """The endpoint, listening. Raises `CannotListen`."""
    settings = SipSettings(
        listen=form.listen,
        sources=form.sources,
        identity_from=form.identity_from,
        phone=form.phone,
        number=form.number,
        media=form.media,
        calls_per_second=form.calls_per_second,
        hold_s=form.hold_s,
    )
    return SipEndpoint(settings, engine, decisions if form.journal else None, lookups, key)


async def redirect(company: LoadedCompany, form: Redirect, data: Path | None) -> None:
    """Answer until SIGTERM or SIGINT. With a folder, calls are in its ledger.

    Raises `CompanyInvalid`, `CannotListen`, `DataFolderBusy`.
    """
    engine = Engine.of(company)
    with ExitStack() as held:
        decisions: Decisions | None = None
        if data is not None:
            held.enter_context(the_only_router(data))
            decisions = Decisions(data)
        endpoint = sip_endpoint(form, engine, decisions, NoLookups())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
            nursery.start_soon(endpoint.run)
            structlog.get_logger().info("ready", listening=[f"{host}:{port}" for host, port, *_ in endpoint.addresses])
            readiness.ready("answering SIP")
    readiness.stopping()
