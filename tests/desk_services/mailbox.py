"""A mail server as a process of its own, which no desk's death touches: `python -m tests.desk_services.mailbox FOLDER`.

It says its port, keeps each letter in a file, and takes a moment for each, so that a desk can die while one is under way.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

_MOMENT_S = 0.03


class Mailbox:
    """The letters, in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = itertools.count(1)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep one."""
        assert isinstance(envelope.content, bytes)
        part = self._folder / ".part"
        part.write_bytes(envelope.content)
        part.rename(self._folder / f"{next(self._names):06}.eml")
        await asyncio.sleep(_MOMENT_S)
        return "250 kept"


async def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    mailbox = Mailbox(folder)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
