"""What was asked of a camera whose disk, memory or library fails: who waits is told, and nothing of it stays behind."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import waiting

from observatory_camerad.acquisition import sequence
from observatory_camerad.acquisition.captures import Wish
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.config import SCHEMA, parse
from observatory_camerad.drivers.base import Configuration
from observatory_camerad.live.looking import histogram
from observatory_camerad.outputs import answering, disk, files
from observatory_camerad.outputs.answering import DiskSilent
from observatory_camerad.parts import Parts
from observatory_camerad.simulator.camera import SimulatedCamera
from observatory_camerad.simulator.render import SimulatedRequest
from observatory_camerad.status import status
from observatory_camerad.video import recordings
from observatory_common import config
from observatory_common.directory import Directory
from observatory_common.errors import Blocked, CommandFailed
from observatory_common.jobs import JobTable
from observatory_common.service import Context
from observatory_common.storage import write_atomic

SMALL = {"stream": "main", "size": [96, 54], "format": "RGB888", "mode": 0}
# no two of them can be had at once
USE_CASES = {"live": SMALL, "photo": {**SMALL, "size": [128, 72]}, "video": {**SMALL, "size": [112, 64]}}
PHOTO_JPG = Wish("photo", "jpg")


class Running:
    """The parts of a camerad in this process, its jobs and events."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "pictures"
        self.faults = folder / "faults.json"
        file = folder / "camerad.json"
        content = {
            "daemon": "localhost_test",
            "log_name": "camerad@test",
            "control_machines": ["LocalHost"],
            "driver": "simulator",
            "output_path": str(self.output),
            "use_cases": USE_CASES,
            "simulator": {"faults": str(self.faults)},
        }
        file.write_text(json.dumps(content))
        directory = Directory({}, {})
        self.jobs = JobTable("boot")
        self.events: list[tuple[str, dict[str, Any]]] = []
        context = Context("cam", "boot", folder / "state", directory, "1.0")
        context.state_folder.mkdir()
        read = parse(config.load(file, SCHEMA, directory), directory)
        self.parts = Parts(read, context, self.jobs, lambda name, data: self.events.append((name, data)))

    def wait_for_camera(self) -> None:
        waiting.until(lambda: self.parts.worker.state == "idle", 10, "frames")

    def fault(self, **faults: Any) -> None:
        """Have the simulated camera fail so."""
        write_atomic(self.faults, json.dumps(faults).encode())

    def photo(self) -> dict[str, Any]:
        """The job of one, as it ended."""
        return self.jobs.wait(self.parts.shoot(PHOTO_JPG, "me", None)["id"], 10)

    def start_sequence(self, count: int) -> str:
        return self.parts.sequences.start(count, 0, PHOTO_JPG, "me").id

    def pictures(self) -> list[str]:
        return sorted(path.name for path in self.output.glob("*.jpg"))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    made.parts.start()
    made.wait_for_camera()
    yield made
    made.parts.close(5)


def test_a_sequence_whose_frames_are_not_written_is_no_success_nor_counted_by_the_next(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_answers = threading.Event()
    files = running.parts.files
    save = files.save

    def hanging(*arguments: Any) -> None:
        assert disk_answers.wait(30)
        save(*arguments)

    monkeypatch.setattr(files, "save", hanging)
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 0.5)
    first = running.jobs.wait(running.start_sequence(2), 10)
    assert (first["state"], first["result"]["taken"]) == ("failed", 0)
    assert first["error"]["message"].startswith("2 of its frames are not written")
    assert running.events[-1][0] == "sequence_ended" and running.events[-1][1]["how"] == "failed"
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 20.0)
    second = running.start_sequence(3)
    disk_answers.set()
    result = running.jobs.wait(second, 10)["result"]
    waiting.until(lambda: len(running.pictures()) == 5, 10, "all to be written")
    assert (result["taken"], result["first"], result["last"]) == (3, *running.pictures()[2::2])


