"""What happens when Asterisk cannot be had: a failure that names what is missing, and never a skip."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.apt import PackagesMissing

from . import packages, sound


def test_an_unreachable_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "apt.conf"
    settings.write_text('Acquire::http::Proxy "http://127.0.0.1:9"; Acquire::https::Proxy "http://127.0.0.1:9";\n')
    monkeypatch.setenv("APT_CONFIG", str(settings))
    with pytest.raises(PackagesMissing) as failure:
        packages.tree(tmp_path / "cache")
    assert "Asterisk" in str(failure.value)
    assert "sid: the package lists of sid" in str(failure.value)
    assert "bullseye: the package lists of bullseye" in str(failure.value)


def test_a_cached_tree_is_taken_without_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "telephony" / f"sid-{packages.REVISION}"
    root.mkdir(parents=True)
    (root / ".complete").touch()
    monkeypatch.setenv("KOMMUTATOR_CACHE", str(tmp_path))
    assert packages.tree() == packages.Tree(root, "sid")


def test_espeak_speaks_russian(tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.wav"
    command = [str(packages.tree().espeak_ng), "-v", "ru", "-w", str(spoken), "Все операторы заняты."]
    subprocess.run(command, check=True, timeout=30)
    assert sound.loudness(spoken) > 1000
    assert 1 < sound.seconds(spoken) < 4
