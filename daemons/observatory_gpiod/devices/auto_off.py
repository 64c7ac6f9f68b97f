"""Switching off what has been on for too long, whatever became of the call that switched it on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

_LONGEST_NAP_S = 1.0  # the clock of waits stands still while the machine sleeps, the clock of deadlines goes on
RETRY_S = 1.0
_LONGEST_SWITCH_S = 5.0


def clock_s() -> float:
    """Seconds since the machine was started, those that it slept included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class AutoOff:
    """Calls `switch_off` when it was armed for `limit_s` without a break; again every second until that succeeds.

    A process that was stopped, or a machine that slept, is late but not wrong: deadlines are absolute. The watching
    thread never waits for a device: an attempt is made in another one. `failed` hears why one went wrong.
    """

    def __init__(
        self,
        name: str,
        limit_s: float,
        switch_off: Callable[[], object],
        failed: Callable[[BaseException], object],
        clock: Callable[[], float] = clock_s,
    ) -> None:
        self.limit_s = limit_s
        self._switch_off = switch_off
        self._failed = failed
        self._clock = clock
        self._deadline_s: float | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._attempt: Future[object] | None = None
        self._attempts = ThreadPoolExecutor(1, f"{name} switches off")
        self._thread = threading.Thread(target=self._watch, name=f"{name} max_on_time", daemon=True)
        self._thread.start()

    def arm(self) -> None:
        """The device is on, or about to be; what is armed keeps its deadline."""
        with self._changed:
            if self._deadline_s is None:
                self._deadline_s = self._clock() + self.limit_s
                self._changed.notify_all()

    def disarm(self) -> None:
        """The device is off."""
        with self._changed:
            self._deadline_s = None

    @property
    def remaining_s(self) -> float | None:
        """Seconds until it switches off, None if it is not armed."""
        with self._changed:
            return None if self._deadline_s is None else max(self._deadline_s - self._clock(), 0.0)

    def stop(self) -> None:
        """Begin nothing any more; does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """End both threads, but for an attempt that hangs. Not to be called with what `switch_off` waits for."""
        self.stop()
        self._thread.join(_LONGEST_SWITCH_S + RETRY_S)
        self._attempts.shutdown(wait=self._attempt is None or self._attempt.done())

    def _watch(self) -> None:
        attempt: Future[object] | None = None
        while self._due():
            if attempt is None or attempt.done():  # one that hangs is waited for again, not joined by others
                attempt = self._attempt = self._attempts.submit(self._switch_off)
            try:
                error: BaseException | None = attempt.exception(_LONGEST_SWITCH_S)
            except TimeoutError as late:
                error = late
            with self._changed:
                if self._deadline_s is not None and error is not None:
                    self._deadline_s = self._clock() + RETRY_S
            if error is not None:
                self._failed(error)

    def _due(self) -> bool:
        """Wait until it is time; False if it is closed before."""
        with self._changed:
            while not self._closed:
                if self._deadline_s is None:
                    self._changed.wait()
                    continue
                left_s = self._deadline_s - self._clock()
                if left_s <= 0:
                    return True
                self._changed.wait(min(left_s, _LONGEST_NAP_S))
            return False
