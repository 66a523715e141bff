"""The sockets at which queries are answered."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import stat
from pathlib import Path

from kommutator.errors import AddressTaken, CertificateUnusable

_BACKLOG = 1024
_LAST_PORT = 65535
UNIX = "unix:"
"""How the address of a Unix socket begins."""


def is_local(address: str) -> bool:
    """Whether nobody but this machine's processes reaches an address: `unix:PATH`, or a loopback `host:port`."""
    if address.startswith(UNIX):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_tls(certificate: Path, key: Path | None, clients: Path | None) -> ssl.SSLContext:
    """A server's TLS; with `clients`, a certificate of theirs is asked for. Raises `CertificateUnusable`."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        made.load_cert_chain(certificate, key)
        if clients is not None:
            made.load_verify_locations(clients)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise CertificateUnusable(f"the certificate cannot be used: {error}") from error
    return made


def listen(address: str, *, shared: bool = False) -> list[socket.socket]:
    """The sockets of `host:port` (each address of the host) or `unix:PATH`; they listen and do not block.

    `shared`: other processes may listen there too, and the system spreads connections over them (`SO_REUSEPORT`).
    A Unix socket that nobody listens at any more is replaced; the user and the group may connect to a new one. Raises
    `AddressTaken`, for any reason for which the address cannot be had.
    """
    sockets: list[socket.socket] = []
    try:
        if address.startswith(UNIX):
            sockets.append(_unix(Path(address.removeprefix(UNIX))))
        else:
            host, _, port = address.rpartition(":")
            if not (port.isascii() and port.isdigit() and int(port) <= _LAST_PORT):
                raise AddressTaken(f"cannot listen at {address}: it is no host:port, and no unix:PATH")
            flags = socket.AI_PASSIVE | socket.AI_ADDRCONFIG
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=flags)
            for family, kind, protocol, _, where in dict.fromkeys(found):
                sockets.append(_tcp(family, kind, protocol, where, shared))
        for each in sockets:
            each.listen(_BACKLOG)
            each.setblocking(False)
    except OSError as error:
        for each in sockets:
            each.close()
        raise AddressTaken(f"cannot listen at {address}: {error.strerror or error}") from error
    return sockets


def name_of(listener: socket.socket) -> str:
    """The address of a socket, as people write it."""
    if listener.family == socket.AF_UNIX:
        return UNIX + str(listener.getsockname())
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tcp(family: int, kind: int, protocol: int, where: tuple[object, ...], shared: bool) -> socket.socket:
    made = socket.socket(family, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
    except OSError:
        made.close()
        raise
    return made


def _unix(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_left_over(path):
            path.unlink(missing_ok=True)
        made.bind(str(path))
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IWGRP)  # noqa: PTH101
    except OSError:
        made.close()
        raise
    return made


def _is_left_over(path: Path) -> bool:
    """Whether a socket is there that nobody listens at."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        return False
