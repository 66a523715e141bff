"""The adapter of a router's PBX, made from the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kommutator.app.versions import Company
from kommutator.configuration import Asterisk, FastAgi
from kommutator.pbx.agi.adapter import AgiPbx, AgiSettings
from kommutator.pbx.ari.adapter import AriPbx, AriSettings
from kommutator.pbx.asterisk import Sounds
from kommutator.pbx.simulated.house import sounds_of
from kommutator.pbx.simulated.remote import RemotePbx
from kommutator.routing.ports import Pbx

Lines = Mapping[str, Sequence[str]]


class Adapter(Pbx, Protocol):
    """An adapter as the router process needs it."""

    @property
    def connected(self) -> bool:
        """Whether the PBX is reached at this moment."""
        ...

    def lines(self, lines: Lines, /) -> None:
        """From now on these people's phones are at these endpoints."""
        ...


@dataclass(frozen=True, slots=True)
class Attached:
    """An adapter, and what its PBX is told of a company version besides whose phones are where."""

    pbx: Adapter
    tell: Callable[[Company], None]


def asterisk(form: Asterisk, recordings: Path, sounds: Sounds, lines: Lines) -> AriPbx:
    """An Asterisk. `recordings` is the folder into which messages are fetched."""
    settings = AriSettings(
        url=form.url,
        user=form.user,
        password=form.password.get_secret_value(),
        recordings=recordings,
        application=form.application,
        trunk=form.trunk,
        silence_s=form.silence_s,
    )
    return AriPbx(settings, sounds, lines)


def fastagi(form: FastAgi, recordings: Path, sounds: Sounds, lines: Lines) -> AgiPbx:
    """An Asterisk that asks by FastAGI. `recordings` is the folder into which messages are brought."""
    host, _, port = form.listen.rpartition(":")
    settings = AgiSettings(
        host=host.strip("[]"),
        port=int(port),
        sources=form.sources,
        shared=form.messages,
        recordings=recordings,
        outgoing=form.outgoing,
        trunk=form.trunk,
        silence_s=form.silence_s,
        leg_context=form.leg_context,
        connections=form.connections,
    )
    return AgiPbx(settings, sounds, lines)


def simulated(socket: Path, recordings: Path, company: Company, lines: Lines) -> Attached:
    """The simulated PBX at a socket, which is told what a real one has by itself."""
    pbx = RemotePbx(socket, lines, recordings=recordings, sounds=sounds_of(company.document, company.prompts))
    return Attached(pbx, lambda company: pbx.sounds(sounds_of(company.document, company.prompts)))
