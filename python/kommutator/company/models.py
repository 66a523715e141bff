"""The shape of every section of a company document and of every kind of node.

Shape only: which keys there are, of which types, numbers within what the engine can hold. Whether ids exist, exits are
wired, hours make sense and telephone numbers are numbers is for the engine's check, which sees the whole.

Each model's `engine()` is the item in the form of the engine document; what only the outside can know (the length of a
prompt, the rows of a file) is filled in by `reader`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from kommutator.company.source import Numeral, type_names


def _text(value: object) -> object:
    return value.text if isinstance(value, Numeral) else value


def _word(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _text(value)


def _number(value: object) -> object:
    return value.value if isinstance(value, Numeral) else value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str | Numeral) else value


Text = Annotated[str, BeforeValidator(_text)]
"""Text; a number written without quotes counts as the text it was written as."""
Id = Annotated[str, BeforeValidator(_text), Field(min_length=1)]
Word = Annotated[str, BeforeValidator(_word)]
"""Any scalar, as text."""
Seconds = Annotated[float, BeforeValidator(_number), Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
Milliseconds = Annotated[int, BeforeValidator(_number), Field(ge=1, le=60_000)]
Texts = Annotated[list[Text], BeforeValidator(_listed)]
"""A list of texts; a single one may stand without brackets."""
Ids = Annotated[list[Id], BeforeValidator(_listed)]


class Model(BaseModel):
    """Strict: no conversions between types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def engine(self) -> dict[str, Any]:
        """The item as the engine document has it."""
        return self.model_dump(exclude_none=True)


# --- sections


class Company(Model):
    """The company itself."""

    name: Text
    timezone: Text
    country: Text
    language: Literal["ru", "en"] = "ru"


class Employee(Model):
    """A person who can be rung. Without a name, the id is shown."""

    name: Text | None = None
    department: Id | None = None
    rank: Annotated[int, BeforeValidator(_number), Field(ge=-1_000_000, le=1_000_000)] | None = None
    endpoint: Id | None = None
    mobile: Id | None = None
    email: Id | None = None
    pbx: Id | None = None
    """The router at whose PBX the phone is registered, by its name in the configuration; any name passes the check."""
    softphone: bool | None = None
    """His phone is the browser, registered as his endpoint."""

    @model_validator(mode="after")
    def _something_to_register(self) -> Employee:
        if self.softphone and self.endpoint is None:
            raise PydanticCustomError("missing_key", "`softphone` needs an `endpoint`, as which the browser registers")
        return self


class Department(Model):
    """A department, with the service types it provides."""

    name: Text | None = None
    service_types: Ids = []


class ServiceType(Model):
    """What clients ask for."""

    name: Text | None = None


class Group(Model):
    """A named set of employees, departments and other groups."""

    members: Ids


class Schedule(Model):
    """Hours."""

    timezone: Id | None = None
    weekly: dict[str, Texts] = {}
    holidays: Id | None = None
    exceptions: dict[str, Texts] = {}
    moved_workday: Texts | None = None


class NumberList(Model):
    """A list of numbers."""

    numbers: Texts = []
    prefixes: Texts = []
    file: Id | None = None


class Region(Model):
    """A region of callers."""

    name: Text | None = None
    prefixes: Texts = []
    plan: Ids = []


