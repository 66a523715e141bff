"""Searches for bytes that a target does not survive, guided by the code they reach: `search.py SECONDS [TARGET...]`.

The fuzzer is LLVM's (libFuzzer), and a stable
Rust compiler makes the code tell what it reaches; a C++ compiler is needed for the fuzzer itself. What is found is written
to `target/fuzz/found/TARGET`: mend it, and keep it in `corpus/TARGET`. What reached something new stays in
`target/fuzz/reached/TARGET`, where the next search begins.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "rust/fuzz/corpus"
SLOW_S = 30
"""An input that takes longer is a finding. The check of a document may take seconds."""
COVERAGE = (
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
)


PROFILE = {f"CARGO_PROFILE_RELEASE_{key}": value for key, value in (("LTO", "off"), ("OPT_LEVEL", "1"), ("DEBUG", "0"))}
"""Built in a third of the time, and searched at half the speed."""


def main() -> int:
    """0: nothing was found."""
    seconds = int(sys.argv[1])
    work = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "fuzz"
    program = built(work)
    found = [name for name in sys.argv[2:] or targets() if not survives(program, work, name, seconds)]
    if found:
        sys.stderr.write(f"found something: {', '.join(found)}; see {work / 'found'}\n")
    return 1 if found else 0


def targets() -> list[str]:
    """All of them."""
    return sorted(folder.name for folder in CORPUS.iterdir())


def built(work: Path) -> Path:
    """The program, with the code that it searches telling what it reaches."""
    # With a target given, build scripts are made without these flags.
    host = next(
        line.split()[1]
        for line in subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.splitlines()
        if line.startswith("host:")
    )
    command = ["cargo", "build", "-q", "--release", "--target", host, "-p", "kommutator-fuzz", "--features", "guided"]
    flags = " ".join((os.environ.get("RUSTFLAGS", ""), *COVERAGE)).strip()
    env = {**os.environ, "CARGO_TARGET_DIR": str(work), "RUSTFLAGS": flags, **PROFILE}
    subprocess.run([*command, "--bin", "guided"], cwd=ROOT, env=env, check=True)
    return work / host / "release" / "guided"


def survives(program: Path, work: Path, name: str, seconds: int) -> bool:
    """Search one target."""
    found, reached = work / "found" / name, work / "reached" / name
    for folder in (found, reached):
        folder.mkdir(parents=True, exist_ok=True)
    options = (f"-max_total_time={seconds}", f"-timeout={SLOW_S}", "-rss_limit_mb=2048")
    command = [program, reached, CORPUS / name, *options, f"-artifact_prefix={found}/"]
    log = work / f"{name}.log"
    with log.open("wb") as said:
        env = {**os.environ, "KOMMUTATOR_TARGET": name}
        ended = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
    if ended.returncode:
        sys.stderr.write(log.read_text(errors="replace")[-4000:])
    return ended.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
