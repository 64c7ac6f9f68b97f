"""Makes room by deleting the camera's own oldest files, by rules that are written into the log with each file."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from observatory_camerad.outputs.disk import SPARE_BYTES, human
from observatory_camerad.outputs.files import FileStore, Group

log = logging.getLogger("camerad.retention")

_AT_ONCE = 100
_AHEAD = 1000  # a folder is looked through once for so many deletions


class Retention:
    """Deletes, oldest number first, what is older than `max_age_s` and what it takes to have `keep_free_bytes` free.

    None switches a rule off. Only files that the camera's own pattern named go, each with its metadata and thumbnail, from
    the output folder alone; never the newest `keep_newest` (at least 1), however wrong the clock, and never what is still
    being recorded. Thread safe.
    """

    def __init__(self, store: FileStore, keep_free_bytes: int | None, max_age_s: float | None, keep_newest: int = 1) -> None:
        self._store = store
        self._keep_free_bytes = keep_free_bytes
        self._max_age_s = max_age_s
        self._keep_newest = max(keep_newest, 1)
        self._lock = threading.Lock()
        self._next: deque[Group] = deque()  # those that go next, oldest first, as seen when the folder was looked through
        self._newest: tuple[Group, ...] = ()  # and those that were the newest then

    def apply(self, needed_bytes: int = 0) -> list[str]:
        """Delete what the rules take, with room for `needed_bytes` more, and return the names. Raises CommandFailed.

        With `needed_bytes`, as before a capture, the age is not asked for, and the folder only read if room is short.
        """
        deleted: list[str] = []
        if self._max_age_s is not None and not needed_bytes:
            deleted += self._delete_aged(time.time() - self._max_age_s)
        if self._keep_free_bytes is not None:
            # No picture is taken into the last SPARE_BYTES: to keep less free than these would refuse it.
            kept_free = max(self._keep_free_bytes, SPARE_BYTES) if needed_bytes else self._keep_free_bytes
            deleted += self._make_room(kept_free + needed_bytes)
        return deleted

    def _delete_aged(self, oldest_s: float) -> list[str]:
        groups = _finished(self._store.groups()[: -self._keep_newest])
        names = [name for group in groups if group.modified_s < oldest_s for name in group.names]
        deleted: list[str] = []
        for first in range(0, len(names), _AT_ONCE):  # the folder is written once for so many
            deleted += self._delete(names[first : first + _AT_ONCE], f"older than {self._max_age_s:g} s")
        return deleted

    def _make_room(self, wanted_bytes: int) -> list[str]:
        deleted: list[str] = []
        if self._store.free_bytes() >= wanted_bytes:
            return deleted
        with self._lock:
            free_bytes = self._store.free_bytes()
            while free_bytes < wanted_bytes:
                group = self._oldest()
                if group is None:
                    log.warning("no more files to delete; %s are free, not %s", human(free_bytes), human(wanted_bytes))
                    break
                deleted += self._delete(group.names, f"to have {human(wanted_bytes)} free; there were {human(free_bytes)}")
                # Some file systems give the space back later: counting on what they report now would delete too much.
                free_bytes = max(free_bytes + group.allocated, self._store.free_bytes())
        return deleted

    def _oldest(self) -> Group | None:
        """What goes next. The folder is read again only if none is known, or if what was the newest is gone."""
        if not self._next or not all(self._store.has(group.names[0]) for group in self._newest):
            groups = self._store.groups()
            self._next = deque(islice(_finished(groups[: -self._keep_newest]), _AHEAD))
            self._newest = groups[-self._keep_newest :]
        return self._next.popleft() if self._next else None

    def _delete(self, names: Iterable[str], why: str) -> list[str]:
        deleted: list[str] = self._store.remove(names)["deleted"]
        for name in deleted:
            log.info("deleted %s: %s", name, why)
        return deleted


def _finished(groups: tuple[Group, ...]) -> Iterator[Group]:
    return (group for group in groups if not group.under_way)
