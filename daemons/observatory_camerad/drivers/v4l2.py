"""A USB camera, a video file or a network stream, through OpenCV; a device's controls and modes through linuxpy.

Streams are scaled from one captured frame, so that all of a request belong together. Flips and ScalerCrop are done here,
in pixels of the source's largest mode. There is no raw stream.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from observatory_camerad.drivers import v4l2_controls
from observatory_camerad.drivers.base import (
    CameraDriver,
    Capabilities,
    Configuration,
    ControlInfo,
    Rectangle,
    Request,
    SensorMode,
    Size,
    Stream,
)
from observatory_camerad.drivers.v4l2_reader import Captured, Reader, Source
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("camerad.v4l2")

_FORMATS = ("RGB888", "BGR888", "YUV420")
_STREAMS = ("main", "lores")
_OPEN_S = 12.0  # more than the library is allowed
_CLOSE_S = 4.0  # more than the library may take for a frame
_SMALLEST = 16  # pixels of a side that can be zoomed into
_FILE_FRAME_US = (1000, 10_000_000)


class V4l2Driver(CameraDriver):
    """A device (`/dev/video0`, a link to it, its number), a file that is played in a loop at its own pace, or a URL.

    No call waits for the library longer than 12 s (open, configure) or 4 s (close), even if the library hangs.
    """

    def __init__(self, source: str | int) -> None:
        self._name = source
        self._changed = threading.Condition()
        self._interrupted = False
        self._source: Source | None = None
        self._reader: Reader | None = None
        self._stuck: Reader | None = None
        self._device: Any = None
        self._device_controls: v4l2_controls.DeviceControls | None = None
        self._modes: tuple[SensorMode, ...] = ()
        self._model = ""
        self._mode = 0
        self._controls: dict[str, ControlInfo] = {}
        self._crop: Rectangle | None = None
        self._configuration: Configuration | None = None

    def open(self) -> Capabilities:
        """Take the source and wait for its first frame. Raises NotConnected, with the reason."""
        if self._reader is not None:
            raise NotConnected(f"{self._name} is open already", value=self._name)
        if self._stuck is not None and self._stuck.alive:
            raise NotConnected(f"{self._name} is still held by a read that does not return", value=self._name)
        source = Source.of(self._name)
        self._let_go_of_device()
        self._modes, self._crop, self._mode, self._source = (), None, 0, source
        with self._changed:
            self._interrupted = False
        size = self._start(self._describe if source.kind == "device" else lambda: None)
        own_us = self._reader.own_frame_us if self._reader is not None else None
        if not self._modes:
            self._modes = (SensorMode(size, 8, "BGR888", (0, 0, *size), own_us or 1, (0, 0)),)
            self._model = source.kind
        self._controls = self._known_controls(own_us)
        sensor = self._sensor_size()
        return Capabilities(
            driver="v4l2",
            model=self._model,
            location=source.address,
            sensor_size=sensor,
            pixel_size_um=None,
            bayer_pattern=None,
            modes=self._modes,
            controls=self._controls,
            streams=dict.fromkeys(_STREAMS, _FORMATS),
            features=frozenset({"autofocus"} if "AfMode" in self._controls else ()),
            control_delay_frames=8 if source.kind == "device" else 3,
        )

    def close(self) -> None:
        """Let go. Raises DeviceLost if the library does not return; its thread is then given up."""
        self._configuration = None
        try:
            self._stop()
        finally:
            self._let_go_of_device()

    def configure(self, wanted: Configuration, controls: Mapping[str, Any] | None = None) -> Configuration:
        """Any even size up to the source's. Raises CommandFailed, and what `open` raises if another mode is taken."""
        self._require()
        number = wanted.mode or 0
        if not 0 <= number < len(self._modes):
            raise CommandFailed(f"there is no mode {number}, expected 0 to {len(self._modes) - 1}", value=number)
        mode = self._modes[number]
        streams = {name: _stream(name, stream, mode.size) for name, stream in wanted.streams.items()}
        if number != self._mode:
            self._configuration = None
            self._stop()
            self._mode = number
            self._start(lambda: mode)
        with self._changed:
            self._require().take()  # it was captured before
        self._configuration = Configuration(streams, number, wanted.buffer_count, wanted.hflip, wanted.vflip)
        self.set_controls(controls or {})
        return self._configuration

    def set_controls(self, values: Mapping[str, Any]) -> None:
        """All or none, as far as the device takes what its ranges allow. Raises CommandFailed, DeviceLost."""
        reader = self._require()
        for name, value in values.items():
            if name not in self._controls:
                raise CommandFailed(f"this camera has no control {name}", value=name, allowed=", ".join(self._controls))
            v4l2_controls.refuse_unless_allowed(name, value, self._controls[name])
        of_device = {name: value for name, value in values.items() if name not in ("ScalerCrop", "FrameDurationLimits")}
        if of_device and self._device_controls is not None:
            self._device_controls.set(of_device)
        if "ScalerCrop" in values:
            self._crop = fitted(tuple(values["ScalerCrop"]), self._sensor_size())
        if "FrameDurationLimits" in values:
            shortest_us, longest_us = values["FrameDurationLimits"]
            own_us = reader.own_frame_us or shortest_us
            reader.pace(int(max(shortest_us, min(own_us, longest_us))))

    def next_request(self, timeout_s: float) -> Request | None:
        """The newest frame that was not taken yet; what came in between is skipped."""
        reader = self._require()
        if self._configuration is None:
            raise CommandFailed("the camera is not configured")
        with self._changed:
            self._changed.wait_for(lambda: reader.has_frame or reader.error or self._interrupted, timeout_s)
            if self._interrupted:
                self._interrupted = False
                return None
            captured = reader.take()
            if captured is None:
                if reader.error is not None:
                    raise DeviceLost(str(reader.error))
                return None
        return _V4l2Request(captured, self._configuration, self._crop_for(captured), self._sensor_size())

    def interrupt(self) -> None:
        """Wake `next_request`, or end a waiting `open`."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def _require(self) -> Reader:
        if self._reader is None:
            raise NotConnected(f"{self._name} is not open", value=self._name)
        return self._reader

    def _start(self, mode: Callable[[], SensorMode | None]) -> Size:
        """A new reader, once it has its first frame; that frame's size."""
        assert self._source is not None
        controls = self._readings if self._source.kind == "device" else dict
        reader = self._reader = Reader(self._source, self._changed, mode, controls)
        reader.start()
        with self._changed:
            self._changed.wait_for(lambda: reader.ready or reader.error or self._interrupted, _OPEN_S)
            if reader.ready:
                return reader.size
        error = reader.error
        if error is None:
            why = "opening was interrupted" if self._interrupted else f"no frame came within {_OPEN_S:g} s"
            error = NotConnected(f"{self._name}: {why}", value=self._name)
        try:
            self.close()
        except DeviceLost as stuck:
            raise NotConnected(f"{error}; {stuck}") from error
        raise error

    def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.close(_CLOSE_S):
            self._stuck = reader
            log.error("%s: the library does not return from a read, its thread is given up", self._name)
            raise DeviceLost(f"{self._name} does not return from a read")

    def _let_go_of_device(self) -> None:
        device, self._device, self._device_controls = self._device, None, None
        if device is not None:
            device.close()

    def _describe(self) -> SensorMode | None:
        """In the reader's thread, since a device may be slow to say what it is."""
        assert self._source is not None
        found = v4l2_controls.described(self._source.address)
        self._device, self._device_controls, self._modes, self._model = found
        return self._modes[0] if self._modes else None

    def _readings(self) -> Mapping[str, Any]:
        controls = self._device_controls
        return {} if controls is None else controls.readings()

    def _sensor_size(self) -> Size:
        return max((mode.size for mode in self._modes), key=lambda size: size[0] * size[1])

    def _known_controls(self, own_us: int | None) -> dict[str, ControlInfo]:
        size = self._sensor_size()
        controls = {} if self._device_controls is None else dict(self._device_controls.infos)
        controls["ScalerCrop"] = ControlInfo(
            "int", 0, max(size), (0, 0, *size), "pixel", "x, y, width, height: zoom and pan, done in software", count=4
        )
        limits = self._frame_limits_us()
        if limits is not None:
            usual_us = min(max(own_us or limits[0], limits[0]), limits[1])
            controls["FrameDurationLimits"] = ControlInfo(
                "int",
                *limits,
                (usual_us, usual_us),
                "us",
                "shortest and longest frame; a device takes the nearest it has",
                count=2,
            )
        return controls

    def _frame_limits_us(self) -> tuple[int, int] | None:
        """What frames can last: any time in a file, what the device lists, or None where it is not ours to say."""
        if self._source is not None and self._source.kind == "file":
            return _FILE_FRAME_US
        known = [mode.shortest_frame_us for mode in self._modes if mode.shortest_frame_us > 1]
        if self._source is None or self._source.kind == "stream" or not known:
            return None
        return min(known), max(1_000_000, *known)

    def _crop_for(self, captured: Captured) -> Rectangle:
        """What was asked for, or as much of the source as has the shape of the main stream."""
        if self._crop is not None:
            return self._crop
        assert self._configuration is not None
        sensor = self._sensor_size()
        main = self._configuration.streams.get("main")
        return (0, 0, *sensor) if main is None else shaped_like(main.size, sensor)


