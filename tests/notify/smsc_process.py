"""An SMSC as a process of its own, made of the SMPP library's server: `python -m tests.notify.smsc_process PORT`.

It says on standard output, a JSON object a line, what it does. The last digits of the number decide how it answers: see `ANSWERS`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from contextlib import suppress
from typing import Any

import smpp34

from kommutator.notify.sms_text import split

_THROTTLED, _NO_SUCH_NUMBER = 0x58, 0x0B
ANSWERS = {
    "0058": "throttles the first message, takes the rest",
    "0011": "knows no such number",
    "0000": "never answers",
    "0005": "takes it, and cannot deliver it",
    "0007": "tells the receipt before it answers",
    "0099": "takes it, and answers with a long text",
    "0002": "throttles the second message, takes the rest",
}


class Smsc:
    """The SMSC."""

    def __init__(self, port: int) -> None:
        self._server = smpp34.Server(host="127.0.0.1", port=port, system_id="SMSC")
        self._sessions: dict[str, smpp34.Esme] = {}
        self._ids = itertools.count(1)
        self._heard: dict[str, int] = {}
        self._unanswered: list[smpp34.SubmitSmEvent] = []

    async def run(self) -> None:
        await self._server.start()
        _say(event="up")
        while True:
            event = await self._server.next()
            if isinstance(event, smpp34.Esme):
                self._sessions[event.session_id] = event
                _say(event="bound", system_id=event.system_id)
            elif isinstance(event, smpp34.SubmitSmEvent):
                # Whoever sent it may be killed before the answer.
                with suppress(smpp34.SmppError):
                    await self._take(event)
            else:
                _say(event="unbound")

    async def _take(self, message: smpp34.SubmitSmEvent) -> None:
        number = message.destination_addr
        self._heard[number] = self._heard.get(number, 0) + 1
        _say(
            event="submit",
            to=number,
            to_type=[message.dest_addr_ton, message.dest_addr_npi],
            sender=[message.source_addr, message.source_addr_ton, message.source_addr_npi],
            coding=message.data_coding,
            esm_class=message.esm_class,
            message=message.short_message.hex(),
            parameters={f"{each.tag:#06x}": each.value.hex() for each in message.tlvs},
            receipt=message.registered_delivery,
        )
        ending, times = number[-4:], self._heard[number]
        if ending == "0000":
            self._unanswered.append(message)
        elif (ending, times) in (("0058", 1), ("0002", 2)):
            message.reject(_THROTTLED)
        elif ending == "0011":
            message.reject(_NO_SUCH_NUMBER)
        else:
            await self._accept(message, ending)

    async def _accept(self, message: smpp34.SubmitSmEvent, ending: str) -> None:
        message_id = f"{0xA0 + next(self._ids):X}"
        session = self._sessions[message.session_id]
        state = "UNDELIV" if ending == "0005" else "DELIVRD"
        error = "034" if ending == "0005" else "000"

        async def tell() -> None:
            if message.registered_delivery:
                await session.deliver_sm(
                    destination_addr=message.source_addr,
                    source_addr=message.destination_addr,
                    esm_class=0x04,
                    short_message=f"id:{message_id} sub:001 dlvrd:001 stat:{state} err:{error} text:".encode(),
                )

        if ending == "0007":
            await tell()
        message.accept(message_id)
        if ending != "0007":
            await tell()
        if ending == "0099":
            for part in split("Перезвоните мне, пожалуйста. " * 6, "reply"):
                await session.deliver_sm(
                    destination_addr=message.source_addr,
                    source_addr=message.destination_addr,
                    esm_class=0x40,
                    data_coding=part.coding,
                    short_message=part.header + part.body,
                )


def _say(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)  # noqa: T201 - this is what the process is for


if __name__ == "__main__":
    asyncio.run(Smsc(int(sys.argv[1])).run())
