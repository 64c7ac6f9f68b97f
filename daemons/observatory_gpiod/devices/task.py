"""What a device does for a while: runs in the device's own thread, can be stopped at once, and tells how it ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from observatory_common.errors import TimedOut

RUNNING, SUCCEEDED, FAILED, STOPPED = "running", "succeeded", "failed", "stopped"

Body = Callable[["Task"], dict[str, Any]]


class Task:
    """One long method of a device. `expected_s` is how long it should take, None if it goes on until it is stopped.

    `body` does it, and asks `wait_until` for every pause; it returns the result. `at_stop` is called in the same thread
    when it was cancelled or has failed, but not when another method took its place.
    """

    def __init__(self, method: str, body: Body, expected_s: float | None, at_stop: Callable[[], None]) -> None:
        self.method = method
        self.expected_s = expected_s
        self.progress = 0.0
        self._body = body
        self._at_stop = at_stop
        self._stopping = threading.Event()
        self._replaced = False
        self._future: Future[dict[str, Any]] = Future()

    def start(self, executor: ThreadPoolExecutor) -> None:
        """Begin, in the device's thread."""
        self._future = executor.submit(self._run)

    @property
    def stopping(self) -> bool:
        """True as soon as it is to end."""
        return self._stopping.is_set()

    def wait_until(self, deadline_s: float) -> bool:
        """Wait for a time of time.monotonic(); True if the task is to end instead."""
        return self._stopping.wait(max(deadline_s - time.monotonic(), 0.0))

    def cancel(self) -> None:
        """End it early; the device is left as its `stop` leaves it. Does not wait."""
        self._stopping.set()

    def replace(self) -> None:
        """End it early, since another method takes its place and will set the device. Does not wait."""
        self._replaced = True
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, however it ends. Raises TimedOut."""
        try:
            self._future.exception(timeout_s)
        except TimeoutError as error:
            raise TimedOut(f"{self.method} did not end within {timeout_s:g} s", value=self.method) from error

    def on_end(self, callback: Callable[[Task], None]) -> None:
        """Call `callback` once it has ended, in whichever thread; at once if it has."""
        self._future.add_done_callback(lambda _: callback(self))

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `stopped`."""
        if not self._future.done():
            return RUNNING
        if self._future.exception() is not None:
            return FAILED
        return STOPPED if self.result.get("stopped") else SUCCEEDED

    @property
    def error(self) -> BaseException | None:
        """Why it failed; None if it did not, or runs."""
        return self._future.exception() if self._future.done() else None

    @property
    def result(self) -> dict[str, Any]:
        """What it reports, with `stopped` true if it was ended early; empty while it runs and if it failed."""
        return self._future.result() if self._future.done() and self._future.exception() is None else {}

    def _run(self) -> dict[str, Any]:
        finished = False
        try:
            result = self._body(self)
            finished = not self.stopping
        finally:
            if not finished and not self._replaced:
                self._at_stop()
        return result | {"stopped": not finished}
