"""Telephone numbers as people write them, for clients and for the search."""

from __future__ import annotations

import re
from dataclasses import dataclass

import phonenumbers

from kommutator import _engine
from kommutator.errors import BadNumber

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_LIKE_A_NUMBER = re.compile(r"[\s+()./\-–—0-9]+|(?:sip|tel):.+", re.IGNORECASE)
_FEWEST_DIGITS = 3
"""Fewer digits find too much to be of use."""


@dataclass(frozen=True, slots=True)
class NumberQuery:
    """What a typed number may mean: whole, the beginning of one, or the end of one."""

    whole: str | None
    beginnings: tuple[str, ...]
    """Of E.164 numbers, with the plus."""
    ending: str
    """Digits."""


def e164(raw: str, country: str) -> str:
    """A number in any spelling as whole E.164, read as the engine reads it. Raises `BadNumber`; extensions are none."""
    number = normalize(raw, country)
    if number is None or not _E164.fullmatch(number):
        raise BadNumber(f"`{raw}` is no telephone number")
    return number


def normalize(raw: str | None, country: str) -> str | None:
    """A number as the engine has it: E.164, an extension as it is, None for none. Raises `BadNumber` for an unknown
    country."""
    return None if raw is None else _engine.normalize(raw, country)


def number_query(typed: str, country: str) -> NumberQuery | None:
    """How a typed number is looked for; None when it is no number, or has fewer than three digits."""
    typed = typed.strip()
    digits = re.sub(r"\D", "", typed)
    if not _LIKE_A_NUMBER.fullmatch(typed) or len(digits) < _FEWEST_DIGITS:
        return None
    whole = normalize(typed, country)
    code = str(phonenumbers.country_code_for_region(country) or "")
    beginnings = [f"+{digits}"]
    if not typed.startswith("+") and code:
        metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None)
        trunk = (metadata.national_prefix if metadata is not None else None) or ""
        if trunk and digits.startswith(trunk):
            beginnings.append(f"+{code}{digits[len(trunk) :]}")
        beginnings.append(f"+{code}{digits}")
    return NumberQuery(whole if whole and _E164.fullmatch(whole) else None, tuple(dict.fromkeys(beginnings)), digits)
