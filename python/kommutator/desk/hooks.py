"""What other systems tell the desk by requests of their own form: SMS gateways, what became of a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from quart import Quart, Response, request

SMS: Final = "/hooks/sms"
Receipt = Callable[[Mapping[str, str]], Awaitable[bool]]


def install(app: Quart, sms_receipt: Receipt) -> None:
    """Has the gateway's receipts taken at `/hooks/sms`: 200 when one was, 403 when it is not to be believed.

    By GET or POST, the parameters in the query, a form or a flat JSON object. This is no part of the API and of its document:
    the gateway decides the form, the configuration (`[notices.sms.receipts]`) what its words mean.
    """

    async def receipt() -> Response:
        params = dict(request.args) | dict(await request.form)
        if request.is_json:
            told = await request.get_json()
            params |= {str(name): str(value) for name, value in told.items()} if isinstance(told, dict) else {}
        if await sms_receipt(params):
            return Response("OK", content_type="text/plain")
        return Response("refused", 403, content_type="text/plain")

    app.add_url_rule(SMS, "sms_receipt", receipt, methods=["GET", "POST"])
