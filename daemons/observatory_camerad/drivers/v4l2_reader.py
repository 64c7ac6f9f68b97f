"""The thread that reads frames for the V4L2 driver. Every call of OpenCV's video library is made in it, and in no other.

The library may block longer than it was asked to; whoever waits for the thread waits with a deadline.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from observatory_camerad.drivers.base import SensorMode, Size
from observatory_common.errors import DeviceLost, NotConnected, ObservatoryError
from observatory_common.timestamps import boot_and_wall_ns

if TYPE_CHECKING:
    import cv2
    import numpy as np

log = logging.getLogger("camerad.v4l2")

_LIBRARY_OPEN_MS = 5000
_LIBRARY_READ_MS = 3000
_FAILED_READS = 3  # of a device: a USB camera may deliver a damaged frame now and then
_UNKNOWN_FRAME_US = 40_000  # how a file that does not say its frame rate is played


@dataclass(frozen=True)
class Source:
    """What is read: `kind` is device, file or stream, `address` its path or URL."""

    kind: str
    address: str

    @classmethod
    def of(cls, name: str | int) -> Source:
        """A number is /dev/videoN. Raises NotConnected for a path at which there is nothing, or what is not to be read."""
        text = str(name)
        if "://" in text:
            return cls("stream", text)
        path = Path(f"/dev/video{text}" if text.isdecimal() else text)
        try:
            if path.is_char_device():
                return cls("device", str(path.resolve()))
            with path.open("rb"):
                return cls("file", str(path))
        except OSError as error:
            raise NotConnected(f"{path} cannot be read: {error.strerror or error}", value=text) from error


@dataclass(frozen=True)
class Captured:
    """A frame as it came: blue, green, red; when it came, by the boot's clock and since 1970; what the device says of it."""

    pixels: np.ndarray
    boot_ns: int
    wall_ns: int
    frame_us: int | None
    readings: Mapping[str, Any] = field(default_factory=dict)


