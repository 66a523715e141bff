"""A company to look at and to try things on: all eight schemes, each under a number of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
COMPANY: Final = FOLDER / "company.yaml"
"""The company document. It names files of `lists/`."""
CALLS: Final = FOLDER / "calls.yaml"
"""Calls to it, and how they end."""
