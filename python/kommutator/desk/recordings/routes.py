"""Recordings: what was recorded, its sound, and who has heard it.

Whoever is at least a manager hears all; an operator hears what is for him or his department.
"""

from __future__ import annotations

from pathlib import Path

from quart import Response, send_file

from kommutator.crm import recordings
from kommutator.crm.pool import Tx
from kommutator.desk import own
from kommutator.desk.auth.rights import HEARS_ALL
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.problems import Problem
from kommutator.desk.recordings.forms import Recording

feature = Feature(
    "recordings", "Messages and conversations that were recorded. Operators hear what is for them or their department"
)


@feature.get("/api/recordings/<word:name>", returns=Recording)
async def get_recording(asked: Asked, name: str) -> Recording:
    """What is known of a recording."""
    async with asked.transaction() as tx:
        return Recording.model_validate(await _allowed(tx, asked, name))


@feature.get(
    "/api/recordings/<word:name>/sound", media="audio/wav", statuses=(200, 206), headers=("Range",), also=(416,)
)
async def get_sound(asked: Asked, name: str) -> Response:
    """The sound. A part of it may be asked for with `Range`. 404 until it has arrived here."""
    async with asked.transaction() as tx:
        await _allowed(tx, asked, name)
    file = _file(asked.services.recordings, name)
    if file is None:
        raise Problem(404, "not_found", f"the sound of recording {name} is not here")
    response = await send_file(file, mimetype="audio/wav", conditional=True, add_etags=False)
    response.headers["Accept-Ranges"] = "bytes"
    response.headers["Cache-Control"] = "private, no-store"
    response.timeout = None  # it takes as long as the line needs
    return response


@feature.post("/api/recordings/<word:name>/heard", returns=Recording)
async def mark_heard(asked: Asked, name: str) -> Recording:
    """Notes that somebody has listened; the first listener counts."""
    async with asked.transaction() as tx:
        await _allowed(tx, asked, name)
        return Recording.model_validate(await recordings.heard(tx, name, asked.now))


async def _allowed(tx: Tx, asked: Asked, name: str) -> recordings.Recording:
    found = await recordings.get(tx, name)
    if not asked.who.at_least(HEARS_ALL) and found.assign not in await own.names(tx, asked.who):
        raise Problem(403, "forbidden", "this recording is for somebody else")
    return found


def _file(folder: Path, name: str) -> Path | None:
    """The file of a recording; None when it is not there, or the name would lead elsewhere."""
    file = folder / f"{name}.wav"
    return file if file.parent == folder and file.is_file() and not file.is_symlink() else None
