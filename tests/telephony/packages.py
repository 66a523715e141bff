"""Asterisk, SIPp and espeak-ng from Debian's archive, without installing anything.

Debian 12 has no Asterisk, so the packages come from the *sid* suite, resolved in a private apt root whose dpkg status
is empty: apt then downloads the whole closure, the C library included, and `dpkg -x` unpacks it into a cache folder.
The programs run through the loader of that tree, so nothing of the machine's own libraries is used, and nobody needs
to be root. When sid cannot be resolved (it moves), *bullseye* with its Asterisk 16 is taken instead, and `Tree.suite`
says so: REST over the event websocket is then missing.

The archive's address is asked from the machine's own apt at run time; none is written here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.apt import PackagesMissing, locked, run

REVISION = 2
"""Raised when the content of a cached tree changes, so that an older one is made anew."""

_PACKAGES = {
    "sid": ("asterisk", "asterisk-core-sounds-en-gsm", "sip-tester", "espeak-ng"),
    "bullseye": ("asterisk", "asterisk-voicemail", "asterisk-core-sounds-en-gsm", "sip-tester", "espeak-ng"),
}
_NEVER_RUN = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/lib/python3.*", "var/cache")


@dataclass(frozen=True)
class Tree:
    """An unpacked closure of packages: `root` is its folder, `suite` the Debian suite that it came from."""

    root: Path
    suite: str

    @property
    def libraries(self) -> Path:
        """The folder of shared libraries of this machine's architecture."""
        found = (libc for place in ("usr/lib", "lib") for libc in self.root.glob(f"{place}/*-linux-gnu*/libc.so.6"))
        return next(found).parent

    def command(self, program: str) -> list[str]:
        """The start of an argument list that runs `program` (`usr/sbin/asterisk`) by the tree's own loader."""
        loader = next(self.libraries.glob("ld-linux*.so.*"))
        multiarch = self.libraries.name
        folders = [self.root / f"usr/lib/{multiarch}", self.root / f"lib/{multiarch}", self.root / "usr/lib"]
        folders.append(self.root / f"usr/lib/{multiarch}/pulseaudio")
        library_path = ":".join(str(folder) for folder in folders if folder.is_dir())
        name = [] if self.suite == "bullseye" else ["--argv0", Path(program).name]
        return [str(loader), "--library-path", library_path, *name, str(self.root / program)]

    @property
    def espeak_ng(self) -> Path:
        """A program that speaks as `espeak-ng` does, for the prompts that are said; its folder can go into `PATH`."""
        return self.root / "bin" / "espeak-ng"


def tree(cache: Path | None = None) -> Tree:
    """The unpacked packages, fetched at the first use (about 20 s), at once afterwards.

    `cache` is `$KOMMUTATOR_CACHE`, else `.cache` of the repository. Processes that ask at the same time wait for the
    one that fetches. Raises `PackagesMissing` when neither suite can be had.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise PackagesMissing("apt-get and dpkg are needed to fetch Asterisk and SIPp: run the tests on Debian")
    return unpacked((cache or default_cache()) / "telephony", "Asterisk, SIPp and espeak-ng", _PACKAGES, _finish)


def unpacked(base: Path, what: str, packages: Mapping[str, Sequence[str]], finish: Callable[[Tree], None]) -> Tree:
    """The closure of the packages of the first suite that can be had, unpacked in a folder of `base`; at once when it is
    there already. `what` is it for people; `finish` sees to a new tree. Raises `PackagesMissing`.
    """
    base.mkdir(parents=True, exist_ok=True)
    with locked(base / "lock"):
        for suite in packages:
            root = base / f"{suite}-{REVISION}"
            if (root / ".complete").exists():
                return Tree(root, suite)
        return _fetch(base, what, packages, finish)


def default_cache() -> Path:
    """`$KOMMUTATOR_CACHE`, else the repository's ignored `.cache`."""
    given = os.environ.get("KOMMUTATOR_CACHE")
    return Path(given) if given else Path(__file__).resolve().parents[2] / ".cache"


