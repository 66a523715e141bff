"""Virtual phones, where a PBX is simulated: one person plays caller, operator and manager. 404 where none is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kommutator.desk.operations import Asked, Feature, Reply
from kommutator.desk.phones.forms import (
    Caller,
    CallerStory,
    Hand,
    HoldKey,
    Keys,
    Phone,
    Placed,
    Speech,
    VirtualCall,
    VirtualPhones,
)
from kommutator.desk.phones.ports import Phones
from kommutator.desk.problems import Problem
from kommutator.errors import CallGone, PbxError, PbxUnreachable

feature = Feature("virtual phones", "Phones and callers of simulated PBXs. There are none where all PBXs are real: 404")


@feature.get("/api/phones", returns=VirtualPhones, also=(404, 503))
async def list_phones(asked: Asked) -> VirtualPhones:
    """All virtual phones, who calls, and the numbers that can be called."""
    phones = _phones(asked)
    with _said():
        schemes = await phones.numbers()
        return VirtualPhones(
            phones=[Phone.model_validate(each) for each in await phones.phones()],
            callers=[Caller.model_validate(each) for each in await phones.callers()],
            numbers=sorted(schemes),
            schemes=schemes,
        )


@feature.put("/api/phones/<endpoint:endpoint>/hand", body=Hand, also=(404, 409, 503))
async def take_phone_in_hand(asked: Asked, endpoint: str, body: Hand) -> None:
    """Whether a phone waits for these buttons, or does by itself what phones of the simulation do."""
    with _said():
        await _phones(asked).take_in_hand(endpoint, body.by_hand)


@feature.post("/api/phones/<endpoint:endpoint>/answer", also=(404, 409, 503))
async def answer_phone(asked: Asked, endpoint: str) -> None:
    """Somebody picks the phone up. 409 when it does not ring."""
    with _said():
        await _phones(asked).answer(endpoint)


@feature.post("/api/phones/<endpoint:endpoint>/decline", also=(404, 409, 503))
async def decline_phone(asked: Asked, endpoint: str) -> None:
    """Somebody declines the call. 409 when the phone does not ring."""
    with _said():
        await _phones(asked).decline(endpoint)


@feature.post("/api/phones/<endpoint:endpoint>/hang_up", also=(404, 409, 503))
async def put_phone_down(asked: Asked, endpoint: str) -> None:
    """Somebody puts the phone down. 409 when nobody talks on it."""
    with _said():
        await _phones(asked).put_down(endpoint)


@feature.post("/api/phones/<endpoint:endpoint>/hold", body=HoldKey, also=(404, 409, 503))
async def press_hold_key(asked: Asked, endpoint: str, body: HoldKey) -> None:
    """Somebody presses the phone's hold key, or takes the caller back."""
    with _said():
        await _phones(asked).hold(endpoint, body.held)


@feature.post("/api/phones/calls", body=VirtualCall, returns=Placed, statuses=(201,), also=(404, 409, 503))
async def place_call(asked: Asked, body: VirtualCall) -> Reply:
    """Somebody calls the company."""
    with _said():
        call_id = await _phones(asked).call(body.did, body.caller)
    return Reply(Placed(call_id=call_id), 201)


@feature.get("/api/phones/calls/<word:call_id>", returns=CallerStory, also=(404, 503))
async def get_virtual_call(asked: Asked, call_id: str) -> CallerStory:
    """What a caller hears now, and what has happened to him. 404 for one whom no PBX remembers."""
    with _said():
        return CallerStory.model_validate(await _phones(asked).story(call_id))


@feature.post("/api/phones/calls/<word:call_id>/speech", body=Speech, also=(404, 409, 503))
async def speak_message(asked: Asked, call_id: str, body: Speech) -> None:
    """The caller speaks into the message. 409 when nothing is being recorded."""
    with _said():
        await _phones(asked).speak(call_id, body.seconds)


@feature.post("/api/phones/calls/<word:call_id>/keys", body=Keys, also=(404, 409, 503))
async def press_keys(asked: Asked, call_id: str, body: Keys) -> None:
    """The caller presses keys."""
    with _said():
        await _phones(asked).press(call_id, body.keys)


@feature.post("/api/phones/calls/<word:call_id>/hang_up", also=(404, 409, 503))
async def hang_up_call(asked: Asked, call_id: str) -> None:
    """The caller hangs up."""
    with _said():
        await _phones(asked).hang_up(call_id)


def _phones(asked: Asked) -> Phones:
    if asked.services.phones is None:
        raise Problem(404, "not_found", "no PBX here is simulated")
    return asked.services.phones


@contextmanager
def _said() -> Iterator[None]:
    """Say why a PBX did not do something."""
    try:
        yield
    except PbxUnreachable as error:
        raise Problem(503, "pbx_unreachable", str(error), headers={"Retry-After": "1"}) from None
    except CallGone as error:
        raise Problem(404, "not_found", str(error)) from None
    except PbxError as error:
        raise Problem(409, "refused", str(error)) from None
