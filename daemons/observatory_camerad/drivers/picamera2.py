"""A camera of a Raspberry Pi, or any other that libcamera knows, through the Picamera2 library."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from observatory_camerad.drivers.base import (
    CameraDriver,
    Capabilities,
    Configuration,
    ControlInfo,
    Rectangle,
    Request,
    SensorMode,
    Stream,
)
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

if TYPE_CHECKING:
    import numpy as np

_SLICE_S = 0.1  # an interrupt is noticed within this time
_FORMATS = ("RGB888", "BGR888", "YUV420")
#: Of these libcamera lists the limits of a single number, or no default to count.
_COUNTS = {"FrameDurationLimits": 2, "ColourGains": 2, "ScalerCrop": 4, "AfWindows": 4}
_REPEATED = frozenset({"AfWindows"})
_UNITS = {
    "ExposureTime": "us",
    "FrameDurationLimits": "us",
    "LensPosition": "dioptre",
    "ScalerCrop": "pixel",
    "AfWindows": "pixel",
}


class Picamera2Driver(CameraDriver):
    """The camera of a number in libcamera's list. Any error of the libraries becomes CommandFailed or DeviceLost."""

    def __init__(self, number: int = 0, tuning_file: str | None = None) -> None:
        self._number = number
        self._tuning_file = tuning_file
        self._camera: Any = None
        self._job: Any = None
        self._modes: tuple[SensorMode, ...] = ()
        self._interrupted = threading.Event()

    def open(self) -> Capabilities:
        """Take the camera. Raises NotConnected if there is none of this number, or somebody else has it."""
        from picamera2 import Picamera2

        found = Picamera2.global_camera_info()
        if self._number >= len(found):
            raise NotConnected(f"there is no camera {self._number}, libcamera finds {len(found)}")
        tuning = None if self._tuning_file is None else Picamera2.load_tuning_file(self._tuning_file)
        try:
            self._camera = Picamera2(self._number, tuning=tuning)
            return self._capabilities(found[self._number])
        except (RuntimeError, OSError, IndexError, ValueError) as error:
            self.close()
            raise NotConnected(f"camera {self._number} cannot be opened: {error}") from error

    def close(self) -> None:
        """Stop and let go."""
        camera, self._camera = self._camera, None
        if camera is not None:
            try:
                self._stop(camera)
            except RuntimeError as error:
                raise DeviceLost(f"the camera does not stop: {error}") from error
            finally:
                camera.close()

    def configure(self, wanted: Configuration, controls: Mapping[str, Any] | None = None) -> Configuration:
        """Stop, configure, start; sizes, formats and mode come back as libcamera has adjusted them."""
        from libcamera import Transform

        camera = self._require()
        sensor = self._sensor(wanted.mode)
        streams = {name: {"size": s.size, "format": s.format} for name, s in wanted.streams.items()}
        try:
            self._stop(camera)
            configuration = camera.create_preview_configuration(
                main=streams["main"],
                lores=streams.get("lores"),
                raw=streams.get("raw"),
                sensor=sensor,
                buffer_count=wanted.buffer_count,
                transform=Transform(hflip=wanted.hflip, vflip=wanted.vflip),
            )
            camera.configure(configuration)
            camera.set_controls(dict(controls or {}))
            camera.start()
        except (RuntimeError, ValueError, KeyError) as error:
            raise CommandFailed(f"the camera refuses this configuration: {error}") from error
        taken = camera.camera_configuration()
        actual = {name: Stream(tuple(taken[name]["size"]), str(taken[name]["format"])) for name in streams}
        transform = taken["transform"]
        mode = self._number_of(taken.get("sensor"))
        return Configuration(actual, mode, taken["buffer_count"], bool(transform.hflip), bool(transform.vflip))

    def set_controls(self, values: Mapping[str, Any]) -> None:
        """Queue them for the next request."""
        try:
            self._require().set_controls(dict(values))
        except (RuntimeError, ValueError) as error:
            raise CommandFailed(f"the camera refuses these controls: {error}") from error

    def next_request(self, timeout_s: float) -> Request | None:
        """The next completed request."""
        camera = self._require()
        until = time.monotonic() + timeout_s
        while not self._interrupted.is_set():
            try:
                self._job = self._job or camera.capture_request(wait=False)
                request = self._job.get_result(timeout=max(min(until - time.monotonic(), _SLICE_S), 0.001))
            except TimeoutError:
                if time.monotonic() >= until:
                    return None
                continue
            except RuntimeError as error:
                raise DeviceLost(f"the camera has failed: {error}") from error
            self._job = None
            return _Picamera2Request(request)
        self._interrupted.clear()
        return None

    def interrupt(self) -> None:
        """Wake `next_request`."""
        self._interrupted.set()

    def _require(self) -> Any:
        if self._camera is None:
            raise NotConnected("the camera is not open")
        return self._camera

    def _stop(self, camera: Any) -> None:
        """Stop it at once: Picamera2 does one thing after the other, and would first wait for the frame that was asked for."""
        job, self._job = self._job, None
        if job is not None:
            camera.cancel_all_and_flush()
            with suppress(CancelledError, TimeoutError, RuntimeError):
                job.get_result(timeout=_SLICE_S).release()  # it may have come already
        if camera.started:
            camera.stop()

    def _sensor(self, number: int | None) -> dict[str, Any]:
        """What to ask of the sensor: nothing where no mode is named, then Picamera2 goes by the size of raw, else of main."""
        if number is None or not self._modes:
            return {}
        if not 0 <= number < len(self._modes):
            raise CommandFailed(f"there is no sensor mode {number}, expected 0 to {len(self._modes) - 1}", value=number)
        return {"output_size": self._modes[number].size, "bit_depth": self._modes[number].bit_depth}

    def _number_of(self, sensor: Mapping[str, Any] | None) -> int | None:
        """The number of the mode that libcamera has taken."""
        taken = (tuple(sensor["output_size"]), sensor["bit_depth"]) if sensor else None
        return next((n for n, mode in enumerate(self._modes) if (mode.size, mode.bit_depth) == taken), None)

    def _capabilities(self, found: Mapping[str, Any]) -> Capabilities:
        camera = self._camera
        properties = camera.camera_properties
        controls = {
            name: control_info(name, low, high, default, _values_of(name))
            for name, (low, high, default) in camera.camera_controls.items()
        }
        modes = self._modes = tuple(_mode(mode) for mode in camera.sensor_modes if "size" in mode)
        size = tuple(properties.get("PixelArraySize") or max((mode.size for mode in modes), default=(0, 0)))
        cell = properties.get("UnitCellSize")
        raw_formats = tuple(dict.fromkeys(mode.format for mode in modes))
        pattern = raw_formats[0][1:5] if raw_formats and raw_formats[0].startswith("S") else None
        features = {"raw"} if raw_formats else set()
        features |= {"autofocus"} if "AfMode" in controls else set()
        features |= {"bayer"} if pattern is not None else set()
        return Capabilities(
            driver="picamera2",
            model=str(properties.get("Model", found.get("Model", "unknown"))),
            location=str(found.get("Id", "")),
            sensor_size=(int(size[0]), int(size[1])),
            pixel_size_um=cell[0] / 1000 if cell else None,
            bayer_pattern=pattern,
            modes=modes,
            controls=controls,
            streams={"main": _FORMATS, "lores": _FORMATS, "raw": raw_formats},
            features=frozenset(features),
        )


