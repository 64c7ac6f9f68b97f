"""Live frames: the latest of each stream wins, is encoded once for all who look, and only while somebody looks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory_camerad import wire
from observatory_camerad.acquisition.frames import Frame
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("camerad.hub")

_LOOKS_FOR_S = 10.0  # after its last call a viewer counts for so long
LONGEST_WAIT_S = 10.0

Encode = Callable[["np.ndarray", str], bytes]


@dataclass(frozen=True)
class LiveFrame:
    """An encoded frame, and its metadata as they go over the wire.

    Its number is that of the camera's frame, which grows from 1 in each run of the daemon.
    """

    number: int
    jpeg: bytes
    metadata: Mapping[str, Any]
    date: str


class FrameHub:
    """One stream's latest frame, encoded by a thread of its own. `offer` belongs to the camera's thread.

    `on_event` is told `stream_started` and `stream_stopped`.
    """

    def __init__(
        self, stream: str, encode: Encode, now: Callable[[], str], on_event: Callable[[str, dict[str, Any]], None]
    ) -> None:
        self.stream = stream
        self._encode = encode
        self._now = now
        self._on_event = on_event
        # One lock, two who wait: a viewer's call must not wake the encoder and all other viewers.
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        self._work = threading.Condition(lock)
        self._offered: tuple[Frame, np.ndarray, str] | None = None
        self._encoding: Frame | None = None
        self._latest: LiveFrame | None = None
        self._wanted_until = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=f"camerad-live-{stream}", daemon=True)

    @property
    def watched(self) -> bool:
        """Whether somebody has looked in the last 10 s."""
        return time.monotonic() < self._wanted_until

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """A frame, which replaces one that the encoder has not begun yet. Waits for nobody."""
        stream = frame.configuration.streams.get(self.stream)
        if stream is None or not self.watched:
            return
        pixels = frame.array(self.stream)
        with self._changed:
            self._offered = (frame, pixels, stream.format)
            self._work.notify_all()

    def newer_than(self, number: int, timeout_s: float) -> LiveFrame | None:
        """The latest frame if its number is above `number`, as soon as there is one; None after `timeout_s` seconds."""
        with self._changed:
            was_watched = self.watched
            self._wanted_until = time.monotonic() + timeout_s + _LOOKS_FOR_S
            if not was_watched:
                self._latest = self._offered = None  # as old as the last viewer; a frame may have been on its way then
                self._work.notify_all()
            self._changed.wait_for(
                lambda: self._closed or (self._latest is not None and self._latest.number > number), timeout_s
            )
            self._wanted_until = time.monotonic() + _LOOKS_FOR_S  # others who wait do so for 10 s at most
            latest = self._latest
            return latest if latest is not None and latest.number > number else None

    def forget(self) -> None:
        """The camera has gone: what was seen last is no live picture any more."""
        with self._changed:
            self._latest = self._offered = self._encoding = None

    def close(self, deadline_s: float = 1.0) -> None:
        """Wake everybody who waits, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._work.notify_all()
        if self._thread.is_alive():
            self._thread.join(deadline_s)

    def _run(self) -> None:
        while self._wait_for_viewer():
            self._on_event("stream_started", {"stream": self.stream})
            while (offered := self._next()) is not None:
                frame, pixels, stream_format = offered
                try:
                    jpeg = self._encode(pixels, stream_format)
                except CommandFailed as error:
                    log.error("stream %s: %s", self.stream, error)
                    continue
                live = LiveFrame(frame.number, jpeg, wire.metadata(frame.metadata), self._now())
                with self._changed:
                    if self._encoding is not frame:  # forgotten meanwhile
                        continue
                    self._latest = live
                    self._changed.notify_all()
            self._on_event("stream_stopped", {"stream": self.stream})

    def _wait_for_viewer(self) -> bool:
        with self._changed:
            while not self._closed and not self.watched:
                self._work.wait()  # for newer_than or close
            return not self._closed

    def _next(self) -> tuple[Frame, np.ndarray, str] | None:
        """The frame to be encoded; None when nobody looks any more."""
        with self._changed:
            while self._offered is None:
                left_s = self._wanted_until - time.monotonic()
                if self._closed or left_s <= 0:
                    return None
                self._work.wait(left_s)
            offered, self._offered = self._offered, None
            self._encoding = offered[0]
            return offered
