"""The region of a number as dialled, beside phonenumbers' offline geocoder, on the geocoder's own data.

Our company has a region for each name that the geocoder has for prefixes of +7, so both look for the longest of the same
387 prefixes; both are given the number as a caller's trunk may give it, and read it first. Before anything is timed, both
say the same of thousands of numbers of fixed lines, and of mobile ones, which have no region.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Final

import orjson
import phonenumbers
import pytest
from phonenumbers import PhoneNumberType, geocoder
from phonenumbers.geodata import GEOCODE_DATA
from pytest_benchmark.fixture import BenchmarkFixture

from bench.machine import ROOT
from kommutator import Engine

CODE: Final = "7"
NATIONAL_DIGITS: Final = 10
FIXED: Final = {PhoneNumberType.FIXED_LINE, PhoneNumberType.FIXED_LINE_OR_MOBILE}
NUMBERS_A_PREFIX: Final = 10
ASKED: Final = ("83432012345", "Свердловская обл")


class Regions:
    """Our engine with the geocoder's regions."""

    def __init__(self) -> None:
        regions: dict[str, list[str]] = defaultdict(list)
        for prefix, names in GEOCODE_DATA.items():
            if prefix.startswith(CODE):
                regions[names.get("ru") or names["en"]].append(f"+{prefix}")
        document = orjson.loads((ROOT / "tests/scenarios/1-office-hours/company.json").read_bytes())
        self.names = {f"region-{place}": name for place, name in enumerate(regions)}
        document["regions"] = {
            ident: {"name": name, "prefixes": regions[name], "ranges": []} for ident, name in self.names.items()
        }
        self.engine = Engine(orjson.dumps(document))

    def name_of(self, number: str) -> str | None:
        """The name of the number's region."""
        region = self.engine.region_of(number)
        return None if region is None else self.names[region]


def name_by_peer(number: str) -> str:
    """The geocoder's answer: the region, else the country, else nothing."""
    return geocoder.description_for_number(phonenumbers.parse(number, "RU"), "ru")


@pytest.fixture(scope="module")
def regions() -> Regions:
    """Our regions, which have been seen to agree with the geocoder's."""
    ours = Regions()
    chance = random.Random(7)
    compared = named = 0
    for prefix in [*(prefix for prefix in GEOCODE_DATA if prefix.startswith(CODE)), "7916", "7921", "7965"]:
        for _ in range(NUMBERS_A_PREFIX):
            rest = NATIONAL_DIGITS + len(CODE) - len(prefix)
            number = f"8{prefix[len(CODE) :]}{chance.randrange(10**rest):0{rest}}"
            kind = phonenumbers.number_type(phonenumbers.parse(number, "RU"))
            if kind in FIXED:
                assert (ours.name_of(number) or "Россия") == name_by_peer(number), number
                named += 1
            elif kind == PhoneNumberType.MOBILE:
                assert ours.name_of(number) is None, number
                assert name_by_peer(number) == "Россия", number
            compared += kind in FIXED or kind == PhoneNumberType.MOBILE
    assert named > 1000
    assert compared > named
    return ours


@pytest.mark.parametrize("by", ["kommutator", "phonenumbers"])
def test_region(benchmark: BenchmarkFixture, regions: Regions, by: str) -> None:
    number, name = ASKED
    if by == "kommutator":
        region = benchmark(regions.engine.region_of, number)
        assert regions.names[region] == name
    else:
        assert benchmark(name_by_peer, number) == name
