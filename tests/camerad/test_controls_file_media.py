"""Controls files on media that hang, may not be written, are full, pulled and plugged: told, and never fatal."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import waiting
from cameras import done
from controls_files import KNOWN, Setup, watcher
from scanner import Scanner, Stick

from observatory_camerad.config import ControlsFileConfig
from observatory_camerad.outputs import disk
from observatory_camerad.scanner import controls_file
from observatory_camerad.scanner.controls_file import ControlsFile
from observatory_camerad.scanner.test_photos import TestPhotos

#: In camerad: a folder is on a stick without owners that was mounted for another user: it can be read only.
_OF_ANOTHER_USER = """
import errno
import os
import tempfile
from pathlib import Path

from observatory_camerad.outputs import disk

folder = {path!r}
disk._WITHOUT_OWNERS = {{disk._kind_of(Path(folder))}}
access, make = os.access, tempfile.mkstemp


def refused(*arguments, dir=None, **more):
    if str(dir).startswith(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))
    return make(*arguments, dir=dir, **more)


tempfile.mkstemp = refused
os.access = lambda path, mode, **more: not str(path).startswith(folder) and access(path, mode, **more)
"""


def test_a_stick_that_hangs_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_lag) -> None:
    """As a disk that does not answer: its thread waits, the status says so, and the end is not waited for."""
    answers = threading.Event()
    asked = threading.Event()

    def stat(_: Path) -> None:
        asked.set()
        answers.wait(30)

    monkeypatch.setattr(controls_file, "_identity", stat)
    monkeypatch.setattr(controls_file, "_HANGS_AFTER_S", 0.1)
    told: list[Any] = []
    photos = TestPhotos(tmp_path, None, told.append)
    watching = ControlsFile(
        ControlsFileConfig(tmp_path / "c.json", poll_s=0.1), lambda: KNOWN, lambda *_: told.append(1), photos, told.append
    )
    watching.start()
    assert asked.wait(5)
    waiting.until(lambda: watching.status()["state"] == "hanging", 5, "the state")
    began = time.monotonic()
    watching.close(0.2)
    assert time.monotonic() - began < 1 + machine_lag.seconds and told == []
    answers.set()
    watching.close(5)


def test_a_stick_that_may_not_be_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As of another user: told once, with what to do about it, and read as soon as it may be."""
    stick = tmp_path / "stick"
    path = stick / "mandeye" / "c.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"picamera": {"AnalogueGain": 2}}')
    locked = threading.Event()
    locked.set()
    looks: list[Path] = []
    stat = os.stat

    def refused(of: Any, **more: Any) -> os.stat_result:
        if locked.is_set() and Path(of) in (path, path.parent):
            looks.append(Path(of))
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(of))
        return stat(of, **more)

    monkeypatch.setattr(os, "stat", refused)
    monkeypatch.setattr(disk, "_WITHOUT_OWNERS", {disk._kind_of(stick)})
    told: list[Any] = []
    watching = watcher(path, told, poll_s=0.1)
    watching.start()
    try:
        waiting.until(lambda: len(looks) > 8, 5, "some looks")
        seen = watching.status()
        assert seen["state"] == "unreadable" and told == []
        mount = f"(mount it with the options uid={os.geteuid()},gid={os.getegid()},umask=0002, so that it is ours)"
        assert seen["error"] == f"{path.parent} cannot be read: Permission denied {mount}"
        locked.clear()
        waiting.until(lambda: watching.status()["state"] == "applied", 5, "the file")
        assert watching.status()["error"] is None
    finally:
        watching.close(5)
    assert caplog.text.count("Permission denied") == 1 and "Traceback" not in caplog.text


def test_a_stick_of_another_user_is_read_and_all_that_cannot_be_written_names_the_mount_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stick, inside = tmp_path / "stick", tmp_path / "inside"
    folder = stick / "continousScanning_0001"
    for made in (folder, inside):
        made.mkdir(parents=True)
    (inside / "sitecustomize.py").write_text(_OF_ANOTHER_USER.format(path=str(stick)))
    monkeypatch.setenv("PYTHONPATH", str(inside), prepend=":")
    with Scanner() as scanner:
        controller = {"endpoints": [scanner.endpoint]}
        setup = Setup(tmp_path, stick / "c.json", controller=controller, test_photo=True)
        setup.write({"picamera": {"AnalogueGain": 2}})
        try:
            setup.camerad.start()
            with setup.camerad.connect() as camera:
                mount = f"(mount it with the options uid={os.geteuid()},gid={os.getegid()},umask=0002, so that it is ours)"
                why = f"cannot be written: Permission denied {mount}"
                for error in ("report_error", "template_error", "test_photo_error"):
                    waiting.until(lambda: camera.controls_file()[error] == f"{stick} {why}", 10, error)  # noqa: B023
                seen = camera.controls_file()
                assert (seen["state"], seen["report"]["applied"]) == ("applied", {"AnalogueGain": 2.0})
                assert why in camera.report_status()["controls_file_error"]
                scanner.say("SCANNING", folder)
                waiting.until(lambda: camera.controller_status()["reason"] == f"{folder} {why}", 10, "the reason")
        finally:
            setup.camerad.end()
    assert sorted(path.name for path in stick.rglob("*")) == ["c.json", folder.name]


