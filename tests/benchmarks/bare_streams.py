"""The bare server of MJPEG parts, that webd's is measured against: sends the recorded parts to all who are connected.

`bare_streams.py FILE LOOP FRAMES_PER_S`: FILE has the parts, each after its length in 4 bytes; LOOP is asyncio or uvloop.
Prints its port. One write for each client and picture; none for a client that has not taken the one before.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
import sys
from pathlib import Path

import uvloop

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\nCache-Control: no-store\r\n"
    b"Connection: close\r\n\r\n--frame\r\n"
)


class Client(asyncio.Protocol):
    """One who looks."""

    def __init__(self, clients: set[asyncio.Transport]) -> None:
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.transport not in self._clients:
            self.transport.write(HEAD)
            self._clients.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.discard(self.transport)


async def serve(parts: list[bytes], frames_per_s: float) -> None:
    """Until it is killed."""
    clients: set[asyncio.Transport] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(clients), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    due = loop.time()
    for part in itertools.cycle(parts):
        due += 1 / frames_per_s
        await asyncio.sleep(due - loop.time())
        for transport in clients:
            if not transport.get_write_buffer_size():
                transport.write(part)


def parts_of(file: Path) -> list[bytes]:
    """Those in a file."""
    data, parts = file.read_bytes(), []
    while data:
        (size,) = struct.unpack_from("!I", data)
        parts.append(data[4 : 4 + size])
        data = data[4 + size :]
    return parts


if __name__ == "__main__":
    run = uvloop.run if sys.argv[2] == "uvloop" else asyncio.run
    run(serve(parts_of(Path(sys.argv[1])), float(sys.argv[3])))
