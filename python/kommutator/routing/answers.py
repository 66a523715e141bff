"""What adapters must agree on: when a menu's input is complete, and what a round of ringing came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def is_complete(entered: str, options: Sequence[str]) -> bool:
    """Whether nothing more can be awaited.

    An option is matched that is no proper prefix of another, or none can be matched any more.
    """
    return not any(option.startswith(entered) and option != entered for option in options)


def outcome_of(ended: Mapping[str, str], endpoints: int) -> str:
    """The event that a round of so many endpoints ends with, by how those ended that did.

    It is `busy` or `unavailable` only when no phone was left ringing. Whoever declines is not busy.
    """
    if len(ended) < endpoints or "no_answer" in ended.values():
        return "no_answer"
    return "busy" if "busy" in ended.values() else "unavailable"


def ended_of(ended: Mapping[str, str]) -> list[dict[str, str]]:
    """Endpoints and causes in the form of the contract's events."""
    return [{"endpoint": endpoint, "cause": cause} for endpoint, cause in ended.items()]
