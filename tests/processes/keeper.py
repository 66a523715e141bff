"""A supervisor in a process of its own: `python -m tests.processes.keeper DATA CHILDREN PACE [FORM]`, with tables as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Literal

import trio

from kommutator.cli.progress import Progress
from kommutator.errors import DataFolderBusy
from kommutator.supervisor import Child, Pace, Supervisor


def main(data: str, children: str, pace: str, form: Literal["text", "json"] = "json") -> None:
    kept = [
        Child(name, (sys.executable, "-m", "tests.processes.child", *deeds), tuple(after))
        for name, deeds, after in json.loads(children)
    ]
    with Progress([child.name for child in kept], form, lambda: ["all is ready"]) as screen:
        try:
            trio.run(Supervisor(kept, Path(data), screen, os.environ, Pace(**json.loads(pace))).run)
        except DataFolderBusy as error:
            screen.told(str(error), loud=True)
            sys.exit(5)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
