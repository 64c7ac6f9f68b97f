"""The Unix socket through which a simulator is asked: a JSON object on a line, and an answer on a line."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from observatory_common.errors import CommandFailed, DaemonNotReachable


@contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name of a socket that the kernel takes (at most 107 characters), however deep its folder is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path, backlog: int) -> socket.socket:
    """A socket that listens under a name, for its owner alone; what stood there before goes."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        with short_name(path) as name:
            listener.bind(name)
    finally:
        os.umask(old)
    listener.listen(backlog)
    return listener


class ControlClient:
    """Asks what listens there. Each request is answered within `timeout_s`, or raises DaemonNotReachable."""

    WHO: ClassVar[str] = "simulator"

    def __init__(self, path: Path, timeout_s: float = 5.0) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def ask(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Send one request. Raises CommandFailed if it is refused."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._timeout_s)
                with short_name(self._path) as name:
                    sock.connect(name)
                sock.sendall(json.dumps(wanted).encode() + b"\n")
                with sock.makefile("rb") as file:
                    answer = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise DaemonNotReachable(f"no {self.WHO} answers at {self._path}: {error}") from error
        if not answer.pop("ok"):
            raise CommandFailed(answer["error"])
        return dict(answer)
