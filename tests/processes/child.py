"""A process for the supervisor to keep: `python -m tests.processes.child DEED…`, done one after another."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import click

from kommutator import readiness
from kommutator.lifeline import hold_lifeline


def main(deeds: list[str]) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    hold_lifeline()
    click.echo(f"born {os.getpid()}")
    for deed in deeds:
        name, _, value = deed.partition("=")
        match name:
            case "status":
                readiness.status(value)
            case "ready":
                readiness.ready(value)
            case "say":
                click.echo(value, color=True)
            case "flood":
                for number in range(int(value)):
                    sys.stdout.write(f"flood {number}\n")
                sys.stdout.flush()
            case "touch":
                Path(value).touch()
            case "fail":
                sys.exit(int(value))
            case "fail-without":
                if not Path(value).exists():
                    sys.exit(3)
            case "stubborn":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            case "foreign":
                if os.fork() == 0:
                    os.setuid(65534)
                    readiness.ready("not mine")
                    os._exit(0)
                os.wait()
            case "serve":
                while not told.is_set():
                    told.wait(0.05)
                click.echo("bye")


if __name__ == "__main__":
    main(sys.argv[1:])
