"""The one thread that owns the camera: opens it, hands its frames on, opens it again when it fails."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Protocol

from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Request
from observatory_camerad.hub import FrameHub
from observatory_common.errors import DeviceLost, NotConnected, ObservatoryError

log = logging.getLogger("camerad.worker")

_LOOK_EVERY_S = 0.5
_STALLED_AFTER_S = 2.0  # and two frame durations
_BACK_OFF_S = (0.2, 2.0)


class Capture(Protocol):
    """Somebody who waits for a frame. Both are called in the camera's thread and must be quick."""

    def frame(self, request: Request) -> None:
        """Here it is; what is needed of it must be copied."""

    def lost(self, error: ObservatoryError) -> None:
        """It will not come."""


class Worker:
    """Runs the camera. What it knows is read from other threads without waiting."""

    def __init__(self, driver: CameraDriver, configuration: Configuration, hubs: Mapping[str, FrameHub]) -> None:
        self.capabilities: Capabilities | None = None
        self.configuration: Configuration | None = None
        self.metadata: Mapping[str, Any] = {}
        self.frames = 0
        self.frame_at: float | None = None
        self.last_error: str | None = None
        self._driver = driver
        self._wanted_configuration = configuration
        self._hubs = hubs
        self._lock = threading.Lock()
        self._captures: list[Capture] = []
        self._controls: dict[str, Any] = {}
        self._changes: dict[str, Any] = {}
        self._wanted = True
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._progress_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="camerad-worker", daemon=True)

    # from any thread

    @property
    def state(self) -> str:
        """`offline` (told to be), `connecting`, `streaming`."""
        if not self._wanted:
            return "offline"
        return "streaming" if self.configuration is not None else "connecting"

    def start(self) -> None:
        """Begin to open the camera."""
        self._thread.start()

    def last_progress(self) -> float:
        """When it last showed life, on the monotonic clock."""
        return self._progress_at

    def close(self, deadline_s: float) -> None:
        """Let go of the camera and end the thread."""
        self._closing.set()
        self._driver.interrupt()
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            log.error("the camera's thread did not end within %g s", deadline_s)

    def want(self, open_it: bool) -> None:
        """Whether the camera is to be open."""
        self._wanted = open_it
        self._driver.interrupt()
        with self._changed:
            self._changed.wait_for(lambda: (self.configuration is not None) == open_it, 4.0)

    def capture(self, capture: Capture) -> None:
        """Give `capture` the next frame. Raises NotConnected without a camera."""
        with self._lock:
            if self.configuration is None:
                raise NotConnected(f"the camera is not there: {self.last_error or self.state}")
            self._captures.append(capture)

    def change(self, values: Mapping[str, Any]) -> None:
        """Have controls changed with the next frame, and again whenever the camera is opened."""
        with self._lock:
            self._controls.update(values)
            self._changes.update(values)

    # in its own thread

    def _run(self) -> None:
        pause_s = _BACK_OFF_S[0]
        while not self._closing.is_set():
            self._progress_at = time.monotonic()
            if not self._wanted:
                self._closing.wait(0.05)
                continue
            try:
                self._open()
                pause_s = _BACK_OFF_S[0]
                self._stream()
            except ObservatoryError as error:
                self._failed(error)
            except Exception as error:
                log.exception("unexpected error of the camera")
                self._failed(error)
            finally:
                self._shut(DeviceLost(f"the camera was lost: {self.last_error}"))
            if self._wanted and not self._closing.wait(pause_s):
                pause_s = min(pause_s * 2, _BACK_OFF_S[1])

    def _open(self) -> None:
        self.capabilities = self._driver.open()
        configuration = self._driver.configure(self._wanted_configuration)
        with self._lock:
            self._changes = dict(self._controls)
            self.configuration = configuration
        self.last_error = None
        with self._changed:
            self._changed.notify_all()
        log.info("the camera is open: %s", self.capabilities.model)

    def _stream(self) -> None:
        last_at = time.monotonic()
        frame_s = 0.1
        while self._wanted and not self._closing.is_set():
            self._progress_at = time.monotonic()
            with self._lock:
                changes, self._changes = self._changes, {}
            if changes:
                self._driver.set_controls(changes)
            request = self._driver.next_request(_LOOK_EVERY_S)
            now = time.monotonic()
            if request is None:
                if now - last_at > _STALLED_AFTER_S + 2 * frame_s:
                    raise DeviceLost(f"no frame for {now - last_at:.1f} s")
                continue
            try:
                last_at, frame_s = now, request.metadata.get("FrameDuration", 100_000) / 1e6
                self._hand_on(request)
            finally:
                request.release()

    def _hand_on(self, request: Request) -> None:
        self.frames += 1
        self.frame_at, self.metadata = time.monotonic(), request.metadata
        with self._lock:
            captures, self._captures = self._captures, []
        for capture in captures:
            capture.frame(request)
        for hub in self._hubs.values():
            hub.publish(request)

    def _failed(self, error: Exception) -> None:
        if str(error) != self.last_error:
            log.error("%s", error)
        self.last_error = str(error)

    def _shut(self, error: DeviceLost) -> None:
        with self._lock:
            self.configuration = None
            captures, self._captures = self._captures, []
        try:
            self._driver.close()
        except (ObservatoryError, OSError) as failure:
            log.error("closing the camera: %s", failure)
        for capture in captures:
            capture.lost(error)
        with self._changed:
            self._changed.notify_all()
