"""What the reader of a company document can find wrong, in the form of `kommutator check --json`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

READER_CODES: Final[dict[str, str]] = {
    "unreadable": "The document cannot be read at all: no such file, no YAML, no mapping, too large.",
    "duplicate_key": "A key is defined twice, in one file or in two; the message names the first place.",
    "unknown_key": "A key that does not belong here.",
    "missing_key": "A required key is not there.",
    "wrong_type": "A value of the wrong type: text for a number, a list for a mapping.",
    "unknown_kind": "A node of a kind that does not exist.",
    "wrong_value": "A word that is not one of those allowed here.",
    "out_of_range": "A number outside its range, or something empty that must not be.",
    "unexpected_key": "A key that excludes another one that is there.",
    "missing_file": "A file that the document names is not there.",
    "outside_folder": "A file that the document names lies outside the document's folder.",
    "bad_prompt": "A prompt file that is no readable WAV, or holds no sound.",
    "bad_list_file": "A list's CSV file that cannot be read.",
    "bad_number": "A row of a long list file that holds no telephone number; of a short one, the engine says it.",
    "unknown_calendar": "There is no holiday calendar of this country.",
    "missing_numbering_plan": "A region names places of a numbering plan, and none has been imported.",
    "bad_numbering_plan": "The imported numbering plan is damaged.",
    "unknown_plan_region": "The numbering plan has no region of this name.",
    "plan_region_twice": "Two regions of the company claim the same name of the numbering plan.",
}
"""Every code that the reader gives, with its meaning. All of them are errors."""

At = tuple[str, ...]
"""Where something is in the document: the keys that lead to it; items of a list count from `"0"`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: Path
    line: int
    """1-based."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the document."""

    code: str
    message: str
    at: At
    place: Place | None = None
    """Where, when `at` alone does not tell it."""
    severity: str = field(default="error", kw_only=True)

    def __post_init__(self) -> None:
        if self.code not in READER_CODES:
            raise ValueError(f"undocumented finding code {self.code!r}")

    def to_dict(self, place: Place | None) -> dict[str, Any]:
        """The finding as `check --json` prints it, blamed on `place`."""
        in_scheme = len(self.at) >= 2 and self.at[0] == "schemes"
        in_node = in_scheme and len(self.at) >= 4 and self.at[2] == "nodes"
        return {
            "code": self.code,
            "severity": self.severity,
            "scheme": self.at[1] if in_scheme else None,
            "node": self.at[3] if in_node else None,
            "file": str(place.file) if place else None,
            "line": place.line if place else None,
            "message": self.message,
            "path": [],
        }


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the closest known word, to be put behind a message; empty when none is close."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=3, cutoff=0.6)
    if not close:
        return ""
    return "; did you mean " + " or ".join(f"`{by_folded[match]}`" for match in close) + "?"
