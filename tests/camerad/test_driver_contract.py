"""What every camera driver must do, whatever is behind it. What a driver does not offer, or cannot run here, says why.

A real V4L2 device is tested too if OBSERVATORY_TEST_V4L2 is its path.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from contract_drivers import CHOSEN, DRIVERS, expect, offered
from contract_frames import latest, likeness, manual, metadata_when, picture
from driver_matrix import not_offered

from observatory_camerad.drivers.base import CameraDriver, Capabilities, Configuration, Stream
from observatory_common.errors import CommandFailed, NotConnected, ObservatoryError

MAIN = Stream((640, 480), "RGB888")
FRAMES_TO_CONVERGE = 90


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video, 25 frames, no two sides or quarters alike, with something that moves."""
    path = tmp_path_factory.mktemp("video") / "camera.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    scene = np.zeros((480, 640, 3), np.uint8)
    for number, place in enumerate(np.random.default_rng(1).integers((30, 30), (610, 450), (60, 2))):
        cv2.circle(scene, tuple(map(int, place)), 4 + number % 9, (90 + number, 255 - number, 160), -1)
    for number in range(25):
        frame = scene.copy()
        cv2.rectangle(frame, (10 + 4 * number, 230), (30 + 4 * number, 250), (255, 255, 255), -1)
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(params=CHOSEN)
def driver(request: pytest.FixtureRequest, video: Path) -> Iterator[CameraDriver]:
    made = DRIVERS[request.param](False, video)
    yield made
    made.close()


@pytest.fixture
def opened(driver: CameraDriver) -> Capabilities:
    return driver.open()


def test_capabilities_are_complete(driver: CameraDriver, opened: Capabilities) -> None:
    assert opened.driver in {name.split("-")[0] for name in DRIVERS}
    assert opened.model
    assert opened.sensor_size[0] > 0
    assert {"main", "lores"} <= set(opened.streams)
    assert opened.modes
    assert "ScalerCrop" in opened.controls
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


def test_the_sensor_runs_in_the_mode_that_is_named(driver: CameraDriver, opened: Capabilities) -> None:
    for number in {0, len(opened.modes) - 1}:
        size = opened.modes[number].size
        actual = driver.configure(
            Configuration({"main": Stream((min(320, size[0]), min(240, size[1])), "RGB888")}, mode=number)
        )
        assert actual.mode == number
        assert opened.mode_of(actual) == opened.modes[number]
    with pytest.raises(CommandFailed):
        driver.configure(Configuration({"main": MAIN}, mode=len(opened.modes)))


def test_a_mode_that_is_not_named_is_told(driver: CameraDriver, opened: Capabilities) -> None:
    if "raw" not in opened.features:
        not_offered(f"{opened.model} has no raw stream")
    for mode in opened.modes:
        actual = driver.configure(Configuration({"main": Stream((320, 240), "RGB888"), "raw": Stream(mode.size, mode.format)}))
        assert actual.streams["raw"].size == mode.size
        assert opened.mode_of(actual) == mode


def test_metadata_have_libcameras_names_and_units(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}))
    request = latest(driver, 3)
    metadata = request.metadata
    request.release()
    if "ExposureTime" in opened.controls and "ExposureTime" in metadata:  # a device need not say what it has chosen
        assert isinstance(metadata["ExposureTime"], int)
    assert isinstance(metadata["FrameDuration"], int)
    assert metadata["FrameDuration"] > 0
    assert isinstance(metadata["SensorTimestamp"], int)
    assert len(metadata["ScalerCrop"]) == 4
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
    offered(opened, "ExposureTime")
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls(manual(opened, ExposureTime=7000))
    metadata, done = metadata_when(
        driver,
        lambda m: abs(m["ExposureTime"] - 7000) < 100,  # rounded to whole lines
        1 + opened.control_delay_frames,  # one is under way
    )
    assert done, metadata


def test_a_gain_is_what_was_asked_for_after_rounding(driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, "AnalogueGain")
    info = opened.controls["AnalogueGain"]
    wanted = round(info.minimum + (info.maximum - info.minimum) / 4)
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls(manual(opened, AnalogueGain=float(wanted)))
    metadata, done = metadata_when(driver, lambda m: m["AnalogueGain"] == pytest.approx(wanted, rel=0.02))
    assert done, metadata


