"""`kommutator up` with its real database and exchange, and a desk that does nothing: `python -m tests.processes.servers DATA`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from kommutator.cli.progress import Progress
from kommutator.cli.up import children_of
from kommutator.configuration import Configuration
from kommutator.supervisor import Child, Supervisor


def main(data: str) -> None:
    table = {child.name: child for child in children_of(Configuration(data=Path(data)), None)}
    desk = (sys.executable, "-m", "tests.processes.child", "ready", "serve")
    kept = [table["postgres"], table["nats"], Child("desk", desk, table["desk"].after)]
    with Progress([child.name for child in kept], "json", lambda: ["all is ready"]) as screen:
        trio.run(Supervisor(kept, Path(data), screen, os.environ).run)


if __name__ == "__main__":
    main(sys.argv[1])
