"""An Asterisk that asks by FastAGI, with the dialplan that users are given, and a router that it asks."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from tests.telephony.asterisk import DEPLOY, Asterisk
from tests.telephony.router import RouterProcess, tts_of

_OURS = """
[kommutator](+)
exten => _+7496.,1,Goto(kommutator-steps,${EXTEN},1)
exten => _+7.,1,Goto(kommutator-agi,${EXTEN},1)
exten => _8.,1,Goto(kommutator-agi,${EXTEN},1)
"""
"""Numbers of 496 only ask steps."""


class AgiAsterisk(Asterisk):
    """An Asterisk whose calls ask a router at `agi`."""

    agi: str

    def __init__(self) -> None:
        super().__init__()
        self.agi = f"127.0.0.1:{self.ports.base + 4}"

    def _extensions_conf(self) -> str:
        text = (DEPLOY / "extensions-agi.conf").read_text(encoding="utf-8")
        address = "agi://127.0.0.1:4573"
        assert text.count(address) == 1
        return f"{super()._extensions_conf()}\n{text.replace(address, f'agi://{self.agi}')}\n{_OURS}"


class AgiRouter(RouterProcess):
    """A router of an `AgiAsterisk`."""

    connected = "pbx may connect"

    @classmethod
    def of_document(cls, asterisk: AgiAsterisk, company: Path, data: Path) -> AgiRouter:
        """On a company document alone."""
        command = [sys.executable, "-m", "tests.agi.router_main", str(company), asterisk.agi, str(asterisk.recordings)]
        return cls([*command, str(data), *shlex.split(tts_of(asterisk))], data)
