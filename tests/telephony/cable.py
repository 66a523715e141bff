"""A network cable between the router and Asterisk that can be pulled: a TCP relay on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Cable:
    """Relays `port` of 127.0.0.1 to another port there. Once it is cut, nothing connects until it is mended."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._whole = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        """The router's side of each connection, and Asterisk's."""
        self._kept: set[socket.socket] = set()
        """Those of Asterisk's sides that are not to end when the router's do."""
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Pull it: both sides see their connections end."""
        self._pull(unnoticed=False)

    def cut_unnoticed(self) -> None:
        """Pull it on the router's side alone.

        Asterisk goes on believing that its application is there, and tells the events to nobody.
        """
        self._pull(unnoticed=True)

    def mend(self) -> None:
        """Put it back, for new connections."""
        with self._lock:
            self._whole = True

    def _pull(self, *, unnoticed: bool) -> None:
        with self._lock:
            self._whole = False
            for router, asterisk in self._pairs:
                if unnoticed:
                    self._kept.add(asterisk)
                else:
                    _shut(asterisk)
                _shut(router)

    def _accept(self) -> None:
        while True:
            try:
                router, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if not self._whole:
                    router.close()
                    continue
                asterisk = socket.create_connection(("127.0.0.1", self._target))
                self._pairs.append((router, asterisk))
            for source, sink in ((router, asterisk), (asterisk, router)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                with contextlib.suppress(OSError):  # who is cut off unnoticed is read all the same
                    sink.sendall(part)
        with self._lock:
            if sink not in self._kept:
                _shut(sink)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._listener.close()
        for pair in self._pairs:
            for each in pair:
                each.close()


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
