"""The configuration of the whole: one typed object, read once. `settings.py` reads it; the forms are here.

Every field has a default, so that an empty file is a company on one machine without a PBX. Durations are in seconds.
"""

from __future__ import annotations

import re
import shlex
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from kommutator.query.journal import FORGET_S
from kommutator.query.listening import UNIX, is_local
from kommutator.routing.prompts import DEFAULT_TTS


def _listening(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ValueError("should be host:port, such as 127.0.0.1:8080")
    return text


def _with_scheme(*schemes: str) -> AfterValidator:
    def check(given: Any) -> Any:
        text = given.get_secret_value() if isinstance(given, SecretStr) else given
        try:
            good = urlsplit(text).scheme in schemes and "//" in text
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"should be an address that begins with {' or '.join(f'{name}://' for name in schemes)}")
        return given

    return AfterValidator(check)


def _words(given: Any) -> Any:
    """A command in one string, as a shell reads it."""
    return shlex.split(given) if isinstance(given, str) else given


def _parts(given: Any) -> Any:
    """A list in one string, with commas."""
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else given


def _template(place: str) -> AfterValidator:
    def check(text: str) -> str:
        names = re.findall(r"\{([^{}]*)\}", text)
        unknown = [name for name in names if name not in (place, "digits")]
        if not re.fullmatch(r"(sips?|tel):[^\s<>\"?]+", text) or unknown or text.count("{") != len(names):
            raise ValueError(f"should be an address of SIP, with {{{place}}} or {{digits}} in it")
        return text

    return AfterValidator(check)


def _for_ever(given: Any) -> Any:
    return None if given == "forever" else given


Days = Annotated[int | None, BeforeValidator(_for_ever)]
"""None: for ever, which TOML has no word for."""
Listening = Annotated[str, AfterValidator(_listening)]
RouterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
"""A part of file names and of subjects of the exchange."""


class Form(BaseModel):
    """What all sections have in common: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Log(Form):
    """The log, on standard error of each process."""

    form: Literal["text", "json"] = "text"
    """For people or for machines; one JSON object a line."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""


class Postgres(Form):
    """The record. Without `dsn`, an embedded server in `DATA/postgres`."""

    dsn: Annotated[SecretStr, _with_scheme("postgresql", "postgres")] | None = None
    """`postgresql://user:password@host/database`."""
    connections: int = Field(default=10, ge=2, le=200)
    """The most that one desk opens."""


class Exchange(Form):
    """NATS. Without `urls`, an embedded server in `DATA/nats`."""

    urls: Annotated[tuple[Annotated[str, _with_scheme("nats", "tls", "ws", "wss")], ...], BeforeValidator(_parts)] = ()
    """`nats://host:port`, one for each server of the cluster; a list, or one text with commas."""
    user: str | None = None
    """Of the servers in `urls`; the embedded server has a password of its own."""
    password: SecretStr | None = None
    """Of that user."""
    port: int = Field(default=0, ge=0, le=65535)
    """The embedded server's, on 127.0.0.1; 0: chosen at the first start and kept."""
    replicas: int = Field(default=1, ge=1, le=5)
    """How many servers of a cluster keep each stream."""


class Softphones(Form):
    """The PBX takes telephones of browsers: employees whose card says `softphone: true`."""

    url: Annotated[str, _with_scheme("wss", "ws")]
    """Its websocket as browsers reach it, such as `wss://pbx.example:8089/ws`; browsers refuse `ws` but for localhost."""
    secret: Annotated[SecretStr, Field(min_length=16)]
    """From it each softphone's password is made, by the desk and by `kommutator softphones`."""


class Asterisk(Form):
    """An Asterisk, by its REST interface (ARI)."""

    kind: Literal["asterisk"]
    url: Annotated[str, _with_scheme("http", "https")]
    """Such as `http://127.0.0.1:8088`."""
    user: str
    """Of `ari.conf`."""
    password: SecretStr
    """Of that user."""
    application: str = "kommutator"
    """The name in the dialplan's `Stasis(…)`; one router an application."""
    trunk: str = "PJSIP/{number}@trunk"
    """How the PBX dials an E.164 number."""
    silence_s: int = Field(default=5, ge=1, le=60)
    """So much silence ends a recording."""
    softphones: Softphones | None = None
    """Without it, nobody's phone is the browser."""


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError("should be an address or a network, such as 10.0.0.5 or 10.0.0.0/24") from None
    return text


