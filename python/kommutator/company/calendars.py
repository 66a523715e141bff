"""Public holidays and moved workdays of a country, resolved to dates."""

from __future__ import annotations

from typing import Any, Final

import holidays

YEARS: Final = range(2000, 2041)
"""The years that a calendar covers; fixed, so that one document always gives the same calendar."""


def calendar(country: str, language: str) -> dict[str, Any] | None:
    """The calendar of an ISO 3166 country as the engine document has it, or None when there is none.

    `closed` maps each public holiday, and each weekday made a day off, to its name, in `language` where the calendar
    has it; `workdays` are the weekend days made workdays. The source is the `holidays` package.
    """
    try:
        days = holidays.country_holidays(country, years=YEARS, language=language)
    except NotImplementedError:
        return None
    closed = {day.isoformat(): name for day, name in sorted(days.items()) if day.year in YEARS}
    moved = sorted(day.isoformat() for day in days.weekend_workdays if day.year in YEARS)
    return {"country": country, "closed": closed, "workdays": [day for day in moved if day not in closed]}


def countries() -> list[str]:
    """The countries that have a calendar."""
    return sorted(holidays.list_supported_countries(include_aliases=False))
