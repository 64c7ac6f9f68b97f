"""How the driver goes about Picamera2, where that takes hardware: a stand-in answers as Picamera2 does on a Raspberry Pi."""

from __future__ import annotations

import sys
import types
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
import pytest

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.drivers.picamera2 import Picamera2Driver, padding_bits
from observatory_common.errors import CommandFailed

#: As Picamera2 lists those of an IMX477.
MODES = [
    {"unpacked": "SRGGB10", "bit_depth": 10, "size": (1332, 990), "fps": 120.05, "crop_limits": (696, 528, 2664, 1980)},
    {"unpacked": "SRGGB12", "bit_depth": 12, "size": (2028, 1080), "fps": 50.03, "crop_limits": (0, 440, 4056, 2160)},
    {"unpacked": "SRGGB12", "bit_depth": 12, "size": (2028, 1520), "fps": 40.01, "crop_limits": (0, 0, 4056, 3040)},
    {"unpacked": "SRGGB12", "bit_depth": 12, "size": (4056, 3040), "fps": 10.0, "crop_limits": (0, 0, 4056, 3040)},
]
MAIN = Stream((640, 480), "RGB888")


class Job:
    """What Picamera2 returns for a frame that is asked for."""

    def __init__(self, request: Any = None) -> None:
        self.request = request
        self.is_cancelled = False

    def get_result(self, timeout: float) -> Any:
        if self.is_cancelled:
            raise CancelledError
        if self.request is None:
            raise TimeoutError
        return self.request


class Frame:
    """A completed request: raw numbers in the bytes of their rows."""

    def __init__(self, config: dict[str, Any], numbers: np.ndarray) -> None:
        self.config = config
        self._numbers = numbers
        self.is_released = False

    def get_metadata(self) -> dict[str, Any]:
        return {}

    def make_array(self, name: str) -> np.ndarray:
        return self._numbers.view(np.uint8).copy()

    def release(self) -> None:
        self.is_released = True


def distance(mode: dict[str, Any], asked: dict[str, Any]) -> int:
    return sum(abs(have - want) for have, want in zip(mode["size"], asked["output_size"], strict=True))


class Camera:
    """Picamera2 on a Pi 5 with an IMX477: raw numbers of 16 bits, the mode as it would choose it."""

    def __init__(self, number: int = 0, tuning: Any = None) -> None:
        self.camera_properties = {"Model": "imx477", "PixelArraySize": (4056, 3040), "UnitCellSize": (1550, 1550)}
        self.camera_controls: dict[str, Any] = {}
        self.sensor_modes = MODES
        self.started = False
        self.jobs: list[Job] = []
        self.coming: list[Any] = []

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return [{"Id": "imx477", "Model": "imx477"}]

    def create_preview_configuration(self, **wanted: Any) -> dict[str, Any]:
        return wanted

    def configure(self, wanted: dict[str, Any]) -> None:
        asked = wanted["sensor"] or {"output_size": (wanted["raw"] or wanted["main"])["size"]}
        nearest = min(MODES, key=lambda mode: distance(mode, asked))
        sensor = {"output_size": nearest["size"], "bit_depth": nearest["bit_depth"]}
        raw = wanted["raw"] and {"size": nearest["size"], "format": "SRGGB16"}
        self.taken = {**wanted, "raw": raw, "sensor": sensor}

    def camera_configuration(self) -> dict[str, Any]:
        return self.taken

    def set_controls(self, controls: dict[str, Any]) -> None: ...

    def start(self) -> None:
        self.started = True

    def capture_request(self, wait: bool) -> Job:
        self.jobs.append(Job(self.coming.pop(0) if self.coming else None))
        return self.jobs[-1]

    def cancel_all_and_flush(self) -> None:
        for job in self.jobs:
            job.is_cancelled = job.request is None
        self.jobs = [job for job in self.jobs if not job.is_cancelled]

    def stop(self) -> None:
        assert all(job.request is not None for job in self.jobs), "stop would wait behind the frame that is asked for"
        self.started = False

    def close(self) -> None: ...


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Picamera2Driver:
    libcamera = types.SimpleNamespace(Transform=types.SimpleNamespace, controls=types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=Camera))
    return Picamera2Driver()