class _V4l2Request(Request):
    """A captured frame; its streams are made when they are looked at."""

    def __init__(self, captured: Captured, configuration: Configuration, crop: Rectangle, sensor: Size) -> None:
        self._configuration = configuration
        self._pixels: np.ndarray | None = None
        height, width = captured.pixels.shape[:2]
        x, y, crop_width, crop_height = crop
        left, right = round(x * width / sensor[0]), round((x + crop_width) * width / sensor[0])
        top, bottom = round(y * height / sensor[1]), round((y + crop_height) * height / sensor[1])
        self._pixels = captured.pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
        self.metadata = {
            **captured.readings,
            "SensorTimestamp": captured.boot_ns,
            "FrameWallClock": captured.wall_ns,
            "ScalerCrop": crop,
        }
        if captured.frame_us is not None:
            self.metadata["FrameDuration"] = captured.frame_us

    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream, made anew by each call. Raises KeyError for one that is not configured."""
        import cv2

        wanted, pixels = self._configuration.streams[stream], self._pixels
        assert pixels is not None, "the request was released"
        if wanted.size == (pixels.shape[1], pixels.shape[0]):
            pixels = pixels.copy()
        else:
            smaller = wanted.size[0] < pixels.shape[1] or wanted.size[1] < pixels.shape[0]
            pixels = cv2.resize(pixels, wanted.size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        if self._configuration.hflip or self._configuration.vflip:
            both = self._configuration.hflip and self._configuration.vflip
            pixels = cv2.flip(pixels, -1 if both else 1 if self._configuration.hflip else 0)
        if wanted.format == "YUV420":
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)
        # libcamera names the bytes from the last to the first: its RGB888 has blue first, as OpenCV.
        return pixels if wanted.format == "RGB888" else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)

    def release(self) -> None:
        """Forget the pixels."""
        self._pixels = None


def fitted(crop: Rectangle, sensor: Size) -> Rectangle:
    """The crop as it can be had: at least 16 pixels a side, no larger than the sensor, moved inside it."""
    width, height = (min(max(side, _SMALLEST), whole) for side, whole in zip(crop[2:], sensor, strict=True))
    return min(crop[0], sensor[0] - width), min(crop[1], sensor[1] - height), width, height


def shaped_like(size: Size, sensor: Size) -> Rectangle:
    """The largest part of the sensor, from its middle, with the shape of a stream of that size."""
    width = min(sensor[0], round(sensor[1] * size[0] / size[1]))
    height = min(sensor[1], round(sensor[0] * size[1] / size[0]))
    return (sensor[0] - width) // 2, (sensor[1] - height) // 2, max(width, 1), max(height, 1)


def _stream(name: str, wanted: Stream, largest: Size) -> Stream:
    if name not in _STREAMS or wanted.format not in _FORMATS:
        raise CommandFailed(
            f"there is no stream {name} of format {wanted.format}", value=wanted.format, allowed=f"{_STREAMS}, {_FORMATS}"
        )
    size = (max(wanted.size[0], 2) & ~1, max(wanted.size[1], 2) & ~1)
    if size[0] > largest[0] or size[1] > largest[1]:
        raise CommandFailed(
            f"stream {name} is {size[0]}x{size[1]}, larger than the source's {largest[0]}x{largest[1]}", value=size
        )
    return Stream(size, wanted.format)
