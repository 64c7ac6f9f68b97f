"""How often in a row the camera has failed, over restarts too, and what follows from it."""

from __future__ import annotations

import logging
import time

from observatory_common.storage import StateCorrupt, StateFile

log = logging.getLogger("camerad.failures")

ALERT_AFTER = 10
HEALTHY_AFTER_S = 60.0  # of frames, and earlier failures no longer count
_PAUSES_S = (0.2, 2.0, 60.0)  # the first, the longest, the one while there is an alert


class Failures:
    """Counts them; belongs to the camera's thread."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._healthy_since: float | None = None
        self._pause_s = _PAUSES_S[0]
        try:
            self.in_a_row = int((file.load() or {}).get("in_a_row", 0))
        except (StateCorrupt, TypeError, ValueError) as error:
            log.error("the count of failures is lost: %s", error)
            self.in_a_row = 0

    @property
    def alert(self) -> bool:
        """Whether a person should look: then it is tried only once a minute."""
        return self.in_a_row >= ALERT_AFTER

    def failed(self) -> float:
        """A camera that was open has failed; returns the pause in seconds before the next try."""
        self._healthy_since = None
        self.in_a_row += 1
        self._file.save({"in_a_row": self.in_a_row})
        if self.in_a_row == ALERT_AFTER:
            log.critical("the camera has failed %d times in a row: it is tried once in %g s now", ALERT_AFTER, _PAUSES_S[2])
        return _PAUSES_S[2] if self.alert else _PAUSES_S[0]

    def not_there(self) -> float:
        """It could not be opened; returns the pause in seconds before the next try, longer each time."""
        self._healthy_since = None
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * 2, _PAUSES_S[1])
        return _PAUSES_S[2] if self.alert else pause_s

    def frame(self) -> None:
        """A frame has come."""
        self._pause_s = _PAUSES_S[0]
        now = time.monotonic()
        self._healthy_since = self._healthy_since or now
        if self.in_a_row and now - self._healthy_since > HEALTHY_AFTER_S:
            self.in_a_row = 0
            self._file.save({"in_a_row": 0})
            log.info("the camera has worked for %g s: its earlier failures are forgotten", HEALTHY_AFTER_S)
