"""What a forecast assumes of callers and agents: a YAML file that people write, or defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kommutator.errors import BadAssumption
from kommutator.forecast.chance import Seconds


def _seconds(written: object) -> Seconds:
    if isinstance(written, Seconds):
        return written
    try:
        return Seconds.read(str(written))
    except BadAssumption as error:
        raise ValueError(str(error)) from error


def _shift(written: object) -> tuple[float, float]:
    found = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", str(written))
    if found is None:
        raise ValueError(f"`{written}` is no shift such as 09:00-13:00")
    hours = [int(each) for each in found.groups()]
    begins, ends = hours[0] * 3600.0 + hours[1] * 60, hours[2] * 3600.0 + hours[3] * 60
    if not begins < ends <= 24 * 3600:
        raise ValueError(f"`{written}` does not end after its beginning, within the day")
    return begins, ends


Time = Annotated[Seconds, BeforeValidator(_seconds), PlainSerializer(lambda seconds: seconds.written)]
Shift = Annotated[tuple[float, float], BeforeValidator(_shift)]
Share = Annotated[float, Field(ge=0, le=1)]

OFFICE_DAY: dict[int, float] = {8: 3, 9: 9, 10: 13, 11: 13, 12: 10, 13: 8, 14: 10, 15: 11, 16: 10, 17: 7, 18: 4, 19: 2}
"""Weights of the hours in which offices are called, of our own making: no company's day."""


class Assumptions(BaseModel):
    """Of a day. Times are distributions of seconds, in the forms of `chance.FORMS`."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, frozen=True)

    hours: dict[Annotated[int, Field(ge=0, le=23)], Annotated[float, Field(ge=0)]] = OFFICE_DAY
    """How calls spread over the hours of the company's civil day, by weight; within an hour they are Poisson."""
    numbers: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Which numbers are dialled, by weight; all of the document's alike, where nothing is said."""
    callers: list[str] = ["+79"]
    """How callers' numbers begin, alike; the rest is by chance. `withheld` is one, too."""
    known_callers: Share = 0.2
    """The share of calls by somebody who has called that day already."""
    owned: Share = 0.3
    """The share of callers who are an employee's clients, where the scheme asks for the owner."""
    talk: Time = Seconds.read("lognormal:180,120")
    wrap_up: Time = Seconds.read("fixed:10")
    answer: Time = Seconds.read("exp:6")
    """How long a phone rings before it is picked up."""
    no_pick_up: Share = 0.03
    """The share of phones that ring and that nobody picks up."""
    patience: Time = Seconds.read("exp:120")
    """After so long a caller who has nobody on the line hangs up."""
    choice: Time = Seconds.read("uniform:1,4")
    """A menu's caller chooses so long after the prompt's end."""
    menus: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Weights of what callers dial at menus; all that is offered alike, where nothing is said."""
    silent: Share = 0.03
    """The share of menus at which a caller dials nothing."""
    message: Time = Seconds.read("exp:20")
    leaves_message: Share = 0.6
    """The share of callers who speak after the tone; the others hang up."""
    shifts: dict[str, list[Shift]] = {}
    """When employees are there, by employee, department or group; who is not named is there all day."""

    @classmethod
    def load(cls, path: Path) -> Assumptions:
        """Of a YAML file. Raises `BadAssumption`, which names each place."""
        try:
            written = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            raise BadAssumption(f"{path}: {error}") from error
        return cls.of(written or {}, str(path))

    @classmethod
    def of(cls, written: Mapping[str, Any], where: str) -> Assumptions:
        """Of what was written there. Raises `BadAssumption`."""
        try:
            return cls.model_validate(written)
        except ValidationError as error:
            said = "; ".join(
                f"{'.'.join(str(key) for key in each['loc'])}: {each['msg'].removeprefix('Value error, ')}"
                for each in error.errors()
            )
            raise BadAssumption(f"{where}: {said}") from error
