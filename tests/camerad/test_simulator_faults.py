"""The faults file: from outside, at any moment, and beyond the daemon's life."""

from __future__ import annotations

import itertools
import json
import logging
import os
import threading
import time
from pathlib import Path

import pytest

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.clocks import Clocks, LeapingClocks, SystemClocks
from observatory_camerad.simulator.faults import KNOWN, Faults
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

WANTED = Configuration({"main": Stream((320, 180), "RGB888")}, buffer_count=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "simulator-faults.json"


def write(path: Path, content: object) -> None:
    """Anew, as an editor does that renames: the inode tells two writings within one tick of the file system's clock apart."""
    new = path.with_suffix(".new")
    new.write_text(content if isinstance(content, str) else json.dumps(content))
    os.replace(new, path)


def made(path: Path, clocks: Clocks | None = None, faults: Faults | None = None) -> SimulatedCamera:
    optics = SimulatedOptics(1.4)
    return SimulatedCamera(SceneConfig(stars=0), SensorConfig(), optics, faults, path, clocks or LeapingClocks())


def streaming(path: Path, clocks: Clocks | None = None, faults: Faults | None = None) -> SimulatedCamera:
    camera = made(path, clocks, faults)
    camera.open()
    camera.configure(WANTED)
    assert camera.next_request(5) is not None
    return camera


def test_no_file_no_faults(path: Path) -> None:
    camera = streaming(path)
    assert camera.next_request(5) is not None


def test_a_stall_lasts_until_the_file_changes(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    write(path, {"stall": True})
    clocks.passed_ns += 10**8
    for _ in range(20):
        assert camera.next_request(5) is None
    assert clocks.passed_ns > 100e9
    write(path, {"stall": False})
    request = camera.next_request(5)
    assert request is not None
    assert (request.metadata["SensorTimestamp"] - clocks._boot_ns) % 33_333_000 == 0  # still on the grid
    write(path, {"stall": True})
    clocks.passed_ns += 10**8
    assert camera.next_request(1) is None
    path.unlink()
    assert camera.next_request(5) is not None


def test_a_stall_begins_and_ends_while_somebody_waits(path: Path, machine_lag) -> None:
    camera = streaming(path, SystemClocks())
    write(path, {"stall": True})
    until = time.monotonic() + 5
    while camera.next_request(0.2) is not None:
        assert time.monotonic() < until
    threading.Timer(0.1, path.unlink).start()
    began = time.monotonic()
    assert camera.next_request(30) is not None
    assert time.monotonic() - began < 1 + machine_lag.seconds
    write(path, {"stall": True})
    threading.Timer(0.3, camera.interrupt).start()
    began = time.monotonic()
    while camera.next_request(30) is not None:
        assert time.monotonic() - began < 5
    assert time.monotonic() - began < 5


def test_frames_are_dropped_once_for_each_writing(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    for _ in range(2):
        write(path, {"drop_frames": 3})
        clocks.passed_ns += 60_000_000  # the file is looked at again
        numbers = [camera.next_request(5).number for _ in range(6)]
        assert max(later - earlier for earlier, later in itertools.pairwise(numbers)) <= 4
        write(path, {"drop_frames": 3})
        clocks.passed_ns += 60_000_000
        following = camera.next_request(5).number
        assert following == numbers[-1] + 4
        assert camera.next_request(5).number == following + 1


def test_an_unplugged_camera(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    write(path, {"gone": True})
    clocks.passed_ns += 60_000_000
    with pytest.raises(DeviceLost):
        camera.next_request(5)
    with pytest.raises(DeviceLost):
        camera.set_controls({"Brightness": 0.1})
    camera.close()
    with pytest.raises(NotConnected):
        camera.open()
    write(path, {})
    camera.open()
    camera.configure(WANTED)
    assert camera.next_request(5) is not None


def test_opening_can_be_refused_also_to_the_next_daemon(path: Path) -> None:
    write(path, {"refuse_open": True})
    camera = made(path)
    with pytest.raises(NotConnected):
        camera.open()
    path.unlink()
    camera.open()


def test_an_error_with_every_frame(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    write(path, {"error": "the sensor's link has errors"})
    clocks.passed_ns += 60_000_000
    for _ in range(3):
        with pytest.raises(CommandFailed, match="the sensor's link has errors"):
            camera.next_request(5)


def test_a_hang_listens_to_nobody_and_happens_once(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    write(path, {"hang": 30})
    clocks.passed_ns += 60_000_000
    camera.interrupt()
    before = clocks.passed_ns
    assert camera.next_request(1) is not None  # the frames that had buffers while it hung
    assert clocks.passed_ns - before == 30 * 10**9
    before = clocks.passed_ns
    camera.next_request(1)
    assert clocks.passed_ns - before < 1e9


def test_a_hang_blocks_its_thread_for_real(path: Path) -> None:
    camera = streaming(path, SystemClocks())
    began = time.monotonic()
    write(path, {"hang": 1.5})
    waiting = threading.Event()

    def look() -> None:
        while time.monotonic() - began < 1.5:
            camera.next_request(0.1)
        waiting.set()

    thread = threading.Thread(target=look)
    thread.start()
    while not waiting.wait(0.05):
        camera.interrupt()
        assert time.monotonic() - began < 20
    thread.join(5)
    assert time.monotonic() - began >= 1.5


def test_a_daemon_that_was_restarted_for_a_hang_does_not_hang_again_but_other_faults_stay(path: Path) -> None:
    write(path, {"hang": 30, "drop_frames": 5, "error": "still here"})
    clocks = LeapingClocks()
    camera = made(path, clocks)
    camera.open()
    camera.configure(WANTED)
    with pytest.raises(CommandFailed, match="still here"):
        camera.next_request(5)
    assert clocks.passed_ns == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"stall": tr', "no JSON"),
        ("[1]", "no object"),
        ('{"stal": true}', "'stal' is not known"),
        ('{"stall": 1}', "stall is 1, expected true or false"),
        ('{"drop_frames": -1}', "drop_frames is -1"),
        ('{"hang": 1e9}', "hang is 1000000000.0"),
        ('{"error": ""}', "error is ''"),
        ("[" * 60000, "no JSON"),
    ],
)
def test_what_cannot_be_understood_is_ignored_with_one_warning(
    content: str, says: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    with caplog.at_level(logging.WARNING, "camerad.simulator"):
        write(path, content)
        for _ in range(10):
            assert camera.next_request(5) is not None
    (record,) = caplog.records
    assert says in record.getMessage()
    assert all(name in record.getMessage() for name in KNOWN)
    write(path, {"gone": True})
    clocks.passed_ns += 60_000_000
    with pytest.raises(DeviceLost):
        camera.next_request(5)


def test_known_keys_count_beside_unknown_ones(path: Path) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    write(path, {"nonsense": 1, "gone": True})
    clocks.passed_ns += 60_000_000
    with pytest.raises(DeviceLost):
        camera.next_request(5)


def test_the_file_is_looked_at_no_more_often_than_every_50_ms(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = LeapingClocks()
    camera = streaming(path, clocks)
    camera.set_controls({"FrameDurationLimits": (8333, 8333)})
    for _ in range(5):
        camera.next_request(5)
    looks = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda self, **options: looks.append(self) or stat(self, **options))
    began = clocks.passed_ns
    for _ in range(120):
        camera.next_request(5)
    seen = looks.count(path)
    monkeypatch.undo()
    assert 0 < seen <= (clocks.passed_ns - began) / 50e6 + 1


def test_faults_of_the_same_process(path: Path) -> None:
    faults, clocks = Faults(), LeapingClocks()
    camera = streaming(path, clocks, faults)
    faults.stalled = True
    assert camera.next_request(0.1) is None
    faults.stalled = False
    number = camera.next_request(5).number
    faults.drop_frames = 3
    assert camera.next_request(5).number == number + 4
    faults.hang_s = 2.0
    before = clocks.passed_ns
    camera.next_request(5)
    assert clocks.passed_ns - before >= 2e9
    faults.error = "no"
    with pytest.raises(CommandFailed, match="no"):
        camera.next_request(1)
    faults.error, faults.gone = None, True
    with pytest.raises(DeviceLost):
        camera.next_request(1)
    with pytest.raises(NotConnected):
        camera.open()
    faults.gone, faults.refuse_open = False, True
    with pytest.raises(NotConnected):
        camera.open()
