"""A router by FastAGI on a company document alone, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from kommutator.app import document
from kommutator.cli.configured import log_to_stderr
from kommutator.company.reader import load
from kommutator.configuration import FastAgi, Log


def main() -> None:
    """Route until told to stop: document, address, folder of messages, data folder, and the words of a command that speaks."""
    company, listen, messages, data, *tts = sys.argv[1:]
    log_to_stderr(Log(form="json"))
    outgoing = Path(messages).parent / "outgoing"
    pbx = FastAgi(kind="fastagi", listen=listen, messages=Path(messages), outgoing=outgoing, silence_s=2)

    async def route() -> None:
        await document.route(load(Path(company)), pbx, Path(data), tts=tuple(tts))

    trio.run(route)


if __name__ == "__main__":
    main()
