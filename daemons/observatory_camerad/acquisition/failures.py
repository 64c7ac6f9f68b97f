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
    """Counts them; belongs to the camera's thread, but for `stuck`."""

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self._healthy_since: float | None = None
        self._pause_s = _PAUSES_S[0]
        self.in_a_row, self._stuck = 0, False
        try:
            state = file.load() or {}
            self.in_a_row, self._stuck = int(state.get("in_a_row", 0)), state.get("stuck") is True
        except (StateCorrupt, TypeError, ValueError) as error:
            log.error("the count of failures is lost: %s", error)

    @property
    def alert(self) -> bool:
        """Whether a person should look: then it is tried only once a minute."""
        return self.in_a_row >= ALERT_AFTER

    @property
    def first_pause_s(self) -> float:
        """How long to wait before the first try: a library that hangs each time would have us start without end."""
        return _PAUSES_S[2] if self.alert and self._stuck else 0.0

    def stuck(self) -> None:
        """The camera's library does not return: this process will end. Called by who ends it."""
        self._stuck = True
        self.failed()

    def failed(self) -> float:
        """A camera that was open has failed; returns the pause in seconds before the next try."""
        self._healthy_since = None
        self.in_a_row += 1
        self._save()
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
        if self._stuck:
            self._stuck = False
            self._save()
        now = time.monotonic()
        self._healthy_since = self._healthy_since or now
        if self.in_a_row and now - self._healthy_since > HEALTHY_AFTER_S:
            self.in_a_row = 0
            self._save()
            log.info("the camera has worked for %g s: its earlier failures are forgotten", HEALTHY_AFTER_S)

    def _save(self) -> None:
        try:
            self._file.save({"in_a_row": self.in_a_row, "stuck": self._stuck})
        except OSError as error:  # a full disk must not end the camera's thread
            log.error("the count of failures, %d, is not kept: %s", self.in_a_row, error)
