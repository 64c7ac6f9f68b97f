"""camerad on a disk that is full or read-only: refused before the shutter, nothing torn, the live view goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import waiting
from camera_disk import FreezingDisk
from cameras import Camerad, assert_picture, assert_whole, done, events_named, finished
from small_disk import SmallDisk

from observatory_common.errors import CommandFailed, CommandStatus, NoRoom
from observatory_common.rpc.client import RemoteDaemon

MIB = 1 << 20
NEEDS_AND_HAS = r"no room in \S+: needs \d+ bytes .*, has \d+"


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[Callable[..., tuple[Camerad, SmallDisk]]]:
    """Starts a camerad whose pictures (or state) are on a small disk of so many MiB."""
    started: list[Camerad] = []
    disks: list[SmallDisk] = []
    mount_point = tmp_path / "small"
    mount_point.mkdir()

    def start(size_mib: int, state: bool = False, **config: Any) -> tuple[Camerad, SmallDisk]:
        disks.append(SmallDisk(mount_point, size_mib))
        places: dict[str, Any] = {"state_home": mount_point} if state else {"output_path": str(mount_point / "pictures")}
        config["simulator"] = {"faults": str(tmp_path / "faults.json")}
        started.append(Camerad(tmp_path, inside=disks[-1], **places, **config))
        started[-1].start()
        return started[-1], disks[-1]

    try:
        yield start
        for camerad in started:
            camerad.end()
    finally:
        for camerad in started:
            if camerad.process.poll() is None:
                camerad.kill()
        for disk in disks:
            disk.close()


def goes_on(camera: RemoteDaemon) -> None:
    """The live view has new frames."""
    first = camera.frame("live")
    later = camera.frame("live", first["boot_id"], first["number"] + 5)
    assert later["number"] > first["number"] + 5 and later["data"]


def test_a_full_disk_is_told_before_the_shutter_and_disturbs_nothing_else(on_disk) -> None:
    camerad, small = on_disk(64)
    with camerad.connect() as camera:
        kept = done(camera, camera.take_photo("jpg", "fits"))["names"]
        small.fill(MIB)
        before, listed = len(events_named(camera)), camera.files()
        for call, arguments in (
            ("take_photo", ()),
            ("take_photo", ("png", "dng")),
            ("take_raw", ()),
            ("start_sequence", (3,)),
            ("start_video", ()),
        ):
            with pytest.raises(NoRoom, match=NEEDS_AND_HAS) as refused:
                getattr(camera, call)(*arguments)
            assert refused.value.code == CommandStatus.NoRoom == 16
        status = camera.report_status()
        waiting.until(lambda: camera.report_status()["free_bytes"] == small.free() <= MIB, 10, "the room to be told")
        assert (status["state"], status["recording"], status["sequence_frame_limit"]) == ("idle", None, None)
        assert camera.files() == listed
        assert [event["name"] for event in events_named(camera)[before:]] == []
        goes_on(camera)
        (small.path / "filler.bin").unlink()
        assert done(camera, camera.take_photo())["name"] > kept[-1]
    assert len(assert_whole(small.path / "pictures")) == 3


@pytest.mark.parametrize("leave_bytes", [0, 18 * MIB], ids=["at once", "slowly"])
def test_a_sequence_that_fills_the_disk_ends_as_failed_with_what_it_has(leave_bytes: int, on_disk) -> None:
    camerad, small = on_disk(48)
    with camerad.connect() as camera:
        job = camera.start_sequence(0, 0.02, "fits")
        waiting.until(lambda: camera.report_status()["sequence_frame_count"] >= 2, 20, "two frames")
        small.fill(leave_bytes)
        ended = finished(camera, job)
        assert (ended["state"], ended["error"]["error"], ended["error"]["code"]) == ("failed", "NoRoom", 16)
        assert "needs" in ended["error"]["message"] and "has" in ended["error"]["message"]
        last = events_named(camera, "sequence_ended")
        assert [(event["data"]["how"], event["data"]["taken"]) for event in last] == [("failed", ended["result"]["taken"])]
        assert camera.report_status()["state"] == "idle"
        goes_on(camera)
        (small.path / "filler.bin").unlink()
        pictures = assert_whole(small.path / "pictures")
        assert len(pictures) == ended["result"]["taken"]
        camera.delete_files(pictures)
        assert done(camera, camera.start_sequence(2, 0, "jpg"))["taken"] == 2  # it is not resumed, nor in the way


@pytest.mark.parametrize("leave_mib", [0, 200], ids=["at once", "below the reserve"])
def test_a_recording_that_fills_the_disk_keeps_what_can_be_played(leave_mib: int, on_disk) -> None:
    camerad, small = on_disk(300)
    with camerad.connect() as camera:
        job = camera.start_video()
        waiting.until(lambda: (camera.report_status()["recording_s"] or 0) > 3, 20, "video, even on a busy machine")
        small.fill(leave_mib * MIB)
        ended = finished(camera, job, 20)
        facts = ended["result"]
        assert facts["reason"] != "stopped" and facts["frames"] > 25, ended
        assert facts["name"] is not None
        stopped = events_named(camera, "recording_stopped")
        assert [event["data"]["name"] for event in stopped] == [facts["name"]]
        assert camera.report_status()["recording"] is None
        goes_on(camera)
    assert_picture(small.path / "pictures" / facts["name"])
    assert [path.name for path in (small.path / "pictures").iterdir() if path.name.startswith(".")] == []


def test_a_full_state_disk_refuses_changes_and_loses_nothing(on_disk) -> None:
    camerad, small = on_disk(4, state=True)
    state_folder = small.path / "observatory" / "camerad" / "cam"
    with camerad.connect() as camera:
        camera.set_controls({"Contrast": 1.5})
        camera.save_settings("night")
        photo = done(camera, camera.take_photo())["name"]
        before = (camera.settings(), camera.use_cases(), camera.files())
        small.fill()
        for call, arguments in (
            ("set_controls", ({"Brightness": 0.5},)),
            ("set_use_case", ("live", {"size": [160, 90]})),
            ("save_settings", ("day",)),
            ("load_settings", ("night",)),
            ("delete_settings", ("night",)),
            ("reset_settings", ()),
            ("start_sequence", (3, 0, "jpg")),
            ("start_video", ()),
        ):
            with pytest.raises(NoRoom, match=NEEDS_AND_HAS):
                getattr(camera, call)(*arguments)
        failed = finished(camera, camera.take_photo())
        assert (failed["state"], failed["error"]["code"]) == ("failed", 16)
        assert (camera.settings(), camera.use_cases(), camera.files()) == before
        assert camera.report_status()["sequence_frame_limit"] is None
        assert camera.metadata()["ScalerCrop"]
        goes_on(camera)
        camerad.fault(gone=True)  # a count of failures that cannot be kept ends nothing
        waiting.until(lambda: camera.report_status()["last_error"], 10, "the loss")
        camerad.fault()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "the camera")
        assert camera.report_status()["failures_in_a_row"] == 1
        (small.path / "filler.bin").unlink()
        camera.set_controls({"Brightness": 0.25})
        assert done(camera, camera.take_photo())["name"] > photo
        kept = camera.settings()
    camerad.kill()
    left = sorted(path.name for path in state_folder.iterdir() if path.name.endswith(".json") or path.name.startswith("."))
    assert left == ["counter.json", "settings.json"] or left == ["counter.json", "failures.json", "settings.json"]
    for name in left:
        assert json.loads((state_folder / name).read_text())
    camerad.start()
    with camerad.connect() as camera:
        assert camera.settings() == kept
    assert len(assert_whole(camerad.output)) == 2


def test_a_sequence_whose_journal_cannot_be_written_ends_and_is_not_resumed(on_disk) -> None:
    camerad, small = on_disk(4, state=True)
    with camerad.connect() as camera:
        job = camera.start_sequence(0, 0.02, "jpg")
        waiting.until(lambda: camera.report_status()["sequence_frame_count"] >= 2, 20, "two frames")
        small.fill()
        ended = finished(camera, job)
        assert (ended["state"], ended["error"]["code"]) == ("failed", 16)
        assert camera.report_status()["state"] == "idle"
        goes_on(camera)
        (small.path / "filler.bin").unlink()
        assert done(camera, camera.start_sequence(2, 0, "jpg"))["taken"] == 2
    camerad.kill()
    camerad.start()
    with camerad.connect() as camera:
        assert camera.report_status()["sequence_frame_limit"] is None
        assert len(assert_whole(camerad.output)) == ended["result"]["taken"] + 2


@pytest.mark.parametrize("keep_free_mb", [30, 0])
def test_retention_makes_room_for_a_new_photo_and_says_what_went(keep_free_mb: int, on_disk) -> None:
    camerad, small = on_disk(64, retention={"keep_free_mb": keep_free_mb})
    pictures = small.path / "pictures"
    small.fill((40 if keep_free_mb else 27) * MIB)
    with camerad.connect() as camera:
        names = [done(camera, camera.take_raw())["name"] for _ in range(12)]  # of 1.8 MB each
        assert small.free() >= max(keep_free_mb * 1e6, 16 * MIB)
        goes_on(camera)
        kept = assert_whole(pictures)
        assert kept == names[-len(kept) :] and 1 < len(kept) < 8
        assert [file["name"] for file in camera.files() if file["name"].endswith(".fits")] == kept
    assert (small.path / "filler.bin").exists()
    log = camerad.log.read_text()
    for name in names:
        assert log.count(f"deleted {name}: to have") == (name not in kept)
        assert log.count(f"deleted {name.removesuffix('.fits')}.json") == (name not in kept)


def test_a_read_only_folder_is_told_and_the_live_view_goes_on(on_disk) -> None:
    camerad, small = on_disk(64)
    with camerad.connect() as camera:
        kept = done(camera, camera.take_photo())["name"]
        small.make_read_only()
        for call, arguments in (
            ("take_photo", ()),
            ("take_raw", ()),
            ("start_sequence", (3,)),
            ("start_video", ()),
            ("delete_files", ([kept],)),
        ):
            with pytest.raises(CommandFailed, match=r"cannot be (written|changed): Read-only file system") as refused:
                getattr(camera, call)(*arguments)
            assert not isinstance(refused.value, NoRoom)
        waiting.until(lambda: camera.report_status()["free_bytes"] == small.free(), 10, "the room to be told")
        assert len(camera.read_file(kept)["data"]) > 1000
        goes_on(camera)


def test_a_disk_that_stops_to_answer_in_a_sequence_is_told_and_keeps_nobody(tmp_path: Path, machine_lag) -> None:
    with FreezingDisk(tmp_path) as disk:
        camerad = Camerad(tmp_path, inside=disk, output_path=str(tmp_path / "disk" / "pictures"))
        try:
            camerad.start()
            with camerad.connect() as camera:
                camera.start_sequence(0, 0.1, "jpg")
                waiting.until(lambda: camera.report_status()["sequence_frame_count"] > 1, 20, "two frames")
                assert camera.report_status()["disk_silent_s"] is None
                with disk.frozen():
                    silent_s = waiting.until(lambda: camera.report_status()["disk_silent_s"], 30, "the status to tell it")
                    assert silent_s >= 10 and camera.report_status()["state"] == "acquiring"
                    taken = camera.report_status()["sequence_frame_count"]
                    with pytest.raises(CommandFailed, match=r"the disk of \S+ has not answered for \d+ s"):
                        camera.take_photo()
                    goes_on(camera)
                    waiting.until(lambda: "the disk of the pictures has not answered" in camerad.log.read_text(), 10, "the log")
                    began = time.monotonic()
                    camerad.process.terminate()
                    waiting.until(lambda: "service: ended" in camerad.log.read_text(), 20, "the end")
                    assert time.monotonic() - began < 5 + machine_lag.seconds
                assert camerad.process.wait(20) == 0  # the kernel keeps whoever waits for a disk of this kind until it answers
            camerad.start()
            with camerad.connect() as camera:
                waiting.until(lambda: camera.report_status()["sequence_frame_count"] > taken, 20, "it to go on")
                camera.stop_sequence()
                waiting.until(lambda: camera.report_status()["state"] == "idle", 20, "its end")
            camerad.end()
            assert len(assert_whole(disk.path / "pictures")) > 1
        finally:
            if camerad.process is not None and camerad.process.poll() is None:
                camerad.kill()
