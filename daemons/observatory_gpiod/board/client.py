"""Ask a running board for the truth, for what happens outside, and for faults."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from observatory_common.errors import CommandFailed, DaemonNotReachable


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name of a socket that the kernel takes (at most 107 characters), however deep its folder is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class BoardClient:
    """Speaks to the board's socket. Each request is answered within `timeout_s`, or raises DaemonNotReachable."""

    def __init__(self, path: Path | str, timeout_s: float = 5.0) -> None:
        self._path = Path(path)
        self._timeout_s = timeout_s

    def request(self, **wanted: Any) -> dict[str, Any]:
        """Send one request. Raises CommandFailed if the board refuses it."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._timeout_s)
                with short_name(self._path) as name:
                    sock.connect(name)
                sock.sendall(json.dumps(wanted).encode() + b"\n")
                with sock.makefile("rb") as file:
                    answer = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise DaemonNotReachable(f"no simulated board answers at {self._path}: {error}") from error
        if not answer.pop("ok"):
            raise CommandFailed(answer["error"])
        return dict(answer)

    def state(self) -> dict[str, Any]:
        """`lines`, `wiring`, `clients`, `now_ns`, and the number of the `last` change."""
        return self.request(query="state")

    def line(self, pin: int) -> dict[str, Any]:
        """The state of a line."""
        return dict(self.state()["lines"][pin])

    def history(self, pin: int | None = None, after: int = 0) -> list[dict[str, Any]]:
        """The changes after a number, oldest first. Raises CommandFailed if some of them are no longer kept."""
        changes: list[dict[str, Any]] = []
        while True:
            answer = self.request(query="history", pin=pin, after=after)
            if answer["lost"]:
                raise CommandFailed(f"{answer['lost']} changes after number {after} are no longer kept", value=after)
            changes += answer["changes"]
            after = answer["next"]
            if after >= answer["last"]:
                return changes
