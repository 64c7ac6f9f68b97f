"""Recordings and events of camerad as a process: over photos, a lost camera, kills."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
import waiting
from cameras import FAST, Camerad, assert_picture, assert_whole, done, events_named, finished
from small_disk import SmallDisk

from observatory_common.errors import Blocked, CameraNotAcquiring
from observatory_common.rpc.client import RemoteDaemon

STUCK = 75
GAP_S = 0.25


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    (tmp_path / "roots").mkdir()
    running = Camerad(
        tmp_path,
        roots=[str(tmp_path / "roots")],
        simulator={"faults": str(tmp_path / "faults.json")},
        **{**FAST, "controls": {"FrameDurationLimits": [33333, 33333]}},
    )
    running.start()
    yield running
    running.fault()
    running.end()


def times_of(path: Path) -> list[float]:
    """When each picture of a video is shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(picture.pts * picture.time_base) for picture in container.decode(video=0)]


def recorded(camera: RemoteDaemon, seconds: float) -> None:
    """Wait until a recording is so long."""
    waiting.until(lambda: (camera.report_status()["recording_s"] or 0) > seconds, 20 + seconds, f"{seconds} s of video")


def hidden_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_day_of_a_camera_leaves_each_event_once(camerad: Camerad, machine_lag) -> None:
    with camerad.connect() as camera:
        assert camera.frame("live")["number"] > 0  # and nobody looks after that
        looked_at = time.monotonic()
        job = camera.start_video()
        recorded(camera, 0.5)
        assert camera.report_status()["recording"] == "camera-00000001.mp4"
        with pytest.raises(Blocked, match="a recording runs already"):
            camera.start_video()
        photos = [done(camera, camera.take_photo())["name"] for _ in range(10)]
        assert camera.stop_video() == {"state": "stopping"}
        facts = done(camera, job)
        assert (facts["name"], facts["reason"]) == ("camera-00000001.mp4", "stopped")
        assert facts["dropped"] <= 30 * machine_lag.seconds  # none, unless the machine itself stood still
        with pytest.raises(CameraNotAcquiring):
            camera.stop_video()
        at_s = times_of(camerad.output / facts["name"])
        assert len(at_s) == facts["frames"] > 15
        gaps_s = [after - before for before, after in itertools.pairwise(at_s)]
        assert max(gaps_s) < GAP_S + machine_lag.seconds  # photos cost it nothing
        timed = done(camera, camera.start_video(0.5, format="h264"))
        assert timed["reason"] == "duration reached"
        assert timed["frames"] == pytest.approx(15, abs=2 + 30 * machine_lag.seconds)
        beside = json.loads((camerad.output / timed["name"]).with_suffix(".json").read_text())
        assert beside["observatory"]["frames"] == timed["frames"] and beside["ExposureTime"] > 0
        sequence = done(camera, camera.start_sequence(3, 0, "jpg"))
        camerad.fault(gone=True)
        waiting.until(lambda: camera.report_status()["state"] == "initializing", 10, "the loss")
        camerad.fault()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "the camera")
        waiting.until(lambda: events_named(camera, "stream_stopped"), 15, "the live view to end")
        assert time.monotonic() - looked_at > 9.9 - machine_lag.seconds  # the answer may have come late
        events = events_named(camera)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        dates = [event["date"] for event in events]
        assert dates == sorted(dates)
        told = [(event["name"], event["data"]) for event in events]
    assert [name for name, _ in told if name not in ("stream_started", "stream_stopped")] == [
        "recording_started",
        *["photo_taken"] * 10,
        "recording_stopped",
        "recording_started",
        "recording_stopped",
        "sequence_started",
        "sequence_ended",
        "camera_lost",
        "camera_back",
    ]
    by_name = dict(reversed(told))  # the first of each
    assert [data for name, data in told if name.startswith("stream_")] == [{"stream": "lores"}] * 2
    assert by_name["recording_started"] == {"name": facts["name"], "job": job["id"]}
    assert by_name["recording_stopped"] == {**facts, "job": job["id"]}
    assert [data["name"] for name, data in told if name == "photo_taken"] == photos
    assert by_name["photo_taken"]["names"] == [photos[0]] and by_name["photo_taken"]["job"]
    assert by_name["sequence_ended"]["last"] == sequence["last"]
    assert "gone" in by_name["camera_lost"]["error"]
    assert 0 < by_name["camera_back"]["after_s"] < 5 + machine_lag.seconds
    assert len(assert_whole(camerad.output)) == 15


