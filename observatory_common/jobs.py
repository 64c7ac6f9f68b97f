"""Long operations as jobs: started by one call, watched by others, kept for a while after their end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from observatory_common import arguments, timestamps
from observatory_common.errors import ObservatoryError, UnknownJob

RUNNING = "running"
END_STATES = frozenset({"succeeded", "failed", "stopped", "timed_out", "lost_device"})

LONGEST_WAIT_S = 10.0


class Job:
    """One long operation. Made by `JobTable.start`; all methods may be called from any thread."""

    def __init__(
        self,
        table: JobTable,
        id: str,
        kind: str,
        started_by: str,
        cancel: Callable[[], object],
        request_id: str | None,
        expected_end_s: float | None,
    ) -> None:
        self.id = id
        self.kind = kind
        self.started_by = started_by
        self.request_id = request_id
        self._table = table
        self._cancel = cancel
        self._state = RUNNING
        self._progress = 0.0
        self._started = timestamps.utc_now()
        self._ended: str | None = None
        self._expected_end = None if expected_end_s is None else timestamps.utc_now(expected_end_s)
        self._result: Any = None
        self._error: dict[str, Any] | None = None

    @property
    def state(self) -> str:
        """`running`, or how it ended."""
        return self._state

    def progress(self, fraction: float, expected_end_s: float | None = None) -> None:
        """Note how far it has come (0 to 1, clipped) and, if given, in how many seconds it should end."""
        with self._table.changed:
            if self._state == RUNNING and fraction == fraction:  # a NaN says nothing
                self._progress = min(max(float(fraction), 0.0), 1.0)
                if expected_end_s is not None:
                    self._expected_end = timestamps.utc_now(expected_end_s)

    def finish(self, state: str, result: Any = None, error: ObservatoryError | None = None) -> None:
        """End it in one of `END_STATES`. Only the first end counts. Raises ValueError for another state."""
        if state not in END_STATES:
            raise ValueError(f"{state!r} is no end of a job")
        with self._table.changed:
            if self._state != RUNNING:
                return
            self._state = state
            self._ended = timestamps.utc_now()
            if state == "succeeded":
                self._progress = 1.0
            self._result = result
            if error is not None:
                self._error = {"code": int(error.code), "error": type(error).__name__, "message": str(error)}
        self._table.ended(self)

    def cancel(self) -> None:
        """Ask whoever carries it out to end it early; does nothing to a job that has ended. May stop a device."""
        if self._state == RUNNING:
            self._cancel()

    def to_wire(self) -> dict[str, Any]:
        """What a client sees of it."""
        with self._table.changed:
            return {
                "id": self.id,
                "kind": self.kind,
                "boot_id": self._table.boot_id,
                "started_by": self.started_by,
                "request_id": self.request_id,
                "state": self._state,
                "progress": self._progress,
                "started": self._started,
                "ended": self._ended,
                "expected_end": self._expected_end,
                "result": self._result,
                "error": self._error,
            }


class JobTable:
    """The jobs of one run of a daemon: those that run, and the last `keep` that have ended. Thread safe.

    `on_end` is called once per job, with its wire form, before those who wait for it are woken.
    """

    def __init__(self, boot_id: str, *, keep: int = 256, on_end: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.boot_id = boot_id
        self.changed = threading.Condition(threading.RLock())
        self._keep = keep
        self._on_end = on_end
        self._jobs: dict[str, Job] = {}
        self._requests: dict[str, Job] = {}
        self._over: dict[str, Job] = {}  # those whose end is known, oldest first
        self._count = 0
        self._closed = False

    def start(
        self,
        kind: str,
        started_by: str,
        *,
        cancel: Callable[[], object],
        request_id: str | None = None,
        expected_end_s: float | None = None,
    ) -> Job:
        """Enter a new running job. Raises ValueError if a job of this request id is kept (see `with_request`)."""
        with self.changed:
            if request_id in self._requests:
                raise ValueError(f"request {request_id} has job {self._requests[request_id].id} already")
            self._count += 1
            job = Job(self, str(self._count), kind, started_by, cancel, request_id, expected_end_s)
            self._jobs[job.id] = job
            if request_id is not None:
                self._requests[request_id] = job
            return job

    def with_request(self, request_id: str) -> Job | None:
        """The job that this request id started, if it is kept."""
        with self.changed:
            return self._requests.get(request_id)

    def get(self, id: str) -> Job:
        """The job of this id. Raises UnknownJob, InvalidArgument."""
        wanted = arguments.text("id", id)
        with self.changed:
            job = self._jobs.get(wanted)
            if job is None:
                allowed = f"a job of this run ({self.boot_id}), of which the last {self._keep} are kept"
                raise UnknownJob(
                    f"there is no job {arguments.shown(wanted)}, expected {allowed}", value=wanted, allowed=allowed
                )
            return job

    def wait(self, id: str, up_to_s: float) -> dict[str, Any]:
        """The job's wire form as soon as it has ended, at the latest after `up_to_s` (0 to 10) seconds."""
        up_to_s = arguments.number("up_to_s", up_to_s, 0, LONGEST_WAIT_S)
        job = self.get(id)
        with self.changed:
            self.changed.wait_for(lambda: job.id in self._over or job.id not in self._jobs or self._closed, up_to_s)
            return job.to_wire()

    def running(self) -> list[Job]:
        """The jobs that have not ended, oldest first."""
        with self.changed:
            return [job for job in self._jobs.values() if job.state == RUNNING]

    def close(self) -> None:
        """Wake everybody who waits, and let nobody wait from now on."""
        with self.changed:
            self._closed = True
            self.changed.notify_all()

    def ended(self, job: Job) -> None:
        """Called by a job that has just ended."""
        try:
            if self._on_end is not None:
                self._on_end(job.to_wire())
        finally:
            with self.changed:
                self._over[job.id] = job
                while len(self._over) > self._keep:
                    oldest = self._over.pop(next(iter(self._over)))
                    del self._jobs[oldest.id]
                    if oldest.request_id is not None:
                        del self._requests[oldest.request_id]
                self.changed.notify_all()
