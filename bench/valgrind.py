"""Valgrind: the machine's own, else Debian's package, unpacked into the cache and not installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.apt import PackagesMissing, locked, run
from tests.telephony.packages import default_cache


@dataclass(frozen=True, slots=True)
class Valgrind:
    """The program, and what its environment needs."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)


def valgrind(cache: Path | None = None) -> Valgrind:
    """Valgrind of `PATH`, else of the cache, fetched by apt at the first use (about 20 s).

    `cache` is `$KOMMUTATOR_CACHE`, else `.cache` of the repository. Raises `PackagesMissing`.
    """
    if own := shutil.which("valgrind"):
        return Valgrind(own)
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PackagesMissing("valgrind is not installed, and this is no Debian to fetch it from")
    base = cache or default_cache()
    base.mkdir(parents=True, exist_ok=True)
    root = base / "valgrind"
    with locked(base / "valgrind.lock"):
        if not (root / ".complete").exists():
            _fetch(root)
    # The program of Debian's name is a script that looks for the one beside it where it would be installed.
    program = next(path for path in (root / "usr/bin/valgrind.bin", root / "usr/bin/valgrind") if path.exists())
    tools = next(path.parent for path in root.glob("usr/lib*/**/callgrind-*-linux"))
    return Valgrind(str(program), {"VALGRIND_LIB": str(tools)})


def _fetch(root: Path) -> None:
    """Takes the package of the machine's own suite, with lists of its own: nobody need be root, or have updated."""
    shutil.rmtree(root, ignore_errors=True)
    lists = root / "apt/lists"
    (lists / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={root / 'apt'}", "-o", "Debug::NoLocking=1"]
    options += ["-o", "APT::Sandbox::User=", "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=2"]
    run(["apt-get", *options, "update"], "the package lists")
    run([*_in(root), "apt-get", *options, "download", "valgrind"], "valgrind")
    for package in root.glob("valgrind_*.deb"):
        run(["dpkg", "-x", str(package), str(root)], package.name)
        package.unlink()
    shutil.rmtree(root / "apt")
    (root / ".complete").touch()


def _in(folder: Path) -> list[str]:
    """The start of a command that runs there: apt downloads to where it stands."""
    return ["env", "-C", os.fspath(folder)]
