"""Stops that somebody has asked for and that the controller has not been seen to obey: they are never forgotten."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

from observatory_focusd.journal import Journal

log = logging.getLogger("focusd.stops")


class StopsOwed:
    """The channels to be stopped, and who wants it. Thread safe, except `promise`, `note`, `may_run_on`: the worker's."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._by: dict[int, str] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._by)

    def add(self, channels: Collection[int], by: str) -> None:
        """Channels are to be stopped, whatever becomes of the request."""
        with self._lock:
            self._by.update(dict.fromkeys(channels, by))

    def promise(self, channels: Collection[int], by: str) -> None:
        """As `add`, and written down, before somebody is told that they are stopped once that can be done."""
        self.add(channels, by)
        self.note()

    def done(self, channels: Collection[int]) -> None:
        """These have been seen at rest, or nobody can stop them."""
        with self._lock:
            for channel in channels:
                self._by.pop(channel, None)

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._by.clear()

    def note(self) -> None:
        """Write them down: they outlive the daemon."""
        try:
            self._journal.stops_owed(self.items())
        except OSError as error:
            log.error("the journal cannot be written: %s", error)

    def may_run_on(self) -> list[int]:
        """Channels that may be moving while nothing can be read: to be stopped, or with a move that has not ended."""
        return sorted({*self.items(), *self._journal.open_moves()})

    def items(self) -> dict[int, str]:
        """The channels and who wants them stopped, in order."""
        with self._lock:
            return dict(sorted(self._by.items()))
