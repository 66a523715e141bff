"""`kommutator load` on real servers of queries: whatever they do, the report says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trustme

from kommutator.load.limit import limit, rungs
from kommutator.load.run import Run
from kommutator.load.target import Options

from .serving import COMPANY, DID, NOON, OTHER, load, queried, ran, steady

pytestmark = [pytest.mark.services, pytest.mark.trio]


async def test_right_answers_are_right_and_the_page_and_the_report_agree(tmp_path: Path) -> None:
    async with queried(tmp_path) as (_, address):
        page = tmp_path / "load.html"
        arguments = ("--company", COMPANY, "--rate", "100", "--for", "2", "--processes", "2", "--html", str(page))
        code, report, errors = await load(address, *arguments)
    assert (code, report["errors"], report["wrong"], report["abandoned"]) == (0, {}, 0, 0), errors
    assert report["checked"]
    assert report["calls"] == report["answered"] == report["latency"]["count"] == report["lateness"]["count"]
    assert 120 < report["calls"] < 290, "Poisson: 200 within six deviations"
    assert sum(each["answered"] for each in report["moments"]) == report["answered"]
    assert report["server"]["processor_s"] > 0
    assert report["server"]["memory_bytes"] > 10 * 2**20
    figures = [report["latency"]["percentiles"][name] for name in ("50", "90", "99", "99.9", "99.99")]
    assert figures[0] > 0
    assert figures == sorted(figures)
    assert figures[-1] <= report["latency"]["most"] * 1.001
    told = Page(page.read_text())
    assert f"{report['answered']:,}" in told.words
    assert len(told.plots) == 3
    assert all(ElementTree.fromstring(plot).findall("polyline") for plot in told.plots)


async def test_whole_calls_are_led_to_their_ends_and_every_answer_is_checked(tmp_path: Path) -> None:
    async with queried(tmp_path) as (_, address):
        whole = ("--company", COMPANY, "--calls", "whole", "--rate", "60", "--for", "2", "--at", NOON)
        code, report, errors = await load(address, *whole)
        assert (code, report["errors"], report["wrong"]) == (0, {}, 0), (errors, report["examples"])
        assert report["steps"]["count"] > 3 * report["calls"]


async def test_answers_by_another_company_are_wrong(tmp_path: Path) -> None:
    async with queried(tmp_path, company=OTHER) as (_, address):
        short = ("--company", COMPANY, "--did", DID, "--rate", "50", "--for", "1", "--calls", "whole", "--at", NOON)
        code, report, _ = await load(address, *short)
        assert code == 1
        assert report["wrong"] > 0.9 * report["answered"] > 0
        assert [each["kind"] for each in report["examples"]] == ["wrong"] * 5
        assert "expected" in report["examples"][0]["detail"]


async def test_a_server_that_stalls_is_seen_by_all_who_would_have_called_meanwhile(tmp_path: Path) -> None:
    stall_s = 1.0
    async with queried(tmp_path) as (server, address):

        def stall() -> None:
            os.kill(server.pid, signal.SIGSTOP)
            threading.Timer(stall_s, os.kill, (server.pid, signal.SIGCONT)).start()

        # One connection: a client that waits for it would ask once in the stall, and call the rest fast
        report = await ran(address, steady(200, 3), once_answered(20, stall), options=Options(connections=1))
    assert report.errors == {}
    assert report.latency is not None
    assert report.service is not None
    # A third of the calls came in the stall, half of them waited for more than half of it
    assert report.latency.percentiles["90"] > 400 * stall_s
    assert report.latency.most > 900 * stall_s
    assert report.service.percentiles["90"] < 400 * stall_s
    assert max(each.most_ms or 0 for each in report.moments) > 900 * stall_s


async def test_a_server_that_dies_leaves_errors_by_kind_and_a_report(tmp_path: Path) -> None:
    async with queried(tmp_path) as (server, address):
        report = await ran(address, steady(200, 3), once_answered(20, lambda: server.end(signal.SIGKILL)))
    assert report.answered >= 20
    assert report.errors["refused"] > 20
    assert report.answered + sum(report.errors.values()) == report.calls
    assert report.errors.keys() <= {"refused", "reset", "closed"}
    assert {each.kind for each in report.examples} == report.errors.keys()
    assert report.share_failed > 0


async def test_a_server_that_answers_no_more_has_its_calls_given_up(tmp_path: Path) -> None:
    async with queried(tmp_path) as (server, address):
        stop = once_answered(20, lambda: os.kill(server.pid, signal.SIGSTOP))
        report = await ran(address, steady(100, 2), stop, options=Options(deadline_s=1, connections=4))
    assert report.answered >= 20
    assert report.errors.keys() == {"timeout"}
    assert report.answered + report.errors["timeout"] == report.calls
    assert report.latency is not None
    assert report.latency.count == report.answered


async def test_the_calls_of_a_ledger_come_as_they_came(tmp_path: Path) -> None:
    noon = datetime.fromisoformat(NOON).astimezone(UTC)
    lines = [
        {"did": DID, "caller": f"+7916123{number:04}", "began": (noon + timedelta(seconds=after)).isoformat()}
        for number, after in ((1, 20.0), (0, 0.0), (2, 30.0))
    ]
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with queried(tmp_path, "--data", str(tmp_path / "data")) as (server, address):
        code, report, errors = await load(address, "--company", COMPANY, "--replay", str(ledger), "--speed", "20")
        assert (code, report["answered"], report["wrong"]) == (0, 3, 0), errors
        assert [(each["at_s"], each["due"]) for each in report["moments"] if each["due"]] == [
            (0.0, 1),
            (1.0, 1),
            (1.5, 1),
        ]
        # The server has them with the numbers and the times of the ledger
        spool = tmp_path / "data/spool.jsonl"
        await server.until(lambda: spool.exists() and spool.read_bytes().count(b'"began"') == 3)
        began = [json.loads(line) for line in spool.read_bytes().splitlines() if b'"began"' in line]
    assert [(each["caller"], each["at"]) for each in began] == [
        (f"+7916123{number:04}", round((noon + timedelta(seconds=after)).timestamp() * 1000))
        for number, after in ((0, 0), (1, 20), (2, 30))
    ]


async def test_an_interrupt_ends_a_run_with_the_report_so_far(tmp_path: Path) -> None:
    async with queried(tmp_path, "--data", str(tmp_path / "data")) as (_, address):
        spool = tmp_path / "data/spool.jsonl"

        def begun(process: subprocess.Popen[str]) -> None:
            def interrupt() -> None:
                while process.poll() is None and not (spool.exists() and spool.stat().st_size):
                    threading.Event().wait(0.02)
                process.send_signal(signal.SIGINT)

            threading.Thread(target=interrupt).start()

        code, report, errors = await load(address, "--did", DID, "--rate", "50", "--for", "600", begun=begun)
    assert code == 0, errors
    assert 0 < report["answered"] < 20_000


async def test_who_may_not_ask_is_told_so_and_a_token_opens(tmp_path: Path) -> None:
    async with queried(tmp_path, "--token", "sesame of this test") as (_, address):
        short = ("--did", DID, "--rate", "50", "--for", "0.5", "--even")
        code, report, _ = await load(address, *short, "--allow", "1")
        assert (code, report["errors"], report["share_failed"]) == (0, {"http 401": 25}, 1)
        code, report, _ = await load(address, *short, "--token", "sesame of this test")
        assert (code, report["answered"]) == (0, 25)


async def test_https_is_asked_as_http_is_once_the_certificate_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, trusted = tmp_path / "server.pem", tmp_path / "authority.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(trusted)
    async with queried(tmp_path, "--certificate", str(certificate)) as (_, address):
        address = address.replace("http:", "https:")
        asks = ("--company", COMPANY, "--rate", "50", "--for", "1")
        code, report, errors = await load(address, *asks, environment={"SSL_CERT_FILE": str(trusted)})
        assert (code, report["errors"], report["wrong"]) == (0, {}, 0), errors
        code, report, errors = await load(address, *asks)
    assert (code, report, "certificate verify failed" in errors) == (3, None, True), errors


async def test_generators_are_measured_by_a_server_that_answers_a_constant() -> None:
    async with aclosing(rungs(2, first=50)) as climbed:
        rung = await anext(climbed)
    assert rung.report.answered == rung.report.calls > 0
    assert (rung.report.errors, rung.report.generators) == ({}, 2)
    assert limit([rung]).rate == (50 if rung.kept else 0)


async def test_a_unix_socket_is_asked_too_and_nobody_there_is_said(tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/q.sock"
    async with queried(tmp_path, "--listen", path):
        run = await ran(path, steady(50, 1), options=Options(company=COMPANY))
    assert (run.answered, run.wrong) == (run.calls, 0), run.examples
    assert run.server is not None
    assert run.server.memory_bytes > 10 * 2**20
    code, report, errors = await load(path, "--did", DID)
    assert (code, report, "q.sock: " in errors) == (3, None, True), errors


def once_answered(count: int, act: Callable[[], object]) -> Callable[[Run], None]:
    """Act once so many calls were answered."""
    acted: list[bool] = []

    def look(run: Run) -> None:
        if not acted and run.result.report(None).answered >= count:
            acted.append(True)
            act()

    return look


class Page(HTMLParser):
    """A page that was read: its words, and its plots as they stand."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words = ""
        self.plots = [f"<svg{part.partition('</svg>')[0]}</svg>" for part in text.split("<svg")[1:]]
        self.feed(text)
        self.close()

    def handle_data(self, data: str) -> None:
        """Text."""
        self.words += data