def test_an_error_of_the_test_photo_goes_with_its_medium(tmp_path: Path) -> None:
    path = tmp_path / "stick" / "c.json"
    told: list[Any] = []
    watching = watcher(path, told, poll_s=0.1, test_photo=True, template=False)
    watching.start()
    try:
        waiting.until(lambda: watching.status()["state"] == "absent", 5, "the first look")
        assert told == []  # there is no folder yet
        path.parent.mkdir()
        waiting.until(lambda: told == ["photo"], 5, "the first photo")
        waiting.until(lambda: watching.status()["test_photo_error"] == "no photo", 5, "its error")
        path.write_text('{"picamera": {}}')
        waiting.until(lambda: watching.status()["state"] == "applied", 5, "the file")
        waiting.until(lambda: watching.status()["test_photo_error"] is None, 5, "the error to go")
        watching.reload()
        waiting.until(lambda: watching.status()["test_photo_error"] == "no photo", 5, "its error")
        path.parent.rename(tmp_path / "pulled")
        waiting.until(lambda: watching.status()["state"] == "absent", 5, "the file to be missed")
        assert watching.status()["test_photo_error"] is None
        assert told.count("photo") == 2
    finally:
        watching.close(5)


def test_a_stick_that_is_pulled_plugged_full_and_read_only(tmp_path: Path) -> None:
    with Stick(tmp_path / "media") as stick:
        (stick.store / "c.json").write_text(json.dumps({"picamera": {"AnalogueGain": 2}}))
        setup = Setup(tmp_path, stick.mounted_at / "c.json", inside=stick)
        try:
            setup.camerad.start()
            with setup.camerad.connect() as camera:
                waiting.until(lambda: camera.controls_file()["state"] == "absent", 5, "no file")
                (stick.path / "c.json.default").unlink()  # in the folder on which the stick is mounted
                stick.plug()
                report = setup.report(camera)
                assert report["applied"] == {"AnalogueGain": 2.0}
                waiting.until(setup.template_path.exists, 5, "the template")
                stick.pull()
                waiting.until(lambda: camera.controls_file()["state"] == "absent", 5, "no file")
                (stick.store / "c.json.default").unlink()
                stick.plug()
                report = setup.report(camera, report["date"])
                stick.pull()
                waiting.until(lambda: camera.controls_file()["state"] == "absent", 5, "no file")
                (stick.store / "c.json.default").unlink()
                os.truncate(stick.store / "c.json", 5)
                filler = stick.fill()
                stick.plug()
                waiting.until(lambda: "is no JSON" in (camera.controls_file()["error"] or ""), 5, "the refusal")
                waiting.until(lambda: "no room" in (camera.controls_file()["report_error"] or ""), 5, "a full stick")
                assert "no room" in camera.controls_file()["template_error"]
                assert camera.report_status()["state"] == "idle"
                stick.pull()
                waiting.until(lambda: camera.controls_file()["state"] == "absent", 5, "no file")
                assert [camera.controls_file()[f"{what}_error"] for what in ("report", "template", "test_photo")] == [None] * 3
                assert camera.report_status()["controls_file_error"] is None
                filler.unlink()
                (stick.store / "c.json").write_text(json.dumps({"picamera": {"AnalogueGain": 4}}))
                stick.plug("-o", "ro")
                waiting.until(
                    lambda: (camera.controls_file()["report"] or {}).get("applied") == {"AnalogueGain": 4.0}, 5, "the new file"
                )
                waiting.until(
                    lambda: "Read-only file system" in (camera.controls_file()["report_error"] or ""), 5, "a read-only stick"
                )
                assert "Read-only" in camera.report_status()["controls_file_error"]
                assert [name for name in os.listdir(stick.store) if name.startswith(".")] == []
        finally:
            setup.camerad.end()


def test_at_each_start_the_sticks_file_is_applied_over_what_was_set_meanwhile(tmp_path: Path) -> None:
    """As by ftpd: of that only what the file does not name outlasts a restart."""
    (tmp_path / "stick").mkdir()
    setup = Setup(tmp_path, tmp_path / "stick" / "c.json")
    setup.write({"picamera": {"ExposureTime": 4000}})
    try:
        setup.camerad.start()
        with setup.camerad.connect() as camera:
            first = setup.report(camera)
            dropped = camera.apply_controls({"ExposureTime": 9000, "AnalogueGain": 3.0}, False)
            assert dropped["refused"] == {}
            assert abs(done(camera, camera.take_photo())["metadata"]["ExposureTime"] - 9000) < 40
        setup.camerad.kill()
        setup.camerad.start()
        with setup.camerad.connect() as camera:
            assert setup.report(camera, first["date"])["applied"] == {"ExposureTime": 4000}
            in_force = {name: info["value"] for name, info in camera.controls().items()}
            assert (in_force["ExposureTime"], in_force["AnalogueGain"]) == (4000, 3.0)
            assert abs(done(camera, camera.take_photo())["metadata"]["ExposureTime"] - 4000) < 40
    finally:
        setup.camerad.end()
