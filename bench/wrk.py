"""wrk, a client that is faster than any server here: Debian's, fetched into a cache without installing anything.

Closed loop: each of its connections asks when it has been answered, so its waits are those of so many clients, not of
arrivals at a rate.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from tests.apt import PackagesMissing, locked, run
from tests.browser.packages import default_cache

_PACKAGES: Final = ("wrk", "libluajit-5.1-2")
_SCRIPT: Final = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = {body}
{check}
function done(summary, latency, requests)
  local wrong = 0
  for _, thread in ipairs(threads or {{}}) do wrong = wrong + thread:get("wrong") end
  local errors = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\n{{"requests": %d, "us": %d, "bytes": %d, "not_2xx": %d, "errors": %d, "wrong": %d, '
    .. '"p50_us": %d, "p99_us": %d, "p99_9_us": %d}}\\n', summary.requests, summary.duration, summary.bytes,
    summary.errors.status, errors, wrong, latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""
_CHECK: Final = """
threads = {{}}
function setup(thread) thread:set("wrong", 0) table.insert(threads, thread) end
function init() wrong = 0 end
function response(status, headers, body) if body ~= {answer} then wrong = wrong + 1 end end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load."""

    requests: int
    us: int
    bytes: int
    not_2xx: int
    errors: int
    wrong: int
    """Answers that were not as they had to be, where that was looked at."""
    p50_us: int
    p99_us: int
    p99_9_us: int


@dataclass(frozen=True, slots=True)
class Wrk:
    """The program."""

    program: Path
    libraries: str

    def load(
        self,
        url: str,
        body: bytes,
        *,
        connections: int,
        seconds: int,
        answer: bytes | None = None,
        cores: Sequence[int],
    ) -> Load:
        """Ask with this JSON for so long, and hold every answer against `answer` where it is given (which is slower)."""
        check = _CHECK.format(answer=_quoted(answer)) if answer is not None else ""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(_SCRIPT.format(body=_quoted(body), check=check))
            script.flush()
            command = [str(self.program), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, url]
            told = subprocess.run(
                command,
                check=True,
                capture_output=True,
                text=True,
                timeout=seconds + 60,
                env={**os.environ, "LD_LIBRARY_PATH": self.libraries},
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            ).stdout
        found = re.search(r"^\{.*\}$", told, re.MULTILINE)
        if found is None:
            raise RuntimeError(f"wrk says nothing that can be read:\n{told}")
        return Load(**orjson.loads(found[0]))


def wrk() -> Wrk:
    """The machine's, else Debian's. Raises `PackagesMissing`."""
    installed = shutil.which("wrk")
    if installed is not None:
        return Wrk(Path(installed), "")
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PackagesMissing("wrk is needed: install it, or run this on Debian")
    base = default_cache() / "wrk"
    base.mkdir(parents=True, exist_ok=True)
    root = base / "root"
    with locked(base / "lock"):
        if not (root / ".complete").exists():
            _fetch(base, root)
    return Wrk(root / "usr/bin/wrk", ":".join(str(folder) for folder in root.glob("usr/lib/*-linux-gnu*")))


def _fetch(base: Path, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    lists = base / "lists"
    for folder in (lists / "partial", root):
        folder.mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::lists={lists}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]
    run(["apt-get", *options, "update"], "apt's package lists")
    for package in _PACKAGES:
        run(["env", "-C", str(base), "apt-get", *options, "download", package], package)
    for file in base.glob("*.deb"):
        run(["dpkg", "-x", str(file), str(root)], file.name)
        file.unlink()
    shutil.rmtree(lists)
    (root / ".complete").touch()


def _quoted(text: bytes) -> str:
    """As a string of Lua."""
    return (
        '"' + "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03}" for byte in text) + '"'
    )
