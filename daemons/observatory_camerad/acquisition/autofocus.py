"""A cycle of the lens's own autofocus, as a job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.controls import settled_values
from observatory_camerad.settings import Settings
from observatory_common.errors import Blocked, CommandFailed, DeviceLost, NotConnected, ObservatoryError, TimedOut
from observatory_common.jobs import Job, JobTable

log = logging.getLogger("camerad.autofocus")

_SCANNING, _FOCUSED, _FAILED = 1, 2, 3  # libcamera's AfState
_MANUAL, _CONTINUOUS = 0, 2  # AfMode
_START = {"AfMode": 1, "AfTrigger": 0}
_CANCEL = {"AfTrigger": 1}
_WITHIN_S = 5.0  # and
_WITHIN_FRAMES = 80


class Autofocus:
    """One cycle at a time; watches the frames for its end.

    The lens then stays where it is sharp, with AfMode Manual, also after a restart; but a camera that focuses continuously
    goes on to do so.
    """

    def __init__(self, worker: Worker, settings: Settings, jobs: JobTable) -> None:
        self._worker = worker
        self._settings = settings
        self._jobs = jobs
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._scanned = False
        self._since = 0.0

    def start(self, caller: str) -> Job:
        """Begin. Moves the lens. Raises NotConnected, Blocked, CommandFailed for a camera without."""
        session = self._worker.require()
        if "autofocus" not in session.capabilities.features:
            raise CommandFailed("this camera has no autofocus", value="autofocus", allowed="a camera with a focus motor")
        with self._lock:
            if self._job is not None:
                raise Blocked("the camera is focusing already")
            self._scanned = False  # before the camera's thread sees that there is a job
            self._since = time.monotonic()
            job = self._job = self._jobs.start("autofocus", caller, cancel=self._cancel)
        try:
            self._worker.change(_START)
        except NotConnected as error:  # lost since, and `lost` may have been told before there was a job
            self._end("lost_device", None, error)
            raise
        if job.state != "running":  # it was cancelled, or the camera lost, before it began
            self._restore(_CANCEL)
        return job

    def require_idle(self) -> None:
        """Raise Blocked while the lens is being moved."""
        if self._job is not None:
            raise Blocked("the camera is focusing; cancel that first")

    def offer(self, frame: Frame) -> None:
        """A frame, in the camera's thread."""
        if self._job is None:
            return
        state = frame.metadata.get("AfState")
        self._scanned = self._scanned or state == _SCANNING
        if self._scanned and state in (_FOCUSED, _FAILED):
            position = frame.metadata.get("LensPosition")
            result = {
                "focused": state == _FOCUSED,
                "LensPosition": position,
                "FocusFoM": frame.metadata.get("FocusFoM"),
            }
            if state == _FOCUSED:
                self._keep(position)
                self._end("succeeded", result)
            else:
                self._restore()
                self._end("failed", result, CommandFailed("nothing sharp was found"))
        elif time.monotonic() - self._since > (within_s := _WITHIN_S + _WITHIN_FRAMES * frame.duration_s):
            self._restore(_CANCEL)
            self._end("timed_out", None, TimedOut(f"the camera did not focus within {_WITHIN_FRAMES} frames ({within_s:g} s)"))

    def lost(self, why: str) -> None:
        """The camera has gone."""
        self._end("lost_device", None, DeviceLost(f"the camera was lost: {why}"))

    def _cancel(self) -> None:
        self._restore(_CANCEL)
        self._end("stopped")

    def _keep(self, position: float | None) -> None:
        if position is None or self._settings.controls().get("AfMode") == _CONTINUOUS:
            self._restore()
            return
        values = {"AfMode": _MANUAL, "LensPosition": position}
        try:
            self._settings.remember(values)
        except CommandFailed as error:
            log.error("where the lens is sharp is not kept for the next start: %s", error)
        self._change(values)

    def _restore(self, first: Mapping[str, int] | None = None) -> None:
        """The mode and place from before."""
        if first is not None:
            self._change(first)
        session = self._worker.session
        if session is not None:
            self._change(settled_values(("AfMode", "LensPosition"), self._settings.controls(), session.capabilities.controls))

    def _change(self, values: Mapping[str, Any]) -> None:
        try:
            self._worker.change(values)
        except NotConnected:
            pass  # `lost` says so

    def _end(self, how: str, result: dict[str, object] | None = None, error: ObservatoryError | None = None) -> None:
        with self._lock:
            job, self._job = self._job, None
        if job is not None:
            job.finish(how, result, error)
