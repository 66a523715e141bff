"""Words by which clients are found: folded here, so that the database's locale does not matter."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:[@._+'’-]+[^\W_]+)*")
_PARTS = re.compile(r"[^\W_]+")
_LONGEST = 100
MOST = 64
"""Of one client."""


def of(*texts: str) -> list[str]:
    """The words of texts, each once: `ООО «Ромашка-2»` gives `ооо`, `ромашка-2`, `ромашка`, `2`; at most 64."""
    found: dict[str, None] = {}
    for text in texts:
        for whole in _WORD.findall(fold(text)):
            found[whole[:_LONGEST]] = None
            for part in _PARTS.findall(whole):
                found[part[:_LONGEST]] = None
    return list(found)[:MOST]


def typed(text: str) -> list[str]:
    """The words of a search, in the order typed."""
    return list(dict.fromkeys(word[:_LONGEST] for word in _WORD.findall(fold(text))))


def fold(text: str) -> str:
    """Without case, ё as е, in composed form."""
    return unicodedata.normalize("NFC", text).casefold().replace("ё", "е")


def after(beginning: str) -> str:
    """The least text after all that begin so, in the order of code points: `beginning <= word < after(beginning)`."""
    while beginning:
        last = ord(beginning[-1])
        if last < 0x10FFFF:
            following = last + 1
            return beginning[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)
        beginning = beginning[:-1]
    return chr(0x10FFFF)
