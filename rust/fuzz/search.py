"""Searches for bytes that a target does not survive, guided by the code they reach: `search.py SECONDS|glance [TARGET...]`.

The fuzzer is LLVM's (libFuzzer), and a stable
Rust compiler makes the code tell what it reaches; a C++ compiler is needed for the fuzzer itself. What is found is written
to `target/fuzz/found/TARGET`: mend it, and keep it in `corpus/TARGET`. What reached something new stays in
`target/fuzz/reached/TARGET`, where the next search begins.

A glance is short, and the same each time: it begins at the corpus alone, with one seed, so that what it finds is
found by whoever looks again at the same code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "rust/fuzz/corpus"
GLANCE = ("-seed=1", "-runs=40000", "-max_total_time=20")
"""Two or three seconds for each target, more where the machine is busy."""
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
    long = () if sys.argv[1] == "glance" else (f"-max_total_time={int(sys.argv[1])}",)
    work = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "fuzz"
    program = built(work)
    found = [name for name in sys.argv[2:] or targets() if not survives(program, work, name, long)]
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


def survives(program: Path, work: Path, name: str, long: tuple[str, ...]) -> bool:
    """Search one target: for as long as it is told, or at a glance."""
    found, reached = work / "found" / name, work / ("reached" if long else "glanced") / name
    if not long:
        shutil.rmtree(reached, ignore_errors=True)
    for folder in (found, reached):
        folder.mkdir(parents=True, exist_ok=True)
    options = (*(long or GLANCE), f"-timeout={SLOW_S}", "-rss_limit_mb=2048")
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