class FastAgi(Form):
    """An Asterisk whose dialplan asks by FastAGI: for one where ARI cannot be had. Desks cannot order anything of its calls.

    The router listens, and Asterisk connects.
    """

    kind: Literal["fastagi"]
    listen: Listening = "127.0.0.1:4573"
    """`host:port` of `agi://host:port` in the dialplan."""
    sources: Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_parts)] = (
        "127.0.0.1",
        "::1",
    )
    """The addresses or networks from which Asterisk may connect: the protocol knows no password."""
    connections: int = Field(default=1000, ge=1, le=100_000)
    """The most at once: one for each call, and for a moment one for each phone that answers. Also the most calls by steps."""
    messages: Path = Path("/var/spool/asterisk/kommutator")
    """The folder into which Asterisk records messages; the router must reach it under the same name, and may delete there."""
    outgoing: Path = Path("/var/spool/asterisk/outgoing")
    """Asterisk's folder of call files: by one the router, when it starts, has Asterisk tell which calls are still there."""
    trunk: str = "PJSIP/{number}@trunk"
    """How the PBX dials an E.164 number."""
    silence_s: int = Field(default=5, ge=1, le=60)
    """So much silence ends a message."""
    leg_context: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,79}$")] = "kommutator-agi-leg"
    """The context of the dialplan to which a phone goes that answers."""


class Simulated(Form):
    """The simulated PBX: a process of its own, `kommutator pbx`, on the socket `DATA/pbx/ROUTER.sock`."""

    kind: Literal["simulated"]
    calls_per_minute: float = Field(default=0, ge=0, le=6000)
    """Callers that come by themselves."""
    callers: Annotated[tuple[str, ...], BeforeValidator(_parts)] = ()
    """The numbers that half of them have; the others' are made up."""
    dials: Annotated[tuple[str, ...], BeforeValidator(_parts)] = ()
    """The numbers that they call, each as often as it is written; none: all of the company's alike."""


def _asked_at(text: str) -> str:
    return text if text.startswith(UNIX) and len(text) > len(UNIX) else _listening(text)


class QueryTls(Form):
    """Queries by https."""

    certificate: Path
    """The chain (PEM)."""
    key: Path | None = None
    """Its key, where it is in a file of its own."""
    clients: Path | None = None
    """Clients must have a certificate of these authorities (PEM)."""


class Query(Form):
    """Routing queries over HTTP: where a call should go, asked by whoever performs the actions himself."""

    listen: Annotated[str, AfterValidator(_asked_at)] = "127.0.0.1:8070"
    """`host:port` or `unix:PATH`."""
    shared: bool = False
    """Whether other routers listen there too: the system spreads connections over them."""
    tokens: Annotated[tuple[Annotated[SecretStr, Field(min_length=16)], ...], BeforeValidator(_parts)] = ()
    """Who may ask, by `Authorization: Bearer TOKEN`. Needed where other machines can ask, unless they have certificates."""
    tls: QueryTls | None = None
    journal: bool = True
    """Whether calls of queries are in the ledger, and what they leave behind is performed; without, both are the client's."""
    forget_s: float = Field(default=FORGET_S, ge=1)
    """A call without steps for so long is over: its caller has hung up."""
    connections: int = Field(default=1000, ge=1, le=100_000)
    """At once."""
    idle_s: float = Field(default=75, gt=0)
    """A connection without a request is kept so long."""
    processes: int = Field(default=1, ge=1, le=64)
    """More than one: so many processes beside the router's own answer queries, each with an engine of its own."""

    @model_validator(mode="after")
    def _nobody_else(self) -> Self:
        if not (self.tokens or (self.tls and self.tls.clients) or is_local(self.listen)):
            raise ValueError("where other machines can ask, `tokens` or `tls.clients` are needed")
        return self


Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], BeforeValidator(_parts)]


