"""gpiod's config: every complaint names file, line, JSON path and what was expected."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from observatory_cli.gpio.commands import gpio
from observatory_common import config
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems, Problem
from observatory_gpiod.config import PIN_FACTORIES, SCHEMA, GpiodConfig, parse
from observatory_gpiod.devices.declared import RESERVED_IDS, SECOND_WORDS
from observatory_gpiod.devices.table import TYPES
from observatory_gpiod.factories import KEEPING

DIRECTORY = Directory({}, {})
EXAMPLE = Path(__file__).parents[2] / "etc/gpiod/example.json"
SAMPLE: dict[str, Any] = {
    "daemon": "localhost_test",
    "log_name": "gpiod@test",
    "control_machines": ["LocalHost"],
    "pin_factory": "simulated",
    "simulator": {"socket": "gpiod/board"},
    "devices": [
        {
            "id": "lamp",
            "type": "PWMLED",
            "pin": "GPIO17",
            "frequency": 200,
            "on_start": 0.5,
            "on_stop": "keep",
            "max_on_time": 60,
        },
        {"id": "knob", "type": "RotaryEncoder", "a": "BOARD29", "b": 6, "threshold_steps": [-2, 2], "label": "Knob"},
        {"id": "colour", "type": "RGBLED", "red": 22, "green": 23, "blue": 24, "initial_value": [1, 0, 0.5]},
        {"id": "motor", "type": "Motor", "forward": 7, "backward": 8, "enable": 9},
        {"id": "tone", "type": "TonalBuzzer", "pin": 10, "mid_tone": "A4", "initial_value": None},
    ],
}


def load(data: Any, folder: Path) -> GpiodConfig:
    file = folder / "x.json"
    file.write_text(json.dumps(data, indent=1), encoding="utf-8")
    return parse(config.load(file, SCHEMA, DIRECTORY), DIRECTORY)


def problems_of(data: Any, folder: Path) -> list[Problem]:
    try:
        load(data, folder)
    except ConfigProblems as error:
        lines = (folder / "x.json").read_text().splitlines()
        for problem in error.problems:
            assert str(problem).startswith(f"{folder / 'x.json'}:{problem.line}: {problem.path}: ")
            key = problem.path.rpartition(".")[2]
            if problem.value is not None and not key.endswith("]"):
                assert f'"{key}"' in lines[problem.line - 1], problem
        return error.problems
    return []


def with_device(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The sample with some keys of a device set, or taken away by ..."""
    data = copy.deepcopy(SAMPLE)
    device = data["devices"][number]
    device.update(changes)
    for key in [key for key, value in changes.items() if value is ...]:
        del device[key]
    return data


def test_the_sample_is_sound_and_kept_exactly(tmp_path: Path) -> None:
    loaded = load(SAMPLE, tmp_path)
    lamp, knob, colour, motor, tone = loaded.devices
    assert (lamp.pins, lamp.on_start, lamp.on_stop, lamp.max_on_time_s) == ({"pin": 17}, 0.5, "keep", 60.0)
    assert lamp.parameters == {"active_high": True, "frequency": 200}
    assert (knob.pins, knob.parameters["threshold_steps"], knob.label) == ({"a": 5, "b": 6}, (-2, 2), "Knob")
    assert (colour.on_start, list(colour.pins)) == ((1.0, 0.0, 0.5), ["red", "green", "blue"])
    assert motor.pins == {"forward": 7, "backward": 8, "enable": 9}
    assert (tone.parameters["mid_tone"], tone.on_start) == (69, "off")
    assert loaded.simulator_socket is not None and loaded.simulator_socket.endswith("/gpiod/board")


def test_the_example_is_sound() -> None:
    loaded = parse(config.load(EXAMPLE, SCHEMA, DIRECTORY), DIRECTORY)
    assert loaded.pin_factory == "lgpio" and len(loaded.devices) == 5


