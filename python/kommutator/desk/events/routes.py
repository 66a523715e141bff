"""What happens, as it happens, for one page."""

from __future__ import annotations

from quart import Response

from kommutator.desk.events.forms import EventsQuery
from kommutator.desk.live.hub import Hub
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.problems import Problem

feature = Feature("live", "What happens, as it happens; and what is to be done with a call")


@feature.get("/api/events", query=EventsQuery, media="text/event-stream", also=(503,))
async def follow_events(asked: Asked, query: EventsQuery) -> Response:
    """What this page shows, as it happens: server-sent events (WHATWG HTML, 9.2), each with JSON.

    First, and again whenever the page could not keep up, a `snapshot` with everything. Then: `call` (a card: new, or changed),
    `call_gone`, `asked_of_me` and `passed_to_me` (I am asked to take a call, or it was passed to me: with what the operator has
    typed; again when she types more), `floor`, `interest` (a new one of
    mine), `interest_changed`, `missed`, `task`, `call_back`, `draft` and `draft_closed` (of my other pages), `version`. Every
    15 s at least a comment. A page that comes back gets a `snapshot`; nothing is replayed. The stream ends with the session;
    a minute after an employee's last page is gone he is offline, until one comes back.
    """
    hub = live(asked)
    if hub.full:
        raise Problem(503, "too_many_pages", "no more pages can listen here", headers={"Retry-After": "5"})
    token = asked.who.session_token
    assert token is not None
    response = Response(
        hub.stream(query.tab, asked.who.user, token),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
    response.timeout = None
    return response


def live(asked: Asked) -> Hub:
    """The live part of this desk. Raises `Problem` 503 where it has none."""
    if asked.services.live is None:
        raise Problem(503, "not_live", "this desk shows nothing live")
    return asked.services.live
