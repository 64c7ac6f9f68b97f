"""A camera that stalls, fails, hangs or disappears: every call ends in its time, the camera comes back, or the daemon ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
from cameras import Camerad

from observatory_common.errors import NotConnected
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.storage import write_atomic

STALL_SEEN_S = 2.0 + 2 / 30  # what the design says
BACK_WITHIN_S = 5.0
STUCK = 75


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path)
    running.start()
    yield running
    if running.process.poll() is None:
        running.fault()
        assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def names_of_events(camera: RemoteDaemon) -> list[str]:
    return [event["name"] for event in camera.events(None, 0, 0)["events"]]


def took(call) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_a_stall_is_seen_in_time_every_call_ends_and_the_camera_comes_back(camerad: Camerad, machine_lag) -> None:
    with camerad.connect() as camera:
        last = camera.frame("live")
        camerad.fault(stall=True)
        began = time.monotonic()
        shots = [camera.take_photo()["id"]]
        waiting.until(lambda: camera.report_status()["state"] == "initializing", 10, "the stall to be seen")
        # the faults are looked at every 50 ms, and a wait for a frame is looked after every 0.5 s
        assert time.monotonic() - began < STALL_SEEN_S + 0.05 + 0.5 + 1 + machine_lag.seconds
        assert {camera.wait(id)["state"] for id in shots} <= {"lost_device", "succeeded"}
        assert took(lambda: camera.frame("live", last["boot_id"], 10**9, 0.5)) < 0.5 + 1 + machine_lag.seconds
        with pytest.raises(NotConnected, match="no frame for"):
            camera.take_photo()
        with pytest.raises(NotConnected):
            camera.set_controls({"Brightness": 0.5})
        lost_at = time.monotonic()
        camerad.fault()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "the camera")
        assert time.monotonic() - lost_at < BACK_WITHIN_S + machine_lag.seconds
        assert camera.frame("live", last["boot_id"], last["number"])["number"] > last["number"]
        events = names_of_events(camera)
        assert events.index("camera_lost") < events.index("camera_back")
        assert camera.report_status()["failures_in_a_row"] >= 1


@pytest.mark.parametrize("faults", [{"stall": True}, {"gone": True}, {"hang": 60}], ids=lambda f: next(iter(f)))
def test_a_camera_that_does_not_come_back_ends_the_daemon_to_be_restarted(faults, camerad: Camerad, machine_lag) -> None:
    began = time.monotonic()
    camerad.fault(**faults)
    assert camerad.process.wait(30) == STUCK
    # seen after 2.07 s, 5 s to come back, looked at every second, and a close that may have to give up a thread
    assert time.monotonic() - began < STALL_SEEN_S + BACK_WITHIN_S + 1.5 + 6 + machine_lag.seconds
    camerad.fault()
    camerad.start()  # and all is well again
    with camerad.connect() as camera:
        assert camera.wait(camera.take_photo()["id"])["state"] == "succeeded"


def test_a_camera_that_is_away_at_the_start_is_waited_for(tmp_path: Path) -> None:
    camerad = Camerad(tmp_path)
    camerad.fault(gone=True)
    camerad.run()
    with camerad.connect() as camera:
        status = waiting.until(
            lambda: (s := camera.report_status())["last_error"] is not None and s, 10, "the error to be told"
        )
        assert (status["state"], status["frames"], status["model"]) == ("initializing", 0, None)
        with pytest.raises(NotConnected):
            camera.take_photo()
        with pytest.raises(NotConnected):
            camera.capabilities()
        until = time.monotonic() + BACK_WITHIN_S + 1.5
        waiting.until(lambda: time.monotonic() > until, 10, "longer than a lost one is given")
        assert camerad.process.poll() is None
        camerad.fault()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "the camera")
    assert camerad.stop() == 0


def test_ten_failures_in_a_row_raise_an_alert_and_are_followed_by_patience(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        camerad.fault(error="the sensor reports a CRC error")
        waiting.until(lambda: "camera_alert" in names_of_events(camera), 20, "the alert")
        status = camera.report_status()
        assert status["failures_in_a_row"] == 10
        assert "CRC error" in status["last_error"]
        quiet_until = time.monotonic() + 3
        waiting.until(lambda: time.monotonic() > quiet_until, 5, "time to pass")
        assert camera.report_status()["failures_in_a_row"] == 10  # tried once a minute now, and the daemon stays
        assert camerad.process.poll() is None
    assert "CRITICAL" in camerad.log.read_text()
    camerad.fault()
    assert camerad.stop() == 0
    camerad.start()  # a restart by hand is tried at once, and remembers
    with camerad.connect() as camera:
        assert camera.report_status()["failures_in_a_row"] == 10


def test_a_library_that_hangs_again_and_again_is_counted_and_then_waited_for(camerad: Camerad) -> None:
    camerad.fault(hang=60)
    assert camerad.process.wait(30) == STUCK
    camerad.start()
    with camerad.connect() as camera:
        assert camera.report_status()["failures_in_a_row"] == 1
    assert camerad.stop() == 0
    write_atomic(camerad.state_folder / "failures.json", b'{"in_a_row": 10, "stuck": true}')  # nine more of these
    camerad.run()
    with camerad.connect() as camera:
        until = time.monotonic() + 2
        waiting.until(lambda: time.monotonic() > until, 5, "time for a camera to be opened")
        assert camera.report_status()["state"] == "initializing"
        camera.shutdown()
        assert camera.initialize()["state"] == "idle"  # by hand it is tried at once


def test_a_dropped_frame_is_a_gap_and_nothing_else(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        number = camera.frame("live")["number"]
        camerad.fault(drop_frames=3)
        stamps = []
        boot_id = camera.report_status()["boot_id"]
        for _ in range(30):
            frame = camera.frame("live", boot_id, number)
            number = frame["number"]
            stamps.append(frame["metadata"]["SensorTimestamp_us"])
        assert stamps == sorted(stamps)
        assert camera.report_status()["failures_in_a_row"] == 0


def test_shutdown_lets_go_and_nothing_reopens_it(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        assert camera.shutdown() == {"state": "offline"}
        with pytest.raises(NotConnected):
            camera.shutdown()
        with pytest.raises(NotConnected):
            camera.take_photo()
        with pytest.raises(NotConnected, match="shut down"):
            camera.frame("live")
        assert camera.initialize()["state"] == "idle"
        assert camera.frame("live")["number"] > 0


def test_a_sequence_goes_on_after_the_camera_was_lost_and_after_the_restart_that_it_took(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        camera.start_sequence(80, 0.1, "jpg")  # two losses must fit in, on any machine
        waiting.until(lambda: camera.report_status()["sequence_frame_count"] >= 5, 20, "five frames")
        camerad.fault(gone=True)
        waiting.until(lambda: camera.report_status()["last_error"], 10, "the loss")
        camerad.fault()
        seen = camera.report_status()["sequence_frame_count"]
        waiting.until(lambda: camera.report_status()["sequence_frame_count"] > seen + 3, 20, "more frames")
    camerad.fault(gone=True)
    assert camerad.process.wait(30) == STUCK
    camerad.fault()
    camerad.start()
    with camerad.connect() as camera:
        ended = waiting.until(
            lambda: [e for e in camera.events(None, 0, 0)["events"] if e["name"] == "sequence_ended"],
            30,
            "the end of the sequence",
        )
        assert ended[-1]["data"]["taken"] == 80
        assert sum(file["name"].endswith(".jpg") for file in camera.files()) == 80
