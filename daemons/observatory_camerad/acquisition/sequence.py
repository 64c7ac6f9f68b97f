"""Sequences: one shot after another by the camera's own pace or an interval, over failures and restarts."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.captures import Captures, Wish
from observatory_camerad.acquisition.sequence_journal import SequenceJournal, SequenceState
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.outputs.answering import DiskSilent
from observatory_camerad.outputs.photos import Outcome
from observatory_common import timestamps
from observatory_common.errors import (
    CameraNotAcquiring,
    CameraNotIdle,
    CommandFailed,
    DeviceLost,
    NotConnected,
    ObservatoryError,
)
from observatory_common.jobs import Job, JobTable

log = logging.getLogger("camerad.sequence")

_LOOK_EVERY_S = 0.2
_MOST_UNWRITTEN = 3
_BEYOND_ITS_FRAME_S = 20.0  # within which a frame that was asked for is there, or lost
_WRITTEN_WITHIN_S = 60.0  # the next of those that wait: a slow disk is waited for, one that hangs is not


class Sequences:
    """At most one sequence at a time. A lost camera is waited for; a full disk ends it; a restart resumes it."""

    def __init__(
        self,
        worker: Worker,
        captures: Captures,
        journal: SequenceJournal,
        jobs: JobTable,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._worker = worker
        self._captures = captures
        self._journal = journal
        self._jobs = jobs
        self._on_event = on_event
        self._lock = threading.Lock()
        self._running: _Run | None = None
        self._final: SequenceState | None = None  # between the journal's end and the event that tells it
        self._to_resume = journal.load()  # at once: whoever asks before `resume` must not hear that there is none

    @property
    def state(self) -> SequenceState | None:
        """Of the one under way; None without one."""
        if self._running is None and self._to_resume is None:
            return None
        return self._final or self._journal.state

    @property
    def aborting(self) -> bool:
        """Whether it has been told to stop and has not yet."""
        running = self._running
        return running is not None and running.stopping

    def require_idle(self) -> None:
        """Raise CameraNotIdle while a sequence runs."""
        if self._running is not None or self._to_resume is not None:
            raise CameraNotIdle("a sequence runs; stop it first")

    def start(self, count: int, interval_s: float, wish: Wish, caller: str, request_id: str | None = None) -> Job:
        """Begin. Raises CameraNotIdle, NotConnected, CommandFailed (no such use case, no room)."""
        with self._lock:
            self.require_idle()
            self._worker.require()
            self._captures.require_room(wish)
            folder = None if wish.folder is None else str(wish.folder)
            self._journal.begin(
                SequenceState(uuid.uuid4().hex, count, interval_s, wish.kind, wish.format, caller, timestamps.utc_now(), folder)
            )
            return self._run(caller, request_id)

    def resume(self) -> None:
        """Go on with what a former run of the daemon left."""
        state = self._to_resume
        if state is None:
            return
        log.info("resuming a sequence at frame %d of %s", state.taken + 1, state.limit or "no limit")
        with self._lock:
            self._run(state.started_by)
            self._to_resume = None

    def stop(self) -> None:
        """End it after the frame under way. Raises CameraNotAcquiring without one."""
        running = self._running
        if running is None:
            raise CameraNotAcquiring("no sequence runs")
        running.stop("stopped")

    def close(self, deadline_s: float) -> None:
        """End the thread; the journal keeps the sequence for the next run."""
        running = self._running
        if running is not None:
            running.stop("kept")
            running.join(deadline_s)

    def _run(self, caller: str, request_id: str | None = None) -> Job:
        run = _Run(self._worker, self._captures, self._journal, self._ended)
        job = self._jobs.start("sequence", caller, cancel=lambda: run.stop("stopped"), request_id=request_id)
        state = self._journal.state
        assert state is not None
        self._running = run  # who hears of it can stop it
        self._on_event("sequence_started", {"id": state.id, "limit": state.limit, "taken": state.taken, "job": job.id})
        run.start(job)
        return job

    def _ended(self, job: Job, how: str, error: ObservatoryError | None) -> None:
        state = self._journal.state
        result = {} if state is None else {"taken": state.taken, "first": state.first, "last": state.last}
        with self._lock:  # whoever hears of the end may start the next one
            self._final = state
            if how != "kept":
                self._journal.end()
            self._on_event("sequence_ended", {"how": how, **result})
            self._running = self._final = None
        if how != "kept":  # it is not over: those who wait will find its next job in the next run
            job.finish(how, result, error)


class _Run:
    """The thread of one sequence."""

    def __init__(
        self,
        worker: Worker,
        captures: Captures,
        journal: SequenceJournal,
        ended: Callable[[Job, str, ObservatoryError | None], None],
    ) -> None:
        self._worker = worker
        self._captures = captures
        self._journal = journal
        self._ended = ended
        self._how = "succeeded"
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._unwritten = 0
        self._progress_at = time.monotonic()  # when a frame was there, or written
        self._silent_since: float | None = None
        self._error: ObservatoryError | None = None
        self._thread: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """Whether it has been told to."""
        return self._stopping.is_set()

    def start(self, job: Job) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._work, args=(job,), name="camerad-sequence", daemon=True)
        self._thread.start()

    def stop(self, how: str) -> None:
        """End soon."""
        if not self._stopping.is_set():
            self._how = how
            self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def join(self, deadline_s: float) -> None:
        """Wait for its end."""
        if self._thread is not None:
            self._thread.join(deadline_s)

    def _work(self, job: Job) -> None:
        steps: tuple[Callable[[], None], ...] = (lambda: self._shoot_all(job), lambda: self._wait_for_writer(1))
        for step in steps:  # what was taken is counted, whatever has failed
            try:
                step()
            except ObservatoryError as failure:
                self._error = self._error or failure
            except Exception as failure:
                log.exception("unexpected error in a sequence")
                self._error = self._error or CommandFailed(f"the sequence failed: {failure}")
        self._ended(job, "failed" if self._error is not None else self._how, self._error)

    def _shoot_all(self, job: Job) -> None:
        state = self._journal.state
        assert state is not None
        folder = None if state.folder is None else Path(state.folder)
        begun, slot = time.monotonic(), 0
        while not self._stopping.is_set() and self._error is None and self._left(state) > 0:
            slot = self._wait_for_slot(begun, slot, state.interval_s)
            self._wait_for_writer(_MOST_UNWRITTEN)
            if self._stopping.is_set() or self._error is not None or self._left(state) <= 0:
                continue
            notes = {"sequence": state.id}
            wish = Wish(state.kind, state.format, folder=folder, notes=notes)
            if self._disk_answers(wish):
                self._shoot(wish, job, state.id)

    def _disk_answers(self, wish: Wish) -> bool:
        """Whether there is room; False while the disk does not answer, and for as long as that is waited for."""
        try:
            self._captures.require_room(wish)
        except DiskSilent:
            self._silent_since = self._silent_since or time.monotonic()
            if time.monotonic() - self._silent_since > _WRITTEN_WITHIN_S:
                raise
            self._stopping.wait(_LOOK_EVERY_S)
            return False
        self._silent_since = None
        return True

    def _left(self, state: SequenceState) -> float:
        with self._changed:  # a frame counts once: as not yet written, or as taken
            now = self._journal.state
            taken = now.taken if now is not None else 0
            return math.inf if state.limit == 0 else state.limit - taken - self._unwritten

    def _wait_for_slot(self, begun: float, slot: int, interval_s: float) -> int:
        """Shot k is due at begun + k intervals; those that were missed are left out, never caught up with."""
        if interval_s == 0:
            return slot
        slot = max(slot, math.ceil((time.monotonic() - begun) / interval_s - 1e-6))
        self._stopping.wait(max(begun + slot * interval_s - time.monotonic(), 0))
        return slot + 1

    def _shoot(self, wish: Wish, job: Job, id: str) -> None:
        """One shot; when the camera is lost, wait until it is back, or told to stop."""
        captured = threading.Event()
        with self._changed:
            self._unwritten += 1
        outcome = Outcome(
            written=lambda result: self._written(id, result["name"], job, captured),
            failed=lambda error: self._failed(error, captured),
            before=lambda name: self._journal.writing(id, name),
        )
        try:
            shot = self._captures.shoot(wish, outcome, captured.set)
        except ObservatoryError as error:
            self._failed(error, captured)
            self._stopping.wait(_LOOK_EVERY_S)
            return
        self._wait_for_frame(shot, captured)
        self._progress_at = time.monotonic()

    def _wait_for_frame(self, shot: Shot, captured: threading.Event) -> None:
        """Until it is there or lost; the bound is for a camera that neither brings it nor fails."""
        until = time.monotonic() + _BEYOND_ITS_FRAME_S
        while not captured.wait(_LOOK_EVERY_S):
            if self._stopping.is_set() or time.monotonic() > until + 2 * self._worker.frame_s:
                if self._worker.cancel(shot):
                    self._failed(DeviceLost("the frame has not come"), captured)
                return  # else it is being taken, or was lost, and its outcome is told

    def _wait_for_writer(self, fewer_than: int) -> None:
        """Until fewer frames wait to be written, or it is told to stop, which does not count for the last of them.

        Raises CommandFailed if that does not get on.
        """
        with self._changed:
            while self._unwritten >= fewer_than and not (fewer_than > 1 and self._stopping.is_set()):
                left_s = self._progress_at + _WRITTEN_WITHIN_S - time.monotonic()
                if left_s <= 0:
                    waiting = f"{self._unwritten} of its frames are not written"
                    raise CommandFailed(f"{waiting}: the disk has taken nothing for {_WRITTEN_WITHIN_S:g} s")
                self._changed.wait(left_s)

    def _written(self, id: str, name: str, job: Job, captured: threading.Event) -> None:
        with self._changed:
            state = self._journal.written(id, name)
            self._settled()
        if state is not None and state.limit:
            job.progress(state.taken / state.limit)
        captured.set()

    def _failed(self, error: ObservatoryError, captured: threading.Event) -> None:
        if not isinstance(error, (NotConnected, DeviceLost)):  # those are waited for
            self._error = self._error or error
        self._settled()
        captured.set()

    def _settled(self) -> None:
        with self._changed:
            self._unwritten -= 1
            self._progress_at = time.monotonic()
            self._changed.notify_all()
