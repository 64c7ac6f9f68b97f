"""Stops that somebody has asked for and that the controller has not been seen to obey: they are never forgotten."""

from __future__ import annotations

import threading
from collections.abc import Collection


class StopsOwed:
    """The channels to be stopped, and who wants it. Thread safe."""

    def __init__(self) -> None:
        self._by: dict[int, str] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._by)

    def add(self, channels: Collection[int], by: str) -> None:
        """Channels are to be stopped, whatever becomes of the request."""
        with self._lock:
            self._by.update(dict.fromkeys(channels, by))

    def done(self, channels: Collection[int]) -> None:
        """These have been seen at rest, or nobody can stop them."""
        with self._lock:
            for channel in channels:
                self._by.pop(channel, None)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._by.clear()

    def items(self) -> dict[int, str]:
        """The channels and who wants them stopped, in order."""
        with self._lock:
            return dict(sorted(self._by.items()))
