"""Debian's Chromium and a font, without installing anything.

What the machine lacks of `chromium` and `fonts-dejavu-core` is downloaded by its own apt, from its own sources, into a
cache folder and unpacked there by `dpkg -x`, so that nobody needs to be root. An installed Chromium is taken as it is.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.apt import PackagesMissing, locked, run

REVISION = 3
"""Raised when the content of a cached tree changes, so that an older one is made anew."""

_PACKAGES = ("chromium", "fonts-dejavu-core")
_NEVER_RUN = ("usr/share/doc", "usr/share/man", "usr/share/locale")


@dataclass(frozen=True)
class Browser:
    """A Chromium: the program, and what its environment needs besides the machine's."""

    program: Path
    environment: dict[str, str]


def browser(cache: Path | None = None) -> Browser:
    """Chromium, fetched at the first use (about 30 s), at once afterwards.

    `cache` is `$KOMMUTATOR_CACHE`, else `.cache` of the repository. Processes that ask at the same time wait for the
    one that fetches. Raises `PackagesMissing`.
    """
    installed = Path("/usr/bin/chromium")
    if installed.exists():
        return Browser(installed, {})
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PackagesMissing("apt-get and dpkg are needed to fetch Chromium: install it, or run the tests on Debian")
    base = (cache or default_cache()) / "browser"
    base.mkdir(parents=True, exist_ok=True)
    with locked(base / "lock"):
        root = base / f"chromium-{REVISION}"
        if not (root / ".complete").exists():
            _fetch(base, root)
    return _unpacked(root)


def default_cache() -> Path:
    """`$KOMMUTATOR_CACHE`, else the repository's ignored `.cache`."""
    given = os.environ.get("KOMMUTATOR_CACHE")
    return Path(given) if given else Path(__file__).resolve().parents[2] / ".cache"


def _unpacked(root: Path) -> Browser:
    multiarch = next(root.glob("usr/lib/*-linux-gnu*")).name
    libraries = [root / f"usr/lib/{multiarch}", root / f"lib/{multiarch}", root / f"usr/lib/{multiarch}/pulseaudio"]
    environment = {
        "LD_LIBRARY_PATH": ":".join(str(folder) for folder in libraries if folder.is_dir()),
        "FONTCONFIG_FILE": str(root / "fonts.conf"),
    }
    return Browser(root / "usr/lib/chromium/chromium", environment)


def _fetch(base: Path, root: Path) -> None:
    for outdated in [*base.glob("chromium-*"), base / "part"]:
        shutil.rmtree(outdated, ignore_errors=True)
    apt, tree = base / "part/apt", base / "part/tree"
    for folder in (apt / "lists/partial", apt / "cache/archives/partial", tree):
        folder.mkdir(parents=True)
    settings = {
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "Debug::NoLocking": 1,
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "APT::Update::Error-Mode": "any",
    }
    options = [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]
    run(["apt-get", *options, "update"], "apt's package lists")
    run(
        ["apt-get", *options, "-y", "--download-only", "--no-install-recommends", "install", *_PACKAGES],
        ", ".join(_PACKAGES),
    )
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        run(["dpkg", "-x", str(package), str(tree)], package.name)
    for pattern in _NEVER_RUN:
        shutil.rmtree(tree / pattern, ignore_errors=True)
    (tree / "fonts.conf").write_text(_fonts(root))
    tree.rename(root)
    (root / ".complete").touch()
    shutil.rmtree(base / "part")


def _fonts(root: Path) -> str:
    """DejaVu Sans for whatever has no serifs, so that pictures look alike on all machines."""
    alias = "".join(
        f"<alias><family>{family}</family><prefer><family>{font}</family></prefer></alias>"
        for family, font in (
            ("system-ui", "DejaVu Sans"),
            ("sans-serif", "DejaVu Sans"),
            ("ui-monospace", "DejaVu Sans Mono"),
            ("monospace", "DejaVu Sans Mono"),
        )
    )
    folders = f"<dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir><cachedir>{root}/fontcache</cachedir>"
    return f'<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>{folders}{alias}</fontconfig>'


if __name__ == "__main__":
    os.write(1, f"Chromium is {browser().program}\n".encode())
