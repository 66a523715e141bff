"""What people do in whole calls: drawn for each call by its number, so that equal runs have equal calls."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec


class Chances(msgspec.Struct, frozen=True):
    """Shares of 1. What remains of a ringing is `busy`, of a wait that its time is over."""

    answers: float = 0.7
    """Of the phones that ring: somebody picks up; which one is drawn evenly."""
    no_answer: float = 0.2
    """Of the ringing: the time is over."""
    hangs_up: float = 0.05
    """Of any moment: the caller leaves."""
    silent: float = 0.1
    """Of menus: nothing is dialled; else one of what is offered, drawn evenly."""
    longest: int = 50
    """Events of a call; then its caller hangs up."""

    def event(self, action: Mapping[str, Any], number: int, step: int) -> dict[str, Any] | None:
        """What happens in call `number` upon this action, the answer to its event `step - 1`; None after `end`."""
        kind = action["type"]
        if kind == "end":
            return None
        if kind == "hang_up":
            return {"type": "hung_up"}
        drawn = Random(number * 1_000_003 + step)
        if step >= self.longest or drawn.random() < self.hangs_up:
            return {"type": "caller_hung_up"}
        match kind:
            case "play":
                return {"type": "played"}
            case "menu":
                if drawn.random() < self.silent or not action["digits"]:
                    return {"type": "no_input"}
                return {"type": "digits", "digits": drawn.choice(action["digits"])}
            case "ring":
                what = drawn.random()
                if what < self.answers:
                    return {"type": "answered", "endpoint": drawn.choice(action["endpoints"])["endpoint"]}
                return {"type": "no_answer" if what < self.answers + self.no_answer else "busy"}
            case "wait":
                return {"type": "waited"}
            case "record":
                return {"type": "recorded", "seconds": drawn.choice((0.4, 5.0, 20.0))}
            case "find_owner":
                return {"type": "no_owner"}
            case "find_history":
                return {"type": "never_called"}
            case "transfer":
                return {"type": "transferred" if drawn.random() < self.answers else "failed"}
            case "talk":
                return {"type": "conversation_ended"}
            case _:
                return {"type": "failed"}
