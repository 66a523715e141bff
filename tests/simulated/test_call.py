"""`kommutator call` at a simulated PBX that runs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
import trio

from kommutator.pbx.simulated.control import control_of

from .conftest import ROOT, Pbx, Router, routed

pytestmark = pytest.mark.services


def ready(pbx: Pbx) -> None:
    async def main() -> None:
        async with control_of(pbx.socket) as control:
            await routed(control)

    trio.run(main)


def command(pbx: Pbx, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "kommutator", "call", *arguments, "--data", str(pbx.socket.parents[1])]


def call(pbx: Pbx, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(pbx, *arguments), capture_output=True, text=True, timeout=60, cwd=ROOT, stdin=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip


def test_it_is_told_live_and_its_end_is_the_routers(pbx: Pbx, router: Router) -> None:
    ready(pbx)
    done = call(pbx, "+74951110002", "--as", "89161230099", "--press", "1", "--phone", "PJSIP/102=answer:0.5:1")
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout
    places = [told.index(words) for words in (
        "a call comes in", "«Нажмите один.»", "the caller presses 1", "menu → one", "Борис (PJSIP/102) rings",
        "Борис (PJSIP/102) answers", "Борис (PJSIP/102) hangs up", "answered  ",
    )]  # fmt: skip
    assert places == sorted(places)
    (line,) = router.ledger()
    assert line["disposition"] == "answered"


@pytest.mark.usefixtures("router")
def test_as_json_it_is_one_line(pbx: Pbx) -> None:
    ready(pbx)
    done = call(pbx, "+74951110004", "--speak", "1", "--json")
    assert done.returncode == 0
    line = json.loads(done.stdout)
    assert (line["did"], line["caller"], line["disposition"], line["fault"]) == (
        "+74951110004", None, "voicemail", "none"
    )  # fmt: skip
    assert 1.5 < line["seconds"] < 6


@pytest.mark.usefixtures("router")
def test_keys_typed_at_the_terminal_are_the_callers(pbx: Pbx) -> None:
    ready(pbx)
    terminal, its_end = pty.openpty()
    child = subprocess.Popen(command(pbx, "+74951110002", "--phone", "PJSIP/102=silent"), stdin=its_end,
                             stdout=subprocess.PIPE, text=True, cwd=ROOT)  # fmt: skip
    os.close(its_end)
    assert child.stdout is not None
    told = ""
    with child.stdout:
        for line in child.stdout:
            told += line
            if "«Нажмите один.»" in line:
                os.write(terminal, b"1")
            elif "Борис (PJSIP/102) rings" in line:
                os.write(terminal, b"h")
    assert child.wait(20) == 0
    os.close(terminal)
    assert "the caller presses 1" in told
    assert "the caller hangs up" in told
    assert "abandoned" in told


def test_without_a_router_the_fallback_is_told_and_no_end_is_claimed(pbx: Pbx) -> None:
    done = call(pbx, "+74951110001", "--speak", "1")
    assert "no router is there" in done.stdout
    assert "1 s recorded" in done.stdout
    assert (done.returncode, done.stderr) == (4, "Error: no router has said how the call ended\n")


def test_what_belongs_to_virtual_time_is_refused_live(pbx: Pbx) -> None:
    assert call(pbx, "+74951110001", "--live", "--away", "anna").returncode == 2
    virtual = call(pbx, "+74951112201", "--at", "2026-11-18T12:00")
    assert (virtual.returncode, virtual.stdout.count("■")) == (0, 1)
    pbx.end()
    dead = call(pbx, "+74951112201", "--live")
    assert (dead.returncode, dead.stdout) == (3, "")
    assert "no simulated PBX runs there" in dead.stderr
    assert "■" in call(pbx, "+74951112201").stdout
    assert call(pbx, "+74951112201", "--pbx", "other").returncode == 3