def test_a_recording_outlives_kill_9_but_for_its_end(camerad: Camerad) -> None:
    root = camerad.folder / "roots"
    for number, folder in ((1, root), (2, camerad.output)):
        with camerad.connect() as camera:
            camera.start_video(format="mp4" if number == 1 else "h264", folder=str(folder) if folder == root else None)
            recorded(camera, 1.6)
            name = camera.report_status()["recording"]
        camerad.kill()
        assert not (folder / name).exists()
        camerad.start()
        with camerad.connect() as camera:
            (recovered,) = events_named(camera, "recording_recovered")
            assert recovered["data"]["name"] == name == f"camera-0000000{number}.{'mp4' if number == 1 else 'h264'}"
            assert camera.report_status()["recording"] is None
        assert_picture(folder / name)
        if number == 1:
            at_s = times_of(folder / name)
            assert at_s[-1] > 0.9 and recovered["data"]["duration_s"] == pytest.approx(at_s[-1], abs=0.1)
        assert hidden_in(folder) == []


def test_a_recording_that_is_killed_at_once_leaves_nothing(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        camera.start_video()
        waiting.until(lambda: hidden_in(camerad.output), 10, "the part file")
    camerad.kill()
    camerad.start()
    with camerad.connect() as camera:
        assert events_named(camera, "recording_recovered") == []
    assert hidden_in(camerad.output) == []


def test_what_another_camera_records_in_the_same_folder_is_left_alone(camerad: Camerad) -> None:
    other = Camerad(camerad.folder / "other", output_path=str(camerad.output), output_prefix="other", **FAST)
    with camerad.connect() as camera:
        job = camera.start_video()
        recorded(camera, 1.3)
        other.start()  # it looks for what it may have left
        other.end()
        recorded(camera, 2.2)
        camera.stop_video()
        facts = done(camera, job)
    assert len(times_of(camerad.output / facts["name"])) == facts["frames"] > 60


def test_a_camera_that_comes_back_ends_no_recording_for_long(camerad: Camerad, machine_lag) -> None:
    with camerad.connect() as camera:
        job = camera.start_video(2.0)
        recorded(camera, 0.8)
        camerad.fault(gone=True)
        waiting.until(lambda: camera.report_status()["state"] == "initializing", 10, "the loss")
        camerad.fault()
        began = time.monotonic()
        ended = finished(camera, job, 20)
        assert time.monotonic() - began < 2 + 5 + machine_lag.seconds
        assert ended["state"] == "succeeded", ended
        assert len(times_of(camerad.output / ended["result"]["name"])) == ended["result"]["frames"]
        assert done(camera, camera.start_video(0.3))["frames"] > 0


def test_a_camera_that_stays_away_ends_the_daemon_and_the_recording_plays(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        camera.start_video()
        recorded(camera, 1.6)
        name = camera.report_status()["recording"]
    camerad.fault(gone=True)
    assert camerad.process.wait(30) == STUCK
    camerad.fault()
    camerad.start()
    with camerad.connect() as camera:
        assert camera.report_status()["recording"] is None
    assert times_of(camerad.output / name)[-1] > 0.9
    assert hidden_in(camerad.output) == []


def test_a_recording_ends_when_the_camera_is_lost_and_the_daemon_stays(camerad: Camerad, machine_lag) -> None:
    assert camerad.stop() == 0
    (camerad.state_folder / "failures.json").write_text(json.dumps({"in_a_row": 9}))
    camerad.start()
    with camerad.connect() as camera:
        job = camera.start_video()
        recorded(camera, 1.0)
        camerad.fault(error="the sensor reports a CRC error")
        began = time.monotonic()
        ended = finished(camera, job, 20)
        assert time.monotonic() - began < 2 + machine_lag.seconds
        assert (ended["state"], ended["error"]["error"]) == ("lost_device", "DeviceLost")
        assert "CRC error" in ended["result"]["reason"]
        assert len(times_of(camerad.output / ended["result"]["name"])) == ended["result"]["frames"]
        assert camera.report_status()["recording"] is None


def test_a_kill_at_any_moment_of_recordings_tears_nothing(camerad: Camerad) -> None:
    for later_s in (0.0, 0.03, 0.3):
        with camerad.connect() as camera:
            camera.start_video(0.2)
            camera.take_photo()
        threading.Event().wait(later_s)  # any moment: a part file, a rename, what lies beside
        camerad.kill()
        camerad.start()
        assert hidden_in(camerad.output) == []
        for path in camerad.output.iterdir():
            if path.suffix == ".json":
                assert json.loads(path.read_text())
            else:
                assert_picture(path)


def test_a_recording_at_a_full_disk_from_the_start_costs_no_number(tmp_path: Path) -> None:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    with SmallDisk(mount_point, 32) as small:
        running = Camerad(tmp_path, inside=small, output_path=str(mount_point / "pictures"), **FAST)
        running.start()
        with running.connect() as camera:
            with pytest.raises(RuntimeError, match="needs"):
                camera.start_video()
            assert done(camera, camera.take_photo())["name"] == "camera-00000001.jpg"
        running.end()
