"""Numbers are read as libphonenumber reads them, except where this file says otherwise.

``NUMBERS`` valid numbers of each country are drawn from libphonenumber's own metadata, dressed in every spelling that
people and PBXs use, and read back. Where the two differ by intent:

* a number of more than fifteen digits is no E.164 number (some German ones there are longer);
* ``8 10 800 …`` in Russia and Kazakhstan is the international prefix before a universal freephone number (``+800 …``),
  no national number of fourteen digits;
* two to six digits without ``+`` are an internal extension, never a short national number;
* German numbers of four digits, which were pagers, are too short;
* German digits that begin with ``49`` and have no trunk prefix begin with the calling code, never with an area code
  such as (0)4921: nobody leaves out the ``0``, but trunks do leave out the ``+``;
* in Belarus ``810`` is the international prefix, so that service code 810 needs its trunk prefix;
* a trunk prefix left in after the calling code is dropped once, not as often as it is repeated;
* numbers are judged by their length: whether their range is assigned is not looked at.
"""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import phonenumbers
import pytest
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat

from kommutator._engine import normalize

NUMBERS = 20_000
RANDOM_SPELLINGS = 10_000
E164_DIGITS = 15
EXTENSION_DIGITS = range(2, 7)
COUNTRIES = ["RU", "KZ", "BY", "UA", "DE", "GB", "US"]
INTERNATIONAL_PREFIX = {"RU": "810", "KZ": "810", "BY": "810", "UA": "00", "DE": "00", "GB": "00", "US": "011"}
TABLE = json.loads((Path(__file__).parent / "data" / "numbers.json").read_text())


@pytest.mark.parametrize("country", COUNTRIES)
def test_the_table_is_read_as_it_says(country: str) -> None:
    cases = [case for case in TABLE if case["country"] == country]
    assert cases
    for case in cases:
        assert normalize(case["raw"], country) == case["expected"], case["raw"]


@pytest.mark.parametrize("country", COUNTRIES)
def test_valid_numbers_are_read_in_every_spelling(country: str) -> None:
    wrong = [
        (kind, raw, normalize(raw, country), expected)
        for number in valid_numbers(country, NUMBERS)
        for kind, raw, expected in spellings(number, country)
        if normalize(raw, country) != expected
    ]
    assert not wrong, f"{len(wrong)} differ, as {wrong[:20]}"


@pytest.mark.parametrize("country", COUNTRIES)
def test_foreign_numbers_are_read_by_the_international_prefix(country: str) -> None:
    wrong = [
        (raw, country, normalize(raw, country), expected)
        for abroad in COUNTRIES
        for number in valid_numbers(abroad, 500)
        for expected in [e164(number)]
        for raw in international_spellings(number, country)
        if normalize(raw, country) != expected
    ]
    assert not wrong, f"{len(wrong)} differ, as {wrong[:20]}"


@pytest.mark.parametrize("country", COUNTRIES)
def test_random_digits_that_are_a_valid_number_are_that_number(country: str) -> None:
    """Digits nobody made to fit: what libphonenumber takes for a valid number of the country is read as the same
    one."""
    draw = random.Random(f"digits of {country}")
    metadata = metadata_of(country)
    heads = ["", "+", f"+{metadata.country_code}", str(metadata.country_code), metadata.national_prefix or "", "00"]
    agreed = 0
    for _ in range(RANDOM_SPELLINGS):
        raw = draw.choice(heads) + draw.choice("123456789") + "".join(draw.choices("0123456789", k=draw.randint(6, 11)))
        try:
            theirs = phonenumbers.parse(raw, country)
        except phonenumbers.NumberParseException:
            continue
        if not phonenumbers.is_valid_number_for_region(theirs, country) or is_our_own_reading(raw, theirs, country):
            continue
        agreed += 1
        assert normalize(raw, country) == e164(theirs), raw
    assert agreed > 50


def is_our_own_reading(raw: str, theirs: PhoneNumber, country: str) -> bool:
    return (
        e164(theirs) is None
        or (country == "DE" and raw.startswith("49"))
        or (country == "US" and raw.removeprefix("+").startswith("111"))
    )


def spellings(number: PhoneNumber, country: str) -> Iterator[tuple[str, str, str | None]]:
    """Each kind of spelling of a number in its own country, with what it must be read as."""
    national = phonenumbers.national_significant_number(number)
    code = str(number.country_code)
    expected = e164(number)
    for raw in international_spellings(number, country):
        yield "international", raw, expected
    formatted = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
    yield "national", formatted, extension(formatted) or expected
    for trunk in trunks(country, national):
        yield "trunk", trunk + national, extension(trunk + national) or expected
    yield "code", code + national, extension(code + national) or expected
    begins_otherwise = {"RU": "810", "KZ": "810", "BY": "810", "DE": "49"}.get(country)
    if begins_otherwise is None or not national.startswith(begins_otherwise):
        yield "bare", national, extension(national) or expected


