"""What SMS gateways tell of messages. Nobody signs in: the gateway's own token, among the parameters, is asked for."""

from __future__ import annotations

import re
from typing import Final

from quart import request

from kommutator.desk.operations import Asked, Feature
from kommutator.desk.problems import Problem

feature = Feature("hooks", "What gateways tell of messages, with a token of their own among the parameters")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


@feature.get("/hooks/sms", statuses=(200,), also=(403, 404))
async def hear_sms_receipt(asked: Asked) -> None:
    """Takes a delivery receipt from the query. 200, for some gateways take no other status for well."""
    await _heard(asked, request.args.to_dict())


@feature.post("/hooks/sms", statuses=(200,), also=(400, 403, 404, 408, 413))
async def take_sms_receipt(asked: Asked) -> None:
    """Takes a delivery receipt from the query, and a form or a flat JSON object."""
    told = {**request.args.to_dict(), **(await request.form).to_dict()}
    if request.is_json:
        given = await request.get_json()
        told |= {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    await _heard(asked, told)


async def _heard(asked: Asked, told: dict[str, str]) -> None:
    take = asked.services.sms_receipt
    if take is None:
        raise Problem(404, "not_found", "no SMS gateway tells of its messages here")
    if not await take({name: _CONTROLS.sub("", value) for name, value in told.items()}):
        raise Problem(403, "forbidden", "the token is wrong, or no message is named")