class Prompt(Model):
    """An announcement: a recorded `file`, or a text to `say`."""

    file: Id | None = None
    say: Id | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] | None = None
    seconds: Annotated[float, BeforeValidator(_number), Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Prompt:
        if self.file is None and self.say is None:
            raise PydanticCustomError("missing_key", "`file` or `say` is missing")
        if self.file is not None and self.say is not None:
            raise PydanticCustomError("unexpected_key", "either `file` or `say`, not both")
        if self.file is not None and self.seconds is not None:
            raise PydanticCustomError("unexpected_key", "`seconds` belongs to `say`: a file counts its own length")
        return self


class Template(Model):
    """The text of a notice."""

    text: Id
    subject: Text | None = None


class Number(Model):
    """Which scheme serves a dialled number."""

    scheme: Id


# --- who is rung, told and given tasks


def _single(value: object, what: str, allowed: tuple[str, ...]) -> tuple[str, object]:
    if not isinstance(value, dict):
        hint = "; write {employee: id}" if isinstance(value, str) else ""
        raise PydanticCustomError(
            "wrong_type", f"{what} is a mapping with one key, not {type_names[type(value)]}{hint}"
        )
    if len(value) != 1:
        raise PydanticCustomError("wrong_type", f"{what} is a mapping with exactly one key of {', '.join(allowed)}")
    (key, inner), *_ = value.items()
    if key not in allowed:
        raise PydanticCustomError("unknown_key", f"{what} is no `{key}`; use one of {', '.join(allowed)}")
    return key, inner


def _id(value: object, key: str) -> str:
    text = _text(value)
    if not isinstance(text, str):
        raise PydanticCustomError("wrong_type", f"`{key}` must be text, not {type_names[type(value)]}")
    if not text:
        raise PydanticCustomError("out_of_range", f"`{key}` must not be empty")
    return text


def _target(value: object) -> dict[str, Any]:
    key, inner = _single(value, "a target", ("employee", "group", "department", "mobile", "phone", "owner"))
    if key != "owner":
        return {key: _id(inner, key)}
    if inner is not True:
        raise PydanticCustomError("wrong_value", "`owner` can only be true")
    return {key: True}


def _recipient(value: object) -> str | dict[str, str]:
    value = _text(value)
    if isinstance(value, str):
        if value in ("caller", "owner"):
            return value
        if "@" in value:
            return {"address": value}
        if value[:1] in "+0123456789" and value:
            return {"phone": value}
        raise PydanticCustomError(
            "wrong_value",
            "a recipient is caller, owner, {employee: id}, {phone: number} or an e-mail address",
        )
    key, inner = _single(value, "a recipient", ("employee", "phone"))
    return {key: _id(inner, key)}


Target = Annotated[Any, BeforeValidator(_target)]
Recipient = Annotated[Any, BeforeValidator(_recipient)]


class Message(Model):
    """Who is told, with which text."""

    to: Recipient
    template: Id


class TaskFor(Model):
    """A task for somebody."""

    assign: Id
    title: Id


class Notice(Model):
    """A notice of an abandoned call: exactly one of the three."""

    sms: Message | None = None
    email: Message | None = None
    task: TaskFor | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Notice:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise PydanticCustomError("wrong_type", "a notice is a mapping with exactly one key of sms, email, task")
        return self


class Scheme(Model):
    """The frame of a scheme; its nodes are read one by one."""

    start: Id
    responsible: Id
    abandoned: list[Notice] | None = None
    nodes: dict[str, Any]

    def engine(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True, exclude={"nodes"})


# --- nodes


class Node(Model):
    """What every node may have."""

    kind: str
    exits: dict[str, Id] = {}
    allow_lost: Id | None = None


class Play(Node):
    prompt: Id


class ScheduleNode(Node):
    schedule: Id


class ListNode(Node):
    list: Ids


class RegionNode(Node):
    regions: Ids


class History(Node):
    days: Annotated[int, BeforeValidator(_number), Field(ge=1, le=36_500)] | None = None
    timeout_ms: Milliseconds = 800


class Owner(Node):
    timeout_ms: Milliseconds = 800


class Menu(Node):
    prompt: Id
    options: dict[str, Id]
    seconds: Seconds = 5.0
    attempts: Annotated[int, BeforeValidator(_number), Field(ge=0, le=255)] = 3
    invalid_prompt: Id | None = None
    silence_prompt: Id | None = None


Strategy = Literal["all", "linear", "round_robin", "longest_idle", "fewest_calls", "random", "expanding"]


class Step(Model):
    """A step of an expanding hunt; without `seconds` of its own it lasts the node's."""

    ring: list[Target]
    seconds: Seconds | None = None


class Ring(Node):
    ring: list[Target] | None = None
    strategy: Strategy = "all"
    seconds: Seconds | None = None
    music: Id | None = None
    steps: list[Step] | None = None

    @model_validator(mode="after")
    def _every_step_lasts(self) -> Ring:
        if self.seconds is None and any(step.seconds is None for step in self.steps or ()):
            raise PydanticCustomError("missing_key", "`seconds` is missing: in every step, or once for all of them")
        return self

    def engine(self) -> dict[str, Any]:
        node = super().engine()
        for step in node.get("steps", ()):
            step.setdefault("seconds", self.seconds)
        return node


class Queue(Node):
    ring: list[Target]
    strategy: Strategy = "all"
    seconds: Seconds
    max_wait: Seconds = 600.0
    max_length: Annotated[int, BeforeValidator(_number), Field(ge=0, le=100_000)] = 1000
    pause: Seconds = 10.0
    music: Id | None = None
    announce: Ids | None = None
    """One for everybody in line, or several by the place in it; the last counts for all places after."""
    announce_every: Seconds = 30.0

    def engine(self) -> dict[str, Any]:
        node = super().engine()
        match node.get("announce"):
            case [alike]:
                node["announce"] = alike
            case []:
                del node["announce"]
        return node


class Repeat(Node):
    times: Annotated[int, BeforeValidator(_number), Field(ge=0, le=65_535)]


class Sms(Node):
    to: Recipient
    template: Id


class Email(Node):
    to: Recipient
    template: Id


class Task(Node):
    assign: Id
    title: Id


class Voicemail(Node):
    prompt: Id
    seconds: Seconds = 120.0
    email: Ids = []
    assign: Id | None = None


class Webhook(Node):
    url: Id
    timeout_ms: Milliseconds = 800
    choices: Ids

    def engine(self) -> dict[str, Any]:
        return {"kind": "webhook", "exits": self.exits}


class Split(Node):
    weights: dict[str, Annotated[int, BeforeValidator(_number), Field(ge=0, le=4_294_967_295)]]


class Tag(Node):
    set: dict[str, Word]


class Transfer(Node):
    to: Id
    seconds: Seconds = 30.0


class SchemeNode(Node):
    scheme: Id


class Hangup(Node):
    prompt: Id | None = None
    cause: Literal["normal", "busy", "no_answer", "congestion", "rejected", "unallocated"] = "normal"


KINDS: Final[dict[str, type[Node]]] = {
    "play": Play,
    "schedule": ScheduleNode,
    "list": ListNode,
    "region": RegionNode,
    "history": History,
    "owner": Owner,
    "menu": Menu,
    "ring": Ring,
    "queue": Queue,
    "repeat": Repeat,
    "sms": Sms,
    "email": Email,
    "task": Task,
    "voicemail": Voicemail,
    "webhook": Webhook,
    "split": Split,
    "tag": Tag,
    "transfer": Transfer,
    "scheme": SchemeNode,
    "hangup": Hangup,
}
"""Every kind of node, with its parameters."""