class _Picamera2Request(Request):
    """A completed request of Picamera2."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self.metadata = request.get_metadata()

    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream; raw ones as the 16-bit numbers that its bytes are, less the zeros below a Pi 5's."""
        import numpy as np

        config = self._request.config
        if stream not in config or config[stream] is None:
            raise KeyError(stream)
        pixels: np.ndarray = self._request.make_array(stream)
        if stream == "raw" and pixels.dtype == np.uint8:
            if depth_of(config["raw"]["format"]) == 8:
                return pixels.astype(np.uint16)
            pixels = pixels.view(np.uint16)
            if padding := padding_bits(config["raw"]["format"], config.get("sensor")):
                pixels >>= padding
        return pixels

    def release(self) -> None:
        """Give the buffers back."""
        request, self._request = self._request, None
        if request is not None:
            request.release()


def padding_bits(raw_format: str, sensor: Mapping[str, Any] | None) -> int:
    """How many zeros are below the sensor's bits in the numbers of an unpacked raw format, such as SRGGB16.

    A Pi 5 fills 16 bits from the top, older ones do not: "Unpacked format details" of Raspberry Pi's camera documentation,
    https://www.raspberrypi.com/documentation/computers/camera_software.html.
    """
    depth = depth_of(raw_format)
    return 0 if depth is None or not sensor else max(depth - sensor["bit_depth"], 0)


def depth_of(raw_format: str) -> int | None:
    """Bits of a number of an unpacked raw format, 12 of SRGGB12; None of any other format."""
    found = re.fullmatch(r"S?[RGB]+(\d+)", raw_format)
    return None if found is None else int(found[1])


def control_info(name: str, minimum: Any, maximum: Any, default: Any, values: Mapping[str, int]) -> ControlInfo:
    """A control as libcamera lists it: its type and number of values follow from its limits."""
    sample = next((_flat(value) for value in (default, minimum, maximum) if value is not None), [0]) or [0]
    count = _COUNTS.get(name, len(sample))
    first = sample[0]
    low, high = _bound(minimum, min), _bound(maximum, max)
    kind = "bool" if isinstance(first, bool) else "float" if isinstance(first, float) else "int"
    unit = _UNITS.get(name, "")
    return ControlInfo(kind, low, high, default, unit, count=count, values=values, repeated=name in _REPEATED)


def _flat(value: Any) -> list[Any]:
    """The numbers of a value that may be a number, a tuple, or a tuple of tuples."""
    return [number for part in value for number in _flat(part)] if isinstance(value, (tuple, list)) else [value]


def _bound(value: Any, choose: Callable[[list[Any]], Any]) -> float | None:
    """A bound of each number of a control, from the bound of all of them: that of a rectangle has four."""
    numbers = [] if value is None else _flat(value)
    return choose(numbers) if numbers else None


def _values_of(name: str) -> dict[str, int]:
    from libcamera import controls

    enumeration = getattr(controls, f"{name}Enum", None)
    return {} if enumeration is None else {word: int(value) for word, value in enumeration.__members__.items()}


def _mode(mode: Mapping[str, Any]) -> SensorMode:
    width, height = mode["size"]
    crop: Rectangle = tuple(mode.get("crop_limits") or (0, 0, width, height))
    limits = mode.get("exposure_limits") or (1, 1_000_000, None)
    return SensorMode(
        size=(width, height),
        bit_depth=int(mode["bit_depth"]),
        format=str(mode.get("unpacked") or mode["format"]),
        crop=crop,
        shortest_frame_us=round(1e6 / mode["fps"]) if mode.get("fps") else 1,
        exposure_us=(int(limits[0] or 1), int(limits[1] or 1_000_000)),
    )
