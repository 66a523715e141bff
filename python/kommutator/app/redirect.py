"""The SIP redirect endpoint, made from its form; and one on a company document alone, to try a company out."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import structlog
import trio

from kommutator import readiness
from kommutator._engine import Engine as CompiledEngine
from kommutator.app.document import NoLookups
from kommutator.app.forked import Forked, claims_file, folder_of, until_alone
from kommutator.app.process import the_only_router, until_told_to_stop
from kommutator.company.reader import LoadedCompany
from kommutator.configuration import Redirect
from kommutator.engine import Engine
from kommutator.query.claiming import Claiming
from kommutator.query.decisions import Decisions
from kommutator.query.sip import Address, Shared, SipEndpoint, SipSettings, listening
from kommutator.routing.ports import Lookups


def sip_endpoint(
    form: Redirect,
    engine: CompiledEngine,
    decisions: Decisions | None,
    lookups: Lookups,
    shared: Shared | None = None,
    claiming: Claiming | None = None,
) -> SipEndpoint:
    """The endpoint, listening. Raises `AddressTaken`."""
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
    return SipEndpoint(settings, engine, decisions if form.journal else None, lookups, shared, claiming)


def redirect(company: LoadedCompany, form: Redirect, data: Path | None, count: int = 1) -> None:
    """Answer until SIGTERM or SIGINT, by so many processes. With a folder, calls are in its ledger; those of the second
    process are in the one of `data/2`, and so on.

    Raises `CompanyInvalid`, `AddressTaken`, `DataFolderBusy`.
    """
    engine = Engine.of(company)
    if count == 1:
        trio.run(_answer, engine, form, data)
        return
    sockets = listening_often(form.listen, count)
    key, claims = secrets.token_bytes(16), claims_file()

    def work(place: int, lifeline: int) -> bool:
        shared = Shared(sockets[place - 1], key, claims)
        trio.run(_answer, engine, form, folder_of(data, place), shared, lifeline)
        return False

    Forked("redirect", range(1, count + 1), work).run()


async def _answer(
    engine: Engine, form: Redirect, data: Path | None, shared: Shared | None = None, lifeline: int | None = None
) -> None:
    with ExitStack() as held:
        decisions: Decisions | None = None
        if data is not None:
            held.enter_context(the_only_router(data))
            decisions = Decisions(data)
        endpoint = sip_endpoint(form, engine, decisions, NoLookups(), shared)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
            if lifeline is not None:
                nursery.start_soon(until_alone, lifeline, nursery.cancel_scope)
            nursery.start_soon(endpoint.run)
            structlog.get_logger().info("ready", listening=[f"{host}:{port}" for host, port, *_ in endpoint.addresses])
            readiness.ready("answering SIP")
    readiness.stopping()


def listening_often(listen: Sequence[str], count: int) -> list[list[socket.socket]]:
    """The sockets of each of so many processes. Raises `AddressTaken`."""
    first = listening(listen)
    addresses = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port, *_ in map(_name, first)]
    return [first, *(listening(addresses) for _ in range(count - 1))]


def _name(listener: socket.socket) -> Address:
    name: Address = listener.getsockname()
    return name
