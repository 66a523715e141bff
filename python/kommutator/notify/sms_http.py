"""SMS by the HTTP interface of a provider: a request from templates, and a checked response.

A template has the places `{to}` (E.164), `{digits}` (the same without the plus), `{text}`, `{sender}`, `{id}` (the notice's
identity, for providers that recognise a repetition by it) and `{secret}`; what is put in is escaped as its surroundings need.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote
from xml.sax.saxutils import escape

import httpx
import orjson
from pydantic import SecretStr

from kommutator.errors import SettingsInvalid
from kommutator.notify.ports import Accepted, Doubtful, Later, Notice, Outcome, Refused, Sent, Sms, Told

BodyType = Literal["json", "form", "xml", "text"]
_PLACE = re.compile(r"\{([a-z_]+)\}")
_PLACES: Final = frozenset({"to", "digits", "text", "sender", "id", "secret"})
_ESCAPES: Final[Mapping[BodyType, Callable[[str], str]]] = {
    "json": lambda value: orjson.dumps(value).decode()[1:-1],
    "form": lambda value: quote(value, safe=""),
    "xml": lambda value: escape(value, {'"': "&quot;"}),
    "text": str,
}
_TYPES: Final[Mapping[BodyType, str]] = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "xml": "text/xml; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}
_PASSING: Final = frozenset({408, 425, 429, 503})
"""Statuses that say that nothing was done and that it may be asked again."""
_OURS: Final = frozenset({401, 402, 403, 405})
"""Credentials, money, method: no notice will pass until somebody corrects it."""
_LARGEST_ANSWER = 64 * 1024
_LONGEST_TOLD = 200


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds a value in an answer: by a JSON pointer (RFC 6901; with places, for providers that answer by number), or by a regular
    expression with one group."""

    pointer: str | None = None
    regex: str | None = None

    def __post_init__(self) -> None:
        if (self.pointer is None) == (self.regex is None):
            raise SettingsInvalid("a value is found by a `pointer` or by a `regex`, one of both")
        if self.pointer and not self.pointer.startswith("/"):
            raise SettingsInvalid(f"`{self.pointer}` is no JSON pointer: it begins with a slash")
        if self.regex is not None:
            try:
                groups = re.compile(self.regex).groups
            except re.error as error:
                raise SettingsInvalid(f"`{self.regex}` is no regular expression: {error}") from error
            if groups != 1:
                raise SettingsInvalid(f"`{self.regex}` needs one group: what it finds is the value")


@dataclass(frozen=True, slots=True)
class HttpSmsSettings:
    """What the provider wants to hear, and what its answers mean. Raises `SettingsInvalid`."""

    url: str
    sender: str = ""
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    body_type: BodyType = "json"
    secret: SecretStr | None = None
    """Of `{secret}`: a key, a token, a password. It appears in no log and in no reason."""
    user: str | None = None
    """With `secret` as the password, for HTTP's basic authentication."""
    accepted: Finder | None = None
    """What must be found in an answer of status 2xx…"""
    accepted_values: frozenset[str] = frozenset()
    """…and be one of these, where there are any. Else the provider has refused, unless it is one of `passing_values`."""
    passing_values: frozenset[str] = frozenset()
    """Values of `accepted` that say that it may be asked again: throttled, or no money left."""
    message_id: Finder | None = None
    """The provider's id of the message. An answer without it is not understood, and leaves a doubt."""
    recognises_id: bool = False
    """Whether the provider sends a second request of the same `{id}` only once."""
    connect_s: float = 5.0
    answer_s: float = 20.0
    throttle_s: float = 10.0
    """The pause of the channel after a status 429 that names none."""

    def __post_init__(self) -> None:
        texts = [self.url, self.body or "", *self.headers.values(), (self.accepted and self.accepted.pointer) or ""]
        unknown = {name for text in texts for name in _PLACE.findall(text)} - _PLACES
        if unknown:
            raise SettingsInvalid(f"unknown places in the request of the SMS provider: {', '.join(sorted(unknown))}")
        if not re.match(r"https?://[^/{}]+", self.url):
            raise SettingsInvalid(f"`{self.url}` is no address of an SMS provider")
        if self.recognises_id and not any("{id}" in text for text in texts):
            raise SettingsInvalid("the provider cannot recognise an `{id}` that it is not sent")
        if self.body is not None and self.body_type == "json":
            try:
                orjson.loads(_PLACE.sub("0", self.body))
            except orjson.JSONDecodeError as error:
                raise SettingsInvalid(f"the body for the SMS provider is no JSON: {error}") from error


