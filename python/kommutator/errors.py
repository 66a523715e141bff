"""The exception tree of Kommutator.

Every class carries a stable `code`, which is what machines may rely on; the text is for people. "Busy" and "nobody
answered" are outcomes of a call, not errors, and do not occur here. The compiled engine raises the classes under
`EngineError`, and `CompanyInvalid`, by importing this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

Finding = Mapping[str, Any]
"""One finding of the check, with the keys of `kommutator check --json`."""


class KommutatorError(Exception):
    """Anything that Kommutator itself refuses or reports."""

    code: ClassVar[str] = "kommutator_error"


# --- the company document


class CompanyUnreadable(KommutatorError):
    """The company document cannot be read at all: there is no such file, or it is no YAML mapping."""

    code = "unreadable"

    def __init__(self, message: str, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message, file, line)
        self.message = message
        self.file = file
        self.line = line
        """1-based, where one is known."""

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line is not None:
            place += f":{self.line}"
        return f"{place}: {self.message}" if place else self.message


class CompanyInvalid(KommutatorError):
    """The company document was read, and has errors."""

    code = "company_invalid"

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(list(findings))
        self.findings: list[dict[str, Any]] = [dict(finding) for finding in findings]
        """What is wrong, in the form of `kommutator check --json`."""

    def __str__(self) -> str:
        if not self.findings:
            return "the company document is invalid"
        first = self.findings[0]
        place = f"{first['file']}:{first['line']}: " if first.get("file") and first.get("line") else ""
        more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
        return f"{place}{first.get('message')} [{first.get('code')}]{more}"


class NumberingPlanInvalid(KommutatorError):
    """A numbering plan has a row that cannot be understood; nothing of it was imported."""

    code = "numbering_plan_invalid"


# --- the engine


class EngineError(KommutatorError):
    """The engine refused its input, and changed nothing."""

    code = "engine_error"


class BadDocument(EngineError):
    """The bytes given to the engine are no engine document: use `kommutator.company.load` to make one."""

    code = "bad_document"


class BadState(EngineError):
    """The state is damaged, not a state of this engine, or of a company version that it does not hold."""

    code = "bad_state"


class UnexpectedEvent(EngineError):
    """The event does not answer the pending action: it is late, doubled, or of another call."""

    code = "unexpected_event"


class BadEvent(EngineError):
    """The event is malformed: an unknown type, or a field that is missing or of the wrong type."""

    code = "bad_event"


class BadCallId(EngineError):
    """A call id has 1 to 64 bytes."""

    code = "bad_call_id"


class BadNumber(EngineError):
    """Not a telephone number, where one is needed."""

    code = "bad_number"


class TooManyListChanges(EngineError):
    """Too many changes of lists are kept already: they belong in a new version of the company."""

    code = "too_many_list_changes"


class UnknownEmployee(EngineError):
    """The company has no employee of this id."""

    code = "unknown_employee"


class EngineFault(EngineError):
    """The engine failed on this call, through a defect of its own. Other calls are not affected."""

    code = "engine_fault"


# --- prompts


class PromptNotMade(KommutatorError):
    """A prompt cannot be made into what the PBX plays: its file is unreadable, or the command that speaks failed."""

    code = "prompt_not_made"


# --- the router


class DataFolderBusy(KommutatorError):
    """Another process works in this data folder already."""

    code = "data_folder_busy"


class NoSuchRouter(KommutatorError):
    """The configuration has no router of this name."""

    code = "no_such_router"


# --- the exchange


class ExchangeError(KommutatorError):
    """Something went wrong between this process and the exchange."""

    code = "exchange_error"


class ExchangeUnreachable(ExchangeError):
    """There is no connection to the exchange at this moment, or it was lost before the answer came."""

    code = "exchange_unreachable"


class ExchangeTimeout(ExchangeError):
    """The exchange, or whoever was asked over it, did not answer within the deadline. Whether it was heard is not known."""

    code = "exchange_timeout"


class NobodyThere(ExchangeError):
    """Nobody at all serves what was asked."""

    code = "nobody_there"


class ExchangeRefused(ExchangeError):
    """The exchange understood, and refused."""

    code = "exchange_refused"


class ExchangeMoved(ExchangeRefused):
    """Something was written there meanwhile, by another or by an earlier try of our own."""

    code = "exchange_moved"


class ExchangeMessageBad(ExchangeError):
    """A message that came over the exchange is not of its form."""

    code = "exchange_message_bad"


class ServerNotStarted(KommutatorError):
    """A server that is embedded in Kommutator could not be started; its own last words are in the text."""

    code = "server_not_started"


# --- the PBX


class PbxError(KommutatorError):
    """Something went wrong between an adapter and its PBX."""

    code = "pbx_error"


class PbxUnreachable(PbxError):
    """The PBX cannot be reached, or the connection to it is lost."""

    code = "pbx_unreachable"


class PbxRefused(PbxError):
    """The PBX understood a command and refused it."""

    code = "pbx_refused"


class PbxCannot(PbxError):
    """The adapter of this PBX has no way to do it."""

    code = "not_supported"


class PbxTimeout(PbxError):
    """The PBX did not answer a command within its deadline."""

    code = "pbx_timeout"


class PbxProtocolError(PbxError):
    """The PBX sent what its protocol does not allow."""

    code = "pbx_protocol"


class CallGone(PbxError):
    """The caller's channel no longer exists."""

    code = "call_gone"


