"""SMS through a provider's HTTP interface: a local server that fails, stalls, loses its answers and is asked twice."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from pydantic import SecretStr

from kommutator.errors import SettingsInvalid
from kommutator.notify.sms_http import Finder, HttpSms, HttpSmsSettings
from tests.notify.memory import FakeClock, MemoryOutbox, sending

pytestmark = pytest.mark.anyio
TO = "+79161230001"
TEXT = 'Пропущен "звонок" & <ещё> от +79161230099, 100%'
SECRET = "k3y/with+signs"


class Provider:
    """The provider. `answers` are taken one by one; then messages are accepted."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], str] | str] = []
        self.sent: dict[str, str] = {}
        """What telephones got: text by the id that came with it."""
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.take(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def do_GET(self) -> None:
                outer.take(self, b"")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def take(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests.append((handler.command, handler.path, dict(handler.headers), body))
        answer = self.answers.pop(0) if self.answers else "accepts"
        if answer == "stalls":
            self.released.wait(20)
            return
        if answer in ("accepts", "accepts and breaks off"):
            asked = json.loads(body)
            again = asked["id"] in self.sent
            self.sent[asked["id"]] = asked["text"]
            if answer == "accepts and breaks off":
                handler.close_connection = True
                return
            answer = (200, {}, json.dumps({"messages": [{"id": f"m-{asked['id']}", "again": again}]}))
        assert not isinstance(answer, str)
        status, headers, content = answer
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content.encode())), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content.encode())

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    running = Provider()
    yield running
    running.close()


def settings(provider: Provider, **changes: Any) -> HttpSmsSettings:
    usual: dict[str, Any] = {
        "url": f"{provider.url}/v1/send",
        "sender": "Ромашка",
        "headers": {"Authorization": "Bearer {secret}"},
        "body": '{"from": "{sender}", "to": "{digits}", "text": "{text}", "id": "{id}"}',
        "secret": SecretStr(SECRET),
        "message_id": Finder(pointer="/messages/0/id"),
        "recognises_id": True,
    }
    return HttpSmsSettings(**{**usual, **changes})


@pytest.fixture
async def send(outbox: MemoryOutbox, clock: FakeClock) -> Callable[..., Any]:
    """Sends one text, moving the clock on until its state is final."""

    async def sent(how: HttpSmsSettings, **sender: Any) -> Any:
        row = outbox.put("c1.2", TO, TEXT)
        channel = HttpSms(how)
        async with sending(outbox, clock, channel, **sender) as work:
            while row.state == "waiting":
                count = len(row.history)
                await outbox.until(lambda: len(row.history) >= count + 2)  # noqa: B023
                clock.ms = row.due_ms + 400_000
                work.wake()
        await channel.close()
        return row

    return sent


async def test_a_request_is_made_from_templates(provider: Provider, send: Callable[..., Any]) -> None:
    row = await send(settings(provider))
    ((method, path, headers, body),) = provider.requests
    assert (method, path) == ("POST", "/v1/send")
    assert (headers["Authorization"], headers["Content-Type"]) == (f"Bearer {SECRET}", "application/json")
    assert json.loads(body) == {"from": "Ромашка", "to": "79161230001", "text": TEXT, "id": "c1.2"}
    assert (row.state, row.parts) == ("sent", {1: "m-c1.2"})


