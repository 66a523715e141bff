"""A company to look at and to try things on: all eight schemes, each under a number of its own, and its clients."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
COMPANY: Final = FOLDER / "company"
"""The company document and the lists that it names."""
CLIENTS: Final = FOLDER / "clients.yaml"
"""Clients, with what was said to them and what they want."""
CALLS: Final = FOLDER / "calls.yaml"
"""Calls to it, and how they end."""
