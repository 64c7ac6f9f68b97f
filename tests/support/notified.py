"""What a daemon tells its service manager (sd_notify), heard on a socket of the test's."""

from __future__ import annotations

import socket
import time
from pathlib import Path


class Notified:
    """The service manager's socket at `path`, for NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.lines: list[tuple[float, str]] = []

    def __enter__(self) -> Notified:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self, wanted: str) -> list[float]:
        """When a line has come so far."""
        while True:
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                break
            self.lines += [(time.monotonic(), line) for line in message.decode().splitlines()]
        return [at for at, line in self.lines if line == wanted]
