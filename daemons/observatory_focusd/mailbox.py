"""Requests on their way to the serial worker: each has its own answer, its own deadline, and stops go first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from observatory_common.errors import Stopped, TimedOut

#: How long a request may wait to be begun; then it is not carried out at all.
_BEGIN_WITHIN_S = 1.2
#: How long the worker may take over one: a command is three attempts of two exchanges of 0.5 s at the worst.
_FINISH_WITHIN_S = 3.5


class Request:
    """Work for the worker's thread. `stops` names the channels it stops; such a request overtakes all others.

    `moves` names those it sets in motion: if a stop of one of them comes before it is begun, it is not carried out.
    """

    def __init__(self, work: Callable[[], Any], stops: Collection[int] = (), moves: Collection[int] = ()) -> None:
        self.stops = frozenset(stops)
        self.moves = frozenset(moves)
        self._work = work
        self._expires_at = time.monotonic() + _BEGIN_WITHIN_S
        self._lock = threading.Lock()
        self._claimed = False
        self._done = threading.Event()
        self._result: Any = None
        self._error: Exception | None = None

    def claim(self) -> bool:
        """Take it for execution; False if nobody waits for it any more, so that it must not be carried out."""
        with self._lock:
            self._claimed = time.monotonic() < self._expires_at
            return self._claimed

    def run(self) -> Any:
        """Do the work, in the worker's thread."""
        return self._work()

    def succeed(self, result: Any) -> None:
        """Give the waiting caller its result."""
        self._result = result
        self._done.set()

    def fail(self, error: Exception) -> None:
        """Have the waiting caller raise `error`."""
        self._error = error
        self._done.set()

    def wait(self) -> Any:
        """The result, in the caller's thread. Raises what the work raised, or TimedOut."""
        if not self._done.wait(_BEGIN_WITHIN_S):
            with self._lock:
                self._expires_at = 0.0
                claimed = self._claimed
            if not claimed:
                raise TimedOut(f"the device was busy for {_BEGIN_WITHIN_S:g} s; nothing was done")
            if not self._done.wait(_FINISH_WITHIN_S):
                raise TimedOut(f"no end of it within {_BEGIN_WITHIN_S + _FINISH_WITHIN_S:g} s")
        if self._error is not None:
            raise self._error
        return self._result


class Mailbox:
    """The requests that wait for the worker."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._urgent: deque[Request] = deque()
        self._ordinary: deque[Request] = deque()
        self._woken = False

    def put(self, request: Request) -> None:
        """Add a request and wake the worker."""
        with self._changed:
            for overtaken in [other for other in self._ordinary if other.moves & request.stops]:
                self._ordinary.remove(overtaken)
                overtaken.fail(Stopped("it was stopped before it was begun; nothing was done"))
            (self._urgent if request.stops else self._ordinary).append(request)
            self._changed.notify()

    def take(self, up_to_s: float) -> Request | None:
        """The next request, stops first; None if there is none within `up_to_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken or self.waiting(), max(up_to_s, 0.0))
            self._woken = False
            queue = self._urgent or self._ordinary
            return queue.popleft() if queue else None

    def waiting(self) -> bool:
        """Whether any request waits."""
        return bool(self._urgent or self._ordinary)

    def stop_waiting(self) -> bool:
        """Whether a stop waits."""
        return bool(self._urgent)

    def wake(self) -> None:
        """End the present `take` early."""
        with self._changed:
            self._woken = True
            self._changed.notify()