class Redirect(Form):
    """SIP by UDP for carriers' SBCs and Kamailio: an INVITE is answered with where the call should go."""

    listen: Annotated[tuple[Listening, ...], BeforeValidator(_parts), Field(min_length=1)]
    """`host:port`, several with commas; `[::1]:5060` of IPv6. Several routers may share one."""
    sources: Networks = ("127.0.0.0/8", "::1/128")
    """Who may ask: addresses and networks. Others get no answer."""
    identity_from: Networks = ()
    """Whose P-Asserted-Identity counts as the caller; from others, From does."""
    phone: Annotated[str, _template("name")]
    """The contact of a phone, such as `sip:{name}@pbx.example`: of `PJSIP/101`, `{name}` is `101`."""
    number: Annotated[str, _template("number")]
    """The contact of a telephone number, such as `sip:{number}@carrier.example;user=phone`; `{digits}` is it without `+`."""
    media: Annotated[str, _template("did")] | None = None
    """Who takes calls that need a voice, such as `sip:{did}@pbx.example`: a menu, an announcement, a message. Without it
    they are refused."""
    calls_per_second: int | None = Field(default=1000, ge=1)
    """The most of one address; more are answered 503."""
    hold_s: float = Field(default=3, ge=0, le=60)
    """So long nobody else rings those whom an answer names: until their PBX says that they ring."""
    journal: bool = True
    """Whether calls are in the ledger, and told to desks."""
    processes: int = Field(default=1, ge=1, le=64)
    """As of queries; the same processes answer both."""


class Tables(Form):
    """What the router keeps whole of clients, in memory and in `DATA/routers/NAME/tables`, so that no call waits for an answer."""

    owners: int = Field(default=30_000_000, ge=0, le=33_000_000)
    """The most numbers whose owners are kept, some ten bytes each, and for a moment twice that; if there are more, or with 0, a
    desk is asked at each call."""
    callers: int = Field(default=100_000_000, ge=0, le=150_000_000)
    """The most numbers of which is kept when they called last, some twelve bytes each, in the same way."""


class Router(Form):
    """A router: it serves one PBX, and employees' phones are registered at one."""

    pbx: Annotated[Asterisk | FastAgi | Simulated, Field(discriminator="kind")]
    """The PBX that it serves."""
    redirect: Redirect | None = None
    metrics: Listening | None = None
    """`host:port` where `/metrics`, `/healthz` and `/readyz` are served; without it, nowhere."""
    tts: Annotated[tuple[str, ...], BeforeValidator(_words), Field(min_length=1)] = DEFAULT_TTS
    """The command that speaks: it reads the text on standard input; `{language}` and `{output}` are filled in. A list of
    words, or one text that is split as a shell splits it."""
    query: Query | None = None
    """Without it, no queries are answered."""
    tables: Tables = Tables()


class Throttle(Form):
    """How often a password may be wrong."""

    attempts: int = Field(default=5, ge=1)
    """So many wrong ones, and no further is looked at."""
    within_s: int = Field(default=300, ge=1)
    """The time in which they are counted."""


class Retention(Form):
    """How long is kept what grows: days, or `"forever"`. Calls themselves are always kept."""

    turns: Days = Field(default=None, ge=7)
    """The steps of a call that has ended, with their reasons: the greater part of the ledger."""
    recordings: Days = Field(default=365, ge=1)
    """Messages that callers left."""
    notices: Days = Field(default=90, ge=1)
    """Notices that were sent or given up."""
    drafts: Days = Field(default=30, ge=1)
    """What operators typed and never accepted, since it was last touched."""


class Desk(Form):
    """The desk: the API, the pages, and the services behind them."""

    listen: Listening = "127.0.0.1:8080"
    """`host:port` of pages and API."""
    secure: bool = False
    """Whether browsers reach it by https: then cookies go by https only."""
    session_s: int = Field(default=12 * 3600, ge=60)
    """A session ends after so long without a request."""
    throttle: Throttle = Throttle()
    retention: Retention = Retention()


class FileSink(Form):
    """Notices into files of `DATA/desk/sent`: for a demo."""

    kind: Literal["file"]


class Smpp(Form):
    """An SMSC, by SMPP 3.4."""

    kind: Literal["smpp"]
    host: str
    """Its name or address."""
    port: int = Field(default=2775, ge=1, le=65535)
    """Its port."""
    system_id: str
    """Who we are there."""
    password: SecretStr
    """Of `system_id`."""
    sender: str
    """The source address: a name of up to 11 characters, or a number."""
    system_type: str = ""
    """Where the SMSC wants one."""
    tls: bool = False
    """Whether the connection is by TLS."""


