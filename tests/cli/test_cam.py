"""`cam` as its users run it, on two cameras: which is meant, what it says, what it sets."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import waiting
from cam import Cameras, Terminal

COMMANDS = {
    *("config", "controller"),
    *("controls", "delete", "events", "exposure", "files", "focus", "gain", "get", "histogram", "init", "json", "kill"),
    *("list-cameras", "modes", "photo", "properties", "set", "settings", "snapshot", "start", "status", "stop", "use-case"),
    *("video", "zoom"),
}


@pytest.fixture(scope="module")
def cameras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cameras]:
    running = Cameras(tmp_path_factory.mktemp("cameras"))
    running.start()
    yield running
    running.close()


def test_a_camera_is_named_first_and_must_be_where_there_are_several(cameras: Cameras) -> None:
    assert cameras.cam("east", "status").stdout.splitlines()[0] == "Camera east is IDLE"
    assert json.loads(cameras.cam("--json", "west", "status").stdout)["instance"] == "west"
    which = cameras.cam("status")
    assert which.returncode == 46
    assert "say which camera: east, west" in which.stderr
    unknown = cameras.cam("north", "status")
    assert unknown.returncode == 64
    assert "only: east, west" in unknown.stderr
    east = str(cameras.etc / "camerad" / "east.json")
    assert json.loads(cameras.cam("--config", east, "json").stdout)["instance"] == "east"
    assert json.loads(cameras.cam("json", "--config", east).stdout)["instance"] == "east"
    assert cameras.cam("--config", east, "west", "json").returncode == 64
    assert json.loads(cameras.cam("json", CAMERAD_CONFIG_PATH=east).stdout)["instance"] == "east"
    assert cameras.cam("list-cameras").stdout == "east\nwest\n"
    assert cameras.cam("list-cameras", CAMERAD_CONFIG_PATH=east).stdout == "east\n"
    listed = [json.loads(line) for line in cameras.cam("list-cameras", "--json").stdout.splitlines()]
    assert [(one["camera"], one["daemon"]) for one in listed] == [("east", "camera_east"), ("west", "camera_west")]


def test_one_camera_needs_no_name(tmp_path: Path) -> None:
    alone = Cameras(tmp_path, ("only",))
    done = alone.cam("status")
    assert done.returncode == 155  # it is meant, and does not run
    assert re.fullmatch(r"error: cannot reach camera_only at 127.0.0.1:\d+: .*\(is its camerad running\?\)\n", done.stderr)
    for command in (("photo",), ("start", "3"), ("json", "--timeout", "1"), ("photo", "--count", "2"), ("get", "x.jpg")):
        assert alone.cam(*command).returncode == 155, command
    assert list(tmp_path.glob("*.part")) == []


def test_help_everywhere_and_nothing_is_no_error(cameras: Cameras) -> None:
    nothing = cameras.cam()
    assert (nothing.returncode, nothing.stderr) == (0, "")
    commands = re.findall(r"^  ([\w-]+) ", nothing.stdout.partition("Commands:")[2], re.MULTILINE)
    assert set(commands) == COMMANDS
    for command in commands:
        shown = cameras.cam(command, "--help")
        assert shown.returncode == 0
        assert "Usage: cam" in shown.stdout
    assert re.fullmatch(r"cam \d+\.\d+\.\d+\n", cameras.cam("--version").stdout)


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("exposure",),
        ("exposure", "nan"),
        ("exposure", "-1"),
        ("exposure", "automatic"),
        ("gain", "0"),
        ("start",),
        ("start", "0"),
        ("start", "forever"),
        ("start", "1_0"),
        ("start", "3", "--format", "gif"),
        ("set", "Exposure"),
        ("set", "=3"),
        ("set", "Contrast=1", "Contrast=2"),
        ("zoom",),
        ("zoom", "2", "--crop", "0", "0", "64", "64"),
        ("zoom", "0.5"),
        ("photo", "--raw", "--with-raw", "dng"),
        ("photo", "--raw", "--format", "png"),
        ("photo", "--format", "dng"),
        ("photo", "--format", "fits", "--with-raw", "fits"),
        ("photo", "--interval", "3"),
        ("photo", "--count", "0"),
        ("photo", "--count", "2", "--at", "2030-01-01T00:00:00Z"),
        ("photo", "--count", "2", "--format", "fits"),
        ("photo", "--count", "2", "--output", "file.jpg"),
        ("photo", "--with-raw", "dng", "--output", "-"),
        ("photo", "--format", "png", "--output", "x.jpg"),
        ("photo", "--output", "x.FITS"),
        ("photo", "--raw", "--output", "x.dng"),
        ("video", "--duration", "1", "--format", "h264", "--output", "x.mp4"),
        ("video", "--stop", "--audio"),
        ("video", "--output", "x.mp4"),
        ("use-case", "dream"),
        ("settings", "save"),
        ("status", "--timeout", "0"),
    ],
)
def test_wrong_use_is_64_and_reaches_no_camera(cameras: Cameras, arguments: tuple[str, ...]) -> None:
    done = cameras.cam("east", *arguments, "--json")
    assert done.returncode == 64, done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert json.loads(done.stdout)["code"] == 64


def test_status_while_a_long_exposure_and_a_sequence_are_under_way(cameras: Cameras) -> None:
    assert cameras.cam("west", "exposure", "3").returncode == 0  # two commands must fit in, on any machine
    waiting.until(lambda: "Exposure 3.000 s" in cameras.cam("west", "status").stdout, 30, "the exposure")
    assert cameras.cam("west", "start", "3").stdout == ""
    lines = cameras.cam("west", "status").stdout.splitlines()
    assert re.fullmatch(r"Camera west is ACQUIRING \(\d\.\d / 3\.0s\)", lines[0])
    assert lines[1] == "   Acquiring frame 1 / 3"
    assert cameras.cam("west", "exposure", "1").returncode == 11
    assert cameras.cam("west", "kill").returncode == 11
    assert cameras.cam("west", "stop").stdout == ""
    waiting.until(lambda: cameras.state("west") == "idle", 20, "the end of the sequence")
    assert cameras.cam("west", "exposure", "0.01").returncode == 0
    waiting.until(lambda: "Exposure 3.000 s" not in cameras.cam("west", "status").stdout, 30, "the short exposure")
    assert cameras.cam("west", "start", "continuous", "--format", "jpg", "--interval", "60").returncode == 0
    assert "   Acquiring UNTIL STOPPED" in cameras.cam("west", "status").stdout.splitlines()
    assert cameras.cam("west", "stop").returncode == 0
    waiting.until(lambda: cameras.cam("west", "stop").returncode == 15, 20, "nothing to be stopped")
    assert cameras.cam("west", "settings", "reset").returncode == 0


def test_controls(cameras: Cameras) -> None:
    listed = cameras.cam("west", "controls").stdout
    assert re.search(r"^ExposureTime +29 to 600000000 us", listed, re.MULTILINE)
    assert "Tungsten=2" in listed
    assert cameras.cam("west", "exposure", "0.004").stdout == ""
    assert cameras.cam("west", "gain", "2.5").returncode == 0
    assert cameras.cam("west", "set", "AwbMode=Tungsten", "AwbEnable=False", "Contrast=1.5").returncode == 0
    chosen = cameras.cam("west", "controls", "AwbMode", "ExposureTime").stdout
    assert re.search(r"^AwbMode .* now Tungsten", chosen, re.MULTILINE)
    assert re.search(r"^ExposureTime .* now 4000", chosen, re.MULTILINE)
    known = json.loads(cameras.cam("west", "controls", "--json").stdout)
    assert known["Contrast"]["value"] == 1.5
    assert re.search(r"^Contrast .* default 1  now 1.5", cameras.cam("west", "controls", "Contrast").stdout)
    for gains in ("[1.5,2.0]", "1.5,2"):
        set_ = json.loads(cameras.cam("west", "set", f"ColourGains={gains}", "--json").stdout)
        assert (set_["complete"], set_["in_effect"]) == (True, {"ColourGains": [1.5, 2.0]})
    assert re.search(r"^ColourGains .* now 1.5,2\b", cameras.cam("west", "controls", "ColourGains").stdout)
    for wrong, code, says in (
        ("ExposureTime=1", 45, "from 29 to 600000000 us"),
        ("ExposureTime=fast", 45, "ExposureTime is 'fast'"),
        ("ExposureTime=99999999999999999999", 45, "ExposureTime is '99999999999999999999'"),
        ("AwbMode=Moonlight", 45, "Daylight (5)"),
        ("Exposure=1", 45, "did you mean ExposureTime"),
        (f"Contrast={'[' * 3000}", 45, "Contrast is"),
    ):
        refused = cameras.cam("west", "set", wrong)
        assert refused.returncode == code
        assert says in refused.stderr
    assert cameras.cam("west", "gain", "1000").returncode == 45
    assert cameras.cam("west", "settings", "reset").returncode == 0
    assert re.search(r"^AnalogueGain .* now [0-9.]+", cameras.cam("west", "controls", "AnalogueGain").stdout)  # by a frame
    assert cameras.cam("west", "controls", "Nonsense").returncode == 45


@pytest.mark.parametrize("command", ["exposure", "gain"])
def test_auto_takes_back_fixed_exposure_and_gain(cameras: Cameras, command: str) -> None:
    assert cameras.cam("west", "exposure", "0.004").returncode == 0
    assert cameras.cam("west", "gain", "3").returncode == 0
    assert cameras.cam("west", command, "auto").stdout == ""
    fixed = json.loads(cameras.cam("west", "settings", "--json").stdout)["controls"]
    assert fixed.get("AeEnable", True) is True
    assert not fixed.get("ExposureTime") and not fixed.get("AnalogueGain")
    waiting.until(lambda: json.loads(cameras.cam("west", "json").stdout)["ExposureTime"] != 4000, 20, "auto exposure")
    assert cameras.cam("west", "settings", "reset").returncode == 0


def test_what_the_camera_is(cameras: Cameras) -> None:
    modes = cameras.cam("east", "modes").stdout.splitlines()
    assert re.fullmatch(r" 0  1280x720 +12 bit  SRGGB12 +up to 120\.0 frames/s  exposure 0\.000029 s to 600\.000 s", modes[0])
    assert [json.loads(line)["mode"] for line in cameras.cam("east", "modes", "--json").stdout.splitlines()] == [0, 1]
    properties = cameras.cam("east", "properties").stdout
    assert "Sensor:        2560x1440 pixels of 2 um" in properties
    assert "autofocus" in properties
    assert json.loads(cameras.cam("east", "properties", "--json").stdout)["bayer_pattern"] == "RGGB"


def test_zoom(cameras: Cameras) -> None:
    assert cameras.cam("east", "zoom", "2").stdout == ""
    seen = json.loads(cameras.cam("east", "zoom", "4", "--centre", "0", "1", "--json").stdout)
    assert seen["in_effect"]["ScalerCrop"] == [0, 1080, 640, 360]
    assert cameras.cam("east", "zoom", "--crop", "100", "100", "640", "360").returncode == 0
    assert json.loads(cameras.cam("east", "json").stdout)["ScalerCrop"] == [100, 100, 640, 360]
    assert cameras.cam("east", "zoom", "--crop", "0", "0", "5000", "100").returncode == 32
    assert cameras.cam("east", "zoom", "1").returncode == 0
    assert json.loads(cameras.cam("east", "json").stdout)["ScalerCrop"] == [0, 0, 2560, 1440]


def test_use_cases_and_settings(cameras: Cameras) -> None:
    shown = cameras.cam("east", "use-case").stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["live", "photo", "raw", "video"]
    assert cameras.cam("east", "use-case", "live", "size=160x90", 'controls={"Contrast": 2.0}').stdout == ""
    live = cameras.cam("east", "use-case", "live").stdout
    assert "160x90" in live and "Contrast=2.0" in live
    assert json.loads(cameras.cam("east", "use-case", "live", "--json").stdout)["live"]["size"] == [160, 90]
    refused = cameras.cam("east", "use-case", "live", "siez=160x90")
    assert refused.returncode == 45 and "did you mean size" in refused.stderr
    assert "use case live: lores 160x90" in cameras.cam("east", "settings").stdout
    assert "Settings differ" in cameras.cam("east", "status").stdout
    assert cameras.cam("east", "settings", "save", "small live").stdout == ""
    assert cameras.cam("east", "settings", "reset").returncode == 0
    settings = cameras.cam("east", "settings").stdout
    assert settings.splitlines()[0] == "As the configuration says."
    assert settings.splitlines()[-1] == "Saved: small live"
    assert cameras.cam("east", "settings", "load", "small live").returncode == 0
    assert "160x90" in cameras.cam("east", "use-case", "live").stdout
    assert cameras.cam("east", "settings", "delete", "small live").returncode == 0
    assert cameras.cam("east", "settings", "load", "small live").returncode == 45
    assert json.loads(cameras.cam("east", "settings", "reset", "--json").stdout)["changed"] is False


def test_kill_and_init(cameras: Cameras) -> None:
    assert cameras.cam("west", "kill").stdout == ""
    assert cameras.cam("west", "status").stdout.splitlines()[0] == "Camera west is OFFLINE"
    assert len(cameras.cam("west", "status").stdout.splitlines()) <= 2
    for command in (
        ("photo",),
        ("start", "3"),
        ("snapshot", "x.jpg"),
        ("histogram",),
        ("exposure", "1"),
        ("video",),
        ("kill",),
    ):
        assert cameras.cam("west", *command).returncode == 7, command
    assert cameras.cam("west", "init").returncode == 0
    assert cameras.cam("west", "init").returncode == 8
    assert cameras.cam("west", "photo").returncode == 0


def test_a_histogram_is_drawn_and_its_numbers_are_had(cameras: Cameras) -> None:
    drawn = cameras.cam("east", "histogram", COLUMNS="70")
    assert drawn.returncode == 0
    assert "luma: mean " in drawn.stdout
    assert "█" in drawn.stdout and "\x1b" not in drawn.stdout
    assert max(len(line) for line in drawn.stdout.splitlines()) <= 70
    plain = cameras.cam("east", "histogram", "--stream", "raw", PYTHONIOENCODING="ascii").stdout
    assert plain.isascii() and "G1: mean " in plain and "#" in plain
    numbers = json.loads(cameras.cam("east", "histogram", "--json").stdout)
    assert sum(numbers["counts"]["luma"]) == 320 * 180
    terminal = Terminal(cameras, "east", "histogram")
    assert terminal.end() == 0
    assert "\x1b[31m" in terminal.output
    terminal = Terminal(cameras, "east", "histogram", NO_COLOR="1")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.output


def test_events(cameras: Cameras) -> None:
    follower = cameras.begin("west", "events", "--follow", "--json")
    name = cameras.cam("west", "photo").stdout.strip()
    lines = iter(follower.stdout.readline, "")
    assert any(json.loads(line)["data"].get("name") == name for line in lines)
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 156
    follower.communicate()
    shown = cameras.cam("west", "events").stdout
    assert re.search(rf"^\d{{4}}-\S+Z photo_taken name={name} ", shown, re.MULTILINE)


def test_json_is_one_object_on_a_line_whatever_is_asked(cameras: Cameras) -> None:
    for command in ("status", "json", "controls", "modes", "properties", "files", "events", "use-case", "settings", "focus"):
        done = cameras.cam("--json", "east", command, COLUMNS="40")
        assert (done.returncode, done.stderr) == (0, ""), command
        assert all(isinstance(json.loads(line), dict) for line in done.stdout.splitlines()), command


def test_a_reader_that_has_enough_sees_no_traceback(cameras: Cameras) -> None:
    command = f"{sys.executable} -m observatory_cli.cam east controls | true"
    done = subprocess.run(["bash", "-c", command], env=cameras.env, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("", "")


def test_completion_offers_names_then_commands_then_what_the_camera_has(cameras: Cameras) -> None:
    first = cameras.complete("")
    assert first[:2] == ["east", "west"]
    assert set(first[2:]) == COMMANDS
    assert cameras.complete("e") == ["east", "events", "exposure"]
    assert set(cameras.complete("east", "")) == COMMANDS
    assert cameras.complete("east", "sta") == ["start", "status"]
    assert cameras.complete("east", "set", "Expo") == ["ExposureTime=", "ExposureValue="]
    assert cameras.complete("east", "start", "c") == ["continuous"]
    assert cameras.complete("east", "use-case", "l") == ["live"]
    assert cameras.complete("east", "photo", "--with-raw", "") == ["fits", "dng"]
    assert set(cameras.complete("west", "settings", "")) == {"save", "load", "delete", "reset"}
    assert cameras.complete("set", "Expo") == []  # it is not said which camera
    assert cameras.complete("north", "set", "Expo") == []


def test_it_starts_fast_since_it_imports_little(cameras: Cameras) -> None:
    program = "import sys; from observatory_cli.cam import commands; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert not {"rich", "numpy", "cv2", "jsonschema", "astropy", "asyncio", "Pyro5.server"} & set(done.stdout.split())
