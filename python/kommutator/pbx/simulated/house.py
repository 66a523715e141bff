"""What a simulated PBX must know of a company, out of the company's document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kommutator.company.prompts import PromptSource
from kommutator.pbx.simulated.codec import Sounds


def sounds_of(document: Mapping[str, Any], prompts: Mapping[str, PromptSource]) -> Sounds:
    """What the engine's document and the prompts' sources say of prompts, phones and numbers."""
    names = {
        str(card[key]): str(card["name"])
        for card in document["employees"].values()
        for key in ("endpoint", "mobile")
        if card.get(key)
    }
    numbers = {number: card for number, card in document["numbers"].items() if number.startswith("+")}
    return Sounds(
        seconds={prompt: float(card["seconds"]) for prompt, card in document["prompts"].items()},
        says={prompt: source.say for prompt, source in prompts.items() if source.say},
        names=names,
        numbers=tuple(numbers),
        schemes={number: str(card["scheme"]) for number, card in numbers.items()},
        timezone=str(document["company"]["timezone"]),
    )
