"""What a device does for a while: runs in the device's own thread, can be stopped at once, and tells how it ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from observatory_common.errors import CommandFailed, ObservatoryError, TimedOut

log = logging.getLogger("gpiod.task")

RUNNING, SUCCEEDED, FAILED, STOPPED = "running", "succeeded", "failed", "stopped"

_TELL_EVERY_S = 0.5
_REST_ATTEMPTS = 30
_REST_AGAIN_S = 1.0
_FURTHEST_END_S = 3e9  # a century; beyond the year 9999 there are no dates

Body = Callable[["Task"], dict[str, Any]]


class Task:
    """One long method of a device. `expected_s` is how long it should take, None if until it is stopped, or for ages.

    `body` does it, and asks `wait_until` for every pause; it returns the result. `at_stop` is called in the same thread
    when it was cancelled or has failed, but not when another method took its place. If that fails, the task has failed, but
    it is tried again every second for half a minute, until another method takes its place.
    """

    def __init__(self, method: str, body: Body, expected_s: float | None, at_stop: Callable[[], None]) -> None:
        self.method = method
        self.expected_s = None if expected_s is None or expected_s > _FURTHEST_END_S else expected_s
        self.job_id: str | None = None  # of the job that it is to callers, once it is one
        self._progress = 0.0
        self._on_progress: Callable[[float], object] = lambda _: None
        self._body = body
        self._at_stop = at_stop
        self._stopping = threading.Event()
        self._replaced = threading.Event()
        self._lost: ObservatoryError | None = None
        self._future: Future[dict[str, Any]] = Future()
        self._executor: ThreadPoolExecutor | None = None
        self._afterwards: Future[None] | None = None

    def start(self, executor: ThreadPoolExecutor) -> None:
        """Begin, in the device's thread."""
        self._executor = executor
        self._future = executor.submit(self._run)

    @property
    def progress(self) -> float:
        """How far it has come, 0 to 1."""
        return self._progress

    @progress.setter
    def progress(self, fraction: float) -> None:
        self._progress = fraction
        self._on_progress(fraction)

    def on_progress(self, callback: Callable[[float], object]) -> None:
        """Call `callback` whenever it has come on, in the device's thread; it must not wait."""
        self._on_progress = callback

    @property
    def stopping(self) -> bool:
        """True as soon as it is to end."""
        return self._stopping.is_set()

    def wait_until(self, deadline_s: float) -> bool:
        """Wait for a time of time.monotonic(); True if the task is to end instead."""
        return self._stopping.wait(max(deadline_s - time.monotonic(), 0.0))

    def pass_time(self, until_s: float) -> bool:
        """As `wait_until`, with the share of the time that has passed as the progress."""
        began_s = now_s = time.monotonic()
        while now_s < until_s:
            if self.wait_until(min(until_s, now_s + _TELL_EVERY_S)):
                return True
            now_s = time.monotonic()
            self.progress = min((now_s - began_s) / (until_s - began_s), 1.0)
        return self.stopping

    def cancel(self) -> None:
        """End it early; the device is left as its `stop` leaves it. Does not wait."""
        self._stopping.set()

    def replace(self) -> None:
        """End it early, since another method takes its place and will set the device. Does not wait."""
        self._replaced.set()
        self._stopping.set()

    def abandon(self, error: ObservatoryError) -> None:
        """End it early as failed, since there is nothing any more that could be set. Does not wait."""
        self._lost = error
        self.replace()

    def join(self, timeout_s: float) -> None:
        """Wait for its end, however it ends; of one that was replaced, until it does nothing any more. Raises TimedOut."""
        until_s = time.monotonic() + timeout_s
        try:
            self._future.exception(timeout_s)
            if self._replaced.is_set() and self._afterwards is not None:
                self._afterwards.exception(max(until_s - time.monotonic(), 0))
        except TimeoutError as error:
            raise TimedOut(f"{self.method} did not end within {timeout_s:g} s", value=self.method) from error

    @property
    def is_over(self) -> bool:
        """True once nothing is done for it any more."""
        return self._future.done() and (self._afterwards is None or self._afterwards.done())

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
            if not finished and not self._replaced.is_set():
                self._come_to_rest()
        if not finished and self._lost is not None:
            raise self._lost
        return result | {"stopped": not finished}

    def _come_to_rest(self) -> None:
        try:
            self._at_stop()
        except (CommandFailed, TimedOut):  # it is told at once, but nobody else switches off what a line refused once
            if self._executor is not None and not self._replaced.is_set():
                self._afterwards = self._executor.submit(self._come_to_rest_later)
            raise

    def _come_to_rest_later(self) -> None:
        for _ in range(_REST_ATTEMPTS):
            if self._replaced.wait(_REST_AGAIN_S):
                return
            try:
                self._at_stop()
                return
            except (CommandFailed, TimedOut) as error:
                log.warning("%s could not come to rest after it had failed: %s", self.method, error)
