"""A config that is wrong, as the programs tell it: file, line and JSON path, exit code 78."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gpio_daemon import Gpiod

LAMP = {"id": "lamp", "type": "LED", "pin": 4}
WRONG: list[tuple[str, dict[str, Any], list[str]]] = [
    # what, changes of the config, the complaints after "FILE:LINE: "
    (
        "two devices on one pin",
        {"devices": [LAMP, {"id": "bell", "type": "Buzzer", "pin": "BOARD7"}]},
        ['$.devices[1].pin: "BOARD7" is GPIO4, which lamp (pin) uses already'],
    ),
    ("an unknown parameter", {"devices": [LAMP | {"colour": "red"}]}, ["$.devices[0].colour: "]),
    ("a value out of range", {"devices": [LAMP | {"type": "PWMLED", "frequency": 0}]}, ["$.devices[0].frequency: 0 "]),
    ("the id of a command", {"devices": [LAMP | {"id": "status"}]}, ['$.devices[0].id: "status" is a command of gpio']),
    (
        "a level that cannot be kept",
        {"pin_factory": "native", "simulator": None, "devices": [LAMP | {"on_stop": "keep"}]},
        ['$.devices[0].on_stop: "keep" means keep, which the pin_factory native cannot'],
    ),
    (
        "all of it",
        {"devices": [LAMP | {"type": "PWMLED", "pin": 99, "frequency": 0}, LAMP]},
        ["$.devices[0].pin: 99 ", "$.devices[0].frequency: 0 ", '$.devices[1].id: "lamp" is the id of devices[0] already'],
    ),
]


def run(gpiod: Gpiod, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=gpiod.env, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(("changes", "complaints"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_every_program_says_the_same(changes: dict[str, Any], complaints: list[str], tmp_path: Path) -> None:
    gpiod = Gpiod(tmp_path, [LAMP])
    path = str(gpiod.config_path)
    assert run(gpiod, "observatory_gpiod", "--check", path).returncode == 0
    gpiod.configure(**changes)
    lines = gpiod.config_path.read_text().splitlines()
    said: list[list[str]] = []
    for module, arguments in (
        ("observatory_gpiod", ["--check", path]),
        ("observatory_gpiod", [path]),
        ("observatory_cli.observatory", ["check", path]),
    ):
        done = run(gpiod, module, *arguments)
        assert done.returncode == 78, done
        said.append([line for line in (done.stdout + done.stderr).splitlines() if line.startswith(f"{path}:")])
        assert "Traceback" not in done.stderr
    assert said[0] == said[1] == said[2] and len(said[0]) == len(complaints)
    for line in said[0]:
        number, _, rest = line.removeprefix(f"{path}:").partition(": ")
        (complaint,) = (text for text in complaints if rest.startswith(text))
        key = complaint.partition(": ")[0].rpartition(".")[2]
        assert f'"{key}"' in lines[int(number) - 1]


def test_what_is_no_config_is_said(tmp_path: Path) -> None:
    gpiod = Gpiod(tmp_path, [LAMP])
    for text in ("{", "[]", "", json.dumps({"daemon": "nobody"})):
        gpiod.config_path.write_text(text)
        done = run(gpiod, "observatory_gpiod", str(gpiod.config_path))
        assert done.returncode == 78 and str(gpiod.config_path) in done.stderr and "Traceback" not in done.stderr
