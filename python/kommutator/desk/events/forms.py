"""Which page listens."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from kommutator.desk.forms import Form

TabId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class EventsQuery(Form):
    """The page."""

    tab: TabId = Field(examples=["0d1cbd6b-6f3e-4b0b-9a51-0a8a3f1b2c4d"])
    """Its identity, the same after a reload."""
