"""The router's configuration: one typed object, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kommutator.routing.prompts import DEFAULT_TTS


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """How a router is run."""

    company: Path
    """The company document: a YAML file, or a folder of them."""
    ari_url: str
    """Where Asterisk's REST interface is, such as `http://127.0.0.1:8088`."""
    ari_user: str
    ari_password: str
    data: Path
    """The folder of the spool, the ledger, the fetched recordings and the prompts made; the PBX must be able to read
    its `prompts`.
    """
    application: str = "kommutator"
    """The name in the dialplan's `Stasis(…)`."""
    trunk: str = "PJSIP/{number}@trunk"
    """How the PBX dials an E.164 number."""
    silence_s: int = 5
    """So much silence ends a recording, in seconds."""
    tts: tuple[str, ...] = DEFAULT_TTS
    """The command that speaks texts: it reads the text on standard input; `{language}` and `{output}` are filled in."""

    @property
    def recordings(self) -> Path:
        """Where messages are."""
        return self.data / "recordings"

    @property
    def prompts(self) -> Path:
        """Where the prompts made are."""
        return self.data.resolve() / "prompts"
