"""A scanner's controller that is silent, confused or malicious, and sticks that fail while it scans."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import waiting
from cameras import Camerad, assert_picture, events_named
from scanner import Publisher, Scanner, Stick

from observatory_camerad.acquisition.timing import Clocks
from observatory_camerad.outputs import files
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.photos import Outcome, PhotoWriter, Taken
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.storage import StateFile

INTERVAL_S = 0.2
#: What is told of a photo whose frame came too late.
_LATE = ("not ready at its time", "no frame for it in time")


@contextmanager
def scanning(tmp_path: Path, endpoint: str, root: Path, **more: Any) -> Iterator[tuple[Camerad, RemoteDaemon]]:
    """A camerad that hears the endpoint."""
    controller = {"endpoints": [endpoint], "interval_s": INTERVAL_S, "silent_s": 1, **more.pop("controller", {})}
    camerad = Camerad(tmp_path, roots=[str(root)], controller=controller, **more)
    try:
        camerad.start()
        with camerad.connect() as camera:
            waiting.until(lambda: camera.controller_status()["state"] != "waiting", 10, "the controller")
            yield camerad, camera
    finally:
        camerad.end()


def until_state(camera: RemoteDaemon, state: str) -> dict[str, Any]:
    found: dict[str, Any] = waiting.until(
        lambda: (seen := camera.controller_status())["state"] == state and seen, 10, f"the state {state}"
    )
    return found


def photos(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("photo_*.jpg"))


def troubles(camera: RemoteDaemon) -> tuple[list[str], int]:
    """What the scan told of sticks, and how often it got over that; not of photos that a busy machine has missed."""
    errors: list[str] = []
    recovered, since = 0, 0
    for event in events_named(camera, "scan_failed", "scan_recovered"):
        if event["name"] == "scan_recovered":
            recovered += len(errors) > since
            since = len(errors)
        elif not any(late in event["data"]["error"] for late in _LATE):
            errors.append(event["data"]["error"])
    return errors, recovered


def assert_nothing_torn(folder: Path) -> None:
    """Pictures are whole, with their metadata, and nothing else of ours is there."""
    names = {path.name for path in folder.iterdir()}
    assert [name for name in names if name.startswith(".")] == []
    for name in photos(folder):
        assert_picture(folder / name)
        assert name.replace(".jpg", ".json") in names


def test_folders_outside_of_the_roots_are_refused_and_none_is_made(tmp_path: Path) -> None:
    root, outside = tmp_path / "stick", tmp_path / "outside"
    for folder in (root / "sub", outside):
        folder.mkdir(parents=True)
    (root / "link").symlink_to(outside)
    (root / "file").touch()
    with Scanner() as scanner, scanning(tmp_path, scanner.endpoint, root) as (_, camera):
        for folder in (outside, root / "link", f"{root}/sub/../../outside", root / "file", root / "new", "relative", "/"):
            scanner.say("SCANNING", folder)
            said = lambda: camera.controller_status()["message"]["continousScanDirectory"]  # noqa: E731
            waiting.until(lambda: said() == str(folder), 5, "the folder")  # noqa: B023
            seen = until_state(camera, "blocked")
            assert "expected an existing folder inside" in seen["reason"]
            assert seen["photos"] == 0
        scanner.say("SCANNING", root / "new")
        until_state(camera, "blocked")
        assert not (root / "new").exists()
        (root / "new").mkdir()  # by the controller, a moment later
        waiting.until(lambda: len(photos(root / "new")) > 2, 5, "photos")
        assert until_state(camera, "scanning")["folder"] == str(root / "new")
        scanner.say("SCANNING", "")
        # not at the first "blocked": a busy machine may have missed a photo just then
        why = "names no continousScanDirectory"
        waiting.until(lambda: why in (camera.controller_status()["reason"] or ""), 5, why)
        until_state(camera, "blocked")
        for bad in ("a\nb", "\0", "x" * 5000):
            scanner.say("SCANNING", f"{root}/new/{bad}")
            waiting.until(lambda: "control character" in (camera.controller_status()["reason"] or ""), 5, "the reason")
            assert until_state(camera, "blocked")["message"]["continousScanDirectory"] is None
            scanner.say("STOPPED", f"{root}/new/{bad}")
            assert until_state(camera, "listening")["message"]["mode"] == "STOPPED"
    assert sorted(os.listdir(root)) == ["file", "link", "new", "sub"] and os.listdir(outside) == []
    assert_nothing_torn(root / "new")


def test_only_scanning_is_scanning_and_silence_ends_it(tmp_path: Path) -> None:
    root = tmp_path / "stick"
    root.mkdir()
    calm = {"interval_s": 0.5}  # else a busy machine may miss one
    with Scanner() as scanner, scanning(tmp_path, scanner.endpoint, root, controller=calm) as (camerad, camera):
        for mode in ("STOP_SCAN_IN_PROGRESS", "STARTING_SCAN", "A_MODE_TO_COME"):
            scanner.say(mode, root)
            assert until_state(camera, "listening")["photos"] == 0
        scanner.say("SCANNING", root)
        waiting.until(lambda: len(photos(root)) > 2, 5, "photos")
        scanner.mute(True)
        assert "silent for more than 1 s" in until_state(camera, "stale")["reason"]
        waiting.until(lambda: events_named(camera, "scan_ended"), 5, "the end of the scan")
        before = photos(root)
        seen = camera.report_status()
        assert seen["controller_state"] == "stale" and seen["controller_age_s"] > 1
        scanner.mute(False)
        waiting.until(lambda: len(photos(root)) > len(before) + 2, 5, "photos")
        names = [event["name"] for event in events_named(camera)]
        assert names.count("controller_stale") == names.count("controller_back") == 1
        assert seen["scan_missed"] == seen["scan_failed"] == 0, seen["scan_last_error"]
        scanner.say("IDLE")
        until_state(camera, "listening")
    assert camerad.log.read_text().count("has been silent") == 1
    assert_nothing_torn(root)


def test_without_a_lidar_nothing_is_taken(tmp_path: Path) -> None:
    with Scanner(lidar=False) as scanner, scanning(tmp_path, scanner.endpoint, tmp_path) as (_, camera):
        seen = until_state(camera, "no_clock")
        assert "lidar" in seen["reason"]
        assert seen["message"]["time_us"] == 0 and seen["message"]["mode"] is None
        assert camera.report_status()["controller_reason"] == seen["reason"]


def test_a_lidar_that_goes_while_it_scans_is_told(tmp_path: Path) -> None:
    root = tmp_path / "stick"
    root.mkdir()
    with Scanner() as scanner, scanning(tmp_path, scanner.endpoint, root) as (_, camera):
        scanner.say("SCANNING", root)
        waiting.until(lambda: len(photos(root)) > 2, 5, "photos")
        scanner.lidar(False)
        waiting.until(lambda: "tells no time any more" in (camera.controller_status()["reason"] or ""), 5, "the reason")
        # a photo that a busy machine has missed just then would be told for a moment
        waiting.until(lambda: camera.report_status()["controller_state"] == "scanning", 5, "the scan to go on")
        before = len(photos(root))
        waiting.until(lambda: len(photos(root)) > before + 1, 5, "photos by the clock as it was")
        scanner.lidar(True)
        waiting.until(lambda: camera.controller_status()["reason"] is None, 5, "the time")


def test_what_is_not_understood_is_dropped_and_told_once(tmp_path: Path) -> None:
    root = tmp_path / "stick"
    root.mkdir()
    publisher = Publisher()
    try:
        camerad = Camerad(tmp_path, roots=[str(root)], controller={"endpoints": [publisher.endpoint], "interval_s": INTERVAL_S})
        camerad.start()
        with camerad.connect() as camera:
            waiting.until(lambda: publisher.send(b"?") or camera.controller_status()["dropped"], 10, "the connection")
            before = camera.controller_status()["dropped"]
            rubbish = [b"", b"\xff", b"[]", b"{}", b'{"time": "x"}', b'{"command": "REBOOT"}', b"[" * 60_000, b"x" * 60_000]
            for _ in range(50):
                for message in rubbish:
                    publisher.send(message)
            waiting.until(lambda: camera.controller_status()["dropped"] > before + 300, 10, "the rubbish")
            publisher.send(b"x" * (1 << 20))  # too long to be taken in at all: the connection is made anew
            long = {"mode": "SCANNING", "continousScanDirectory": str(root), "stopScanDirectory": ""}

            def tell() -> int:
                publisher.send({"time": Clocks.now().boot_ns, "dur": 1, **long})
                return len(photos(root))

            waiting.until(lambda: tell() > 2, 10, "photos")
        assert camerad.log.read_text().count("were not understood") == 1
    finally:
        camerad.end()
        publisher.close()


def test_the_same_time_twice_gets_another_name(tmp_path: Path) -> None:
    (tmp_path / "photo_7.jpg").write_text("of before")
    (tmp_path / "photo_7_1.json").write_text("{}")
    writer = PhotoWriter(FileStore(tmp_path / "pictures", "cam", StateFile(tmp_path / "counter.json")))
    writer.start()
    for number in range(2):
        told: queue.Queue[Any] = queue.Queue()
        content = f"photo {number}".encode()
        encoders = {"jpg": lambda: content}  # noqa: B023 - it is called before the next one is made
        writer.add(Taken("photo", 0, encoders, {"number": number}, tmp_path, "photo_7"), Outcome(told.put, told.put))
        assert told.get(timeout=10)["name"] == f"photo_7_{number + 2}.jpg"
        assert json.loads((tmp_path / f"photo_7_{number + 2}.json").read_text()) == {"number": number}
    writer.close(10)
    assert (tmp_path / "photo_7.jpg").read_text() == "of before"
    assert list((tmp_path / "pictures").iterdir()) == []


def test_two_cameras_obey_one_controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other one, here this process, has half written is left alone; what has been left by a kill is not."""
    root = tmp_path / "stick"
    root.mkdir()
    begun, go = threading.Event(), threading.Event()
    write = files.write_atomic

    def slow(path: Path, data: bytes) -> None:
        if path.suffix == ".jpg":
            half = path.with_name(f".{path.name}.abcdefgh")
            half.touch()
            begun.set()
            assert go.wait(30)
            half.unlink()
        write(path, data)

    monkeypatch.setattr(files, "write_atomic", slow)
    other = threading.Thread(target=files.save, args=(root, "photo_5.jpg", b"", {}))
    other.start()
    try:
        assert begun.wait(10)
        (root / "photo_4.json").touch()
        with Scanner() as scanner, scanning(tmp_path, scanner.endpoint, root) as (_, camera):
            scanner.say("SCANNING", root)
            waiting.until(lambda: len(photos(root)) > 3, 10, "photos")
            assert {".photo_5.jpg.abcdefgh", "photo_4.json", "photo_5.json"} <= {path.name for path in root.iterdir()}
            go.set()
            other.join(10)
            waiting.until(lambda: not (root / "photo_4.json").exists(), 10, "what is left over to go")
            assert camera.controller_status()["failed"] == 0
            scanner.say("IDLE")
            until_state(camera, "listening")
    finally:
        go.set()
        other.join(10)
    (root / "photo_5.jpg").unlink()
    (root / "photo_5.json").unlink()
    assert_nothing_torn(root)


