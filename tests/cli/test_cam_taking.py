"""`cam photo`, `start`, `video`, `focus`: what is printed, shown on a terminal, and done by Ctrl-C."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import cv2
import pytest
import waiting
from astropy.io import fits
from cam import Cameras, Terminal

from observatory_cli.cam import taking
from observatory_common.errors import CommandFailed


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    cameras = Cameras(tmp_path_factory.mktemp("cameras"))
    cameras.start()
    yield cameras
    cameras.close()


@pytest.fixture
def cameras(running: Cameras) -> Iterator[Cameras]:
    """With short exposures, and at rest afterwards."""
    yield running
    assert running.cam("west", "settings", "reset").returncode == 0
    assert running.state("west") == "idle"


def exposing(cameras: Cameras, seconds: float) -> None:
    """Set the exposure, and wait until frames have it."""
    assert cameras.cam("west", "exposure", str(seconds)).returncode == 0
    waiting.until(lambda: json.loads(cameras.cam("west", "json").stdout)["exposure_time"] > seconds / 2, 30, "the exposure")


def taken_so_far(cameras: Cameras, count: int) -> None:
    """Wait for so many frames of a sequence; the daemon is asked, as `cam` may start for as long as a frame takes."""
    with cameras.connect("west") as camera:
        waiting.until(lambda: camera.report_status()["sequence_frame_count"] == count, 30, f"frame {count}")


def photos_begun(cameras: Cameras) -> int:
    """How many calls for a photo have been accepted."""
    return (cameras.folder / "log").read_text().count(" what=take_photo ")


def shape(path: Path) -> tuple[int, ...]:
    found = cv2.imread(str(path))
    assert found is not None
    return found.shape


def test_a_photo_prints_its_name_and_is_fetched(cameras: Cameras) -> None:
    for arguments, ending in (
        ((), "jpg"),
        (("--format", "png"), "png"),
        (("--raw",), "fits"),
        (("--raw", "--format", "dng"), "dng"),
    ):
        taken = cameras.cam("west", "photo", *arguments)
        assert re.fullmatch(rf"camera-\d{{8}}\.{ending}\n", taken.stdout)
        assert (taken.returncode, taken.stderr) == (0, "")
        assert (cameras.pictures("west") / taken.stdout.strip()).is_file()
    taken = cameras.cam("west", "photo", "--output", "mine.jpg")
    assert shape(cameras.folder / "mine.jpg") == (360, 640, 3)
    assert (cameras.folder / "mine.jpg").read_bytes() == (cameras.pictures("west") / taken.stdout.strip()).read_bytes()
    data = cameras.bytes_of("west", "photo", "--raw", "--output", "-")
    assert fits.Header.fromstring(data[:2880].decode())["NAXIS1"] == 1280


def test_nothing_is_taken_for_a_place_that_is_not_there(cameras: Cameras) -> None:
    before = cameras.cam("west", "files").stdout
    for arguments in (
        ("photo", "--output", "/nonexistent/x.jpg"),
        ("photo", "--output", "nowhere/x.png", "--format", "png"),
        ("video", "--duration", "1", "--output", "/nonexistent/x.mp4"),
    ):
        refused = cameras.cam("west", *arguments)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "there is no folder" in refused.stderr
    assert cameras.cam("west", "photo", "--output", "x.png").returncode == 64
    assert cameras.cam("west", "files").stdout == before
    assert cameras.cam("west", "photo", "--output", "x.jpeg").returncode == 0
    assert cameras.cam("west", "photo", "--output", "no-ending").returncode == 0


def test_a_photo_with_its_raw_frame(cameras: Cameras) -> None:
    taken = cameras.cam("west", "photo", "--with-raw", "fits", "--output", "both.jpg", "--json")
    job = json.loads(taken.stdout)
    assert [Path(name).suffix for name in job["result"]["names"]] == [".fits", ".jpg"]
    assert [Path(one["file"]).name for one in job["fetched"]] == ["both.fits", "both.jpg"]
    assert shape(cameras.folder / "both.jpg") == (360, 640, 3)
    assert fits.getdata(cameras.folder / "both.fits").shape == (720, 1280)
    name = cameras.cam("west", "photo", "--with-raw", "dng").stdout.split()
    assert [Path(one).suffix for one in name] == [".dng", ".jpg"]


def test_a_photo_at_a_time(cameras: Cameras) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    terminal = Terminal(cameras, "west", "photo", "--at", at, "--json")
    assert terminal.end() == 0
    result = json.loads(re.search(r"\{.*\}", terminal.output)[0])["result"]
    assert abs(result["metadata"]["observatory"]["after_at_us"]) < 200_000
    assert cameras.cam("west", "photo", "--at", "2020-01-01T00:00:00Z").returncode == 45
    assert cameras.cam("west", "photo", "--at", "tomorrow").returncode == 45


def test_several_photos_and_no_bar_without_a_terminal(cameras: Cameras) -> None:
    exposing(cameras, 0.4)
    (cameras.folder / "several").mkdir()
    taken = cameras.cam("west", "photo", "--count", "3", "--raw", "--output", "several")
    assert (taken.returncode, taken.stderr) == (0, "")
    names = taken.stdout.split()
    assert len(names) == 3
    assert sorted(path.name for path in (cameras.folder / "several").iterdir()) == sorted(names)
    job = json.loads(cameras.cam("west", "photo", "--count", "2", "--interval", "0.5", "--json").stdout)
    assert (job["result"]["taken"], [Path(name).suffix for name in job["result"]["names"]]) == (2, [".jpg", ".jpg"])


def test_a_photo_of_another_between_those_of_a_sequence_is_not_taken_for_one(cameras: Cameras) -> None:
    sequence = cameras.begin("west", "photo", "--count", "3", "--interval", "1")
    taken_so_far(cameras, 1)
    other = cameras.cam("west", "photo").stdout.strip()
    said, _ = sequence.communicate(timeout=30)
    assert other and other not in said.split()
    assert len(said.split()) == 3


def test_bars_on_a_terminal(cameras: Cameras) -> None:
    assert cameras.cam("west", "exposure", "1.5", "--timeout", "0.2").returncode == 0
    terminal = Terminal(cameras, "west", "photo", "--count", "2")
    terminal.see(r"Sequence .*frame \d / 2")
    terminal.see(r"Exposure .*\d\.\d / 1\.5s")
    assert terminal.end() == 0
    terminal = Terminal(cameras, "west", "photo", "--raw")
    terminal.see(r"Exposure .*\d\.\d / 1\.5s")
    assert terminal.end() == 0
    cameras.cam("west", "exposure", "0.01")
    terminal = Terminal(cameras, "west", "video", "--duration", "2.5", NO_COLOR="1")
    terminal.see(r"Recording .*\d\.\d / 2\.5s")
    assert terminal.end() == 0
    assert "\x1b[3" not in terminal.output  # no colour


def test_ctrl_c_stops_a_sequence_and_says_what_was_taken(cameras: Cameras) -> None:
    exposing(cameras, 1.2)
    terminal = Terminal(cameras, "west", "photo", "--count", "100")
    terminal.see("frame 2 / 100")
    terminal.type("\x03")
    assert terminal.end() == 156
    assert re.search(r"[12] of 100 frames were taken, the last is camera-\d{8}\.jpg", terminal.output)
    assert cameras.cam("west", "stop").returncode == 15
    taker = cameras.begin("west", "photo", "--count", "100", "--json")
    waiting.until(lambda: cameras.state("west") == "acquiring", 20, "the sequence")
    taker.send_signal(signal.SIGINT)
    said, complained = taker.communicate(timeout=30)
    assert taker.returncode == 156
    assert json.loads(said)["state"] == "stopped"
    assert re.fullmatch(r"\n\d of 100 frames were taken.*\n", complained)
    assert cameras.cam("west", "stop").returncode == 15


def test_ctrl_c_at_any_instant_leaves_no_sequence_running(cameras: Cameras) -> None:
    for delay_s in (0.05, 0.1, 0.13, 0.16, 0.2, 0.3):
        taker = cameras.begin("west", "photo", "--count", "1000", "--interval", "10")
        with pytest.raises(Exception, match="timed out"):
            taker.communicate(timeout=delay_s)
        taker.send_signal(signal.SIGINT)
        _, error = taker.communicate(timeout=30)
        before_main = "observatory_cli/cam" not in error  # while Python itself was starting
        assert taker.returncode == 156 or (taker.returncode in (1, 130, -signal.SIGINT) and before_main), error
        assert cameras.cam("west", "stop").returncode == 15, error


def test_ctrl_c_gives_a_long_exposure_up(cameras: Cameras) -> None:
    exposing(cameras, 2)
    before = photos_begun(cameras)
    taker = cameras.begin("west", "photo", "--json")
    waiting.until(lambda: photos_begun(cameras) > before, 20, "the exposure to begin")
    assert taker.poll() is None
    taker.send_signal(signal.SIGINT)
    said, complained = taker.communicate(timeout=30)
    assert (taker.returncode, complained) == (156, "\nno photo was taken\n")
    assert json.loads(said)["state"] == "stopped"


def test_a_sequence_that_somebody_else_stops_is_no_success(cameras: Cameras) -> None:
    taker = cameras.begin("west", "photo", "--count", "1000", "--interval", "30")
    waiting.until(lambda: "Acquiring frame 2" in cameras.cam("west", "status").stdout, 20, "the first frame")
    assert cameras.cam("west", "stop").returncode == 0
    said, complained = taker.communicate(timeout=30)
    assert (taker.returncode, said) == (9, "")
    assert re.fullmatch(r"error: 1 of 1000 frames were taken, the last is \S+: somebody has stopped it\n", complained)


class _Empty:
    """A camera whose sequence has succeeded, and whose files are gone."""

    def __init__(self, **result: Any) -> None:
        self.hello: dict[str, Any] = {}
        self._job = {"id": "1", "state": "succeeded", "error": None, "result": result}

    def start_sequence(self, count: int, interval_s: float, format: str) -> dict[str, Any]:
        return self._job

    def wait_for(self, job: dict[str, Any], *_: object) -> dict[str, Any]:
        return job

    def files(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    "result", [{"taken": 2, "first": "x-1.jpg", "last": "x-2.jpg"}, {"taken": 0, "first": None, "last": None}]
)
def test_a_sequence_of_which_no_file_is_there_is_no_success(result: dict[str, Any]) -> None:
    says = rf"^{result['taken']} of 2 frames were taken.*: none of their files is there$"
    with click.Context(click.Command("photo")), pytest.raises(CommandFailed, match=says):
        taking.sequence(_Empty(**result), 2, 0, "jpg")


def test_a_timeout_ends_the_waiting_and_not_the_sequence(cameras: Cameras) -> None:
    done = cameras.cam("west", "photo", "--count", "1000", "--interval", "30", "--timeout", "0.5")
    assert done.returncode == 40
    assert "goes on" in done.stderr
    assert cameras.state("west") == "acquiring"
    assert cameras.cam("west", "stop").returncode == 0
    waiting.until(lambda: cameras.state("west") == "idle", 20, "the end of the sequence")


def test_a_sequence_is_waited_for_over_a_restart_of_its_daemon(tmp_path: Path) -> None:
    cameras = Cameras(tmp_path, ("west",)).start()
    taker = cameras.begin("west", "photo", "--count", "4", "--interval", "1")
    taken_so_far(cameras, 2)
    cameras.processes["west"].kill()
    cameras.processes["west"].wait(10)
    cameras.launch("west")
    said, complained = taker.communicate(timeout=60)
    assert (taker.returncode, complained) == (0, "")
    assert len(said.split()) == len(set(said.split())) == 4
    cameras.close()


def test_video_for_some_time_or_until_it_is_stopped(cameras: Cameras) -> None:
    done = cameras.cam("west", "video", "--duration", "1", "--output", "short.mp4")
    assert re.fullmatch(r"camera-\d{8}\.mp4\n", done.stdout), done
    assert cv2.VideoCapture(str(cameras.folder / "short.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) > 10
    assert cameras.cam("west", "video", "--format", "h264").stdout == ""
    status = cameras.cam("west", "status").stdout
    name = re.search(r"^   Recording (camera-\d{8}\.h264) \(\d+\.\ds\)$", status, re.MULTILINE)[1]
    assert cameras.cam("west", "video").returncode == 2
    assert cameras.cam("west", "video", "--stop").stdout == f"{name}\n"
    assert cameras.cam("west", "video", "--stop").returncode == 15
    assert cameras.cam("west", "video", "--audio").returncode == 1  # no microphone is configured
    assert cameras.cam("west", "video").returncode == 0
    assert json.loads(cameras.cam("west", "video", "--stop", "--json").stdout)["reason"] == "stopped"


def test_ctrl_c_ends_a_recording_and_keeps_it(cameras: Cameras) -> None:
    recorder = cameras.begin("west", "video", "--duration", "60")
    recorded = "Recording camera"
    waiting.until(lambda: recorded in cameras.cam("west", "status").stdout, 20, "the recording")
    recorder.send_signal(signal.SIGINT)
    _, complained = recorder.communicate(timeout=30)
    assert recorder.returncode == 156
    said = re.fullmatch(r"\n(?:recorded \d\.\ds: (\S+)|nothing was recorded)\n", complained)
    assert said is not None, complained
    assert said[1] is None or (cameras.pictures("west") / said[1]).stat().st_size > 0


def test_the_lens_is_focused_in_silence(cameras: Cameras) -> None:
    done = cameras.cam("west", "focus")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    job = json.loads(cameras.cam("west", "focus", "--json").stdout)
    assert (job["state"], job["result"]["focused"]) == ("succeeded", True)
    terminal = Terminal(cameras, "west", "focus")
    terminal.see("Focusing")
    terminal.type("\x03")
    assert terminal.end() in (156, 0)  # it may have been over