@pytest.fixture
def hanging_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set, and neither pictures nor questions return from the disk until it is cleared, as of a server that is away."""
    hangs = threading.Event()

    def held(call: Any) -> Any:
        def wait_and_call(*arguments: Any) -> Any:
            waiting.until(lambda: not hangs.is_set(), 60, "the disk to answer")
            return call(*arguments)

        return wait_and_call

    for name in ("require_room", "free_bytes"):
        monkeypatch.setattr(disk, name, held(getattr(disk, name)))
    monkeypatch.setattr(files, "save", held(files.save))
    yield hangs
    hangs.clear()


def test_a_sequence_in_whose_middle_the_disk_takes_no_more_pictures_fails(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_answers = threading.Event()
    save = running.parts.files.save

    def hanging(*arguments: Any) -> None:
        assert disk_answers.wait(30)
        save(*arguments)

    monkeypatch.setattr(running.parts.files, "save", hanging)
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 0.5)
    monkeypatch.setattr(sequence, "_BEYOND_ITS_FRAME_S", 0.5)
    try:
        ended = running.jobs.wait(running.start_sequence(0), 10)
        assert (ended["state"], ended["result"]["taken"]) == ("failed", 0)
        assert ended["error"]["message"] == "3 of its frames are not written: the disk has taken nothing for 0.5 s"
        assert running.events[-1][0] == "sequence_ended" and running.events[-1][1]["how"] == "failed"
        assert running.parts.sequences.state is None
    finally:
        disk_answers.set()


def test_who_hears_that_a_sequence_has_begun_can_stop_it(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = running.parts.sequences

    def hear(name: str, _: dict[str, Any]) -> None:
        if name == "sequence_started":
            sequences.stop()

    monkeypatch.setattr(sequences, "_on_event", hear)
    assert running.jobs.wait(running.start_sequence(0), 10)["state"] == "stopped"


def test_a_sequence_that_is_stopped_while_its_disk_hangs_ends(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_answers = threading.Event()
    save = running.parts.files.save

    def hanging(*arguments: Any) -> None:
        assert disk_answers.wait(30)
        save(*arguments)

    monkeypatch.setattr(running.parts.files, "save", hanging)
    id = running.start_sequence(0)
    waiting.until(lambda: running.parts.writer.waiting == 3, 10, "the frames")
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 0.5)
    running.parts.sequences.stop()
    try:
        assert running.jobs.wait(id, 10)["state"] == "failed"
    finally:
        disk_answers.set()


def test_a_disk_that_answers_nothing_keeps_neither_the_sequence_nor_the_status(
    running: Running, hanging_disk: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parts = running.parts
    caplog.set_level("INFO", "camerad")
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 1.5)
    monkeypatch.setattr(answering, "SILENT_AFTER_S", 0.5)
    id = running.start_sequence(0)
    waiting.until(lambda: status(parts)["sequence_frame_count"] > 0, 10, "a picture")
    assert status(parts)["disk_silent_s"] is None and status(parts)["free_bytes"] > 0
    # else, after a slow disk, it might wait for the writer of three pictures, and end for that
    waiting.until(lambda: parts.writer.waiting == 0, 10, "what is taken to be written")
    hanging_disk.set()
    waiting.until(lambda: status(parts)["disk_silent_s"], 10, "the status to tell it")
    waiting.until(lambda: status(parts)["free_bytes"] is None, 10, "the room not to be known")
    with pytest.raises(DiskSilent, match=rf"the disk of {running.output} has not answered for \d+ s"):
        running.photo()
    ended = running.jobs.wait(id, 10)
    assert (ended["state"], ended["error"]["error"]) == ("failed", "DiskSilent")
    waiting.until(lambda: "the disk of the pictures has not answered" in caplog.text, 10, "the log")
    hanging_disk.clear()
    waiting.until(lambda: status(parts)["disk_silent_s"] is None, 10, "the disk")
    assert running.photo()["state"] == "succeeded"
    waiting.until(lambda: "the disk of the pictures answers again" in caplog.text, 10, "the log")


def test_the_end_does_not_wait_for_a_disk_that_answers_nothing(
    running: Running, hanging_disk: threading.Event, caplog: pytest.LogCaptureFixture, machine_lag
) -> None:
    running.start_sequence(0)
    waiting.until(lambda: running.parts.sequences.state.taken > 0, 10, "a picture")
    hanging_disk.set()
    waiting.until(lambda: running.parts.writer.waiting > 0, 10, "a picture that hangs")
    began = time.monotonic()
    running.parts.close(2.0)
    assert time.monotonic() - began < 3.0 + machine_lag.seconds
    assert "the disk does not answer: what waits to be written is lost" in caplog.text
    assert running.parts.sequences.state is not None  # the next run of the daemon goes on with it


def test_a_disk_that_is_slow_is_waited_for_as_long_as_it_gets_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    files = running.parts.files
    save = files.save

    def slow(*arguments: Any) -> None:
        threading.Event().wait(0.7)
        save(*arguments)

    monkeypatch.setattr(files, "save", slow)
    monkeypatch.setattr(sequence, "_WRITTEN_WITHIN_S", 1.8)
    ended = running.jobs.wait(running.start_sequence(3), 10)
    assert (ended["state"], ended["result"]["taken"]) == ("succeeded", 3)


def test_a_sequence_whose_shot_is_refused_ends_at_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(shot: Shot) -> None:
        raise Blocked("64 shots wait already")

    monkeypatch.setattr(running.parts.worker, "take", full)
    ended = running.jobs.wait(running.start_sequence(2), 10)
    assert (ended["state"], ended["error"]["error"]) == ("failed", "Blocked")


def test_an_unexpected_error_while_a_frame_is_taken_is_told_and_costs_nobody_the_camera(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = SimulatedRequest.array
    short_of_memory = threading.Event()

    def allocated(request: SimulatedRequest, stream: str) -> Any:
        if short_of_memory.is_set():
            short_of_memory.clear()
            raise MemoryError("Unable to allocate 34.9 MiB")
        return array(request, stream)

    monkeypatch.setattr(SimulatedRequest, "array", allocated)
    for start in (running.photo, lambda: running.jobs.wait(running.start_sequence(2), 10)):
        short_of_memory.set()
        ended = start()
        assert ended["state"] == "failed"
        assert ended["error"]["message"] == "the frame could not be taken: Unable to allocate 34.9 MiB"
        assert running.photo()["state"] == "succeeded"
    short_of_memory.set()
    with pytest.raises(CommandFailed, match=r"could not be taken: Unable to allocate"):
        histogram(running.parts, "main")
    assert running.parts.worker.failures_in_a_row == 0


def test_an_unexpected_error_while_it_is_configured_is_told_at_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    configure, broken, opened_again = SimulatedCamera.configure, threading.Event(), threading.Event()

    def library(camera: SimulatedCamera, *arguments: Any) -> Any:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("a bug of the library")
        opened_again.set()
        return configure(camera, *arguments)

    monkeypatch.setattr(SimulatedCamera, "configure", library)
    with pytest.raises(CommandFailed, match=r"it was not configured: .*a bug of the library"):
        running.parts.recordings.start("me", None, False, "mp4", None)
    assert opened_again.wait(10)
    running.wait_for_camera()
    assert running.photo()["state"] == "succeeded"


def test_a_recording_that_does_not_begin_in_time_is_not_held_later(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = running.parts.worker
    monkeypatch.setattr(recordings, "_RECONFIGURED_WITHIN_S", 0.2)
    running.fault(hang=2.0)
    waiting.until(lambda: time.monotonic() - worker.frame_at > 0.5, 10, "the camera to hang")
    with pytest.raises(CommandFailed, match=r"was not configured for video within 0\.2 s"):
        running.parts.recordings.start("me", None, False, "mp4", None)
    assert running.photo()["state"] == "succeeded"


def test_a_camera_that_no_longer_takes_the_configuration_of_the_recording_is_opened_nevertheless(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, configure = running.parts.worker, SimulatedCamera.configure
    job = running.parts.recordings.start("me", None, False, "mp4", None)
    held = worker.wanted_configuration
    waiting.until(lambda: running.parts.recordings.running.duration_s > 0.2, 10, "some pictures")

    def refusing(camera: SimulatedCamera, wanted: Configuration, controls: Any = None) -> Configuration:
        if wanted == held:
            raise CommandFailed("this camera has no such stream")
        return configure(camera, wanted, controls)

    monkeypatch.setattr(SimulatedCamera, "configure", refusing)
    running.fault(error="a short circuit")
    # told before the camera is let go: until then it still counts as idle, in the configuration that was held
    waiting.until(lambda: worker.last_error == "a short circuit" and worker.session is None, 10, "the failure")
    running.fault()
    running.wait_for_camera()
    assert worker.wanted_configuration != held
    assert running.jobs.wait(job.id, 10)["state"] == "succeeded"  # with what there was until then
    assert running.photo()["state"] == "succeeded"
