"""Debian's Kamailio, fetched and unpacked as Asterisk is, into a tree of its own."""

from __future__ import annotations

from pathlib import Path

from tests.telephony.packages import Tree, default_cache, unpacked

_NEEDED = ("kamailio", "kamailio-extra-modules", "kamailio-json-modules", "kamailio-utils-modules")
_PACKAGES = {"sid": _NEEDED, "bookworm": _NEEDED}


def tree(cache: Path | None = None) -> Tree:
    """The unpacked packages, fetched at the first use, at once afterwards. Raises `PackagesMissing`."""
    return unpacked((cache or default_cache()) / "kamailio", "Kamailio", _PACKAGES, lambda _tree: None)