class Reader:
    """Opens a source, keeps its newest frame, gives it up when told to. `changed` is notified of all that happens."""

    def __init__(
        self,
        source: Source,
        changed: threading.Condition,
        mode: Callable[[], SensorMode | None] = lambda: None,
        readings: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self.size: Size = (0, 0)
        self.own_frame_us: int | None = None
        self.ready = False
        self.error: ObservatoryError | None = None
        self._source = source
        self._changed = changed
        self._mode = mode  # called in the thread: a device is asked what it can do
        self._readings = readings
        self._newest: Captured | None = None
        self._frame_us: int | None = None
        self._frame_us_changed = False
        self._next_at = 0.0
        self._last_ns: int | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="v4l2-reader", daemon=True)

    # from the driver's thread

    def start(self) -> None:
        """Begin to open the source."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether its thread runs, or is stuck."""
        return self._thread.is_alive()

    def take(self) -> Captured | None:
        """The newest frame, once. Hold `changed`."""
        captured, self._newest = self._newest, None
        return captured

    @property
    def has_frame(self) -> bool:
        """Whether `take` has something to give."""
        return self._newest is not None

    def pace(self, frame_us: int) -> None:
        """Have a file played, or a device asked, at a frame every so many microseconds."""
        self._frame_us = frame_us
        self._frame_us_changed = True

    def close(self, timeout_s: float) -> bool:
        """End the thread; False if it did not end within `timeout_s` seconds."""
        self._ending.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # in its own thread

    def _run(self) -> None:
        import cv2

        error: ObservatoryError = DeviceLost(f"the reading of {self._source.address} has ended")
        try:
            capture = self._open()
            try:
                self._read_on(capture)
            finally:
                capture.release()
        except ObservatoryError as failure:
            error = failure
        except (cv2.error, OSError) as failure:
            kind = DeviceLost if self.ready else NotConnected
            error = kind(f"{self._source.address}: {failure}")
        finally:
            with self._changed:
                self.error = error
                self._changed.notify_all()

    def _open(self) -> cv2.VideoCapture:
        import cv2

        capture = self._capture()
        if not capture.isOpened():
            capture.release()
            raise NotConnected(f"{self._source.address} {_WHY_NOT[self._source.kind]}", value=self._source.address)
        self.own_frame_us = _frame_us(capture.get(cv2.CAP_PROP_FPS), self._source.kind)
        return capture

    def _capture(self) -> cv2.VideoCapture:
        import cv2

        if self._source.kind != "device":
            limits = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _LIBRARY_OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _LIBRARY_READ_MS)
            return cv2.VideoCapture(self._source.address, cv2.CAP_FFMPEG, limits)
        mode = self._mode()
        capture = cv2.VideoCapture(self._source.address, cv2.CAP_V4L2)
        if mode is not None and capture.isOpened():
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.format.ljust(4)[:4]))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, mode.size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, mode.size[1])
            if mode.shortest_frame_us > 1:
                capture.set(cv2.CAP_PROP_FPS, 1e6 / mode.shortest_frame_us)
        return capture

    def _read_on(self, capture: cv2.VideoCapture) -> None:
        self._next_at = time.monotonic()
        while not self._ending.is_set():
            if self._source.kind == "file" and not self._wait_for_turn():
                return
            if self._source.kind == "device" and self._frame_us_changed:
                self._set_rate(capture)
            pixels = self._frame(capture)
            boot_ns, wall_ns = boot_and_wall_ns()
            captured = Captured(pixels, boot_ns, wall_ns, self._duration_us(boot_ns), self._readings())
            with self._changed:
                self._newest = captured
                self.size = (pixels.shape[1], pixels.shape[0])
                self.ready = True
                self._changed.notify_all()

    def _wait_for_turn(self) -> bool:
        """Wait until the next frame of a file is due; what is late is not made up for. False if told to end."""
        frame_s = (self._frame_us or self.own_frame_us or _UNKNOWN_FRAME_US) / 1e6
        if self._ending.wait(max(self._next_at - time.monotonic(), 0)):
            return False
        self._next_at = max(self._next_at, time.monotonic() - frame_s) + frame_s
        return True

    def _duration_us(self, boot_ns: int) -> int | None:
        """How long a frame is: for a file as it is played, else since the one before."""
        before, self._last_ns = self._last_ns, boot_ns
        if self._source.kind == "file":
            return self._frame_us or self.own_frame_us or _UNKNOWN_FRAME_US
        return None if before is None else max((boot_ns - before) // 1000, 1)

    def _set_rate(self, capture: cv2.VideoCapture) -> None:
        import cv2

        self._frame_us_changed = False
        if self._frame_us and not capture.set(cv2.CAP_PROP_FPS, 1e6 / self._frame_us):
            log.warning("%s does not take a frame every %d us", self._source.address, self._frame_us)

    def _frame(self, capture: cv2.VideoCapture) -> np.ndarray:
        """The next frame. Raises DeviceLost where there will be none, NotConnected if there never was one."""
        import cv2

        for pixels in self._attempts(capture):
            if pixels is not None and pixels.size:
                return cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if pixels.ndim == 2 or pixels.shape[2] == 1 else pixels
        kind = DeviceLost if self.ready else NotConnected
        raise kind(f"{self._source.address} {_NO_FRAME[self._source.kind]}", value=self._source.address)

    def _attempts(self, capture: cv2.VideoCapture) -> Iterator[np.ndarray | None]:
        import cv2

        yield capture.read()[1]
        if self._source.kind == "file":
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            yield capture.read()[1]
        elif self._source.kind == "device":
            for _ in range(_FAILED_READS - 1):
                if self._ending.is_set() or not Path(self._source.address).exists():
                    return
                yield capture.read()[1]


_WHY_NOT = {
    "device": "is no camera, or another program has it",
    "file": "is no video that can be read",
    "stream": f"is no video stream, or does not answer within {_LIBRARY_OPEN_MS / 1000:g} s",
}
_NO_FRAME = {
    "device": "delivers no frames: it is gone, or does not answer",
    "file": "holds no frame that can be read",
    "stream": f"has ended, or does not answer within {_LIBRARY_READ_MS / 1000:g} s",
}


def _frame_us(frames_per_s: float, kind: str) -> int | None:
    """What a source says of its frame rate, if it can be believed."""
    if 0.01 <= frames_per_s <= 1000:
        return round(1e6 / frames_per_s)
    return _UNKNOWN_FRAME_US if kind == "file" else None
