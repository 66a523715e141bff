"""PBXs that take telephones of browsers, and the passwords of these.

No password is kept anywhere: each is derived from the PBX's secret and the endpoint's name, by the desk that gives it to
the employee's page, and by `kommutator softphones`, which writes it into the PBX's configuration.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_ENDPOINT: Final = re.compile(r"PJSIP/([A-Za-z0-9_.+-]{1,80})", re.ASCII)
"""What can be a user of a SIP address and a section of `pjsip.conf` as it is."""


@dataclass(frozen=True, slots=True)
class SoftphoneServer:
    """One PBX's websocket."""

    url: str
    """`wss://host:port/ws`."""
    secret: str

    @property
    def host(self) -> str:
        """The domain of SIP addresses there."""
        host = urlsplit(self.url).hostname or ""
        return f"[{host}]" if ":" in host else host

    @property
    def origin(self) -> str:
        """What a page must be allowed to connect to."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def password(self, user: str) -> str:
        """The password of a user: 32 letters and digits, the first 160 bits of HMAC-SHA256."""
        mac = hmac.digest(self.secret.encode(), f"softphone:{user}".encode(), hashlib.sha256)
        return base64.b32encode(mac[:20]).decode().lower()


@dataclass(frozen=True, slots=True)
class Softphones:
    """The PBXs that take softphones, by router."""

    servers: Mapping[str, SoftphoneServer]
    home: str | None
    """The router of employees whose card names none."""

    def of(self, pbx: str | None) -> SoftphoneServer | None:
        """The PBX where an employee's phone registers; None when it takes no softphones."""
        router = pbx or self.home
        return None if router is None else self.servers.get(router)


NO_SOFTPHONES: Final = Softphones({}, None)


def user_of(endpoint: str | None) -> str | None:
    """The SIP user of an endpoint, `201` of `PJSIP/201`; None when a browser cannot be this endpoint."""
    found = _ENDPOINT.fullmatch(endpoint or "")
    return None if found is None else found[1]
