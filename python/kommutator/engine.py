"""The engine, loaded from a company document."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from kommutator import _engine
from kommutator.company.reader import LoadedCompany, load
from kommutator.company.report import check_loaded, locate_all
from kommutator.errors import CompanyInvalid


class Engine(_engine.Engine):
    """Decides what a call does next; see `kommutator._engine.Engine` for what it answers."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The engine of the company document at `path`: a YAML file, or a folder of them.

        Raises `CompanyUnreadable` when it cannot be read, and `CompanyInvalid`, whose `findings` are those of
        `kommutator check --json`, when it has errors. The check takes from milliseconds to seconds.
        """
        return cls.of(load(path))

    @classmethod
    def of(cls, company: LoadedCompany) -> Self:
        """The engine of a document that was read already. Raises `CompanyInvalid`."""
        if company.findings:
            # Warnings about the coming year have no place here: whoever only loads an engine names no time.
            report = check_loaded(company, from_ms=0)
            raise CompanyInvalid([finding for finding in report.findings if finding["severity"] == "error"])
        try:
            return cls(company.engine_json)
        except CompanyInvalid as error:
            raise CompanyInvalid(locate_all(company, error.findings)) from error
