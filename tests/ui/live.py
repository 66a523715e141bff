"""The live part of a desk, played by hand: what telephones would do, in the words of the live contract.

Orders are carried out as a willing PBX would, at once; `refuse` makes the next one fail. All methods are called in the
server's loop.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
from quart import Quart, Response, request

from kommutator.crm import client_search, interactions, interests, missed, tasks
from kommutator.desk.clients.forms import Client
from kommutator.desk.interactions.forms import Interaction
from kommutator.desk.interests.forms import Interest
from kommutator.desk.numbers import national
from kommutator.desk.services import Services

Json = dict[str, Any]
_ORDERS = re.compile(r"/api/calls/([^/]+)/orders")
PRESENT = {"boris": "idle", "anna": "busy", "vera": "ringing", "pyotr": "idle", "rita": "idle", "lev": "wrap_up"}


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Live:
    """Calls, the floor, and the pages that listen."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._queues: set[asyncio.Queue[bytes | None]] = set()
        self._ids = itertools.count(1)
        self.calls: dict[str, Json] = {}
        self.orders: list[Json] = []
        """Those that pages gave, each once by its id."""
        self.call_backs: list[Json] = []
        self.listening = 0
        """How many streams of events have begun, with their snapshot sent."""
        self.refuse: str | None = None
        self.cut = False
        """While true, nothing live is answered, as when the desk is being restarted."""
        self.floor: dict[str, Json] = {
            name: {"employee": name, "presence": "present", "presence_at": now(), "line": line, "line_at": now()}
            for name, line in PRESENT.items()
        }
        self.floor["kirill"] = {"employee": "kirill", "presence": "away", "presence_at": now(), "line": "idle"}
        self.floor["viktor"] = {"employee": "viktor", "presence": "offline", "presence_at": now(), "line": "idle"}

    def install(self, app: Quart) -> None:
        """Answers the live operations in the place of the application's own."""

        async def answer() -> Response | None:
            path, method = request.path, request.method
            call = _ORDERS.fullmatch(path)
            if path != "/api/events" and path != "/api/call-backs" and call is None:
                return None
            if self.cut:
                return Response(b"", 503)
            if path == "/api/events":
                response = Response(
                    self._stream(), content_type="text/event-stream", headers={"Cache-Control": "no-store"}
                )
                response.timeout = None
                return response
            assert method == "POST"
            told = await request.get_json()
            if call is not None:
                return _json(self._order(call[1], told))
            self.call_backs.append(told)
            await self._call_back(f"back-{told['order']}", told["number"])
            return _json({"done": True})

        app.before_request(answer)

    def close(self) -> None:
        """Ends all streams."""
        for queue in self._queues:
            queue.put_nowait(None)

    def lose(self) -> None:
        """The desk is gone, as pages see it."""
        self.cut = True
        self.close()

    async def ring(self, caller: str | None, did: str = "+74951112201", region: str | None = "Москва") -> str:
        """A call comes to the desk; its id."""
        call_id = f"call-{next(self._ids)}"
        card = self.calls[call_id] = await self._card(call_id, caller, did, region)
        self.tell("call", card)
        return call_id

    async def _call_back(self, call_id: str, number: str) -> None:
        card = await self._card(call_id, number, None, None)
        self.calls[call_id] = {**card, "state": "dialling", "back": {"state": "ringing", "reason": None}}
        self.tell("call", self.calls[call_id])

    def back(self, call_id: str, state: str, reason: str | None = None) -> None:
        """How a call back goes on."""
        shown = {"talking": "talking", "over": "over"}.get(state, "dialling")
        self.change(call_id, state=shown, back={"state": state, "reason": reason})
        number = self.calls[call_id]["caller"]
        self.tell("call_back", {"call_id": call_id, "number": number, "state": state, "reason": reason})

    def words(self, call_id: str, revision: int, fields: Json) -> None:
        """What the operator who asks, or has passed the call on, has typed up to now."""
        card = self.calls[call_id]
        draft = {"id": "of-another", "call_id": call_id, "revision": revision, "fields": fields}
        told = {"call_id": call_id, "card": card, "draft": draft}
        self.tell("asked_of_me" if card["role"] == "guest" else "passed_to_me", told)

    async def _card(self, call_id: str, caller: str | None, did: str | None, region: str | None) -> Json:
        card: Json = {
            "call_id": call_id,
            "did": did,
            "did_name": None if did is None else "Главный",
            "caller": caller,
            "caller_national": national(caller) if caller else None,
            "region": region,
            "state": "offered",
            "role": "operator",
            "by": None,
            "offered_at": now(),
            "answered_at": None,
            "over_at": None,
            "over_by": None,
            "held": False,
            "known": True,
            "matches": [],
            "owner": None,
            "interests": [],
            "interactions": [],
            "tags": {},
            "consultation": None,
            "back": None,
            "draft_id": None,
            "as_of": now(),
        }
        if caller:
            async with self._services.database.transaction("desk") as tx:
                found = await client_search.search(tx, caller, limit=5)
                for each in found:
                    card["matches"].append(Client.of(each).model_dump(mode="json"))
                    wants = await interests.of_client(tx, each.id)
                    card["interests"] += [Interest.of(want).model_dump(mode="json") for want in wants]
                    contacts = await interactions.of_client(tx, each.id)
                    card["interactions"] += [
                        Interaction.model_validate(one).model_dump(mode="json") for one in contacts
                    ]
            if len(found) == 1:
                card["owner"] = found[0].owner
        return card

    def change(self, call_id: str, **values: Any) -> None:
        """The call's card as it is now."""
        card = self.calls[call_id] = {**self.calls[call_id], **values, "as_of": now()}
        self.tell("call", card)

    def answered(self, call_id: str) -> None:
        """The operator's phone was picked up."""
        self.change(call_id, state="talking", answered_at=now())

    def consults(self, call_id: str, employee: str, state: str) -> None:
        """Where a consultation is; one that failed leads back to the client."""
        going = state in ("calling", "ringing", "agreed")
        consultation = {
            "employee": employee,
            "endpoint": None,
            "state": state,
            "since": now(),
            "with": "manager" if state == "agreed" else "client",
            "leaving": False,
        }
        self.change(call_id, state="consulting" if going else "talking", consultation=consultation)

    def over(self, call_id: str, by: str) -> None:
        """The call has ended, by the `client` or by `us`."""
        self.change(call_id, state="over", over_at=now(), over_by=by)

    def gone(self, call_id: str, why: str, by: str | None = None) -> None:
        """The call is no longer at this desk."""
        self.calls.pop(call_id)
        self.tell("call_gone", {"call_id": call_id, "why": why, "by": by})

    def fact(self, employee: str, **values: str) -> None:
        """Presence or line of an employee."""
        stamped = {**values, **{f"{name}_at": now() for name in values}}
        self.floor[employee] = {"employee": employee, **self.floor.get(employee, {}), **stamped}
        self.tell("floor", {"employee": employee, **stamped})

    def tell(self, event: str, told: Json) -> None:
        """An event for all pages."""
        for queue in self._queues:
            queue.put_nowait(_event(event, told))

    def _order(self, call_id: str, order: Json) -> Json:
        if any(each["order"] == order["order"] for each in self.orders):
            return {"done": True}
        self.orders.append(order)
        if self.refuse is not None:
            reason, self.refuse = self.refuse, None
            return {"done": False, "reason": reason}
        if call_id not in self.calls:
            return {"done": False, "reason": "unknown_call"}
        kind = order["kind"]
        if kind == "answer":
            self.answered(call_id)
        elif kind in ("hold", "unhold"):
            self.change(call_id, held=kind == "hold")
        elif kind in ("consult", "transfer"):
            self.consults(call_id, order["employee"], "calling")
        elif kind == "cancel_consult":
            self.change(call_id, state="talking", consultation=None)
        elif kind == "swap":
            consultation = self.calls[call_id]["consultation"]
            other = "client" if consultation["with"] == "manager" else "manager"
            self.change(call_id, consultation={**consultation, "with": other})
        elif kind == "complete":
            self.gone(call_id, "elsewhere", self.calls[call_id]["consultation"]["employee"])
        elif kind == "hang_up":
            self.over(call_id, "us")
        return {"done": True, "card": self.calls.get(call_id)}

    async def _snapshot(self) -> Json:
        async with self._services.database.transaction("desk") as tx:
            waiting = len(await missed.waiting(tx))
            to_do = len(await tasks.waiting(tx, ["boris"]))
        floor = list(self.floor.values())
        return {
            "connected": True,
            "at": now(),
            "floor": floor,
            "calls": list(self.calls.values()),
            "missed": waiting,
            "tasks": to_do,
            "interests": 0,
            "version": 1,
        }

    async def _stream(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            yield _event("snapshot", await self._snapshot())
            self.listening += 1
            while (told := await queue.get()) is not None:
                yield told
        finally:
            self._queues.discard(queue)


def _event(name: str, told: Json) -> bytes:
    return b"event: " + name.encode() + b"\nid: 1\ndata: " + orjson.dumps(told) + b"\n\n"


def _json(told: Json) -> Response:
    return Response(orjson.dumps(told), content_type="application/json")