def international_spellings(number: PhoneNumber, country: str) -> Iterator[str]:
    """Spellings with a ``+`` or what stands for one."""
    international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
    digits = f"{number.country_code}{phonenumbers.national_significant_number(number)}"
    yield international
    yield international.replace(" ", "\u00a0").replace("-", "\u2011")
    yield f"+{digits}"
    yield f'"+1 (202) <555>" <sip:+{digits}@pbx.example.test;user=phone>;tag=1'
    yield phonenumbers.format_number(number, PhoneNumberFormat.RFC3966)
    yield f"00{digits}"
    yield f"{INTERNATIONAL_PREFIX[country]}{digits}"


def trunks(country: str, national: str) -> list[str]:
    if country == "BY":
        service = national[0] in "89"
        return ["8"] if service else ["80", "0"]
    prefix = metadata_of(country).national_prefix
    assert prefix is not None
    return [prefix]


def extension(raw: str) -> str | None:
    digits = "".join(character for character in raw if character.isdigit())
    return digits if len(digits) in EXTENSION_DIGITS else None


def e164(number: PhoneNumber) -> str | None:
    """The number as displayed; ``None`` for what libphonenumber accepts and E.164 or this project does not."""
    national = phonenumbers.national_significant_number(number)
    pager = number.country_code == 49 and len(national) < 5
    freephone = number.country_code == 7 and len(national) > 10
    if len(f"{number.country_code}{national}") > E164_DIGITS or pager or freephone:
        return None
    return f"+{number.country_code}{national}"


def metadata_of(country: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region(country)
    assert metadata is not None
    return metadata


def valid_numbers(country: str, count: int) -> list[PhoneNumber]:
    """Distinct valid numbers of the country, of every kind it has, the same on each run."""
    draw = random.Random(f"numbers of {country}")
    metadata = metadata_of(country)
    general = metadata.general_desc
    assert general is not None and general.national_number_pattern is not None
    kinds = [
        (Pattern.read(kind.national_number_pattern), set(kind.possible_length or general.possible_length))
        for kind in [
            metadata.fixed_line,
            metadata.mobile,
            metadata.toll_free,
            metadata.premium_rate,
            metadata.shared_cost,
            metadata.personal_number,
            metadata.voip,
            metadata.pager,
            metadata.uan,
            metadata.voicemail,
        ]
        if kind is not None and kind.national_number_pattern
    ]
    drawn: set[str] = set()
    while len(drawn) < count:
        pattern, lengths = draw.choice(kinds)
        national = pattern.draw(draw)
        if len(national) in lengths and re.fullmatch(general.national_number_pattern, national):
            drawn.add(national)
    numbers = [PhoneNumber(country_code=metadata.country_code, national_number=int(digits)) for digits in sorted(drawn)]
    for number in numbers[:: max(1, count // 200)]:
        assert phonenumbers.is_valid_number(number), number
    return numbers


@dataclass(frozen=True)
class Pattern:
    """A regular expression of the metadata: digits, classes of digits, groups of alternatives, and counts."""

    alternatives: list[list[tuple["str | Pattern", int, int]]]

    @classmethod
    def read(cls, text: str) -> "Pattern":
        pattern, end = cls._read(text, 0)
        assert end == len(text), text
        return pattern

    @classmethod
    def _read(cls, text: str, at: int) -> tuple["Pattern", int]:
        alternatives: list[list[tuple[str | Pattern, int, int]]] = [[]]
        while at < len(text) and text[at] != ")":
            item: str | Pattern
            if text[at] == "|":
                alternatives.append([])
                at += 1
                continue
            if text.startswith("(?:", at):
                item, at = cls._read(text, at + 3)
                at += 1
            elif text[at] == "[":
                end = text.index("]", at)
                item = digit_class(text[at + 1 : end])
                at = end + 1
            elif text.startswith("\\d", at):
                item = "0123456789"
                at += 2
            else:
                assert text[at].isdigit(), text[at:]
                item = text[at]
                at += 1
            least = most = 1
            if text.startswith("?", at):
                least = 0
                at += 1
            elif text.startswith("{", at):
                end = text.index("}", at)
                bounds = [int(bound) for bound in text[at + 1 : end].split(",")]
                least, most = bounds[0], bounds[-1]
                at = end + 1
            alternatives[-1].append((item, least, most))
        return cls(alternatives), at

    def draw(self, source: random.Random) -> str:
        """A random string that the expression matches."""
        drawn = []
        for item, least, most in source.choice(self.alternatives):
            for _ in range(source.randint(least, most)):
                drawn.append(source.choice(item) if isinstance(item, str) else item.draw(source))
        return "".join(drawn)


def digit_class(text: str) -> str:
    """The digits of a class such as ``1-35``."""
    digits = ""
    for position, character in enumerate(text):
        if character != "-":
            digits += character
        else:
            digits += "".join(str(digit) for digit in range(int(text[position - 1]) + 1, int(text[position + 1])))
    return digits
