"""Revisions as ETags: who changes a thing says which revision of it he has seen.

The ETag counts changes of what can be written; facts that only happen, such as the last contact with a client, do not
change it. So it serves `If-Match`, and not the validation of caches.
"""

from __future__ import annotations

import re
from typing import Final

from quart import request

from kommutator.desk.problems import Problem

_TAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_REVISION: Final = re.compile(r'"([0-9]{1,9})"', re.ASCII)


def of(revision: int) -> str:
    """The header `ETag` of a revision."""
    return f'"{revision}"'


def expected() -> int:
    """The revision that the request's `If-Match` names.

    Raises `Problem` 428 without the header or with `*`, which would mean "whatever it is now"; 400 for what is no ETag,
    and 412 for one that is none of ours.
    """
    given = request.headers.get("If-Match", "").strip()
    if given in ("", "*"):
        raise Problem(428, "revision_needed", "say in If-Match which revision is changed: the ETag that came with it")
    if not _TAG.fullmatch(given):
        raise Problem(400, "bad_request", "If-Match is to have one ETag, in quotes")
    found = _REVISION.fullmatch(given)
    if found is None:
        raise Problem(412, "conflict", "If-Match names no revision of this")
    return int(found[1])
