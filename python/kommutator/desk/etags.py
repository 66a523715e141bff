"""Revisions as ETags: who changes a thing says which revision of it he has seen.

The ETag counts changes of what can be written; facts that only happen, such as the last contact with a client, do not
change it. So it serves `If-Match`, and not the validation of caches.
"""

from __future__ import annotations

import re
from typing import Final

from quart import request

from kommutator.desk.problems import Problem

_REVISION: Final = re.compile(r'"([0-9]{1,9})"', re.ASCII)


def of(revision: int) -> str:
    """The header `ETag` of a revision."""
    return f'"{revision}"'


def expected() -> int:
    """The revision that the request's `If-Match` names.

    Raises `Problem` 428 without the header or with `*`, which would mean "whatever it is now"; 412 for an ETag that is
    none of ours.
    """
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        raise Problem(428, "revision_needed", "say in If-Match which revision is changed: the ETag that came with it")
    found = _REVISION.fullmatch(given)
    if found is None:
        raise Problem(412, "conflict", "If-Match names no revision of this")
    return int(found[1])
