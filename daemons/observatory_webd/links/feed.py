"""What happens at the daemons, fanned out to all who listen: one ring, from which each reads at its own pace."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

_KEPT = 2048
_MOST_AT_ONCE = 256


@dataclass(frozen=True)
class Happening:
    """Something that happened: `source` is kind/name of a daemon; `name` is `status`, or an event's."""

    number: int
    source: str
    name: str
    data: dict[str, Any]


class Feed:
    """The last 2048 happenings, numbered from 1. Published from any thread, read on the event loop."""

    def __init__(self) -> None:
        self._ring: deque[Happening] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._last = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: dict[asyncio.Event, Hashable] = {}
        self._closed = False

    @property
    def last(self) -> int:
        """The number of the newest."""
        return self._last

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._closed

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def listening_now(self) -> list[Hashable]:
        """Who listens, once for each time."""
        return list(self._listeners.values())

    def attach(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Name the loop on which it is read; None: no more."""
        with self._lock:
            self._loop = loop

    def publish(self, source: str, name: str, data: dict[str, Any]) -> None:
        """Add one; `data` must not be changed afterwards."""
        with self._lock:
            self._last += 1
            self._ring.append(Happening(self._last, source, name, data))
            self._wake()

    def close(self) -> None:
        """Let every listener end."""
        with self._lock:
            self._closed = True
            self._wake()

    @contextmanager
    def listening(self, who: Hashable = None) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something new, for as long as the context lasts. On the loop."""
        news = asyncio.Event()
        self._listeners[news] = who
        try:
            yield news
        finally:
            del self._listeners[news]

    def after(self, number: int) -> tuple[int, int, list[Happening]]:
        """What came after a number: where to go on, how many were lost, and the happenings, at most 256.

        Of statuses of one source only the latest.
        """
        with self._lock:
            oldest = self._last - len(self._ring) + 1
            number = min(max(number, 0), self._last)
            lost = max(oldest - number - 1, 0)
            found = list(islice(self._ring, max(number + 1 - oldest, 0), None))[:_MOST_AT_ONCE]
        latest = {item.source: item.number for item in found if item.name == "status"}
        kept = [item for item in found if item.name != "status" or latest[item.source] == item.number]
        return (found[-1].number if found else number), lost, kept

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._set_all)

    def _set_all(self) -> None:
        for news in self._listeners:
            news.set()