def test_every_type_needs_nothing_but_its_pins(tmp_path: Path) -> None:
    for type in TYPES.values():
        pins = dict(zip(type.pins, type.only_pins or range(4, 8), strict=False))
        device = {"id": "it", "type": type.name, **pins}
        loaded = load(SAMPLE | {"devices": [device]}, tmp_path).devices[0]
        assert set(loaded.parameters) == {parameter.name for parameter in type.parameters}
        given = dict(loaded.parameters) | {k: list(v) for k, v in loaded.parameters.items() if isinstance(v, tuple)}
        assert load(SAMPLE | {"devices": [device | given]}, tmp_path).devices[0] == loaded, type.name
        for pin in pins:
            problems = problems_of(SAMPLE | {"devices": [{k: v for k, v in device.items() if k != pin}]}, tmp_path)
            assert [(p.path, p.message) for p in problems] == [
                (f"$.devices[0].{pin}", f"is missing: a {type.name} needs {' and '.join(type.pins)}")
            ]


WRONG: list[Any] = [None, True, "text", 1e9, -1e9, [], {}, [[]], [1, 2, 3, 4], 0.123456]


def test_every_parameter_of_every_type_is_checked(tmp_path: Path) -> None:
    tried = 0
    for type in TYPES.values():
        pins = dict(zip(type.pins, type.only_pins or range(4, 8), strict=False))
        for parameter in type.parameters:
            right = {"boolean": [True], "number": [0.123456]}.get(parameter.kind, [])
            for wrong in WRONG:
                if wrong in right or (wrong is None and parameter.default is None):
                    continue
                data = SAMPLE | {"devices": [{"id": "it", "type": type.name, **pins, parameter.name: wrong}]}
                problems = problems_of(data, tmp_path)
                if parameter.name == "max_distance" and not problems:
                    continue
                if parameter.nullable and wrong is None:
                    assert not problems or "floating" in problems[0].message
                    continue
                assert problems and problems[0].path == f"$.devices[0].{parameter.name}", (type.name, parameter.name, wrong)
                tried += 1
    assert tried > 300


@pytest.mark.parametrize(
    ("number", "changes", "path", "why"),
    [
        (1, {"id": "lamp"}, "id", '"lamp" is the id of devices[0] already'),
        (1, {"a": 17}, "a", "is GPIO17, which lamp (pin) uses already"),
        (1, {"b": "BOARD29"}, "b", "is GPIO5, which knob (a) uses already"),
        (0, {"pin": "BOARD1"}, "pin", "did you mean BOARD3 (GPIO2)?"),
        (0, {"pin": "GPIO28"}, "pin", "did you mean GPIO27?"),
        (0, {"pin": True}, "pin", "is no pin: True names no pin"),
        (0, {"pin": ...}, "pin", "is missing: a PWMLED needs pin"),
        (1, {"b": ...}, "b", "is missing: a RotaryEncoder needs a and b"),
        (0, {"type": "PWMLde"}, "type", "did you mean PWMLED?"),
        (0, {"type": "TrafficLights"}, "type", "is no type of device, expected Button, "),
        (0, {"type": 3}, "type", "is no type of device"),
        (0, {"type": "__class__"}, "type", "is no type of device"),
        (0, {"frequenzy": 3}, "frequenzy", "unknown key for a PWMLED; did you mean frequency?"),
        (0, {"echo": 3}, "echo", "unknown key for a PWMLED; PWMLED has id, type, label, pin"),
        (0, {"frequency": 0}, "frequency", "0 is not a whole number from 1 to 10000 (Hz)"),
        (0, {"frequency": 100.5}, "frequency", "is not a whole number"),
        (0, {"frequency": True}, "frequency", "is not a whole number"),
        (0, {"active_high": 1}, "active_high", "1 is not true or false"),
        (0, {"label": ""}, "label", "is not a text of 1 to 80 printable characters"),
        (0, {"label": 7}, "label", "is not a text"),
        (0, {"on_start": "kep"}, "on_start", "is not one of keep, off, on, and not a number from 0 to 1"),
        (0, {"on_start": 1.5}, "on_start", "is not one of keep, off, on"),
        (0, {"on_start": None}, "on_start", "is not one of"),
        (0, {"on_stop": []}, "on_stop", "is not one of"),
        (0, {"initial_value": 1}, "initial_value", "is another name of on_start"),
        (0, {"max_on_time": 0}, "max_on_time", "is not a number from 0.01"),
        (0, {"max_on_time": "60"}, "max_on_time", "is not a number"),
        (0, {"max_on_time": True}, "max_on_time", "is not a number"),
        (1, {"max_on_time": 60}, "max_on_time", "is only for outputs; RotaryEncoder is an input"),
        (1, {"on_start": "keep"}, "on_start", "is only for outputs"),
        (1, {"threshold_steps": [2, -2]}, "threshold_steps", "the first not above the second"),
        (1, {"max_steps": -1}, "max_steps", "from 0"),
        (2, {"initial_value": [1, 0]}, "initial_value", "a list of three numbers"),
        (3, {"on_start": "keep"}, "on_start", "is not one of off, and not a number from -1 to 1"),
        (4, {"octaves": 6}, "octaves", "notes go from 0 to 127, not from -3 to 141"),
        (4, {"initial_value": 100}, "initial_value", "from 57 to 81"),
    ],
)
def test_what_a_device_must_not_be(number: int, changes: dict[str, Any], path: str, why: str, tmp_path: Path) -> None:
    problems = problems_of(with_device(number, **changes), tmp_path)
    assert [problem.path for problem in problems] == [f"$.devices[{number}].{path}"]
    assert why in problems[0].message


