"""A document's files as one body: a zip, or a single YAML file."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import Final

from kommutator.crm.versions import MAX_BYTES
from kommutator.errors import Refused

ZIP: Final = "application/zip"
YAML: Final = "application/yaml"
MAX_FILES: Final = 5_000


def unpacked(media_type: str, body: bytes) -> dict[str, bytes]:
    """The files by path; a folder that holds all of them is left out. Blocks.

    Raises `Refused` for what is no zip, and for one with more than 5,000 files or 256 MiB.
    """
    if media_type == YAML:
        return {"company.yaml": body}
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            if len(members) > MAX_FILES or sum(each.file_size for each in members) > MAX_BYTES:
                raise Refused(f"the zip has more than {MAX_FILES:,} files or {MAX_BYTES:,} bytes")
            files = {each.filename: archive.read(each) for each in members}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise Refused(f"the zip cannot be read: {error}") from error
    if not files:
        raise Refused("the zip is empty")
    return _without_folder(files)


def packed(files: dict[str, bytes]) -> bytes:
    """The files as a zip. Blocks."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _without_folder(files: dict[str, bytes]) -> dict[str, bytes]:
    tops = {path.partition("/")[0] for path in files}
    if len(tops) != 1 or tops <= {"", ".", ".."} or any("/" not in path for path in files):
        return files
    return {path.partition("/")[2]: content for path, content in files.items()}
