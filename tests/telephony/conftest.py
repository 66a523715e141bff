"""Fixtures of the tests with real calls, and the table of evidence that ends their run."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from .asterisk import Asterisk
from .evidence import Evidence

_EVIDENCE = pytest.StashKey[Evidence]()


class StartAsterisk(Protocol):
    """Starts one more Asterisk, with the keyword arguments of `Asterisk`; it runs until the module's end."""

    def __call__(self, **options: Any) -> Asterisk: ...


def pytest_configure(config: pytest.Config) -> None:
    """Lays out the run's evidence."""
    config.stash[_EVIDENCE] = Evidence()
    config.addinivalue_line("markers", "telephony: real calls through a real Asterisk; every test of this folder")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of this folder, so that a quick run can leave them out."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.telephony)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hands the evidence of a worker to the run that it belongs to."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["evidence"] = pickle.dumps(session.config.stash[_EVIDENCE].proofs)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes the evidence of a worker."""
    proofs = getattr(node, "workeroutput", {}).get("evidence")
    if proofs:
        node.config.stash[_EVIDENCE].proofs.extend(pickle.loads(proofs))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints every branch that was shown by a real call, with its SIP."""
    evidence = config.stash[_EVIDENCE]
    if evidence.proofs:
        terminalreporter.section("the schemes' branches and their SIP evidence")
        for line in evidence.table():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def evidence(pytestconfig: pytest.Config) -> Evidence:
    """Where tests put the proofs that the table shows."""
    return pytestconfig.stash[_EVIDENCE]


@pytest.fixture(scope="module")
def start_asterisk(request: pytest.FixtureRequest) -> Iterator[StartAsterisk]:
    """Makes Asterisks; their folders, with every log and SIP trace, stay when a test of the session fails.

    Fails, and never skips, when the packages cannot be had.
    """
    with ExitStack() as running:

        def start(**options: Any) -> Asterisk:
            asterisk = Asterisk(**options)
            running.callback(lambda: asterisk.close(keep=request.session.testsfailed > 0))
            asterisk.start()
            return asterisk

        yield start


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    """The Asterisk that the tests of a module share."""
    return start_asterisk()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says in the report of a failure where the logs of its Asterisk are."""
    report = yield
    asterisk = getattr(item, "funcargs", {}).get("asterisk")
    if report.failed and isinstance(asterisk, Asterisk):
        report.sections.append(("Asterisk", f"logs and SIP traces are kept in {asterisk.folder}"))
    return report
