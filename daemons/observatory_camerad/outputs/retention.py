"""Makes room by deleting the camera's own oldest files, by rules that are written into the log with each file."""

from __future__ import annotations

import logging
import time

from observatory_camerad.outputs.disk import SPARE_BYTES, human
from observatory_camerad.outputs.files import FileStore, Group

log = logging.getLogger("camerad.retention")


class Retention:
    """Deletes, oldest number first, what is older than `max_age_s` and what it takes to have `keep_free_bytes` free.

    None switches a rule off. Only files that the camera's own pattern named go, each with its metadata and thumbnail, from
    the output folder alone; never the newest `keep_newest` (at least 1), however wrong the clock, and never what is still
    being recorded.
    """

    def __init__(self, store: FileStore, keep_free_bytes: int | None, max_age_s: float | None, keep_newest: int = 1) -> None:
        self._store = store
        self._keep_free_bytes = keep_free_bytes
        self._max_age_s = max_age_s
        self._keep_newest = max(keep_newest, 1)

    def apply(self, needed_bytes: int = 0) -> list[str]:
        """Delete what the rules take, with room for `needed_bytes` more, and return the names. Raises CommandFailed."""
        if self._keep_free_bytes is None and self._max_age_s is None:
            return []
        groups = [group for group in self._store.groups()[: -self._keep_newest] if not group.under_way]
        deleted: list[str] = []
        kept = []
        oldest_s = None if self._max_age_s is None else time.time() - self._max_age_s
        for group in groups:
            if oldest_s is not None and group.modified_s < oldest_s:
                deleted += self._delete(group, f"older than {self._max_age_s:g} s")
            else:
                kept.append(group)
        if self._keep_free_bytes is not None:
            # No picture is taken into the last SPARE_BYTES: to keep less free than these would refuse it.
            kept_free = max(self._keep_free_bytes, SPARE_BYTES) if needed_bytes else self._keep_free_bytes
            deleted += self._make_room(kept, kept_free + needed_bytes)
        return deleted

    def _make_room(self, groups: list[Group], wanted_bytes: int) -> list[str]:
        free_bytes = self._store.free_bytes()
        deleted: list[str] = []
        for group in groups:
            if free_bytes >= wanted_bytes:
                break
            deleted += self._delete(group, f"to have {human(wanted_bytes)} free; there were {human(free_bytes)}")
            # Some file systems give the space back later: counting on what they report now would delete too much.
            free_bytes = max(free_bytes + group.allocated, self._store.free_bytes())
        if free_bytes < wanted_bytes:
            log.warning("no more files to delete; %s are free, not %s", human(free_bytes), human(wanted_bytes))
        return deleted

    def _delete(self, group: Group, why: str) -> list[str]:
        deleted: list[str] = self._store.remove(group.names)["deleted"]
        for name in deleted:
            log.info("deleted %s: %s", name, why)
        return deleted
