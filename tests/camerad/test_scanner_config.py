"""The config of what serves a scanner: what is refused, and where it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from observatory_camerad.config import SCHEMA, CameradConfig, parse
from observatory_common import config
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems

DIRECTORY = Directory({}, {})
CONTROLLER = {"endpoints": ["tcp://localhost:5556", "tcp://[::1]:5557"]}
SAMPLE: dict[str, Any] = {
    "daemon": "localhost_test",
    "log_name": "camerad@scanner",
    "control_machines": ["LocalHost"],
    "driver": "simulator",
    "roots": ["/media/usb"],
    "controls_file": {"path": "/media/usb/mandeye_config.json"},
    "controller": CONTROLLER,
}


def load(data: Any, folder: Path) -> CameradConfig:
    file = folder / "x.json"
    file.write_text(json.dumps(data, indent=1))
    return parse(config.load(file, SCHEMA, DIRECTORY), DIRECTORY)


def test_what_is_not_said_is_the_old_services(tmp_path: Path) -> None:
    found = load(SAMPLE, tmp_path)
    file, controller = found.controls_file, found.controller
    assert file is not None and controller is not None
    assert (file.path, file.section, file.poll_s) == (Path("/media/usb/mandeye_config.json"), "picamera", 0.5)
    assert (file.strict, file.template, file.test_photo) == (False, True, False)
    assert controller.endpoints == ("tcp://localhost:5556", "tcp://[::1]:5557")
    assert (controller.interval_s, controller.silent_s, controller.format) == (2.0, 5.0, "jpg")
    plain = load({key: value for key, value in SAMPLE.items() if key not in ("controls_file", "controller")}, tmp_path)
    assert plain.controls_file is None and plain.controller is None


@pytest.mark.parametrize(
    ("changes", "path", "says"),
    [
        ({"controls_file": {}}, "$.controls_file.path", "is missing"),
        ({"controls_file": {"path": "c.json"}}, "$.controls_file.path", "the absolute path of a file"),
        ({"controls_file": {"path": "/media/"}}, "$.controls_file.path", "the absolute path of a file"),
        ({"controls_file": {"path": "/media/../etc/x"}}, "$.controls_file.path", "without .."),
        ({"controls_file": {"path": "/media/a\0b"}}, "$.controls_file.path", "no file name can have"),
        ({"controls_file": {"path": "/c", "poll_s": 0}}, "$.controls_file.poll_s", "at least 0.1"),
        ({"controls_file": {"path": "/c", "section": "_x"}}, "$.controls_file.section", "a word"),
        ({"controls_file": {"path": "/c", "stict": True}}, "$.controls_file.stict", "did you mean strict?"),
        ({"controller": {}}, "$.controller.endpoints", "is missing"),
        ({"controller": {"endpoints": []}}, "$.controller.endpoints", "at least this many items"),
        ({"controller": {"endpoints": ["localhost:5556"]}}, "$.controller.endpoints[0]", "tcp://HOST:PORT"),
        ({"controller": {"endpoints": ["tcp://*:5556"]}}, "$.controller.endpoints[0]", "tcp://HOST:PORT"),
        ({"controller": {"endpoints": ["tcp://h:70000"]}}, "$.controller.endpoints[0]", "no port from 1 to 65535"),
        ({"controller": {**CONTROLLER, "interval_s": 0}}, "$.controller.interval_s", "at least 0.1"),
        ({"controller": {**CONTROLLER, "format": "fits"}}, "$.controller.format", "is not one of"),
        ({"roots": []}, "$.controller", "needs roots"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(changes: dict[str, Any], path: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as refused:
        load({**SAMPLE, **changes}, tmp_path)
    problem = next(problem for problem in refused.value.problems if problem.path == path)
    assert says in str(problem) and problem.line > 1


def test_the_example_is_right(tmp_path: Path) -> None:
    example = json.loads((Path(__file__).parents[2] / "etc" / "camerad" / "scanner.json").read_text())
    assert load({**example, "daemon": "localhost_test"}, tmp_path).controller is not None
