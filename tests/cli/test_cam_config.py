"""`cam config` and `cam controller`: controls from a file, and what the scanner's controller says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
from cam import Cameras
from following import events_named
from scanner import Scanner

REFUSED = 45
FATES = """\
_note                  "dark"       COMMENT
ExposureValue          -10          REFUSED: ExposureValue is -10, expected a number from -8.0 to 8.0 EV
AnalogueGain           2            APPLIED
"""


@pytest.fixture(scope="module")
def scanner() -> Iterator[Scanner]:
    with Scanner() as running:
        yield running


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory, scanner: Scanner) -> Iterator[Cameras]:
    folder = tmp_path_factory.mktemp("cameras")
    (folder / "stick").mkdir()
    serving = {
        "controls_file": {"path": str(folder / "stick" / "c.json"), "poll_s": 0.1},
        "controller": {"endpoints": [scanner.endpoint]},
        "roots": [str(folder / "stick")],
    }
    running = Cameras(folder, ("dome",), **serving).start()
    yield running
    running.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "controls.json"


def test_a_template_is_printed_and_can_be_applied(cameras: Cameras, file: Path) -> None:
    done = cameras.cam("config", "template")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert set(printed) == {"picamera", "picamera_notes"}
    assert "\n  " in done.stdout
    as_json = json.loads(cameras.cam("config", "template", "--json").stdout)
    assert as_json == {"file": str(cameras.folder / "stick" / "c.json.default"), "template": printed}
    file.write_text(done.stdout)
    done = cameras.cam("config", "apply", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("APPLIED") == len(printed["picamera"])
    assert cameras.cam("settings", "reset").returncode == 0


def test_what_does_not_fit_is_told(cameras: Cameras, file: Path) -> None:
    content = {"picamera": {"_note": "dark", "ExposureValue": -10, "AnalogueGain": 2}, "mine": {"AnalogueGain": 3}}
    file.write_text(json.dumps(content))
    done = cameras.cam("config", "apply", str(file))
    assert (done.returncode, done.stdout) == (REFUSED, FATES)
    assert done.stderr == f"error: {file}: refused: ExposureValue; 1 applied\n"
    done = cameras.cam("config", "apply", "--strict", str(file))
    assert done.returncode == REFUSED
    assert "VALID, NOT APPLIED: another key is refused" in done.stdout and "none is applied" in done.stderr
    done = cameras.cam("config", "apply", str(file), "--json")
    report, error = map(json.loads, done.stdout.splitlines())
    assert report["applied"] == {"AnalogueGain": 2.0} and error["code"] == done.returncode == REFUSED
    done = cameras.cam("config", "apply", str(file), "--section", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    with cameras.connect("dome") as camera:
        assert camera.controls()["AnalogueGain"]["value"] == 3.0


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ('{"picamera": {', 46, ":1: $: is no JSON:"),
        ("[]", 46, "must hold one object"),
        ("{}", REFUSED, "has no object picamera, only: nothing"),
        ('{"picamera": [1]}', REFUSED, "expected names and values"),
        (None, 46, "cannot be read: No such file or directory"),
    ],
)
def test_files_that_are_none(text: str | None, code: int, says: str, cameras: Cameras, file: Path) -> None:
    if text is not None:
        file.write_text(text)
    done = cameras.cam("config", "apply", str(file))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr and done.stderr.count("\n") == 1


def test_the_file_on_the_stick_is_shown(cameras: Cameras) -> None:
    path = cameras.folder / "stick" / "c.json"
    path.write_text('{"picamera": {"AnalogueGain": 22, "ExposureTime": 5000}}')
    waiting.until(lambda: json.loads(cameras.cam("config", "show", "--json").stdout)["report"], 10, "the report")
    lines = cameras.cam("config", "show").stdout.splitlines()
    assert lines[0] == f"Controls file {path} is PARTLY APPLIED"
    assert lines[2:] == [
        "   AnalogueGain           22           REFUSED: AnalogueGain is 22, expected a number from 1.0 to 16.0",
        "   ExposureTime           5000         APPLIED",
    ]


def test_the_controller_is_shown(cameras: Cameras, scanner: Scanner) -> None:
    scanner.say("SCANNING", cameras.folder / "elsewhere")
    waiting.until(
        lambda: json.loads(cameras.cam("controller", "status", "--json").stdout)["state"] == "blocked", 10, "the controller"
    )
    said = cameras.cam("controller", "status").stdout
    assert said.startswith("Controller is BLOCKED: folder is ")
    assert f"   Listening at {scanner.endpoint}\n" in said and "mode SCANNING, time " in said
    assert f"   continousScanDirectory {cameras.folder / 'elsewhere'}\n" in said
    assert "   Photos: 0 taken, 0 failed, 0 missed, one each 2s\n" in said
    age = re.search(r"^   Last message (\d+\.\d)s ago: mode SCANNING, time \d+\.\d{3}s$", said, re.MULTILINE)
    assert age is not None and float(age[1]) < 5, said
    assert "Last photo" not in said and "Last command" not in said
    scanner.say("IDLE")


def test_what_was_done_for_the_controller_is_shown(cameras: Cameras, scanner: Scanner) -> None:
    folder = cameras.folder / "stick" / "continousScanning_0001"
    folder.mkdir()
    with cameras.connect("dome") as camera:
        scanner.say("SCANNING", folder)
        waiting.until(lambda: camera.controller_status()["photos"], 20, "a photo")
        scanner.say("IDLE")
        waiting.until(lambda: events_named(camera, "scan_ended"), 10, "the end of the scan")
        scanner.send({"command": "RELOAD_CONFIG_TEST_PHOTO"})
        command = waiting.until(lambda: camera.controller_status()["command"], 10, "the command")
    taken = sorted(folder.glob("photo_*.jpg"))
    said = cameras.cam("controller", "status").stdout
    assert f"   Photos: {len(taken)} taken, " in said
    assert f"   Last photo {taken[-1]}\n" in said
    assert f"   Last command RELOAD_CONFIG_TEST_PHOTO {command['date']}\n" in said
    scanner.mute(True)
    try:

        def silent() -> str:
            said = cameras.cam("controller", "status").stdout
            return said if said.startswith("Controller is STALE: the controller has been silent") else ""

        said = waiting.until(silent, 20, "the silence to be told")
        age = re.search(r"^   Last message (\d+\.\d)s ago: mode IDLE, ", said, re.MULTILINE)
        assert age is not None and float(age[1]) >= 5, said
    finally:
        scanner.mute(False)


def test_cameras_without_them_say_so(tmp_path: Path) -> None:
    plain = Cameras(tmp_path, ("dome",)).start()
    try:
        for words in (("config", "show"), ("controller", "status")):
            done = plain.cam(*words)
            assert (done.returncode, done.stdout) == (1, "")
            assert " is configured" in done.stderr
        assert plain.cam("config", "template").returncode == 0
        for words in (("config",), ("controller",)):
            assert "Commands:" in plain.cam(*words, "--help").stdout
    finally:
        plain.close()
