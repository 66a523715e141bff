"""The figures of the API."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

requests: Final = Counter("kommutator_desk_requests_total", "Requests to the desk.", ("method", "route", "status"))
seconds: Final = Histogram(
    "kommutator_desk_request_seconds",
    "How long the desk took to answer.",
    ("method", "route"),
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
