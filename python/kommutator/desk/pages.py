"""The pages: what `ui/` was built into, served from memory.

Names of assets contain a hash of their content, so that browsers keep them for ever; the page itself is asked for again
each time, and finds its way by the address bar.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quart import Quart, Response, request

BUILT: Final = Path(__file__).parent / "static"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"
_ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
"""The better one first."""
PAGES: Final = ("work", "clients", "calls", "notices", "company", "versions", "users", "profile", "phones")
"""First parts of addresses that the page itself finds its way by."""
_NOT_BUILT: Final = "The pages are not built: run `make ui`.\n"


@dataclass(frozen=True, slots=True)
class _File:
    """One file, with its forms by encoding."""

    media_type: str
    cache: str
    tag: str
    forms: dict[str, bytes]


def install(app: Quart, built: Path = BUILT) -> None:
    """Serves what was built. Without it, the pages answer 503 and say what is to be done; the API is not concerned."""
    files = _read(built)

    async def page(rest: str = "") -> Response:  # noqa: ARG001 - the page reads the address itself
        if "index.html" not in files:
            return Response(_NOT_BUILT, 503, {"Cache-Control": "no-store"}, content_type="text/plain; charset=utf-8")
        return _answer(files["index.html"])

    async def file() -> Response:
        return _answer(files[request.path.removeprefix("/")])

    app.add_url_rule("/", "page", page, methods=["GET"])
    for name in PAGES:
        app.add_url_rule(f"/{name}", "page", page, methods=["GET"])
        app.add_url_rule(f"/{name}/<path:rest>", "page", page, methods=["GET"])
    for name in files:
        app.add_url_rule(f"/{name}", "file", file, methods=["GET"])


def _answer(file: _File) -> Response:
    headers = {"Cache-Control": file.cache, "Vary": "Accept-Encoding"}
    encoding = next(
        (name for name, _ in _ENCODINGS if name in file.forms and request.accept_encodings.quality(name) > 0), ""
    )
    headers["ETag"] = f'"{file.tag}{encoding and "-" + encoding}"'
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(b"", 304, headers)
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(file.forms[encoding], 200, headers, content_type=file.media_type)


def _read(built: Path) -> dict[str, _File]:
    files: dict[str, _File] = {}
    suffixes = {suffix for _, suffix in _ENCODINGS}
    for path in sorted(built.rglob("*")):
        if not path.is_file() or path.suffix in suffixes:
            continue
        content = path.read_bytes()
        forms = {"": content}
        for encoding, suffix in _ENCODINGS:
            packed = path.with_name(path.name + suffix)
            if packed.is_file():
                forms[encoding] = packed.read_bytes()
        name = path.relative_to(built).as_posix()
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        cache = _FOR_EVER if name.startswith("assets/") else _ASK_AGAIN
        files[name] = _File(media_type, cache, hashlib.sha256(content).hexdigest()[:20], forms)
    return files
