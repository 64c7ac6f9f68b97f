"""Ask a running simulator for faults, or for the truth."""

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


class SimulatorClient:
    """Speaks to `<link>.control`. Each request is answered within `timeout_s`, or raises DaemonNotReachable."""

    def __init__(self, link: Path | str, timeout_s: float = 5.0) -> None:
        self._path = Path(f"{link}.control")
        self._timeout_s = timeout_s

    def request(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Send one request. Raises CommandFailed if the simulator refuses it."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(self._timeout_s)
                with short_name(self._path) as name:
                    sock.connect(name)
                sock.sendall(json.dumps(wanted).encode() + b"\n")
                with sock.makefile("rb") as file:
                    answer = json.loads(file.readline())
        except (OSError, ValueError) as error:
            raise DaemonNotReachable(f"no simulator answers at {self._path}: {error}") from error
        if not answer.pop("ok"):
            raise CommandFailed(answer["error"])
        return dict(answer)

    def state(self) -> dict[str, Any]:
        """Where every motor truly is, and what has been received."""
        return self.request({"query": "state"})

    def fault(self, name: str, **details: Any) -> None:
        """Put a fault in force."""
        self.request({"fault": name, **details})
