"""The V4L2 driver beyond the contract: a USB camera's controls, files, streams, and libraries that hang."""

from __future__ import annotations

import http.server
import itertools
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import fakev4l2
import numpy as np
import pytest
import waiting

from observatory_camerad.drivers import v4l2
from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.drivers.v4l2 import V4l2Driver, fitted, shaped_like
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

MAIN = Configuration({"main": Stream((320, 240), "RGB888")})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[fakev4l2.Fake]:
    made = fakev4l2.install(monkeypatch)
    yield made
    made.block.clear()


@pytest.fixture
def usb(fake: fakev4l2.Fake) -> Iterator[V4l2Driver]:
    driver = V4l2Driver(fakev4l2.NODE)
    yield driver
    fake.block.clear()
    driver.close()


def frame(driver: V4l2Driver):
    request = driver.next_request(10)
    assert request is not None
    request.release()
    return request.metadata


def metadata_with(driver: V4l2Driver, **wanted) -> None:
    waiting.until(lambda: wanted.items() <= frame(driver).items(), 5, str(wanted))


def test_a_devices_controls_have_libcameras_names_and_the_devices_ranges(usb: V4l2Driver) -> None:
    found = usb.open()
    assert (found.driver, found.model, found.sensor_size) == ("v4l2", "Fake Camera", (1280, 720))
    exposure = found.controls["ExposureTime"]
    assert (exposure.minimum, exposure.maximum, exposure.default, exposure.unit) == (100, 500_000, 15_700, "us")
    assert (found.controls["Brightness"].minimum, found.controls["Brightness"].maximum) == (-64, 64)
    assert found.controls["FocusAbsolute"].unit == ""
    assert "LensPosition" not in found.controls
    assert found.controls["AfMode"].values == {"Manual": 0, "Continuous": 2}
    assert found.controls["Power Line Frequency"].values == {"Off": 0, "50 Hz": 1, "60 Hz": 2}
    assert found.controls["AeEnable"].default is True
    assert "autofocus" in found.features
    assert "raw" not in found.streams


def test_modes_are_the_devices_largest_and_fastest_first(usb: V4l2Driver) -> None:
    modes = [(mode.size, mode.format, mode.shortest_frame_us) for mode in usb.open().modes]
    assert modes == [((1280, 720), "MJPG", 33333), ((640, 480), "MJPG", 16667), ((640, 480), "YUYV", 33333)]