@pytest.mark.parametrize(
    ("device", "path", "why"),
    [
        ({"type": "Button", "pin": 4, "pull_up": None}, "active_state", "must say which level is active"),
        ({"type": "Button", "pin": 4, "active_state": True}, "active_state", "is only for a floating pin"),
        ({"type": "Servo", "pin": 4, "min_pulse_width": 0.002}, "min_pulse_width", "is not below max_pulse_width (0.002 s)"),
        ({"type": "Servo", "pin": 4, "frame_width": 0.001}, "max_pulse_width", "is 0.002 by default, which is not below"),
        ({"type": "AngularServo", "pin": 4, "max_angle": -90}, "max_angle", "is the same as min_angle"),
        ({"type": "ServoPWM", "pin": 4}, "pin", "has no hardware PWM, expected GPIO12, GPIO13, GPIO18, GPIO19"),
        (
            {"type": "DistanceSensor", "echo": 4, "trigger": 5, "threshold_distance": 1},
            "threshold_distance",
            "below max_distance",
        ),
        ({"type": "StepperMotor", "in1": 4, "in2": 5, "in3": 6, "in4": 7, "swing_from": 45}, "swing_from", "below swing_to"),
        ({"type": "StepperMotor", "in1": 4, "in2": 5, "in3": 6, "in4": 7, "swing_direction": 0}, "swing_direction", "neither"),
        ({"type": "StepperMotor", "in1": 4, "in2": 5, "in3": 6, "in4": 4}, "in4", "is GPIO4, which it (in1) uses already"),
    ],
)
def test_what_does_not_fit_together(device: dict[str, Any], path: str, why: str, tmp_path: Path) -> None:
    problems = problems_of(SAMPLE | {"devices": [{"id": "it", **device}]}, tmp_path)
    assert [problem.path for problem in problems] == [f"$.devices[0].{path}"]
    assert why in problems[0].message


def test_no_device_hides_a_command_of_gpio() -> None:
    assert set(gpio.commands) <= RESERVED_IDS


@pytest.mark.parametrize(
    "id", [*sorted(RESERVED_IDS), "Status", "", "1st", "a b", "a.b", "x" * 41, "ä", None, 3, "lamp\n", "-x"]
)
def test_ids_that_are_none(id: Any, tmp_path: Path) -> None:
    problems = problems_of(with_device(0, id=id), tmp_path)
    assert [problem.path for problem in problems] == ["$.devices[0].id"]
    assert "no id" in problems[0].message


@pytest.mark.parametrize("id", ["a", "Roof_switch-2", "x" * 40])
def test_ids_that_are_some(id: str, tmp_path: Path) -> None:
    assert load(with_device(0, id=id), tmp_path).devices[0].id == id


