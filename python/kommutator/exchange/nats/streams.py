"""The streams, buckets and stores of the exchange, as NATS is told of them."""

from __future__ import annotations

from collections.abc import Iterator

from nats.js import api

from kommutator.exchange.messages import CALLS, CHANGES, CHANGES_SUBJECTS, COMPANY, FLOOR, RECORDINGS, REFUSED, TABLES
from kommutator.exchange.settings import ExchangeSettings

_CHANGES_KEPT = 100_000
_CHANGES_KEPT_S = 24 * 3600.0
_CHANGES_BYTES = 1024**3
_TABLES_KEPT_S = 7 * 24 * 3600.0
"""Tables are made anew long before; what is left of broken uploads goes so."""
_REFUSED_BYTES = 64 * 1024**2
_RECORDINGS_KEPT_S = 30 * 24 * 3600.0
"""A recording that no desk has taken in so long is gone, and so are the traces of those taken and of broken uploads."""


def streams(settings: ExchangeSettings) -> Iterator[api.StreamConfig]:
    """All of them."""
    calls = api.StreamConfig(CALLS, subjects=["kt.calls.*"])
    # Nothing leaves this stream but what the ledger writer has written and purged; when it is full, routers keep their
    # entries.
    calls.discard = api.DiscardPolicy.NEW
    calls.max_bytes = settings.stream_bytes
    refused = api.StreamConfig(REFUSED, subjects=["kt.refused.*"], max_bytes=_REFUSED_BYTES)
    changes = api.StreamConfig(CHANGES, subjects=[CHANGES_SUBJECTS], max_msgs=_CHANGES_KEPT, max_age=_CHANGES_KEPT_S)
    changes.max_bytes = _CHANGES_BYTES
    recordings = _objects(RECORDINGS)
    recordings.max_bytes = settings.recordings_bytes
    recordings.max_age = _RECORDINGS_KEPT_S
    tables = _objects(TABLES)
    tables.max_age = _TABLES_KEPT_S
    company = (_bucket(COMPANY), _objects(COMPANY))
    for config in (calls, refused, changes, _bucket(FLOOR), *company, recordings, _bucket(TABLES), tables):
        config.storage = api.StorageType.FILE
        config.num_replicas = settings.replicas
        yield config


def _bucket(name: str) -> api.StreamConfig:
    """A bucket of keys is a stream of this form (NATS ADR-8)."""
    return api.StreamConfig(
        f"KV_{name}",
        subjects=[f"$KV.{name}.>"],
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
        allow_direct=True,
        deny_delete=True,
        discard=api.DiscardPolicy.NEW,
    )


def _objects(name: str) -> api.StreamConfig:
    """A store of objects is a stream of this form (NATS ADR-20)."""
    return api.StreamConfig(
        f"OBJ_{name}",
        subjects=[f"$O.{name}.C.>", f"$O.{name}.M.>"],
        allow_rollup_hdrs=True,
        allow_direct=True,
        discard=api.DiscardPolicy.NEW,
    )