def test_another_mode_opens_the_device_anew_in_it(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    usb.open()
    usb.configure(MAIN)
    assert frame(usb)["ScalerCrop"] == (160, 0, 960, 720)  # of the largest mode, in the shape of the stream
    usb.configure(Configuration(MAIN.streams, mode=2))
    frame(usb)
    first, second = fake.captures
    assert first.released.is_set()
    assert second.properties[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"YUYV")
    assert second.properties[cv2.CAP_PROP_FRAME_WIDTH] == 640
    with pytest.raises(CommandFailed, match="no mode 7"):
        usb.configure(Configuration(MAIN.streams, mode=7))
    with pytest.raises(CommandFailed, match="larger"):
        usb.configure(Configuration({"main": Stream((1280, 720), "RGB888")}, mode=2))


def test_a_value_turns_its_automatic_off_first(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    usb.open()
    usb.configure(MAIN)
    assert not {"ExposureTime", "ColourTemperature", "FocusAbsolute"} & frame(usb).keys()  # the automatics' secret
    usb.set_controls({"ExposureTime": 7040, "ColourTemperature": 3000, "FocusAbsolute": 12})
    assert fake.kernel.writes[:3] == [
        ("Auto Exposure", 1),
        ("White Balance, Automatic", 0),
        ("Focus, Automatic Continuous", 0),
    ]
    metadata_with(usb, ExposureTime=7000, ColourTemperature=3000, FocusAbsolute=12)  # in the device's steps of 100 us
    usb.set_controls({"AeEnable": True, "AfMode": 2})
    assert fake.kernel.named(fakev4l2.ID.EXPOSURE_AUTO).value == 3  # the only automatic that this one has
    waiting.until(lambda: "ExposureTime" not in frame(usb), 5, "an exposure that nobody knows")


def test_a_reading_that_the_device_reports_itself_is_there_under_its_automatic(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    fake.kernel.named(fakev4l2.ID.EXPOSURE_ABSOLUTE).flags = int(fakev4l2.raw.ControlFlag.VOLATILE)
    usb.open()
    usb.configure(MAIN)
    metadata_with(usb, ExposureTime=15_700)


def test_wrong_values_are_refused_and_nothing_is_set(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    usb.open()
    for values, named in (
        ({"Brightness": 1, "ExposureTime": 500_001}, "500001"),
        ({"Brightness": 1, "AfMode": 1}, "AfMode"),
        ({"Brightness": 1, "AeEnable": 1}, "AeEnable"),
        ({"Brightness": 1, "LensPosition": 1.0}, "LensPosition"),
        ({"Brightness": "dark"}, "dark"),
    ):
        with pytest.raises(CommandFailed, match=named):
            usb.set_controls(values)
    assert fake.kernel.writes == []


def test_a_rate_is_asked_of_the_device(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    found = usb.open()
    assert found.controls["FrameDurationLimits"].minimum == 16667
    usb.configure(MAIN)
    usb.set_controls({"FrameDurationLimits": (100_000, 200_000)})
    waiting.until(lambda: fake.captures[0].get(cv2.CAP_PROP_FPS) == pytest.approx(10.0), 5, "the rate")


def test_a_device_that_goes_is_lost(usb: V4l2Driver, fake: fakev4l2.Fake) -> None:
    usb.open()
    usb.configure(MAIN)
    frame(usb)
    fake.kernel.gone = True
    with pytest.raises(DeviceLost):
        usb.set_controls({"Brightness": 1})
    fake.fail.set()

    def lost() -> bool:
        try:
            request = usb.next_request(1)
        except DeviceLost as error:
            assert fakev4l2.NODE in str(error)
            return True
        assert request is not None
        return False

    waiting.until(lost, 5, "the loss")


def test_a_library_that_hangs_is_given_up(
    usb: V4l2Driver, fake: fakev4l2.Fake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(v4l2, "_CLOSE_S", 0.2)
    usb.open()
    usb.configure(MAIN)
    frame(usb)
    fake.block.set()
    began = time.monotonic()
    # longer than a thread that is merely late: one that is still in the read before the hang would end in time
    waiting.until(lambda: usb.next_request(0.5) is None, 5, "the hang")
    with caplog.at_level(logging.ERROR, "camerad.v4l2"), pytest.raises(DeviceLost, match="does not return"):
        usb.close()
    assert time.monotonic() - began < 3
    assert "given up" in caplog.text
    with pytest.raises(NotConnected, match="still held"):
        usb.open()
    fake.block.clear()
    waiting.until(lambda: fake.captures[0].released.is_set(), 5, "the library to return")
    waiting.until(lambda: usb.open() if not usb._stuck.alive else None, 5, "the device to be free")


def test_an_open_that_hangs_ends_in_its_time_or_when_interrupted(
    usb: V4l2Driver, fake: fakev4l2.Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v4l2, "_CLOSE_S", 0.1)
    fake.block.set()
    failures: list[NotConnected] = []

    def opening() -> None:
        with pytest.raises(NotConnected) as refused:
            usb.open()
        failures.append(refused.value)

    opener = threading.Thread(target=opening)
    opener.start()
    waiting.until(lambda: fake.captures, 5, "the library to be called")
    usb.interrupt()
    opener.join(5)
    assert "interrupted" in str(failures[0])
    fake.block.clear()
    waiting.until(lambda: not usb._stuck.alive, 5, "the library to return")
    monkeypatch.setattr(v4l2, "_OPEN_S", 0.2)
    fake.block.set()
    with pytest.raises(NotConnected, match="no frame came within"):
        usb.open()


def test_what_is_no_camera_says_why(tmp_path: Path) -> None:
    text = tmp_path / "text.avi"
    text.write_text("no video")
    for source, reason in (
        (str(tmp_path / "absent.avi"), "No such file"),
        (str(tmp_path), "Is a directory"),
        (str(text), "no video that can be read"),
        ("/dev/null", "cannot be opened as a camera"),
        (9999, "/dev/video9999"),
    ):
        began = time.monotonic()
        with pytest.raises(NotConnected, match=reason):
            V4l2Driver(source).open()
        assert time.monotonic() - began < 5


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames at 50 per second, each of its own brightness."""
    path = tmp_path_factory.mktemp("video") / "counting.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (64, 48))
    for number in range(10):
        writer.write(np.full((48, 64, 3), 20 + number * 20, np.uint8))
    writer.release()
    return path


def test_a_file_is_played_in_a_loop_at_its_own_pace(counting: Path) -> None:
    driver = V4l2Driver(str(counting))
    found = driver.open()
    assert found.modes[0].shortest_frame_us == 20_000
    assert set(found.controls) == {"ScalerCrop", "FrameDurationLimits"}
    driver.configure(Configuration({"main": Stream((64, 48), "RGB888")}))
    seen, stamps = [], []
    for _ in range(25):
        request = driver.next_request(5)
        seen.append(round((int(request.array("main")[24, 32, 0]) - 20) / 20))
        stamps.append(request.metadata["SensorTimestamp"])
        assert request.metadata["FrameDuration"] == 20_000
        request.release()
    driver.close()
    steps = [(later - earlier) % 10 for earlier, later in itertools.pairwise(seen)]
    assert seen.count(seen[0]) >= 2  # it came round
    assert sorted(steps)[len(steps) // 2] == 1  # a frame may be skipped on a busy machine
    assert (stamps[-1] - stamps[0]) / 1e9 >= 24 * 0.02 * 0.9


def test_streams_of_one_frame_show_the_same_and_belong_to_the_caller(counting: Path) -> None:
    driver = V4l2Driver(str(counting))
    driver.open()
    driver.configure(Configuration({"main": Stream((65, 49), "RGB888"), "lores": Stream((32, 24), "YUV420")}))
    request = driver.next_request(5)
    main, again, lores = request.array("main"), request.array("main"), request.array("lores")
    assert main.shape == (48, 64, 3)  # even
    assert abs(float(cv2.cvtColor(lores, cv2.COLOR_YUV2BGR_I420).mean()) - float(main.mean())) < 3
    main[:] = 0
    assert again.any()
    request.release()
    driver.close()


def test_crops_are_moved_inside_the_source() -> None:
    assert fitted((1000, 700, 640, 360), (1280, 720)) == (640, 360, 640, 360)
    assert fitted((0, 0, 4000, 1), (1280, 720)) == (0, 0, 1280, 16)
    assert shaped_like((640, 480), (1280, 720)) == (160, 0, 960, 720)
    assert shaped_like((1920, 1080), (640, 480)) == (0, 60, 640, 360)


class _Mjpeg(http.server.BaseHTTPRequestHandler):
    """A network camera: JPEG after JPEG, until told to end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        data = cv2.imencode(".jpg", np.full((48, 64, 3), 99, np.uint8))[1].tobytes()
        try:
            while not self.server.over.wait(0.02):
                self.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(data), data))
        except ConnectionError:
            pass

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def camera_url() -> Iterator[tuple[str, threading.Event]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mjpeg)
    server.daemon_threads = False
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/camera.mjpg", server.over
    server.over.set()
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_a_network_stream_is_read_until_it_ends(camera_url: tuple[str, threading.Event]) -> None:
    url, over = camera_url
    driver = V4l2Driver(url)
    found = driver.open()
    assert set(found.controls) == {"ScalerCrop"}
    assert found.sensor_size == (64, 48)
    driver.configure(Configuration({"main": Stream((64, 48), "BGR888")}))
    metadata = [frame(driver) for _ in range(3)]
    assert metadata[-1]["FrameDuration"] > 0
    over.set()
    with pytest.raises(DeviceLost, match="has ended"):
        waiting.until(lambda: driver.next_request(5) is None, 10, "the end")
    driver.close()


def test_a_stream_that_nobody_serves_is_not_connected() -> None:
    with pytest.raises(NotConnected, match="is no video stream"):
        V4l2Driver("http://127.0.0.1:9/camera").open()