@pytest.mark.parametrize(
    ("changes", "path", "why"),
    [
        ({"pin_factory": "mock"}, "$.pin_factory", "is not one of"),
        ({"pin_factory": "lgpio"}, "$.simulator", "is only for the pin_factory simulated, not for lgpio"),
        ({"chip_label": "pinctrl-rp1"}, "$.chip_label", "is only for the pin_factory lgpio"),
        ({"simulator": {}}, "$.simulator.socket", "is missing"),
        ({"simulator": {"socket": ""}}, "$.simulator.socket", "at least"),
        ({"simulator": {"socket": "a", "speed": 2}}, "$.simulator.speed", "unknown key"),
        ({"devices": [{"type": "LED"}]}, "$.devices[0].id", "is missing"),
        ({"devices": ["LED"]}, "$.devices[0]", "is not an object"),
        ({"devices": {}}, "$.devices", "is not a list"),
        ({"chip_lable": "x"}, "$.chip_lable", "did you mean chip_label?"),
    ],
)
def test_the_backend_is_named_and_complete(changes: dict[str, Any], path: str, why: str, tmp_path: Path) -> None:
    problems = problems_of(SAMPLE | changes, tmp_path)
    assert path in [problem.path for problem in problems]
    assert why in " ".join(problem.message for problem in problems)


def test_a_simulated_board_must_be_named(tmp_path: Path) -> None:
    data = {key: value for key, value in SAMPLE.items() if key != "simulator"}
    assert "needs simulator" in problems_of(data, tmp_path)[0].message
    assert load(data | {"pin_factory": "lgpio"}, tmp_path).simulator_socket is None


@pytest.mark.parametrize("factory", sorted(set(PIN_FACTORIES) - KEEPING))
def test_a_level_that_would_not_be_kept_cannot_be_asked_for(factory: str, tmp_path: Path) -> None:
    data = {key: value for key, value in SAMPLE.items() if key != "simulator"} | {"pin_factory": factory}
    data["devices"] = [
        {"id": "a", "type": "LED", "pin": 1, "on_start": "keep"},
        {"id": "b", "type": "LED", "pin": 2, "on_stop": "keep"},
        {"id": "c", "type": "LED", "pin": 3, "initial_value": None},
        {"id": "d", "type": "LED", "pin": 4},
        {"id": "e", "type": "Servo", "pin": 5},
    ]
    problems = problems_of(data, tmp_path)
    assert [problem.path for problem in problems] == [
        "$.devices[0].on_start",
        "$.devices[1].on_stop",
        "$.devices[2].on_start",
    ]
    assert all(f"the pin_factory {factory} cannot; lgpio and simulated can" in problem.message for problem in problems)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    data = with_device(0, pin="GPIO99", frequency=0, colour="red")
    data["devices"][1]["id"] = "status"
    paths = [problem.path for problem in problems_of(data, tmp_path)]
    assert sorted(paths) == [
        "$.devices[0].colour",
        "$.devices[0].frequency",
        "$.devices[0].pin",
        "$.devices[1].id",
    ]


def test_a_check_needs_no_pins_and_no_gpiozero_device() -> None:
    """`--check` runs anywhere: the table and the config import nothing that touches a board."""
    code = "import sys, observatory_gpiod.config; print('gpiozero' in sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=env)
    assert found.stdout.strip() == "False"


def test_ids_whose_keys_of_the_status_would_be_the_same(tmp_path: Path) -> None:
    pins = [{"id": id, "type": "Servo", "pin": pin} for pin, id in enumerate(("x", "steps_x", "certain_x", "steps_y"))]
    problems = problems_of(SAMPLE | {"devices": pins}, tmp_path)
    assert [(problem.path, problem.value) for problem in problems] == [
        ("$.devices[1].id", "steps_x"),
        ("$.devices[2].id", "certain_x"),
    ]


def test_no_other_ids_share_keys() -> None:
    from observatory_gpiod.devices.making import CLASSES
    from observatory_gpiod.devices.servos import ServoPWM

    keys = {"type", "label", "since", "running", "job", "set_by", "error"}
    keys |= {key for made in (*CLASSES.values(), ServoPWM) for key in made.READINGS}  # type: ignore[attr-defined]
    ends = {long.removeprefix(f"{short}_") + "_" for short in keys for long in keys if long.startswith(f"{short}_")}
    assert ends == set(SECOND_WORDS)
