"""The demo's folder: its configuration, its copy of the company, and ports that are free."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kommutator import sample
from kommutator import settings as reading
from kommutator.cli.demo.filling import sample_clients
from kommutator.configuration import Configuration
from kommutator.settings import Settings

ROUTER: Final = "office"
_PORTS: Final = {"desk.listen": 8080, f"routers.{ROUTER}.metrics": 8090}
_DIALS: Final = {
    "+74951112201": 1,
    "+74951112202": 1,
    "+74951112203": 3,
    "+74951112204": 1,
    "+74951112205": 1,
    "+74951112206": 3,
    "+74951112207": 3,
    "+74951112208": 3,
}
"""How often each number is called: those whose schemes ring somebody at any hour, whoever calls, three times as often."""
_LOOKED_AT: Final = 100
"""So many ports from the wanted one on."""


@dataclass(frozen=True, slots=True)
class House:
    """Where the demo lives."""

    folder: Path
    settings: Settings
    environ: Mapping[str, str]
    """Of the processes."""
    moved: Mapping[str, int] = field(default_factory=dict)
    """Ports that were taken by others: what is somewhere else this time, and the port where it was wanted."""

    @property
    def configuration(self) -> Configuration:
        """As the processes read it."""
        return self.settings.configuration

    @property
    def company(self) -> Path:
        """The copy that may be edited."""
        return self.folder / "company"

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.folder / "demo.log"


def open_house(folder: Path, port: int | None) -> House:
    """The folder with everything that the processes need, made where it is missing; nothing that is there is changed.

    The desk is at `port` or the next that is free, and figures after it; without it, from the configured ports on.

    Raises `OSError` when it cannot be written, and `ConfigurationInvalid` when its configuration cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / reading.FILE
    if not file.exists():
        # The company before the configuration: a folder that has one is complete.
        shutil.copytree(sample.COMPANY, folder / "company", dirs_exist_ok=True)
        aside = file.with_suffix(".new")
        aside.write_text(_written(), encoding="utf-8")
        aside.replace(file)
    # The configuration of another house, in the environment, would reach its database.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KOMMUTATOR_")}
    configuration = reading.read(file, environ).configuration
    moved: dict[str, int] = {}
    wanted = {"desk.listen": configuration.desk.listen}
    router = configuration.routers.get(ROUTER)
    if router is not None and router.metrics is not None:
        wanted[f"routers.{ROUTER}.metrics"] = router.metrics
    taken: set[int] = set()
    for place, (key, listen) in enumerate(wanted.items()):
        host, _, configured = listen.rpartition(":")
        first = int(configured) if port is None else port + place
        found = _free_port(host.strip("[]"), first, taken)
        taken.add(found)
        if found != first:
            moved[key] = first
        if found != int(configured):
            environ[f"KOMMUTATOR_{key.replace('.', '__').upper()}"] = f"{host}:{found}"
    return House(folder, reading.read(file, environ), environ, moved)


def _written() -> str:
    callers = [number for entry in sample_clients() for number in entry["numbers"]]
    dialled = "".join(f'  "{number}",\n' for number, times in _DIALS.items() for _ in range(times))
    listed = "".join(f'  "{number}",\n' for number in callers)
    return f"""\
# The demo's configuration, written at its first start: change what you like.
data = "."

[desk]
listen = "127.0.0.1:{_PORTS["desk.listen"]}"

[notices]                  # into files of desk/sent/
sms = {{kind = "file"}}
email = {{kind = "file"}}

[routers.{ROUTER}]
metrics = "127.0.0.1:{_PORTS[f"routers.{ROUTER}.metrics"]}"

[routers.{ROUTER}.pbx]
kind = "simulated"
calls_per_minute = 4       # callers who come by themselves; every second has one of these numbers
callers = [
{listed}]
dials = [                  # the numbers without office hours more often: somebody answers at any time
{dialled}]
"""


def _free_port(host: str, wanted: int, taken: set[int]) -> int:
    """The first port from the wanted one on that nobody listens on; the wanted one when none is free."""
    for port in range(wanted, min(wanted + _LOOKED_AT, 65536)):
        if port in taken:
            continue
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return port
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return wanted  # whoever listens there tells what is wrong
    return wanted
