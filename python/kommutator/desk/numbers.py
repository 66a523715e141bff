"""Telephone numbers to be read."""

from __future__ import annotations

import phonenumbers


def national(number: str) -> str:
    """An E.164 number as people of its country write it: `+79161234567` is `8 (916) 123-45-67`. What is no number stays."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.NATIONAL)
    except phonenumbers.NumberParseException:
        return number
