"""Live frames: the latest of each stream wins, is encoded once for all who look, and only while somebody looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from observatory_camerad.drivers.base import Request

_LOOKS_FOR_S = 10.0  # after its last call a viewer counts for so long
LONGEST_WAIT_S = 10.0


@dataclass(frozen=True)
class LiveFrame:
    """An encoded frame and its number, which grows from 1 in each run of the daemon."""

    number: int
    jpeg: bytes
    metadata: dict[str, Any]
    date: str


class FrameHub:
    """One stream's latest frame. `publish` belongs to the camera's thread, `newer_than` to any other."""

    def __init__(self, stream: str, encode: Callable[[Request, str], bytes], now: Callable[[], str]) -> None:
        self.stream = stream
        self._encode = encode
        self._now = now
        self._changed = threading.Condition()
        self._latest: LiveFrame | None = None
        self._number = 0
        self._wanted_until = 0.0
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether somebody has looked in the last 10 s."""
        return time.monotonic() < self._wanted_until

    def publish(self, request: Request) -> None:
        """Offer a frame; encodes it if somebody looks. Waits for nobody."""
        if not self.watched:
            return
        jpeg = self._encode(request, self.stream)
        with self._changed:
            self._number += 1
            self._latest = LiveFrame(self._number, jpeg, dict(request.metadata), self._now())
            self._changed.notify_all()

    def newer_than(self, number: int, timeout_s: float) -> LiveFrame | None:
        """The latest frame if its number is above `number`, as soon as there is one; None after `timeout_s` seconds."""
        with self._changed:
            if not self.watched:
                self._latest = None  # it is as old as the last viewer
            self._wanted_until = time.monotonic() + timeout_s + _LOOKS_FOR_S
            self._changed.wait_for(
                lambda: self._closed or (self._latest is not None and self._latest.number > number), timeout_s
            )
            latest = self._latest
            return latest if latest is not None and latest.number > number else None

    def close(self) -> None:
        """Wake everybody who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
