"""What figures depend on besides the code (the machine, the commit, the versions of what is measured), and where they are kept."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

ROOT: Final = Path(__file__).parents[1]


def conditions() -> dict[str, Any]:
    """The head of a benchmark's figures: when, of which commit, on which machine, and how busy it was before."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(),
        "machine": machine(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def machine() -> dict[str, Any]:
    """The processor's model, how many of its cores there are, and the memory in GiB."""
    information = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.+)$", information.read_text(), re.MULTILINE) if information.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def commit() -> dict[str, Any]:
    """The commit measured, and whether the work tree differs from it."""
    return {
        "commit": output("git", "rev-parse", "--short=10", "HEAD"),
        "changed": bool(output("git", "status", "--porcelain", "--untracked-files=no")),
    }


def versions() -> dict[str, str]:
    """Languages, peers, and this package."""
    return {
        "kommutator": version("kommutator"),
        "python": platform.python_version(),
        "rustc": output("rustc", "--version").split()[1],
        "wavekat-flow": locked("bench/peers/Cargo.lock", "wavekat-flow"),
        "zen-engine": version("zen-engine"),
        "phonenumbers": version("phonenumbers"),
        "criterion": locked("bench/peers/Cargo.lock", "criterion"),
        "pytest-benchmark": version("pytest-benchmark"),
    }


def keep(figures: Mapping[str, Any], name: str = "") -> str:
    """Writes the figures of a benchmark to a file of their day and commit, which they name; its path within the project."""
    results = ROOT / "bench/results" / f"{figures['at'][:10]}-{figures['commit']}{'-' * bool(name)}{name}.json"
    results.parent.mkdir(exist_ok=True)
    results.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return str(results.relative_to(ROOT))


def locked(lock: str, package: str) -> str:
    """A package's version in a Cargo lock file of this repository. Raises `KeyError`."""
    packages = tomllib.loads((ROOT / lock).read_text())["package"]
    return str({entry["name"]: entry["version"] for entry in packages}[package])


def output(*command: str) -> str:
    """What a command prints. Raises `CalledProcessError`."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
