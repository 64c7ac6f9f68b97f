"""What every camera driver must do, whatever is behind it. A driver that cannot run here says why."""

from __future__ import annotations

import importlib.util
import itertools
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Stream
from observatory_common.errors import CommandFailed, NotConnected, ObservatoryError


def simulated() -> CameraDriver:
    from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
    from observatory_camerad.simulator.scene import SceneConfig
    from observatory_camerad.simulator.sensor import SensorConfig

    return SimulatedCamera(SceneConfig(), SensorConfig(), SimulatedOptics(1.4))


def picamera2() -> CameraDriver:
    if importlib.util.find_spec("picamera2") is None:
        pytest.skip("needs the Picamera2 library (Raspberry Pi OS has it; elsewhere it must be built)")
    from observatory_camerad.drivers.picamera2 import Picamera2Driver

    return Picamera2Driver()


DRIVERS: dict[str, Callable[[], CameraDriver]] = {"simulator": simulated, "picamera2": picamera2}
MAIN = Stream((640, 480), "RGB888")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Iterator[CameraDriver]:
    made = DRIVERS[request.param]()
    yield made
    made.close()


@pytest.fixture
def opened(driver: CameraDriver) -> Capabilities:
    return driver.open()


def latest(driver: CameraDriver, count: int = 1):
    """The last of so many frames; the others are released."""
    for number in range(count):
        request = driver.next_request(10)
        assert request is not None
        if number < count - 1:
            request.release()
    return request


def test_capabilities_are_complete(driver: CameraDriver, opened: Capabilities) -> None:
    assert opened.driver in DRIVERS
    assert opened.model
    assert opened.sensor_size[0] > 0
    assert {"ExposureTime", "AnalogueGain", "FrameDurationLimits"} <= set(opened.controls)
    for name, info in opened.controls.items():
        assert info.type in ("bool", "int", "float"), name
        assert info.count >= 1
        if info.minimum is not None and info.maximum is not None:
            assert info.minimum <= info.maximum, name
    if "raw" in opened.features:
        assert opened.modes
        assert all(mode.size[0] > 0 and mode.bit_depth >= 8 for mode in opened.modes)


def test_nothing_works_before_it_is_open_and_after_it_is_closed(driver: CameraDriver) -> None:
    for call in (lambda: driver.next_request(0.1), lambda: driver.configure(Configuration({"main": MAIN}))):
        with pytest.raises(NotConnected):
            call()
    driver.close()
    driver.open()
    driver.close()
    driver.close()
    with pytest.raises(NotConnected):
        driver.set_controls({"ExposureTime": 1000})
    driver.open()  # again


@pytest.mark.parametrize("format", ["RGB888", "BGR888", "YUV420"])
def test_a_stream_has_the_shape_of_its_format(format: str, driver: CameraDriver, opened: Capabilities) -> None:
    actual = driver.configure(Configuration({"main": Stream((640, 480), format)}))
    width, height = actual.streams["main"].size
    request = latest(driver, 2)
    pixels = request.array("main")
    assert pixels.dtype == np.uint8
    if format == "YUV420":
        assert pixels.shape == (height * 3 // 2, width)
    else:
        assert pixels.shape == (height, width, 3)
    request.release()
    request.release()


def test_all_streams_of_a_request_belong_together(driver: CameraDriver, opened: Capabilities) -> None:
    streams = {"main": MAIN, "lores": Stream((320, 240), "YUV420")}
    if "raw" in opened.features:
        streams["raw"] = Stream(opened.modes[0].size, opened.modes[0].format)
    actual = driver.configure(Configuration(streams))
    assert actual.streams.keys() == streams.keys()
    request = latest(driver, 2)
    for name in actual.streams:
        assert request.array(name).size > 0
    if "raw" in actual.streams:
        assert request.array("raw").dtype == np.uint16
    with pytest.raises(KeyError):
        request.array("nonsense")
    request.release()


def test_metadata_have_libcameras_names_and_units(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}))
    request = latest(driver, 3)
    metadata = request.metadata
    request.release()
    assert isinstance(metadata["ExposureTime"], int)
    assert metadata["FrameDuration"] > 0
    assert abs(metadata["SensorTimestamp"] - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < 5e9


def test_sensor_time_goes_on_from_frame_to_frame(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}))
    stamps = []
    for _ in range(8):
        request = latest(driver)
        stamps.append(request.metadata["SensorTimestamp"])
        request.release()
    assert all(later > earlier for earlier, later in itertools.pairwise(stamps))


def test_a_control_is_in_effect_some_frames_later(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    wanted = {"ExposureTime": 7000}
    wanted.update({"AeEnable": False} if "AeEnable" in opened.controls else {})
    driver.set_controls(wanted)
    for _ in range(15):
        request = latest(driver)
        exposure_us = request.metadata["ExposureTime"]
        request.release()
        if abs(exposure_us - 7000) < 100:  # rounded to whole lines of the sensor
            return
    pytest.fail(f"the exposure is {exposure_us} us 15 frames after 7000 us were asked for")


def test_it_can_be_configured_anew_while_it_runs(driver: CameraDriver, opened: Capabilities) -> None:
    for size in ((640, 480), (320, 240), (640, 480)):
        actual = driver.configure(Configuration({"main": Stream(size, "RGB888")}))
        request = latest(driver)
        assert request.array("main").shape[:2] == actual.streams["main"].size[::-1]
        request.release()


def test_many_frames_and_releases_leak_no_buffer(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}, buffer_count=2))
    for _ in range(30):
        request = latest(driver)
        request.array("main")
        request.release()


def test_a_wait_is_bounded_and_can_be_ended(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}, buffer_count=1))
    held = latest(driver)
    threading.Timer(0.2, driver.interrupt).start()
    began = time.monotonic()
    for _ in range(200):
        request = driver.next_request(5)
        if request is None:
            break
        request.release()
    assert time.monotonic() - began < 10
    held.release()


def test_a_refused_configuration_is_an_error_of_ours(driver: CameraDriver, opened: Capabilities) -> None:
    with pytest.raises((CommandFailed, ObservatoryError)):
        driver.configure(Configuration({"main": Stream((640, 480), "NOFORMAT")}))
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
