"""The controller's clock between its messages: carried on by the clock of this machine."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

_KEPT = 256  # half a minute of messages: exposures may be long
_COUNTED = 8  # of so many the one that was under way shortest says best what time it is
_JUMP_NS = 500_000_000  # no message is under way so long


@dataclass(frozen=True)
class Moment:
    """A moment by both clocks, in nanoseconds; `run` counts how often the controller's has begun anew."""

    time_ns: int
    boot_ns: int
    run: int


class ControllerClock:
    """What the controller's clock shows at a moment of this machine's (since its boot). Thread safe.

    A message says what time it was when it was sent; it comes some milliseconds later, never earlier. A clock that jumps, or
    begins anew after a restart, begins a new run; a moment belongs to the run of the last message before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard: deque[Moment] = deque(maxlen=_KEPT)
        self.run = 0

    def hear(self, time_ns: int, boot_ns: int) -> bool:
        """A message with a time has come; whether the clock has jumped. A time of 0 is none: there is no lidar."""
        with self._lock:
            if time_ns == 0 or (self._heard and self._heard[-1].time_ns == time_ns):  # it has not been set since
                return False
            jumped = self._has_jumped(time_ns, boot_ns)
            if jumped or not self._heard:
                self.run += 1
            self._heard.append(Moment(time_ns, boot_ns, self.run))
            return jumped

    def _has_jumped(self, time_ns: int, boot_ns: int) -> bool:
        if not self._heard:
            return False
        last = self._heard[-1]
        ahead_ns = (time_ns - boot_ns) - self._offset(last.run)
        return time_ns < last.time_ns or abs(ahead_ns) > _JUMP_NS

    def forget(self) -> None:
        """What comes now may be another clock."""
        with self._lock:
            self._heard.clear()

    @property
    def is_known(self) -> bool:
        """Whether it has been heard of."""
        return bool(self._heard)

    def at(self, boot_ns: int) -> Moment | None:
        """The moment by both clocks; None if the controller has told no time."""
        with self._lock:
            if not self._heard:
                return None
            run = next((moment.run for moment in reversed(self._heard) if moment.boot_ns <= boot_ns), self._heard[0].run)
            return Moment(max(boot_ns + self._offset(run), 0), boot_ns, run)

    def _offset(self, run: int) -> int:
        """Of those heard last in a run, the message that was under way shortest."""
        offsets = [moment.time_ns - moment.boot_ns for moment in self._heard if moment.run == run]
        return max(offsets[-_COUNTED:])
