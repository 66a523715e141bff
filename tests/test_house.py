"""The rules of the house that no linter knows."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = sorted((ROOT / "rust/engine/src").rglob("*.rs"))
BINDING = sorted((ROOT / "rust/python/src").rglob("*.rs"))
TOP_LEVEL = {
    "pyproject.toml",
    "Cargo.toml",
    "Cargo.lock",
    "rust",
    "python",
    "bench",
    "tests",
    "deploy",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "clippy.toml",
    "rustfmt.toml",
    ".ci",
    ".gitignore",
}


@pytest.mark.parametrize("word", ["std::net", "std::fs", "std::thread", "SystemTime", "Instant", "tokio"])
def test_the_engine_knows_no_world(word: str) -> None:
    pattern = re.compile(rf"\b{re.escape(word)}\b")
    assert ENGINE
    assert [str(path) for path in ENGINE if pattern.search(path.read_text())] == []


def test_the_engine_depends_on_no_binding_and_no_runtime() -> None:
    tree = subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--locked", "--offline"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    metadata = json.loads(tree.stdout)
    packages = {package["id"]: package["name"] for package in metadata["packages"]}
    links = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    (engine,) = [ident for ident, name in packages.items() if name == "kommutator-engine"]
    seen, open_ = {engine}, [engine]
    while open_:
        for link in links[open_.pop()]:
            if link["pkg"] not in seen and any(kind["kind"] is None for kind in link["dep_kinds"]):
                seen.add(link["pkg"])
                open_.append(link["pkg"])
    names = {packages[ident] for ident in seen}
    assert "jiff" in names
    assert names.isdisjoint({"pyo3", "tokio", "mio", "async-std", "reqwest", "rand"})


def test_the_binding_stays_thin() -> None:
    lines = [len(path.read_text().splitlines()) for path in BINDING]
    assert 0 < sum(lines) < 2000
    assert max(lines) < 400


def test_nothing_but_the_house_at_the_top() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("/")[0] for line in listed.splitlines()} <= TOP_LEVEL


@pytest.mark.parametrize("lock", ["Cargo.lock", "bench/peers/Cargo.lock"])
def test_lock_files_name_no_private_registry(lock: str) -> None:
    sources = set(re.findall(r'^source = "(.+)"$', (ROOT / lock).read_text(), re.MULTILINE))
    assert sources == {"registry+https://github.com/rust-lang/crates.io-index"}