@pytest.mark.parametrize(
    "name", ["ExposureTime", "AnalogueGain", "Brightness", "Contrast", "ScalerCrop", "FrameDurationLimits"]
)
def test_a_control_out_of_range_is_refused_or_clipped(name: str, driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, name)
    info = opened.controls[name]
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    below = None if info.minimum is None else info.minimum - 1
    above = None if info.maximum is None or info.maximum >= 2**31 - 1 else info.maximum + 1  # libcamera's are 32 bits
    for value in (below, above):
        if value is None:
            continue
        value = float(value) if info.type == "float" else int(value)
        try:
            driver.set_controls(manual(opened, **{name: value if info.count == 1 else (value,) * info.count}))
        except CommandFailed as error:
            assert name in str(error)
        if value == above and info.unit == "us":  # a clipped one may last for minutes
            usual = int(max(info.minimum, min(33_333, info.maximum)))
            driver.set_controls({name: usual if info.count == 1 else (usual,) * info.count})
    metadata, _ = metadata_when(driver, lambda m: False, opened.control_delay_frames)
    if name in metadata and info.count == 1:
        expect(info.minimum <= metadata[name] <= info.maximum, driver, f"{name} out of range is taken as it is")


def test_scaler_crop_in_effect_is_in_the_metadata(driver: CameraDriver, opened: Capabilities) -> None:
    width, height = opened.sensor_size
    wanted = (width // 4, height // 4, width // 2, height // 2)
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls({"ScalerCrop": wanted})
    metadata, done = metadata_when(
        driver, lambda m: all(abs(a - b) <= 16 for a, b in zip(m["ScalerCrop"], wanted, strict=True))
    )
    assert done, metadata


def test_scaler_crop_shows_that_part_of_the_scene(driver: CameraDriver, opened: Capabilities) -> None:
    width, height = opened.sensor_size
    main = Stream((640, 640 * height // width & ~1), "RGB888")  # nothing is cut off for its shape
    driver.configure(Configuration({"main": main}))
    whole = picture(driver)
    driver.set_controls({"ScalerCrop": (0, 0, width // 2, height // 2)})
    cropped = picture(driver, 8)
    rows, columns = whole.shape[0] // 2, whole.shape[1] // 2
    quarter = cv2.resize(whole[:rows, :columns], cropped.shape[::-1])
    expect(
        likeness(cropped, quarter) > likeness(cropped, whole) + 0.2, driver, "ScalerCrop is echoed, the picture is not cropped"
    )


@pytest.mark.parametrize("flips", ["hflip", "vflip", "hflip and vflip"])
def test_flips_turn_the_picture_over(flips: str, driver: CameraDriver, opened: Capabilities) -> None:
    straight = Configuration({"main": MAIN})
    driver.configure(straight)
    before = picture(driver)
    wanted = replace(straight, hflip="hflip" in flips, vflip="vflip" in flips)
    actual = driver.configure(wanted)
    expect((actual.hflip, actual.vflip) == (wanted.hflip, wanted.vflip), driver, "flips come back as identity")
    flipped = before[:: -1 if wanted.vflip else 1, :: -1 if wanted.hflip else 1]
    after = picture(driver)
    assert likeness(after, flipped) > likeness(after, before) + 0.2


def test_frame_duration_limits_pace_the_frames(driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, "FrameDurationLimits")
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    wanted = manual(opened, ExposureTime=5000) if "ExposureTime" in opened.controls else {}
    for frame_us in (100_000, 50_000):
        driver.set_controls({**wanted, "FrameDurationLimits": (frame_us, frame_us)})
        metadata, done = metadata_when(driver, lambda m: abs(m["FrameDuration"] - frame_us) < frame_us / 10)  # noqa: B023
        assert done, metadata
        stamps = []
        for _ in range(6):
            request = latest(driver)
            stamps.append(request.metadata["SensorTimestamp"])
            request.release()
        gaps_us = [(later - earlier) / 1000 for earlier, later in itertools.pairwise(stamps)]
        assert statistics.median(gaps_us) == pytest.approx(frame_us, rel=0.2)


def test_auto_exposure_chooses_for_itself(driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, "AeEnable", "ExposureTime")
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls({"AeEnable": False, "ExposureTime": 1000})
    metadata_when(driver, lambda m: abs(m.get("ExposureTime", 0) - 1000) < 100)
    driver.set_controls({"AeEnable": True})
    _, done = metadata_when(driver, lambda m: abs(m.get("ExposureTime", 0) - 1000) > 200, FRAMES_TO_CONVERGE // 2)
    if not done and opened.driver != "v4l2":
        driver.set_controls({"AeEnable": True, "ExposureTime": 0})  # how older libcamera gives the time back
        _, done = metadata_when(driver, lambda m: abs(m.get("ExposureTime", 0) - 1000) > 200, FRAMES_TO_CONVERGE // 2)
    expect(done, driver, "auto exposure does nothing")


def test_auto_white_balance_chooses_for_itself(driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, "AwbEnable", "ColourGains")
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls({"AwbEnable": False, "ColourGains": (1.0, 4.0)})
    _, done = metadata_when(driver, lambda m: m["ColourGains"] == pytest.approx((1.0, 4.0), abs=0.05))
    expect(done, driver, "ColourGains do nothing")
    driver.set_controls({"AwbEnable": True})
    _, done = metadata_when(driver, lambda m: abs(m["ColourGains"][1] - 4.0) > 0.2, FRAMES_TO_CONVERGE)
    expect(done, driver, "auto white balance does nothing")


def test_autofocus_ends_in_a_result(driver: CameraDriver, opened: Capabilities) -> None:
    offered(opened, "AfMode", "AfTrigger")
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
    driver.set_controls({"AfMode": 1})
    latest(driver, 3).release()
    driver.set_controls({"AfTrigger": 0})
    _, done = metadata_when(driver, lambda m: m.get("AfState") in (2, 3), FRAMES_TO_CONVERGE)  # focused, failed
    expect(done, driver, "autofocus does nothing")


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


@pytest.mark.parametrize("stop", ["configure", "close"])
def test_it_is_stopped_while_no_frame_comes(stop: str, driver: CameraDriver, opened: Capabilities) -> None:
    """As in a long exposure: somebody has asked for a frame, whose only buffer is held here."""
    driver.configure(Configuration({"main": MAIN}, buffer_count=1))
    held = latest(driver)
    request = driver.next_request(0.3)
    if request is not None:  # its frames need no buffers of ours
        request.release()
    call = driver.close if stop == "close" else lambda: driver.configure(Configuration({"main": Stream((320, 240), "RGB888")}))
    stopper = threading.Thread(target=call, name="stopper")
    stopper.start()
    stopper.join(5)
    waits = stopper.is_alive()
    held.release()  # now a frame comes to one that waits for it
    stopper.join(10)
    assert not waits
    if stop == "configure":
        latest(driver).release()


def test_it_can_be_closed_while_another_thread_waits(driver: CameraDriver, opened: Capabilities) -> None:
    driver.configure(Configuration({"main": MAIN}))

    def watch() -> None:
        while (request := driver.next_request(10)) is not None:
            request.release()

    watcher = threading.Thread(target=watch, name="watcher")
    watcher.start()
    began = time.monotonic()
    driver.interrupt()
    watcher.join(5)
    assert not watcher.is_alive()
    driver.close()
    assert time.monotonic() - began < 10
    with pytest.raises(NotConnected):
        driver.next_request(0.1)


@pytest.mark.parametrize("driver_name", CHOSEN)  # the camera it makes is another than the fixture's
def test_a_camera_that_is_not_there_is_said_soon(driver_name: str, video: Path) -> None:
    absent = DRIVERS[driver_name](True, video)
    began = time.monotonic()
    with pytest.raises(NotConnected) as refused:
        absent.open()
    assert time.monotonic() - began < 5
    assert len(str(refused.value)) > 10
    absent.close()


def test_a_refused_configuration_is_an_error_of_ours(driver: CameraDriver, opened: Capabilities) -> None:
    with pytest.raises((CommandFailed, ObservatoryError)):
        driver.configure(Configuration({"main": Stream((640, 480), "NOFORMAT")}))
    driver.configure(Configuration({"main": MAIN}))
    latest(driver).release()