class HttpReceipts(Form):
    """How the gateway tells what became of a message: a request to `/hooks/sms` of the desk, with these parameters."""

    token: SecretStr
    """What the parameter `token` must be: the address is open to everybody."""
    id: str
    """The parameter with the provider's id of the message."""
    state: str
    """The parameter that says what became of it."""
    delivered: tuple[str, ...]
    """Its values that mean delivered."""
    undelivered: tuple[str, ...]
    """Its values that mean that it never will be; any other is not final."""
    error: str | None = None
    """The parameter that says why not."""


class HttpGateway(Form):
    """An SMS gateway by HTTP; the request is made of templates.

    `{to}`, `{digits}`, `{text}`, `{sender}`, `{id}` and `{secret}` may stand in `url`, `headers` and `body`. A value in an
    answer is found by a JSON pointer (`/result/id`) or by a regular expression with one group.
    """

    kind: Literal["http"]
    url: str
    """Where the request goes."""
    method: Literal["GET", "POST", "PUT"] = "POST"
    """Of the request."""
    headers: dict[str, SecretStr] = {}
    """By name; their values are secrets."""
    body: str | None = None
    """The content of the request."""
    body_type: Literal["json", "form", "xml", "text"] = "json"
    """What the content is, and so how values are written in it."""
    sender: str = ""
    """Of `{sender}`."""
    secret: SecretStr | None = None
    """Of `{secret}`."""
    user: str | None = None
    """With `secret` as the password, for HTTP's basic authentication."""
    success: str | None = None
    """What must be found in an answer of status 2xx."""
    success_values: tuple[str, ...] = ()
    """…and be one of these, where there are any."""
    provider_id: str | None = None
    """Where the answer has the provider's id of the message."""
    recognises_id: bool = False
    """Whether the provider sends a second request of the same `{id}` only once."""
    receipts: HttpReceipts | None = None


class Smtp(Form):
    """A mail server."""

    kind: Literal["smtp"]
    host: str
    """Its name or address."""
    port: int = Field(default=587, ge=1, le=65535)
    """587 is usual with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is protected."""
    user: str | None = None
    """Who we are there; none: we do not say."""
    password: SecretStr | None = None
    """Of `user`."""
    sender: str
    """The address of the sender."""


Sms = Annotated[FileSink | Smpp | HttpGateway, Field(discriminator="kind")]
Email = Annotated[FileSink | Smtp, Field(discriminator="kind")]


class Notices(Form):
    """How notices leave. What has no channel waits in the outbox, and is shown there."""

    sms: Sms | None = None
    email: Email | None = None


class Configuration(Form):
    """All of it."""

    data: Path = Path("kommutator-data")
    """The data folder; written in the file as a relative path, it is beside the file."""
    company_id: int = Field(default=1, ge=1)
    """The company's number in the record."""
    log: Log = Log()
    postgres: Postgres = Postgres()
    exchange: Exchange = Exchange()
    routers: dict[RouterName, Router] = {}
    """By name; an employee's phone is at the router that his card's `pbx` names, or at the only one."""
    desk: Desk = Desk()
    notices: Notices = Notices()

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        """What two processes cannot share."""
        taken: dict[object, str] = {self.desk.listen: "desk.listen"}
        for name, router in self.routers.items():
            wanted: dict[object, str] = {}
            if router.metrics is not None and not router.metrics.endswith(":0"):  # port 0 is whichever is free
                wanted[router.metrics] = f"routers.{name}.metrics"
            if router.query is not None and not router.query.shared and not router.query.listen.endswith(":0"):
                wanted[router.query.listen] = f"routers.{name}.query.listen"
            if isinstance(router.pbx, Asterisk):
                wanted[router.pbx.url.rstrip("/"), router.pbx.application] = f"routers.{name}.pbx.application"
            if isinstance(router.pbx, FastAgi):
                wanted[router.pbx.listen] = f"routers.{name}.pbx.listen"
            for thing, key in wanted.items():
                if thing in taken:
                    raise ValueError(f"{key} is the same as {taken[thing]}: each needs its own")
                taken[thing] = key
        return self

    def router_data(self, name: str) -> Path:
        """What the router keeps: its spools, ledger, versions, recordings and prompts."""
        return self.data / "routers" / name

    def pbx_socket(self, name: str) -> Path:
        """Where the simulated PBX of a router is reached."""
        return self.data / "pbx" / f"{name}.sock"