def test_sticks_that_fail_while_it_scans(tmp_path: Path) -> None:
    """Pulled, plugged, full and read-only: the camera goes on, photos after it are taken, nothing is torn."""
    with Stick(tmp_path / "media") as stick, Scanner() as scanner:
        name = "continousScanning_0007"
        (stick.store / name).mkdir()
        stick.plug()
        folder = stick.store / name
        with scanning(tmp_path, scanner.endpoint, stick.mounted_at, inside=stick) as (camerad, camera):
            scanner.say("SCANNING", stick.mounted_at / name)
            waiting.until(lambda: len(photos(folder)) > 3, 10, "photos")

            def again(why: str) -> None:
                waiting.until(lambda: why in (camera.controller_status()["reason"] or ""), 10, why)
                assert camera.controller_status()["state"] == "blocked"
                waiting.until(lambda: why in (camera.report_status()["scan_last_error"] or ""), 10, f"{why}, told")
                count = camera.report_status()["frames"]
                waiting.until(lambda: camera.report_status()["frames"] > count + 5, 5, "the camera to go on")

            def goes_on() -> None:
                until_state(camera, "scanning")
                more = len(photos(folder)) + 3
                waiting.until(lambda: len(photos(folder)) >= more, 10, "photos")

            stick.pull()
            again("expected an existing folder inside")
            assert os.listdir(stick.root / "usb") == []  # nothing was written where no stick is
            (folder / ".photo_123.jpg.abcdefgh").write_bytes(b"half")  # as a stick that is pulled in a write
            (folder / "photo_124.json").write_bytes(b"{}")
            stick.plug()
            goes_on()
            assert not (folder / "photo_124.json").exists() and not (folder / ".photo_123.jpg.abcdefgh").exists()
            filler = stick.fill()
            again("no room in")
            os.unlink(stick.store / filler.name)
            goes_on()
            stick.pull()
            again("expected an existing folder inside")
            stick.plug("-o", "ro")
            again("Read-only file system")
            stick.pull()
            stick.plug()
            goes_on()
            scanner.say("IDLE")
            until_state(camera, "listening")
            failed, recovered = troubles(camera)
            assert len(failed) >= 4 and recovered == 3, events_named(camera)
            seen = camera.controller_status()
            assert seen["missed"] + seen["failed"] > 0
            assert camera.report_status()["failures_in_a_row"] == 0
        assert camerad.log.read_text().count("no room in") <= 3
        assert_nothing_torn(folder)
        times = [json.loads(path.read_text())["observatory"]["controller"] for path in folder.glob("*.json")]
        assert len({one["time_ns"] for one in times}) == len(times)
