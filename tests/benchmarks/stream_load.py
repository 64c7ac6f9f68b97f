"""The load: many clients of an MJPEG stream in one process, which throw away what comes without copying it.

`stream_load.py`; each line on stdin is a JSON object {port, path, clients, warm_s, window_s, part_bytes, pid}; answers with
one of {fps (of each client, least first), server_cpu (of one core), load_cpu}.
"""

from __future__ import annotations

import json
import math
import select
import socket
import sys
import time
from typing import Any

_ROOM = bytearray(4 << 20)


class Clients:
    """All of them; `taken[fd]` counts bytes."""

    def __init__(self, port: int, path: str, count: int) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self.taken: dict[int, int] = {}
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            sock.setblocking(False)
            self._poll.register(sock, select.EPOLLIN)
            self._sockets[sock.fileno()] = sock
            self.taken[sock.fileno()] = 0

    def read(self, seconds: float) -> None:
        """Take what comes for a while."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left_s):
                try:
                    count = self._sockets[fd].recv_into(_ROOM, 0, socket.MSG_TRUNC)
                except BlockingIOError:
                    continue
                except ConnectionError:  # the server was ended
                    count = 0
                if not count:
                    self._poll.unregister(fd)
                self.taken[fd] += count

    def close(self) -> None:
        """Leave."""
        self._poll.close()
        for sock in self._sockets.values():
            sock.close()


def measure(port: int, path: str, clients: int, warm_s: float, window_s: float, part_bytes: float, pid: int) -> dict[str, Any]:
    """One window."""
    looking = Clients(port, path, clients)
    looking.read(warm_s)
    looking.taken = dict.fromkeys(looking.taken, 0)
    began_s, server_s, load_s = time.monotonic(), _cpu_s(pid), time.process_time()
    looking.read(window_s)
    took_s = time.monotonic() - began_s
    found = {
        "fps": sorted(taken / part_bytes / took_s for taken in looking.taken.values()),
        "server_cpu": (_cpu_s(pid) - server_s) / took_s,
        "load_cpu": (time.process_time() - load_s) / took_s,
    }
    looking.close()
    return found


def _cpu_s(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | 2)  # see processes.cpu_s
    except OSError:  # it was ended under its clients
        return math.nan


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(measure(**json.loads(line))), flush=True)