# --- the company's memory


class DatabaseError(KommutatorError):
    """Something went wrong between us and the database."""

    code = "database_error"


class PostgresNotFound(DatabaseError):
    """There are no programs of a PostgreSQL server, or they are too old."""

    code = "postgres_not_found"


class PostgresBusy(DatabaseError):
    """Another launcher holds the folder of the embedded server."""

    code = "postgres_busy"


class PostgresFailed(DatabaseError):
    """The embedded server cannot be made, started or stopped; the message has the end of its log."""

    code = "postgres_failed"


class DatabaseUnreachable(DatabaseError):
    """The database cannot be reached, is too slow, or the connection was lost. What was not committed did not happen."""

    code = "database_unreachable"


class MigrationRefused(DatabaseError):
    """The database was not made by these migrations: one has changed since, or it is newer than this program."""

    code = "migration_refused"


class BadEntry(KommutatorError):
    """An entry of a router's spool is malformed, or holds what the ledger cannot."""

    code = "bad_entry"


class NotFound(KommutatorError):
    """There is no such thing."""

    code = "not_found"

    def __init__(self, subject: str, key: object) -> None:
        super().__init__(subject, key)
        self.subject = subject
        """What kind of thing: `client`, `interest`, `version`…"""
        self.key = key

    def __str__(self) -> str:
        return f"there is no {self.subject} {self.key}"


class Conflict(KommutatorError):
    """Somebody else changed it meanwhile: the revision given is not the one that is there."""

    code = "conflict"

    def __init__(self, subject: str, key: object, revision: int) -> None:
        super().__init__(subject, key, revision)
        self.subject = subject
        self.key = key
        self.revision = revision
        """The one that is there."""

    def __str__(self) -> str:
        return f"{self.subject} {self.key} was changed meanwhile: it is at revision {self.revision}"


class Refused(KommutatorError):
    """What was asked for breaks a rule; nothing was changed."""

    code = "refused"


class AccountTaken(Refused):
    """A login is somebody else's, or an employee has an account already, or is none."""

    code = "account_taken"


class LastAdministrator(Refused):
    """Without this administrator there would be none."""

    code = "last_administrator"


class PasswordLength(Refused):
    """A password is too short, or too long."""

    code = "password_length"


class NoRollback(Refused):
    """There is no earlier activation to go back to."""

    code = "no_rollback"


class SignInRefused(KommutatorError):
    """The login or the password is wrong, or the account is closed: which of them is not told."""

    code = "sign_in_refused"


class SignInThrottled(KommutatorError):
    """Too many failed attempts."""

    code = "sign_in_throttled"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"too many failed attempts; try again in {self.retry_after_s} s"


# --- notices


class SettingsInvalid(KommutatorError):
    """Settings that cannot work; the message says which, and never shows a secret."""

    code = "settings_invalid"


# --- the configuration


class ConfigurationInvalid(KommutatorError):
    """The configuration cannot be used; nothing of it is."""

    code = "configuration_invalid"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(list(problems))
        self.problems = tuple(problems)
        """All that is wrong: each with its file and line, or its variable, its key, and what is expected. No secrets."""

    def __str__(self) -> str:
        return "\n".join(self.problems)


# --- clients from a file


class ClientsUnreadable(KommutatorError):
    """A file of clients cannot be read as a table: its encoding, its quotes or its header."""

    code = "clients_unreadable"

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message, line)
        self.message = message
        self.line = line
        """1-based, where one is known."""

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class ClientsInvalid(KommutatorError):
    """A file of clients has rows that cannot be taken; nothing of it was."""

    code = "clients_invalid"

    def __init__(self, problems: Sequence[str], rows: int) -> None:
        super().__init__(list(problems), rows)
        self.problems = list(problems)
        """What is wrong and where: the first of them."""
        self.rows = rows
        """How many rows are concerned."""

    def __str__(self) -> str:
        return f"{self.rows} rows cannot be taken: {self.problems[0]}"


class BadAssumption(KommutatorError):
    """What a forecast was told to assume cannot be used."""

    code = "bad_assumption"


# --- routing queries


class AddressTaken(KommutatorError):
    """Nothing can be listened for at an address: somebody else does, or it is none of this machine's."""

    code = "address_taken"


class CertificateUnusable(KommutatorError):
    """A certificate, its key or its authorities cannot be read."""

    code = "certificate_unusable"


# --- tables of owners and callers


class TablesBad(KommutatorError):
    """A file of owners and callers is damaged, cut off, or none."""

    code = "tables_bad"


# --- load


class BadTarget(KommutatorError):
    """The address of what is asked under load cannot be used."""

    code = "bad_target"


class TargetUnreachable(KommutatorError):
    """Nobody is there to be asked under load; the message says where, and why."""

    code = "target_unreachable"


class BadReplay(KommutatorError):
    """A ledger whose calls should be made again cannot be read; the message names file and line."""

    code = "bad_replay"


class GeneratorFailed(KommutatorError):
    """A process that makes calls ended without a report."""

    code = "generator_failed"


class LoadFailed(KommutatorError):
    """A process that makes calls could not begin; the message is that of its own error."""

    code = "load_failed"
