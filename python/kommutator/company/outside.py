"""What a document names and only the outside can tell: files, calendars, the numbering plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kommutator.company import calendars, list_file, models, prompts
from kommutator.company.findings import At, Finding, Place, did_you_mean
from kommutator.company.numbering_plan import PLAN_FILE, Plan, folded
from kommutator.company.prompts import PromptSource
from kommutator.errors import NumberingPlanInvalid

HOLE: Final[Mapping[str, Any]] = {"broken": True}
"""What stands for an item that was refused, so that references to it are still known."""


class Outside:
    """Resolves items of one document, whose files are relative to `folder`; what cannot be resolved is a finding."""

    def __init__(self, folder: Path, language: str, findings: list[Finding]) -> None:
        self._folder = folder
        self._language = language
        self._findings = findings
        self._claims: dict[str, tuple[str, At]] = {}
        self._broken_claims: set[str] = set()
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
            rows = list_file.read_rows(file)
        except (list_file.BadListFile, OSError) as error:
            self._find("bad_list_file", f"{item.file}: {_reason(error)}", (*at, "file"))
            return dict(HOLE)
        self.rows[name] = [Place(file, line) for line, _ in rows]
        return engine | {"rows": rows}

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
            where = (*at, "plan", str(index))
            owner, _ = self._claims.setdefault(folded(place), (name, where))
            if owner != name:
                self._find("plan_region_twice", f"`{place}` already belongs to region `{owner}`", where)
        return {"name": item.name or name, "prefixes": item.prefixes}

    def fill_plan(self, regions: dict[str, Any]) -> None:
        """Gives each region that claims names of the numbering plan its ranges."""
        if not self._claims:
            return
        file = self._folder / PLAN_FILE
        owner, first = next(iter(self._claims.values()))
        try:
            plan = Plan.read(file)
        except FileNotFoundError:
            message = f"{file} is not there: make it with `kommutator numbering-plan import FILE... --output {file}`"
            self._find("missing_numbering_plan", message, first[:3])
            self._break(regions)
            return
        except (NumberingPlanInvalid, OSError) as error:
            self._find("bad_numbering_plan", _reason(error), first[:3])
            self._break(regions)
            return
        names = plan.names()
        known = {folded(name) for name in names}
        for claim, (owner, where) in self._claims.items():
            if claim not in known:
                self._find(
                    "unknown_plan_region", f"the numbering plan has no `{claim}`{did_you_mean(claim, names)}", where
                )
                self._broken_claims.add(owner)
        for owner, ranges in plan.assign({claim: owner for claim, (owner, _) in self._claims.items()}).items():
            if owner in self._broken_claims:
                regions[owner] = dict(HOLE)
            else:
                regions[owner]["ranges"] = ranges

    def _break(self, regions: dict[str, Any]) -> None:
        for owner, _ in self._claims.values():
            regions[owner] = dict(HOLE)

    def _file(self, written: str, at: At) -> Path | None:
        file = self._folder / written
        if Path(written).is_absolute() or not file.resolve().is_relative_to(self._folder.resolve()):
            self._find("outside_folder", f"{written}: outside the folder of the company document", at)
            return None
        if not file.is_file():
            self._find("missing_file", f"{written}: there is no such file in {self._folder}", at)
            return None
        return file

    def _find(self, code: str, message: str, at: At) -> None:
        self._findings.append(Finding(code, message, at))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
