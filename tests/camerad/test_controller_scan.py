"""A scanner's controller is obeyed: photos at its interval, by its clock, into its folders, over restarts and jumps."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import waiting
from cameras import Camerad, events_named
from scanner import MODES, Scanner
from scans import Photo, assert_none_lost_or_doubled, photos_in, worst_s

from observatory_camerad.acquisition.timing import Clocks
from observatory_common.storage import write_atomic

_TOLERANCE_S = 0.05
_NAME_TOLERANCE_NS = 20_000_000
_HEARD_NS = 150_000_000  # within which a word is heard, and the frame under way ends
_FIRST_WITHIN_NS = 800_000_000
#: Sets the clock of a process, not that of the machine: by so many ns as stand in a file.
_SET_CLOCK = """
import time
from pathlib import Path

real, by = time.time_ns, Path({path!r})
time.time_ns = lambda: real() + int(by.read_text())
"""


def assert_all_taken(photos: list[Photo], begin_ns: int, end_ns: tuple[int, int], interval_s: float) -> None:
    """Each deadline of a scan has its photo, none lost, none doubled; the end was heard between two moments."""
    first_ns = photos[0].boot_ns
    assert -_HEARD_NS < first_ns - begin_ns < _FIRST_WITHIN_NS
    least, most = (
        int((moment - first_ns) / 1e9 // interval_s) + 1 for moment in (end_ns[0] - _HEARD_NS, end_ns[1] + _HEARD_NS)
    )
    assert_none_lost_or_doubled(photos)
    assert least <= len(photos) <= most


def status(camera: Any) -> dict[str, Any]:
    found: dict[str, Any] = camera.controller_status()
    return found


@pytest.mark.parametrize(("second_s", "interval_s"), [(0.2, 0.47), pytest.param(1.0, 2.0, marks=pytest.mark.timeout(150))])
def test_all_modes_a_restart_and_a_jump(second_s: float, interval_s: float, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    folders = [stick / f"continousScanning_000{number}" for number in (1, 2, 3)]
    for folder in folders:
        folder.mkdir(parents=True)
    pause = threading.Event()
    scanner = Scanner()
    camerad = Camerad(
        tmp_path, roots=[str(stick)], controller={"endpoints": [scanner.endpoint], "interval_s": interval_s, "silent_s": 2}
    )
    scans: list[tuple[int, tuple[int, int]]] = []  # from when to when it said SCANNING
    scanners = [scanner]
    try:
        camerad.start()
        with camerad.connect() as camera:
            waiting.until(lambda: status(camera)["state"] == "listening", 10, "the controller")
            for mode in MODES[:3]:
                scanner.say(mode, folders[0])
            began = scanner.say("SCANNING", folders[0])
            pause.wait(8 * second_s)
            scanner.jump(-3_600_000_000_000)
            pause.wait(8 * second_s)
            ended_ns = scanner.say("STOPPING", folders[0])
            scans.append((began, (ended_ns, ended_ns)))
            for mode in MODES[5:]:
                scanner.say(mode)
            began = scanner.say("SCANNING", folders[1])
            pause.wait(8 * second_s)
            scanner.say("SCANNING", folders[2])
            pause.wait(6 * second_s)
            closed_ns = Clocks.now().boot_ns
            scanner.close()
            scans.append((began, (closed_ns, Clocks.now().boot_ns)))
            scanner = Scanner(scanner.port, offset_ns=77_000_000_000_000)
            scanners.append(scanner)
            began = scanner.say("SCANNING", folders[2])
            pause.wait(8 * second_s)
            ended_ns = scanner.say("IDLE")
            scans.append((began, (ended_ns, ended_ns)))
            waiting.until(lambda: status(camera)["state"] == "listening", 10, "the end of the scan")
            waiting.until(lambda: len(events_named(camera, "scan_ended")) == 3, 10, "the end of the third scan")
            seen = status(camera)
            ended = [event["data"] for event in events_named(camera, "scan_ended")]
        assert (seen["failed"], seen["missed"], seen["restarts"], seen["clock_jumps"]) == (0, 0, 1, 1)
        photos = photos_in(*folders)
        assert len(photos) == seen["photos"] == sum(counts["taken"] for counts in ended)
        starts = [number for number, photo in enumerate(photos) if photo.slot == 0]
        assert len(starts) == len(ended) == 3
        worst = 0.0
        for (begin, end), first, last in zip(scans, starts, [*starts[1:], len(photos)], strict=True):
            own = photos[first:last]
            assert_all_taken(own, begin, end, interval_s)
            worst = max(worst, worst_s(own, interval_s))
        print(f"interval {interval_s} s: {len(photos)} photos, off by {worst * 1000:.1f} ms at worst")
        assert worst <= _TOLERANCE_S
        assert {photo.path.parent for photo in photos} == set(folders)
        for photo in photos:
            told = {folder for one in scanners for folder in one.folders_at(photo.boot_ns)}
            assert str(photo.path.parent) in told, photo
            assert photo.path.name == f"photo_{photo.time_ns}.jpg"
            after_ns = photo.boot_ns - scanners[1].clock[0][0]
            # just before it first spoke: the last of the one that has gone, or the frame under way, its own first
            by = scanners if -300_000_000 < after_ns < 0 else [scanners[after_ns > 0]]
            times = {time_ns for one in by for time_ns in one.time_at(photo.boot_ns)}
            assert min(abs(time_ns - photo.time_ns) for time_ns in times) < _NAME_TOLERANCE_NS, photo
    finally:
        scanner.close()
        camerad.end()


def test_a_clock_that_is_set_costs_no_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's, as by NTP or GNSS an hour after its start: photos keep their interval by the clock since the boot."""
    interval_s = 0.5
    stick, by, inside = tmp_path / "stick", tmp_path / "by", tmp_path / "inside"
    for folder in (stick, inside):
        folder.mkdir()
    by.write_text("0")
    (inside / "sitecustomize.py").write_text(_SET_CLOCK.format(path=str(by)))
    monkeypatch.setenv("PYTHONPATH", str(inside), prepend=":")
    with Scanner() as scanner:
        controller = {"endpoints": [scanner.endpoint], "interval_s": interval_s}
        camerad = Camerad(tmp_path, roots=[str(stick)], controller=controller)
        try:
            camerad.start()
            with camerad.connect() as camera:
                waiting.until(lambda: status(camera)["state"] == "listening", 10, "the controller")
                began = scanner.say("SCANNING", stick)
                for number, by_s in enumerate((3600, -3600, 0.3, 0)):
                    waiting.until(lambda: status(camera)["photos"] > 3 * number + 2, 20, "photos")  # noqa: B023
                    write_atomic(by, str(round(by_s * 1e9)).encode())
                waiting.until(lambda: status(camera)["photos"] > 14, 20, "photos")
                ended_ns = scanner.say("IDLE")
                waiting.until(lambda: events_named(camera, "scan_ended"), 10, "the end of the scan")
                seen = status(camera)
            assert (seen["failed"], seen["missed"], seen["last_error"]) == (0, 0, None)
            photos = photos_in(stick)
            assert_all_taken(photos, began, (ended_ns, ended_ns), interval_s)
            assert worst_s(photos, interval_s) <= _TOLERANCE_S
        finally:
            camerad.end()