def _fetch(base: Path, what: str, packages: Mapping[str, Sequence[str]], finish: Callable[[Tree], None]) -> Tree:
    for outdated in base.glob("*-*"):
        shutil.rmtree(outdated)
    reasons: list[str] = []
    archive = _archive()
    for suite in packages:
        try:
            fetched = _fetch_suite(base, archive, suite, packages[suite], finish)
        except PackagesMissing as error:
            reasons.append(f"{suite}: {error}")
            sys.stderr.write(f"{base.name}: {suite} cannot be used, {error}\n")
            continue
        if reasons:
            sys.stderr.write(f"{base.name}: running the programs of {suite}\n")
        return fetched
    raise PackagesMissing(f"{what} could not be fetched.\n" + "\n".join(reasons))


def _fetch_suite(base: Path, archive: str, suite: str, packages: Sequence[str], finish: Callable[[Tree], None]) -> Tree:
    work = base / f"{suite}.part"
    shutil.rmtree(work, ignore_errors=True)
    apt_root, content = work / "apt", work / "tree"
    content.mkdir(parents=True)
    options = _apt_root(apt_root, archive, suite)
    run(["apt-get", *options, "update"], f"the package lists of {suite}")
    install = ["-y", "--download-only", "--no-install-recommends", "install", *packages]
    run(["apt-get", *options, *install], ", ".join(packages))
    for package in sorted((apt_root / "var/cache/apt/archives").glob("*.deb")):
        run(["dpkg", "-x", str(package), str(content)], package.name)
    for pattern in _NEVER_RUN:
        for folder in content.glob(pattern):
            shutil.rmtree(folder)
    root = base / f"{suite}-{REVISION}"
    shutil.rmtree(root, ignore_errors=True)
    content.rename(root)
    fetched = Tree(root, suite)
    finish(fetched)
    (root / ".complete").touch()
    shutil.rmtree(work)
    return fetched


def _finish(fetched: Tree) -> None:
    sounds = fetched.root / "usr/share/asterisk/sounds"
    if not (sounds / "en").exists():
        (sounds / "en").symlink_to("en_US_f_Allison")
    command = shlex.join([*fetched.command("usr/bin/espeak-ng"), f"--path={fetched.libraries}"])
    fetched.espeak_ng.parent.mkdir()
    fetched.espeak_ng.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    fetched.espeak_ng.chmod(0o755)


def _apt_root(root: Path, archive: str, suite: str) -> list[str]:
    """Lays an apt root with nothing installed, and returns the options that make apt use it.

    A suite's Release file can be past its Valid-Until on a mirror; its signature is checked all the same.
    """
    folders = ["var/lib/dpkg", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"]
    folders += ["etc/apt/sources.list.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d"]
    for folder in folders:
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not keyring.exists():
        raise PackagesMissing("the package debian-archive-keyring is not installed")
    source = f"deb [check-valid-until=no signed-by={keyring}] {archive} {suite} main\n"
    (root / "etc/apt/sources.list").write_text(source)
    settings = {
        "Dir": root,
        "Dir::State::status": root / "var/lib/dpkg/status",
        "Dir::Bin::methods": "/usr/lib/apt/methods",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::Retries": 2,
        "APT::Update::Error-Mode": "any",
        "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
    }
    return [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]


def _archive() -> str:
    """The address of the main Debian archive that this machine's apt is set up with.

    The addresses of an update are printed without being fetched, so that no `apt-get update` is needed before.
    """
    with tempfile.TemporaryDirectory() as lists:
        (Path(lists) / "partial").mkdir()
        options = ["-o", f"Dir::State::lists={lists}", "-o", "Debug::NoLocking=1"]
        printed = run(["apt-get", *options, "--print-uris", "update"], "apt's list of sources")
    releases = [line.split()[0].strip("'") for line in printed.splitlines() if line.startswith("'")]
    archives = [uri.partition("/dists/")[0] for uri in releases]
    main = [uri for uri in archives if uri.endswith("/debian")]
    if not main:
        raise PackagesMissing(f"apt has no source of the main Debian archive, only {sorted(set(archives))}")
    return main[0]


if __name__ == "__main__":
    print(f"Asterisk and SIPp are in {tree().root}")
