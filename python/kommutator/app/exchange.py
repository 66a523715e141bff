"""Where the exchange is, by the configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from kommutator.configuration import Configuration
from kommutator.exchange.embedded import read_address
from kommutator.exchange.settings import ExchangeSettings


def exchange_of(configuration: Configuration) -> tuple[ExchangeSettings, Callable[[], ExchangeSettings | None]]:
    """How the exchange is used, and where it is now: an embedded server may be made after this process, or get another
    address."""
    form = configuration.exchange
    settings = ExchangeSettings(
        form.urls,
        form.user,
        form.password.get_secret_value() if form.password is not None else None,
        replicas=form.replicas,
    )
    if form.urls:
        return settings, lambda: settings

    def find() -> ExchangeSettings | None:
        address = read_address(configuration.data / "nats")
        if address is None:
            return None
        return replace(settings, urls=(address.url,), user=address.user, password=address.password)

    return settings, find
