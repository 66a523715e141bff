"""A key pressed while a menu is still being read out counts at once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .dialogs import Behaviour
from .router import RouterProcess
from .sipp import Caller, Phone

pytestmark = pytest.mark.telephony

_PROMPT_S = 20.0
_AT_ONCE_S = _PROMPT_S / 2


@pytest.mark.parametrize("by", ["rtp", "info"])
def test_key_barges_in(asterisk: Asterisk, tmp_path: Path, by: str) -> None:
    with (
        RouterProcess.of_command(asterisk, _company(tmp_path), tmp_path / "data") as router,
        Phone(asterisk, "101", Behaviour("answer", after=1.0, talks=0.5)) as phone,
        Caller(asterisk, "+74950000001", "89160000001") as caller,
    ):
        caller.call()
        caller.line.wait_sound()
        pressed = time.time()
        caller.press("1", by=by)
        rung = phone.wait_for("INVITE")
        assert rung.at - pressed < _AT_ONCE_S
        assert "89160000001" in (rung.header("From") or "")
        caller.wait_end()
        (line,) = router.wait_ledger(1)
    assert line["disposition"] == "answered"
    assert [(step["node"], step["exit"]) for step in line["trace"]] == [("menu", "one")]
    assert messages.summary(phone.events) == "←INVITE →180 →200 ←ACK →BYE"


def _company(folder: Path) -> Path:
    """A long menu, and one who is rung."""
    sound.tone(folder / "menu.wav", hertz=300, seconds=_PROMPT_S)
    ring = {"kind": "ring", "ring": [{"employee": "anna"}], "seconds": 20, "exits": {"no_answer": "task"}}
    exits = {"one": "ring", "no_input": "ring", "invalid": "ring"}
    nodes = {
        "menu": {"kind": "menu", "prompt": "menu", "options": {"1": "one"}, "exits": exits},
        "ring": ring,
        "task": {"kind": "task", "assign": "house", "title": "Call {caller}", "exits": {"done": "bye"}},
        "bye": {"kind": "hangup"},
    }
    company = {
        "company": {"name": "Menu", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": {"anna": {"name": "Anna", "department": "house", "endpoint": "PJSIP/101"}},
        "prompts": {"menu": {"file": "menu.wav"}},
        "numbers": {"+74950000001": {"scheme": "main"}},
        "schemes": {"main": {"start": "menu", "responsible": "house", "nodes": nodes}},
    }
    document = folder / "company.yaml"
    document.write_text(json.dumps(company, indent=1), encoding="utf-8")
    return document
