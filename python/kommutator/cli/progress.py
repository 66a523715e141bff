"""What `kommutator up` shows: plain lines, JSON lines, or on a terminal a table while the parts start.

Everything is written by a thread of its own, from a queue with a bound: a terminal that is held, or a log that nobody
reads, must stop neither the supervisor nor a child. What does not fit is dropped, and the gap is told.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kommutator.supervisor import State

_MOST_WAITING = 10_000
_REDRAWN_S = 0.1
_MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "starting": ("…", "yellow"),
    "ready": ("✓", "green"),
    "pausing": ("!", "red"),
    "failing": ("✗", "bold red"),
    "stopping": ("…", "yellow"),
    "stopped": ("·", "dim"),
}


@dataclass(frozen=True, slots=True)
class _Event:
    name: str
    state: State | None
    """None: a child's own line, or the supervisor's."""
    text: str
    loud: bool = False
    raw: bytes = b""


class Progress:
    """The screen of a supervisor, for as long as its context lasts. `at_ready` says what is told when all parts serve.

    Lines of JSON pass unchanged in the form `json`; any other line becomes one there.
    """

    def __init__(
        self, names: Iterable[str], form: Literal["text", "json"], at_ready: Callable[[], Iterable[str]]
    ) -> None:
        self._names = list(names)
        self._width = max((len(name) for name in [*self._names, "up"]), default=0)
        self._at_ready = at_ready
        self._queue: queue.Queue[_Event | None] = queue.Queue(_MOST_WAITING)
        self._dropped = 0
        self._counting = threading.Lock()
        terminal = form == "text" and sys.stderr.isatty()
        writer = _json if form == "json" else self._text
        self._thread = threading.Thread(
            target=self._draw if terminal else self._write, args=() if terminal else (writer,), name="progress"
        )
        self._thread.daemon = True  # a standard error that takes nothing must not hold the end up

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._queue.put(None, timeout=1.0)
        except queue.Full:
            return
        self._thread.join(5.0)

    def line(self, name: str, line: bytes) -> None:
        """A child's line."""
        self._put(_Event(name, None, "", raw=line.rstrip(b"\r")))

    def changed(self, name: str, state: State, text: str, *, loud: bool = False) -> None:
        """A child's state."""
        self._put(_Event(name, state, text, loud))

    def told(self, text: str, *, loud: bool = False) -> None:
        """The supervisor's line."""
        self._put(_Event("up", None, text, loud))

    def all_ready(self) -> None:
        """All serve."""
        for text in self._at_ready():
            self._put(_Event("up", "ready", text))

    def _put(self, event: _Event) -> None:
        with self._counting:
            try:
                if self._dropped:
                    self._queue.put_nowait(_gap(self._dropped))
                    self._dropped = 0
                self._queue.put_nowait(event)
            except queue.Full:
                self._dropped += 1

    # --- in the thread

    def _with_gap(self, event: _Event) -> list[_Event]:
        """The event, and what was dropped after it where nothing else waits: there may be no later line to tell it by."""
        with self._counting:
            if not self._dropped or not self._queue.empty():
                return [event]
            dropped, self._dropped = self._dropped, 0
        return [event, _gap(dropped)]

    def _write(self, form: Callable[[_Event], bytes]) -> None:
        while (event := self._queue.get()) is not None:
            for each in self._with_gap(event):
                if not _put_out(form(each)):
                    return

    def _text(self, event: _Event) -> bytes:
        said = event.raw or ": ".join(filter(None, (event.state, event.text))).encode()
        return f"{event.name:<{self._width}} │ ".encode() + said + b"\n"

    def _draw(self) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        board = _Board(self._names)
        with Live(board.table(), console=console, auto_refresh=False, transient=True) as live:
            while True:
                try:
                    event = self._queue.get(timeout=_REDRAWN_S)
                except queue.Empty:
                    live.update(board.table(), refresh=True)
                    continue
                if event is None or (event.name == "up" and event.state == "ready"):
                    break
                board.hear(event)
                for each in self._with_gap(event):
                    if each.state is None or each.loud:
                        console.print(self._coloured(each))
        console.print(board.table())
        while event is not None:
            for each in self._with_gap(event):
                console.print(self._coloured(each))
            event = self._queue.get()

    def _coloured(self, event: _Event) -> Text:
        if event.raw:
            said = Text.from_ansi(event.raw.decode(errors="replace"))
        elif event.name == "up":
            said = Text(event.text, style="bold red" if event.loud else "bold")
        else:
            mark, style = _MARKS[event.state or "starting"]
            said = Text(f"{mark} " + ": ".join(filter(None, (event.state, event.text))), style=style)
        return Text.assemble((f"{event.name:<{self._width}} │ ", "cyan"), said)


def _gap(lines: int) -> _Event:
    return _Event("up", None, f"{lines} lines were dropped", loud=True)


class _Board:
    """The table on a terminal."""

    def __init__(self, names: Iterable[str]) -> None:
        now = time.monotonic()
        self._rows: dict[str, tuple[State, str, float]] = dict.fromkeys(names, ("waiting", "", now))

    def hear(self, event: _Event) -> None:
        if event.state is not None and event.name in self._rows:
            state, _, since = self._rows[event.name]
            self._rows[event.name] = (event.state, event.text, since if state == event.state else time.monotonic())

    def table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, (state, text, since) in self._rows.items():
            mark, style = _MARKS[state]
            seconds = f" {time.monotonic() - since:.0f} s" if state == "starting" else ""
            table.add_row(Text(mark, style=style), name, Text(f"{state}{seconds}", style=style), Text(text, "dim"))
        return table


def _json(event: _Event) -> bytes:
    if event.raw:
        try:
            if isinstance(orjson.loads(event.raw), dict):
                return event.raw + b"\n"
        except orjson.JSONDecodeError:
            pass
    said: dict[str, Any] = {
        "process": event.name,
        "event": event.raw.decode(errors="replace") or event.text,
        "level": "error" if event.loud else "info",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    if event.state is not None:
        said["state"] = event.state
    return orjson.dumps(said) + b"\n"


def _put_out(line: bytes) -> bool:
    """Write all of it; False when nobody will ever read it."""
    while line:
        try:
            line = line[os.write(2, line) :]
        except OSError:
            return False
    return True
