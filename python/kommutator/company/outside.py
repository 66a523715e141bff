"""What a document names and only the outside can tell: files, calendars, the numbering plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kommutator.company import calendars, list_file, models, prompts
from kommutator.company.findings import At, Finding, Place, did_you_mean
from kommutator.company.numbering_plan import PLAN_FILE, Plan, folded
from kommutator.company.prompts import PromptSource
from kommutator.errors import BadNumber, NumberingPlanInvalid

HOLE: Final[Mapping[str, Any]] = {"broken": True}
"""What stands for an item that was refused, so that references to it are still known."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """A region of the company claims a name of the numbering plan."""

    region: str
    name: str
    at: At


class Outside:
    """Resolves items of one document, whose files are relative to `folder`; what cannot be resolved is a finding."""

    def __init__(self, folder: Path, language: str, country: str, findings: list[Finding]) -> None:
        self._folder = folder
        self._language = language
        self._country = country
        self._findings = findings
        self._claims: dict[str, _Claim] = {}
        self.prompts: dict[str, PromptSource] = {}
        """Of each prompt that can be played: what it is made from."""
        self.rows: dict[str, list[Place]] = {}
        """Of each list with a file: where each of its rows stands."""

    def prompt(self, name: str, item: models.Prompt, at: At) -> dict[str, Any]:
        """A prompt with its length."""
        if item.file is None:
            seconds = prompts.SAY_SECONDS if item.seconds is None else item.seconds
            self.prompts[name] = PromptSource(seconds, say=item.say, language=item.language or self._language)
            return {"seconds": seconds}
        file = self._file(item.file, (*at, "file"))
        if file is None:
            return dict(HOLE)
        try:
            seconds = prompts.wav_seconds(file)
        except (prompts.BadPrompt, OSError) as error:
            self._find("bad_prompt", f"{item.file}: {_reason(error)}", (*at, "file"))
            return dict(HOLE)
        self.prompts[name] = PromptSource(seconds, file=file)
        return {"seconds": seconds}

    def number_list(self, name: str, item: models.NumberList, at: At) -> dict[str, Any]:
        """A list with the rows of its file."""
        engine: dict[str, Any] = {"numbers": item.numbers, "prefixes": item.prefixes}
        if item.file is None:
            return engine
        file = self._file(item.file, (*at, "file"))
        if file is None:
            return dict(HOLE)
        try:
            if list_file.is_long(file):
                return engine | {"packed": self._packed(file, (*at, "file"))}
            rows = list_file.read_rows(file)
        except (list_file.BadListFile, OSError) as error:
            self._find("bad_list_file", f"{item.file}: {_reason(error)}", (*at, "file"))
            return dict(HOLE)
        self.rows[name] = [Place(file, line) for line, _ in rows]
        return engine | {"rows": rows}

    def _packed(self, file: Path, at: At) -> str:
        """The numbers of a long list file; each row without one is a finding on its line, as far as rows are named."""
        try:
            packed = list_file.read_packed(file, self._country)
        except BadNumber:
            # That the country is unknown is the engine's finding.
            return list_file.NONE_PACKED
        for line, cell in packed.bad:
            message = f"`{cell}` is not a telephone number"
            self._findings.append(Finding("bad_number", message, (*at, str(line)), Place(file, line)))
        if packed.bad_count > len(packed.bad):
            more = packed.bad_count - len(packed.bad)
            self._find("bad_number", f"{file.name}: {more:,} more rows hold no telephone number", at)
        return packed.text

    def schedule(self, _name: str, item: models.Schedule, at: At) -> dict[str, Any]:
        """A schedule with the dates of its country's calendar."""
        engine = item.engine()
        if item.holidays is None:
            return engine
        days = calendars.calendar(item.holidays, self._language)
        if days is None:
            hint = did_you_mean(item.holidays, calendars.countries())
            self._find("unknown_calendar", f"no holiday calendar of `{item.holidays}`{hint}", (*at, "holidays"))
            del engine["holidays"]
            return engine
        return engine | {"holidays": days}

    def region(self, name: str, item: models.Region, at: At) -> dict[str, Any]:
        """A region; its ranges come with `fill_plan`, when all claims are known."""
        for index, place in enumerate(item.plan):
            claim = self._claims.setdefault(folded(place), _Claim(name, place, (*at, "plan", str(index))))
            if claim.region != name:
                message = f"`{place}` already belongs to region `{claim.region}`"
                self._find("plan_region_twice", message, (*at, "plan", str(index)))
        return {"name": item.name or name, "prefixes": item.prefixes}

    def fill_plan(self, regions: dict[str, Any]) -> None:
        """Gives each region that claims names of the numbering plan its ranges."""
        if not self._claims:
            return
        plan = self._plan()
        known = {folded(name): name for name in plan.names()} if plan else {}
        broken = set()
        for folded_name, claim in self._claims.items():
            if folded_name in known:
                continue
            broken.add(claim.region)
            if plan:
                hint = did_you_mean(claim.name, known.values())
                self._find("unknown_plan_region", f"the numbering plan has no `{claim.name}`{hint}", claim.at)
        if plan:
            for region, ranges in plan.assign({name: claim.region for name, claim in self._claims.items()}).items():
                regions[region]["ranges"] = ranges
        for region in broken:
            regions[region] = dict(HOLE)

    def _plan(self) -> Plan | None:
        file = self._folder / PLAN_FILE
        at = next(iter(self._claims.values())).at[:3]
        try:
            return Plan.read(file)
        except FileNotFoundError:
            message = f"{file} is not there: make it with `kommutator numbering-plan import FILE... --output {file}`"
            self._find("missing_numbering_plan", message, at)
        except (NumberingPlanInvalid, OSError) as error:
            self._find("bad_numbering_plan", _reason(error), at)
        return None

    def _file(self, written: str, at: At) -> Path | None:
        file = self._folder / written
        try:
            inside = not Path(written).is_absolute() and file.resolve().is_relative_to(self._folder.resolve())
            if inside and file.is_file():
                return file
        except (OSError, ValueError, RuntimeError):  # a name too long, with a NUL, or links in a circle
            inside = True
        if inside:
            self._find("missing_file", f"{written}: there is no such file in {self._folder}", at)
        else:
            self._find("outside_folder", f"{written}: outside the folder of the company document", at)
        return None

    def _find(self, code: str, message: str, at: At) -> None:
        self._findings.append(Finding(code, message, at))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