@pytest.mark.parametrize("stop", ["configure", "close"])
@pytest.mark.parametrize("comes_late", [False, True])
def test_a_frame_that_was_asked_for_is_taken_back_before_the_camera_stops(
    driver: Picamera2Driver, stop: str, comes_late: bool
) -> None:
    driver.open()
    driver.configure(Configuration({"main": MAIN}))
    camera = driver._camera
    assert driver.next_request(0.001) is None
    frame = Frame({}, np.zeros((2, 2), np.uint16))
    if comes_late:
        camera.jobs[0].request = frame
    if stop == "close":
        driver.close()
        assert not camera.started
    else:
        driver.configure(Configuration({"main": MAIN}))
        assert driver.next_request(0.001) is None  # not the old one
    assert frame.is_released is comes_late


@pytest.mark.parametrize(
    ("raw", "named", "found"),
    [
        (None, None, 0),
        (None, 0, 0),
        (None, 3, 3),
        (Stream((2028, 1520), "SRGGB12"), 2, 2),
        (Stream((4056, 3040), "SRGGB12"), None, 3),
        (Stream((4056, 3040), "SRGGB12"), 0, 0),
    ],
)
def test_the_mode_is_asked_for_and_read_back(
    driver: Picamera2Driver, raw: Stream | None, named: int | None, found: int
) -> None:
    capabilities = driver.open()
    actual = driver.configure(Configuration({"main": MAIN, **({} if raw is None else {"raw": raw})}, mode=named))
    assert actual.mode == found
    mode = capabilities.mode_of(actual)
    assert mode is not None and mode.size == MODES[found]["size"]
    if raw is not None:
        assert actual.streams["raw"].size == mode.size


def test_an_unknown_mode_is_refused_or_left_open(driver: Picamera2Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = driver.open()
    with pytest.raises(CommandFailed, match="no sensor mode 4, expected 0 to 3"):
        driver.configure(Configuration({"main": MAIN}, mode=4))
    monkeypatch.setattr(Camera, "camera_configuration", lambda self: {**self.taken, "sensor": {}})  # as of a USB camera
    actual = driver.configure(Configuration({"main": MAIN}))
    assert actual.mode is None
    assert capabilities.mode_of(actual) is None


def test_raw_numbers_are_the_sensors_whatever_the_machine(driver: Picamera2Driver) -> None:
    """A Pi 5 has them at the upper end of 16 bits."""
    driver.open()
    driver.configure(Configuration({"main": MAIN, "raw": Stream((4056, 3040), "SRGGB12")}, mode=3))
    camera = driver._camera
    numbers = np.array([[0, 1, 256], [4000, 4094, 4095]], np.uint16)
    camera.coming.append(Frame(camera.taken, numbers << 4))
    request = driver.next_request(1)
    assert request is not None
    assert np.array_equal(request.array("raw"), numbers)


def test_raw_numbers_of_one_byte(driver: Picamera2Driver) -> None:
    driver.open()
    driver.configure(Configuration({"main": MAIN, "raw": Stream((4056, 3040), "SRGGB12")}, mode=3))
    camera = driver._camera
    numbers = np.array([[0, 1, 127], [128, 254, 255]], np.uint8)
    taken = {**camera.taken, "raw": {**camera.taken["raw"], "format": "SRGGB8"}}
    camera.coming.append(Frame(taken, numbers))
    request = driver.next_request(1)
    assert request is not None
    pixels = request.array("raw")
    assert pixels.dtype == np.uint16 and np.array_equal(pixels, numbers)


@pytest.mark.parametrize(
    ("raw_format", "bit_depth", "padding"),
    [("SRGGB16", 12, 4), ("R16", 10, 6), ("SRGGB12", 12, 0), ("SBGGR10", 10, 0), ("SRGGB16", 16, 0), ("SRGGB12_CSI2P", 10, 0)],
)
def test_the_zeros_below_a_raw_number(raw_format: str, bit_depth: int, padding: int) -> None:
    assert padding_bits(raw_format, {"bit_depth": bit_depth}) == padding
    assert padding_bits(raw_format, None) == padding_bits(raw_format, {}) == 0
