"""A scenario's company with its seconds divided, so that a real call takes seconds and not minutes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.scenario_files import read_yaml

from . import sound

SPEED = 5.0
"""By what rings, menus and the deeds of people are divided: a ring of 15 s lasts 3 s."""
PROMPT_S = 1.0
"""How long every prompt lasts: longer than a caller needs to press a key or to hang up."""
SHORTEST_S = 1.5
"""No ring and no menu is shorter, so that people's deeds come well within it."""
_LONGEST_MESSAGE_S = 15.0
_SCALED = {"ring": None, "queue": None, "menu": 5, "transfer": 30}
"""The kinds of node whose seconds are divided, and what they are when the document does not say."""
_TIMES = {"seconds", "max_wait", "pause", "announce_every"}


def hurried(folder: Path, target: Path) -> Path:
    """Writes the company of a scenario folder, faster, into `target`, and returns its document.

    Messages last as long as people speak, whatever the speed: that one of a second counts is a rule.
    """
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("company.*", "scenarios.yaml", "prompts"))
    company = read_yaml(folder / "company.yaml")
    for number, prompt in enumerate(sorted(company.get("prompts", {}))):
        file = Path("prompts") / f"{number}.wav"
        (target / "prompts").mkdir(exist_ok=True)
        sound.tone(target / file, hertz=300 + 40 * number, seconds=PROMPT_S)
        company["prompts"][prompt] = {"file": str(file)}
    for scheme in company["schemes"].values():
        for node in scheme["nodes"].values():
            _hurry(node)
    document = target / "company.yaml"
    document.write_text(json.dumps(company, ensure_ascii=False, indent=1), encoding="utf-8")
    return document


def _hurry(node: dict[str, Any]) -> None:
    if node["kind"] == "voicemail":
        node["seconds"] = _LONGEST_MESSAGE_S
    elif node["kind"] in _SCALED:
        if _SCALED[node["kind"]] is not None:
            node.setdefault("seconds", _SCALED[node["kind"]])
        for timed in (node, *node.get("steps", ())):
            for key in _TIMES & timed.keys():
                timed[key] = max(SHORTEST_S, timed[key] / SPEED)
