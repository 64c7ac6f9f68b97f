"""Numbered events on a bounded ring: a slow reader is told how many it lost, nobody is waited for."""

from __future__ import annotations

import threading
from collections import deque
from itertools import islice
from typing import Any

from observatory_common import arguments, timestamps

LONGEST_WAIT_S = 10.0
_MOST_PER_ANSWER = 256


class EventRing:
    """The last `capacity` events of one run of a daemon, numbered from 1. Thread safe."""

    def __init__(self, boot_id: str, capacity: int = 1024) -> None:
        self.boot_id = boot_id
        self._events: deque[dict[str, Any]] = deque(maxlen=capacity)
        self._last = 0
        self._closed = False
        self._changed = threading.Condition()

    def publish(self, source: str, name: str, data: dict[str, Any]) -> None:
        """Add an event; `data` holds plain types and must not be changed afterwards."""
        with self._changed:
            self._last += 1
            event = {"seq": self._last, "date": timestamps.utc_now(), "source": source, "name": name, "data": data}
            self._events.append(event)
            self._changed.notify_all()

    def read(self, boot_id: str | None, after: int, timeout_s: float) -> dict[str, Any]:
        """The events numbered above `after`, oldest first, at most 256 of them: `boot_id`, `next`, `lost`, `events`.

        Waits up to `timeout_s` (0 to 10) seconds for one. Pass the answer's `boot_id` and `next` (as `after`) the next
        time; 0 means from the start. Whoever names another boot_id (or None) is answered at once, from the oldest.
        `lost` counts the events after `after` that are no longer kept. Raises InvalidArgument.
        """
        if boot_id is not None:
            arguments.text("boot_id", boot_id)
        timeout_s = arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S)
        with self._changed:
            if boot_id != self.boot_id:
                arguments.whole_number("after", after, 0, 2**63)
                after, timeout_s = 0, 0.0
            arguments.whole_number("after", after, 0, self._last)
            self._changed.wait_for(lambda: self._last > after or self._closed, timeout_s)
            oldest = self._last - len(self._events) + 1
            skipped = max(after + 1 - oldest, 0)
            events = list(islice(self._events, skipped, skipped + _MOST_PER_ANSWER))
            return {
                "boot_id": self.boot_id,
                "next": events[-1]["seq"] if events else self._last,
                "lost": max(oldest - after - 1, 0),
                "events": events,
            }

    def close(self) -> None:
        """Wake everybody who waits, and let nobody wait from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
