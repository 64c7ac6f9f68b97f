"""Edges of inputs as the backend stamps them, each of them countable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Edge:
    """One edge: when (nanoseconds of CLOCK_MONOTONIC), the level after it, how many were lost just before it.

    `level` is None where only a loss is reported.
    """

    pin: int
    at_ns: int
    level: int | None
    lost: int


class EdgeWatch:
    """Somebody's interest in the edges of a pin. `callback` is called in the factory's thread, in order; be brief there.

    `seen` and `lost` count from the start of the watch.
    """

    def __init__(self, callback: Callable[[Edge], None], stop: Callable[[EdgeWatch], None]) -> None:
        self._callback = callback
        self._stop = stop
        self.seen = 0
        self.lost = 0

    def tell(self, edge: Edge) -> None:
        """Pass an edge on."""
        self.seen += edge.level is not None
        self.lost += edge.lost
        self._callback(edge)

    def close(self) -> None:
        """No more calls are begun after this."""
        self._stop(self)


class Watches:
    """Those who want to know of the edges of one pin; `changed` is called when the first comes or one goes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._watches: tuple[EdgeWatch, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._watches)

    def add(self, callback: Callable[[Edge], None]) -> EdgeWatch:
        """One more."""
        watching = EdgeWatch(callback, self._remove)
        with self._lock:
            self._watches = (*self._watches, watching)
        self._changed()
        return watching

    def tell(self, edge: Edge) -> None:
        """Pass an edge on to all."""
        for watching in self._watches:
            watching.tell(edge)

    def _remove(self, watching: EdgeWatch) -> None:
        with self._lock:
            self._watches = tuple(other for other in self._watches if other is not watching)
        self._changed()
