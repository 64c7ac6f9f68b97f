"""One connection to the board: JSON lines both ways, and nobody who does not read is waited for."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from observatory_gpiod.simulator.clients import Client

_LONGEST_REQUEST = 1 << 16
_LARGEST_BACKLOG = 1 << 24
_EVENTS_PER_MESSAGE = 1000


class Gone(Exception):
    """The other end is, or behaves as if it were."""


class Connection:
    """A request on each line; `client` once it has said hello, `streams` if it takes that client's events."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.client: Client | None = None
        self.streams = False
        self._received = b""
        self._to_send = bytearray()
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.pid: int = struct.unpack("3i", credentials)[0]

    @property
    def wants_to_send(self) -> bool:
        """Whether something waits for room."""
        return bool(self._to_send)

    def receive(self) -> None:
        """Take what has arrived. Raises Gone."""
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone from error
        if not data or len(self._received) > _LONGEST_REQUEST:
            raise Gone
        self._received += data

    def next_request(self) -> bytes | None:
        """The next whole line."""
        line, newline, rest = self._received.partition(b"\n")
        if not newline:
            return None
        self._received = rest
        return line

    def send(self, message: dict[str, Any]) -> None:
        """Send, as far as there is room; the rest when there is. Raises Gone if the other end reads nothing."""
        self._to_send += json.dumps(message).encode() + b"\n"
        if len(self._to_send) > _LARGEST_BACKLOG:
            raise Gone
        self.flush()

    def flush(self) -> None:
        """Send what waits. Raises Gone."""
        try:
            while self._to_send:
                del self._to_send[: self.sock.send(self._to_send)]
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone from error

    def stream(self) -> None:
        """Send events of its client while there is room. Raises Gone."""
        while self.client is not None and self.client.events and not self._to_send:
            events = self.client.events
            self.send({"events": [events.popleft() for _ in range(min(len(events), _EVENTS_PER_MESSAGE))]})
