"""camerad's config: every complaint names file, line, JSON path and what was expected; what passes ends no daemon."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cameras import Camerad

from observatory_camerad.config import SCHEMA, CameradConfig, parse
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.video.encoder import EncoderSettings
from observatory_common import config
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems, JsonPath, Problem, as_json_path

DIRECTORY = Directory({}, {})
SAMPLE: dict[str, Any] = {
    "daemon": "localhost_test",
    "log_name": "camerad@test",
    "control_machines": ["LocalHost"],
    "driver": "simulator",
    "device": 0,
    "use_cases": {
        "live": {"stream": "lores", "size": [640, 480], "format": "YUV420", "controls": {"FrameDurationLimits": [1, 2]}},
        "photo": {"stream": "main", "size": [1280, 720], "format": "RGB888"},
        "raw": {"stream": "raw", "size": [1280, 720], "format": "SRGGB12", "mode": 0},
    },
    "controls": {"AwbMode": "Daylight", "AeEnable": False, "ColourGains": [1.5, 2], "AfWindows": [[0, 0, 10, 10]]},
    "output_path": "/data",
    "output_pattern": "{camera}-{count:06d}",
    "roots": ["/data/more"],
    "retention": {"keep_free_mb": 100, "max_age_days": 1},
    "video": {"codec": "auto", "bitrate": 50_000, "keyframe_s": 1, "audio_device": "plughw:1"},
    "simulator": {"scene": {"stars": 3, "movers": [{"x": 1, "y": 2}]}, "sensor": {"bit_depth": 8}, "faults": "faults.json"},
}


def load(data: Any, folder: Path) -> CameradConfig:
    file = folder / "x.json"
    file.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return parse(config.load(file, SCHEMA, DIRECTORY), DIRECTORY)


def problems_of(data: Any, folder: Path) -> list[Problem]:
    try:
        load(data, folder)
    except ConfigProblems as error:
        return error.problems
    return []


def with_value(path: JsonPath, value: Any) -> dict[str, Any]:
    """The sample with one value set."""
    changed = copy.deepcopy(SAMPLE)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step] if isinstance(inner, list) else inner.setdefault(step, {})
    inner[path[-1]] = value
    return changed


def test_the_sample_is_sound(tmp_path: Path) -> None:
    loaded = load(SAMPLE, tmp_path)
    assert loaded.video.bitrate == 50_000
    assert loaded.controls["AfWindows"] == ((0, 0, 10, 10),)
    assert loaded.use_cases["live"].controls == {"FrameDurationLimits": (1, 2)}


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("device",), "\ud800", "no file name"),
        (("use_cases", "live", "format"), "SRGGB12", "is not one of RGB888, BGR888, YUV420"),
        (("use_cases", "photo", "format"), "XRGB8888", "is not one of RGB888, BGR888, YUV420"),
        (("use_cases", "raw", "format"), "RGB888", "is not the name of a raw format"),
        (("use_cases", "raw", "format"), "S RGB", "is not the name of a raw format"),
        (("use_cases", "raw", "stream"), "main", "is not raw"),
        (("use_cases", "live", "stream"), "raw", "main or lores"),
        (("use_cases", "photo", "stream"), "raw", "main or lores"),
        (("use_cases", "photo", "size", 1), 721, "is not even"),
        (("use_cases", "live", "controls", "FrameDurationLimits"), [1, None], "a list of numbers"),
        (("controls", "ColourGains"), [], "a list of numbers"),
        (("controls", "ColourGains"), [True, 1], "a list of numbers"),
        (("controls", "ColourGains"), [1, [2]], "a list of numbers"),
        (("controls", "AwbMode"), None, "a text"),
        (("controls", "AwbMode"), {"a": 1}, "a text"),
        (("controls", "AwbMode"), 2**63, "is not a number"),
        (("roots", 0), "/data/../etc", "without .."),
        (("roots", 0), "/data\0", "no file name"),
        (("output_path",), "/data\ud800", "no file name"),
        (("output_pattern",), "{camera}", "{count} once"),
        (("video", "bitrate"), 20_000, "from 50000 to 100000000"),
        (("video", "bitrate"), 200_000_000, "from 50000 to 100000000"),
        (("video", "audio_device"), "a\0", "no file name"),
        (("simulator", "faults"), "a\0", "no file name"),
        (("simulator", "sensor", "bit_depth"), 7, "8 to 16"),
        (("simulator", "sensor", "bit_depth"), 17, "8 to 16"),
        (("simulator", "scene", "stars"), 2**31, "0 to 100000"),
        (("simulator", "scene", "brightest_photons_per_s"), 0, "at least 1"),
        (("simulator", "scene", "colour_temperature_k"), 0, "1000 to 40000"),
    ],
)
def test_what_would_fail_later_is_refused(path: JsonPath, value: Any, says: str, tmp_path: Path) -> None:
    found = problems_of(with_value(path, value), tmp_path)
    assert [problem.path for problem in found] == [as_json_path(path)]
    problem = found[0]
    assert says in problem.message
    assert str(problem).startswith(f"{tmp_path / 'x.json'}:{problem.line}: {problem.path}: ")
    key = next(step for step in reversed(path) if isinstance(step, str))
    at = problem.line - 1 - (1 + path[-1] if isinstance(path[-1], int) else 0)
    assert f'"{key}"' in (tmp_path / "x.json").read_text().splitlines()[at]


def test_infinity_in_disguise_and_nan_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    text = json.dumps(SAMPLE)
    for number, says in (("1e999", "too large"), ("NaN", "no JSON number")):
        file.write_text(text.replace("[1.5, 2]", f"[1.5, {number}]"))
        with pytest.raises(ConfigProblems, match=says):
            parse(config.load(file, SCHEMA, DIRECTORY), DIRECTORY)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    data = with_value(("video", "bitrate"), 1)
    data["roots"] = ["/a/.."]
    data["use_cases"]["photo"]["size"] = [3, 5]
    found = problems_of(data, tmp_path)
    assert [problem.path for problem in found] == [
        "$.use_cases.photo.size[0]",
        "$.use_cases.photo.size[1]",
        "$.roots[0]",
        "$.video.bitrate",
    ]


@pytest.mark.parametrize("name", ["SRGGB12", "SBGGR10_CSI2P", "R10", "RGGB", "GBRG16", "SGRBG12"])
def test_raw_formats(name: str, tmp_path: Path) -> None:
    assert load(with_value(("use_cases", "raw", "format"), name), tmp_path).use_cases["raw"].format == name


def test_what_passes_at_its_limits_can_be_built(tmp_path: Path) -> None:
    def limits(schema: dict[str, Any], end: str) -> Any:
        return {name: kind[end] for name, kind in schema["properties"].items() if end in kind}

    simulator = SCHEMA["properties"]["simulator"]["properties"]
    for end in ("minimum", "maximum"):
        loaded = load(
            with_value(("simulator",), {name: limits(simulator[name], end) for name in ("scene", "sensor")}), tmp_path
        )
        optics = SimulatedOptics(loaded.simulator.scene.seeing_sigma_pixels)
        SimulatedCamera(loaded.simulator.scene, loaded.simulator.sensor, optics)
    for bitrate in (50_000, 100_000_000):
        EncoderSettings(bitrate=load(with_value(("video", "bitrate"), bitrate), tmp_path).video.bitrate)


def test_the_check_refuses_a_bit_rate_that_would_end_the_daemon(tmp_path: Path) -> None:
    camerad = Camerad(tmp_path, video={"bitrate": 20_000})
    command = [sys.executable, "-m", "observatory_camerad", "--check", str(camerad.config)]
    for arguments in (command, [*command[:3], str(camerad.config)]):
        done = subprocess.run(
            arguments, env={"OBSERVATORY_ETC": str(camerad.etc)}, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 78  # which systemd does not start again
        assert "cam.json:1: $.video.bitrate: 20000 is not a whole number from 50000 to 100000000" in done.stderr
