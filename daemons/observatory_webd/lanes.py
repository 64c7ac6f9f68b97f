"""A few threads for calls that block: so many at a time, so many more that wait, and no more."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from observatory_common.errors import Blocked, DaemonNotReachable

_IDLE_S = 30.0

_Task = tuple[Callable[[], Any], "Future[Any]"]


class Busy(Blocked):
    """Too much waits already; later it may be better."""


class Lane:
    """Up to `threads` calls at a time and `waiting` more that wait; what comes beyond is refused. Thread safe.

    Its threads start when they are needed, end after half a minute without work, and do not keep the process alive.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._name = name
        self._most = threads
        self._most_pending = threads + waiting
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._pending = 0  # queued or being done
        self._started = 0
        self._closed = False

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Have `work` done. Raises Busy when too much waits already, DaemonNotReachable after `close`."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise DaemonNotReachable(f"{self._name}: the gateway is ending")
            if self._pending >= self._most_pending:
                raise Busy(
                    f"{self._name} has {self._pending} calls to answer already, try again later",
                    value=self._pending,
                    allowed=f"{self._most_pending} calls at a time",
                )
            self._pending += 1
            if self._pending > len(self._threads) and len(self._threads) < self._most:
                self._started += 1
                thread = threading.Thread(target=self._run, name=f"webd-{self._name}-{self._started}", daemon=True)
                self._threads.add(thread)
                thread.start()
            self._tasks.put((work, future))
        return future

    def close(self) -> None:
        """Refuse new work and let the threads end after what they are at; see `join`."""
        with self._lock:
            self._closed = True
            for _ in self._threads:
                self._tasks.put(None)

    def join(self, deadline_at: float) -> bool:
        """Wait for the threads until a monotonic time; whether they have all ended."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(deadline_at - time.monotonic(), 0.0))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        while True:
            idle = False
            try:
                task = self._tasks.get(timeout=_IDLE_S)
            except queue.Empty:
                task, idle = None, True
            if task is None:
                with self._lock:
                    if idle and not self._tasks.empty():
                        continue  # something came in the last moment
                    self._threads.discard(threading.current_thread())
                    return
            work, future = task
            if self._closed or not future.set_running_or_notify_cancel():
                future.cancel()
            else:
                _do(work, future)
            del task, work, future
            with self._lock:
                self._pending -= 1


def _do(work: Callable[[], Any], future: Future[Any]) -> None:
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - it is raised where the answer is awaited
        future.set_exception(error)
    else:
        future.set_result(result)
