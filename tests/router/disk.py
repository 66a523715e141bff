"""A small file system of its own for a test, which takes the right to mount one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Disk:
    """A file system in memory, mounted on a folder that is made for it; `size` as `mount` writes it."""

    def __init__(self, folder: Path, size: str = "512k") -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "kommutator-test", str(folder)],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")

    def fill(self) -> None:
        """Leave no byte."""
        with (self._folder / "ballast").open("wb", buffering=0) as ballast:
            for size in (1 << 20, 4096, 1):
                try:
                    while ballast.write(b"\0" * size):
                        pass
                except OSError:
                    continue

    def empty(self) -> None:
        """Make room again."""
        (self._folder / "ballast").unlink()

    def remount(self, how: str) -> None:
        """`ro` or `rw`; busy for as long as somebody has a file open for writing."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self._folder)], check=True, capture_output=True)

    def away(self) -> None:
        """End it."""
        subprocess.run(["umount", "-l", str(self._folder)], check=False, capture_output=True)
