"""At which PBX each employee's phone is registered: what the exchange must know of the company."""

from __future__ import annotations

from collections.abc import Callable, Mapping

Homes = Callable[[], Mapping[str, str]]
"""Answers, for the active version, each employee's PBX. Who is not there has no phone at any PBX and is nobody's to
claim."""
