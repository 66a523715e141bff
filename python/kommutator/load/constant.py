"""A server that answers a constant: `python -m kommutator.load.constant`, for generators to be measured by.

It says its port on standard output, reads a request a read (nobody pipelines here), and ends with its standard input.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import Final

import msgspec

TURN: Final = {
    "state": "A" * 128,
    "sequence": 0,
    "action": {"type": "play", "prompt": "greeting"},
    "effects": [],
    "trace": [{"scheme": "main", "node": "hours", "exit": "open", "why": {"code": "open", "until": "18:00"}}],
    "rounds": [],
}


def main() -> None:
    """Serve."""
    content = msgspec.json.encode(TURN)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif descriptor == 0:
                if not os.read(0, 4096):
                    return
            else:
                client = clients[descriptor]
                try:
                    if client.recv(65536):
                        client.sendall(answer)
                        continue
                except ConnectionError:
                    pass
                poll.unregister(client)
                del clients[descriptor]
                client.close()


if __name__ == "__main__":
    main()