class HttpSms:
    """The channel."""

    def __init__(self, settings: HttpSmsSettings, verify: bool | str = True) -> None:
        """`verify` is what httpx takes: False, or a file of authorities of one's own."""
        self._settings = settings
        self._secret = settings.secret.get_secret_value() if settings.secret else ""
        self.recognises_repeats = settings.recognises_id
        self.attempt_s = settings.connect_s + settings.answer_s + 5
        timeout = httpx.Timeout(settings.answer_s, connect=settings.connect_s, pool=settings.connect_s)
        self._client = httpx.AsyncClient(timeout=timeout, verify=verify, follow_redirects=False, trust_env=False)
        # httpx logs whole addresses as INFO, and a provider's address may have the secret in it.
        logging.getLogger("httpx").setLevel(logging.WARNING)

    async def run(self, told: Told) -> None:
        """Nothing is needed: connections come and go with the requests. Delivery reports arrive elsewhere."""

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._client.aclose()

    async def turn(self) -> None:
        """Requests leave at once."""

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """One request."""
        if not isinstance(notice.content, Sms):
            return Refused(f"{type(notice.content).__name__} is not for a telephone")
        values = {
            "to": notice.recipient,
            "digits": notice.recipient.removeprefix("+"),
            "text": notice.content.text,
            "sender": self._settings.sender,
            "id": notice.id,
            "secret": self._secret,
        }
        try:
            async with self._client.stream(**self._request(values)) as response:
                content = await _beginning(response)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Later(self._masked(f"the SMS provider cannot be reached: {error or type(error).__name__}"))
        except httpx.TransportError as error:
            return Doubtful(self._masked(f"the SMS provider's answer was lost: {error or type(error).__name__}"))
        outcome, provider_id = self._judge(response, content, values)
        if isinstance(outcome, Sent):
            await accepted(1, provider_id)
        return outcome

    # --- inside

    def _request(self, values: Mapping[str, str]) -> dict[str, Any]:
        settings = self._settings
        headers = {name: _fill(value, values, _one_line) for name, value in settings.headers.items()}
        content = None
        if settings.body is not None:
            content = _fill(settings.body, values, _ESCAPES[settings.body_type]).encode()
            headers.setdefault("Content-Type", _TYPES[settings.body_type])
        return {
            "method": settings.method,
            "url": _fill(settings.url, values, _ESCAPES["form"]),
            "headers": [(name.encode("ascii"), value.encode()) for name, value in headers.items()],
            "content": content,
            "auth": (settings.user, values["secret"]) if settings.user is not None else None,
        }

    def _judge(self, response: httpx.Response, content: str, values: Mapping[str, str]) -> tuple[Outcome, str | None]:
        status = response.status_code
        reason = self._masked(f"the SMS provider answered {status}: {content[:_LONGEST_TOLD]}")
        if status in _PASSING:
            after_s = _retry_after_s(response)
            return Later(reason, after_s, (after_s or self._settings.throttle_s) if status == 429 else None), None
        if status in _OURS:
            return Later(reason, channel_s=60.0), None
        if status == 504:
            return Doubtful(reason), None
        if status >= 500:
            return Later(reason), None
        if not 200 <= status < 300:
            return Refused(reason), None
        if self._settings.accepted is not None:
            found = _find(self._settings.accepted, content, values)
            if found is None:
                return Doubtful(reason), None
            if found in self._settings.passing_values:
                return Later(reason), None
            if self._settings.accepted_values and found not in self._settings.accepted_values:
                return Refused(reason), None
        if self._settings.message_id is None:
            return Sent(), None
        provider_id = _find(self._settings.message_id, content, values)
        return (Sent(), provider_id) if provider_id else (Doubtful(reason), None)

    def _masked(self, text: str) -> str:
        for spelling in {spell(self._secret) for spell in _ESCAPES.values()} if self._secret else ():
            text = text.replace(spelling, "***")
        return text


def _fill(template: str, values: Mapping[str, str], escaped: Callable[[str], str]) -> str:
    return _PLACE.sub(lambda place: escaped(values[place[1]]), template)


def _one_line(value: str) -> str:
    return " ".join(value.split())


def _find(finder: Finder, content: str, values: Mapping[str, str]) -> str | None:
    if finder.regex is not None:
        found = re.search(finder.regex, content)
        return found[1] if found else None
    try:
        value = orjson.loads(content)
        for step in (finder.pointer or "").split("/")[1:]:
            key = _fill(step.replace("~1", "/").replace("~0", "~"), values, str)
            value = value[int(key)] if isinstance(value, list) else value[key]
    except (orjson.JSONDecodeError, KeyError, IndexError, ValueError, TypeError):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _retry_after_s(response: httpx.Response) -> float | None:
    told = response.headers.get("Retry-After", "")
    return min(float(told), 3600.0) if told.isdecimal() else None


async def _beginning(response: httpx.Response) -> str:
    content = b""
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > _LARGEST_ANSWER:
            break
    return content[:_LARGEST_ANSWER].decode("utf-8", "replace")