async def test_an_address_holds_any_text(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = [(200, {}, "OK - 1 SMS, ID - 1234")]
    url = f"{provider.url}/send.php?psw={{secret}}&phones={{to}}&mes={{text}}"
    how = settings(
        provider, url=url, method="GET", body=None, headers={}, recognises_id=False,
        accepted=Finder(regex=r"^(\w+)"), accepted_values=frozenset({"OK"}), message_id=Finder(regex=r"ID - (\d+)"),
    )  # fmt: skip
    row = await send(how)
    ((method, path, _, body),) = provider.requests
    assert (method, body) == ("GET", b"")
    assert parse_qs(urlsplit(path).query) == {"psw": [SECRET], "phones": [TO], "mes": [TEXT]}
    assert row.parts == {1: "1234"}


@pytest.mark.parametrize(
    ("body_type", "body", "read"),
    [
        ("form", "to={to}&text={text}", lambda body: parse_qs(body.decode())["text"][0]),
        ("text", "{text}", lambda body: body.decode()),
        ("xml", "<sms text='{text}'/>", lambda body: ElementTree.fromstring(body).get("text")),
    ],
)  # fmt: skip
async def test_what_is_put_in_is_escaped_for_its_place(
    provider: Provider, send: Callable[..., Any], body_type: Any, body: str, read: Callable[[bytes], str]
) -> None:
    provider.answers = [(202, {}, "")]
    how = settings(provider, body_type=body_type, body=body, message_id=None, recognises_id=False)
    assert (await send(how)).state == "sent"
    assert read(provider.requests[0][3]) == TEXT


async def test_basic_authentication(provider: Provider, send: Callable[..., Any]) -> None:
    await send(settings(provider, user="kt", headers={}))
    assert provider.requests[0][2]["Authorization"].startswith("Basic ")


async def test_a_server_that_fails_is_asked_again(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = [(500, {}, "broken"), (503, {"Retry-After": "7"}, "soon"), (429, {}, "slowly")]
    row = await send(settings(provider))
    assert row.state == "sent"
    assert len(provider.requests) == 4
    assert row.notice.doubts == 1, "of the attempt that succeeded: nothing left by the others"


async def test_how_long_to_wait_is_the_providers_word(
    provider: Provider, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    provider.answers = [(429, {"Retry-After": "77"}, "slowly")]
    row = outbox.put("c1.2", TO, TEXT)
    async with sending(outbox, clock, HttpSms(settings(provider))):
        await outbox.until(lambda: "later" in row.history)
    assert row.due_ms == clock.ms + 77_000


async def test_a_lost_answer_is_repeated_and_recognised(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = ["accepts and breaks off", "accepts and breaks off"]
    row = await send(settings(provider))
    assert (row.state, len(provider.requests)) == ("sent", 3)
    assert provider.sent == {"c1.2": TEXT}, "the provider knew the repetitions by their id"


async def test_a_lost_answer_of_a_provider_without_ids_is_a_doubt(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = ["accepts and breaks off"] * 5
    row = await send(settings(provider, recognises_id=False), repeats_in_doubt=0)
    assert (row.state, len(provider.requests)) == ("failed", 1)
    assert "answer was lost" in row.reason


async def test_a_server_that_stalls_is_given_up_in_time(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = ["stalls"]
    row = await send(settings(provider, answer_s=0.2))
    assert row.history == ["handed over", "doubtful", "handed over", "part 1", "sent"]


async def test_a_server_that_is_not_there_leaves_no_doubt(
    provider: Provider, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", TO, TEXT)
    async with sending(outbox, clock, HttpSms(settings(provider, url="http://127.0.0.1:1/v1"))):
        await outbox.until(lambda: "later" in row.history)
    assert row.notice.doubts == 0


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((400, {}, "bad number"), "failed"),
        ((302, {"Location": "/login"}, ""), "failed"),
        ((200, {}, '{"status": "error"}'), "failed"),
        ((200, {}, '{"status": "ok", "sms": {"+79161230001": {"sms_id": 17}}}'), "sent"),
    ],
)
async def test_what_the_answer_says_counts(
    provider: Provider, send: Callable[..., Any], answer: Any, state: str
) -> None:
    provider.answers = [answer]
    how = settings(
        provider, accepted=Finder(pointer="/status"), accepted_values=frozenset({"ok"}),
        message_id=Finder(pointer="/sms/{to}/sms_id"),
    )  # fmt: skip
    row = await send(how)
    assert (row.state, len(provider.requests)) == (state, 1)
    assert row.parts == ({1: "17"} if state == "sent" else {})


async def test_a_value_that_passes_is_tried_again(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = [(200, {}, '{"code": 201}'), (200, {}, '{"code": 100}')]
    how = settings(
        provider, accepted=Finder(pointer="/code"), accepted_values=frozenset({"100"}),
        passing_values=frozenset({"201"}), message_id=None,
    )  # fmt: skip
    assert (await send(how)).state == "sent"


async def test_an_answer_that_is_not_understood_is_a_doubt(provider: Provider, send: Callable[..., Any]) -> None:
    provider.answers = [(200, {}, "<html>Welcome to the hotel's network</html>")]
    row = await send(settings(provider, recognises_id=False), repeats_in_doubt=0)
    assert (row.state, row.history[-1]) == ("failed", "failed")
    assert "Welcome" in row.reason


async def test_the_secret_is_told_to_nobody(
    provider: Provider, send: Callable[..., Any], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.answers = [(400, {}, f"the key {SECRET} is unknown, so is k3y%2Fwith%2Bsigns")]
    how = settings(provider, url=f"{provider.url}/send?key={{secret}}")
    row = await send(how)
    assert "***" in row.reason
    told = row.reason + caplog.text + "".join(capsys.readouterr()) + repr(how)
    assert SECRET not in told
    assert "k3y%2Fwith" not in told


@pytest.mark.parametrize(
    "changes",
    [
        {"body": '{"to": "{nummer}"}'},
        {"body": '{"to": {to}'},
        {"url": "ftp://example.test"},
        {"url": "https://{to}.example.test/"},
        {"body": '{"to": "{to}"}', "recognises_id": True},
    ],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"url": "https://sms.example.test/", "body": '{"id": "{id}"}'}
    HttpSmsSettings(**usual)
    with pytest.raises(SettingsInvalid):
        HttpSmsSettings(**{**usual, **changes})


@pytest.mark.parametrize(
    "finder", [{}, {"pointer": "/a", "regex": "(a)"}, {"pointer": "a"}, {"regex": "a"}, {"regex": "("}]
)
def test_finders_that_cannot_find_are_refused(finder: dict[str, str]) -> None:
    with pytest.raises(SettingsInvalid):
        Finder(**finder)
