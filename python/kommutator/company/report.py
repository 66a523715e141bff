"""The whole check of a company document: what the reader found, and what the engine proves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from kommutator.company.reader import LoadedCompany, load
from kommutator.errors import CompanyUnreadable, EngineError


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What is to be said of a company document."""

    findings: list[dict[str, Any]]
    """By file and line."""
    schemes: dict[str, dict[str, Any]]
    """Of each scheme, `longest_seconds`: the longest time until a call ends or is answered."""
    readable: bool = True

    @classmethod
    def unreadable(cls, error: CompanyUnreadable) -> CheckReport:
        """The report on a document that cannot be read: one finding, `unreadable`."""
        finding = _finding(error.code, error.message) | {"file": error.file, "line": error.line}
        return cls([finding], {}, readable=False)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(finding["severity"] == "error" for finding in self.findings)

    def strict(self) -> CheckReport:
        """The same with every warning an error."""
        findings = [
            finding | {"severity": "error"} if finding["severity"] == "warning" else finding
            for finding in self.findings
        ]
        return CheckReport(findings, self.schemes, self.readable)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form of `kommutator check --json`."""
        return {"ok": self.ok, "findings": self.findings, "schemes": self.schemes}


def check(path: str | Path, from_ms: int) -> CheckReport:
    """Reads and checks the document at `path`.

    `from_ms` is the time, in milliseconds of UTC since the epoch, from which the coming twelve months are counted. A
    document that cannot be read gives a report with the one finding `unreadable`.
    """
    try:
        company = load(path)
    except CompanyUnreadable as error:
        return CheckReport.unreadable(error)
    return check_loaded(company, from_ms)


def check_loaded(company: LoadedCompany, from_ms: int) -> CheckReport:
    """Checks a document that was read already.

    Should the engine itself fail on the document, that is a finding too, with the error's code.
    """
    from kommutator import _engine  # the reader alone works without the compiled engine

    try:
        proven = orjson.loads(_engine.check(company.engine_json, from_ms))
    except EngineError as error:
        proven = {"findings": [_finding(error.code, str(error))], "schemes": {}}
    findings = [*company.findings, *locate_all(company, proven["findings"])]
    return CheckReport(_in_order(findings), proven["schemes"])


def locate_all(company: LoadedCompany, findings: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The engine's findings with file and line for the place in the engine document that they blame.

    Where the reader found something wrong already, the engine only saw the hole: its finding is left out.
    """
    return [_located(company, finding) for finding in findings if not company.blames(finding.get("at") or ())]


def _located(company: LoadedCompany, finding: Mapping[str, Any]) -> dict[str, Any]:
    file, line = company.locate(finding.get("at") or ())
    located = {
        "code": finding["code"],
        "severity": finding["severity"],
        "scheme": finding.get("scheme"),
        "node": finding.get("node"),
        "file": file,
        "line": line,
        "message": finding["message"],
        "path": list(finding.get("path") or ()),
    }
    return located | {key: finding[key] for key in ("steps", "witness", "intervals") if finding.get(key)}


def _in_order(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By file and line, each said once; what is equal in place keeps the order in which it was found."""
    once = {orjson.dumps(finding, option=orjson.OPT_SORT_KEYS): finding for finding in findings}
    return sorted(once.values(), key=lambda finding: (finding["file"] or "", finding["line"] or 0))


def _finding(code: str, message: str) -> dict[str, Any]:
    return {
        "code": code,
        "severity": "error",
        "scheme": None,
        "node": None,
        "file": None,
        "line": None,
        "message": message,
        "path": [],
    }
