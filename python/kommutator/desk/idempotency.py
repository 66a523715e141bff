"""The identity of what is made, so that a request sent twice makes it once."""

from __future__ import annotations

import re
from typing import Final

from quart import request

from kommutator.desk.auth.identity import Who
from kommutator.desk.problems import FieldProblem, Problem

_KEY: Final = re.compile(r"[A-Za-z0-9_:.-]{1,100}", re.ASCII)


def given() -> str:
    """The request's `Idempotency-Key`. Raises `Problem` 422 without one."""
    key = request.headers.get("Idempotency-Key", "")
    if not _KEY.fullmatch(key):
        wrong = FieldProblem(path="header.Idempotency-Key", message="give 1 to 100 letters, digits, or any of _:.-")
        raise Problem(422, "form_invalid", "the header is not of its form", fields=[wrong])
    return key


def key(subject: str, who: Who) -> str:
    """The key as it is kept: whoever asks has keys of his own, so that nobody is given what another's key has made."""
    return f"{subject}:{who.actor}:{given()}"
