"""Every device type and every method, from a config to the history of gpiozero's mock pins."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from gpio_bench import PINS, Bench, assert_history, ended, hardware_servo, history, servo

from observatory_common.errors import CommandFailed, NotConnected
from observatory_gpiod.devices import table
from observatory_gpiod.devices.making import CLASSES
from observatory_gpiod.devices.servos import ServoPWM

FADES = [i / 5 for i in range(5)]  # 0.2 s at 25 steps a second
#: type, config, calls before, method, arguments, history of each pin
Case = tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]], str, dict[str, Any], dict[int, list[Any]]]
BLINK = {"on_time": 0.1, "off_time": 0.2, "n": 2}
BLINKED: list[Any] = [0, (0, 1), (0.1, 0), (0.2, 1), (0.1, 0)]
ON: list[tuple[str, dict[str, Any]]] = [("on", {})]


def switch_cases(type: str) -> list[Case]:
    return [
        (type, {}, [], "on", {}, {4: [0, 1]}),
        (type, {}, [], "on", {"duration": 0.1}, {4: [0, 1, (0.1, 0)]}),
        (type, {"active_high": False}, [], "on", {}, {4: [1, 0]}),
        (type, {}, ON, "off", {}, {4: [1, 0]}),
        (type, {}, ON, "toggle", {}, {4: [1, 0]}),
        (type, {}, [], "toggle", {}, {4: [0, 1]}),
        (type, {}, [], "value", {"value": 1}, {4: [0, 1]}),
        (type, {}, ON, "value", {"value": 0}, {4: [1, 0]}),
        (type, {}, ON, "stop", {}, {4: [1, 0]}),
    ]


FAST = {"speed": 0.01}
MIDDLE: list[tuple[str, dict[str, Any]]] = [("mid", {})]
CASES: list[Case] = [
    *switch_cases("LED"),
    ("LED", {}, [], "blink", BLINK, {4: BLINKED}),
    *switch_cases("DigitalOutputDevice"),
    ("DigitalOutputDevice", {}, [], "blink", BLINK, {4: BLINKED}),
    *switch_cases("OutputDevice"),
    *switch_cases("Buzzer"),
    ("Buzzer", {}, [], "beep", BLINK, {4: BLINKED}),
    *switch_cases("PWMLED"),
    ("PWMLED", {}, [], "value", {"value": 0.25}, {4: [0, 0.25]}),
    ("PWMLED", {}, [("value", {"value": 0.25})], "toggle", {}, {4: [0.25, 0.75]}),
    ("PWMLED", {}, [], "blink", BLINK, {4: BLINKED}),
    (
        "PWMLED",
        {},
        [],
        "blink",
        {"on_time": 0.1, "off_time": 0.1, "fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), (0.14, 0.8), *((0.04, 1 - f) for f in FADES[2:]), (0.04, 0)]},
    ),
    (
        "PWMLED",
        {},
        [],
        "pulse",
        {"fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), *((0.04, 1 - f) for f in FADES[1:]), (0.04, 0)]},
    ),
    ("RGBLED", {}, [], "on", {}, {4: [0, 1], 5: [0, 1], 6: [0, 1]}),
    ("RGBLED", {}, [], "on", {"duration": 0.1}, {4: [0, 1, (0.1, 0)], 6: [0, 1, (0.1, 0)]}),
    ("RGBLED", {}, [("value", {"value": [1, 0, 0.5]})], "off", {}, {4: [1, 0], 5: [0], 6: [0.5, 0]}),
    ("RGBLED", {}, [("value", {"value": [1, 0, 0.25]})], "toggle", {}, {4: [1, 0], 5: [0, 1], 6: [0.25, 0.75]}),
    ("RGBLED", {}, [], "value", {"value": [0.25, 0, 1]}, {4: [0, 0.25], 5: [0], 6: [0, 1]}),
    ("RGBLED", {"pwm": False}, [], "value", {"value": [1, 0, 1]}, {4: [0, 1], 5: [0], 6: [0, 1]}),
    ("RGBLED", {}, ON, "stop", {}, {4: [1, 0], 5: [1, 0], 6: [1, 0]}),
    (
        "RGBLED",
        {},
        [],
        "blink",
        {**BLINK, "on_color": [1, 0.5, 0], "off_color": [0, 0, 0.5]},
        {4: BLINKED, 5: [0, (0, 0.5), (0.1, 0), (0.2, 0.5), (0.1, 0)], 6: [0, (0.1, 0.5), (0.2, 0), (0.1, 0.5)]},
    ),
    (
        "RGBLED",
        {},
        [],
        "pulse",
        {"fade_in_time": 0.2, "fade_out_time": 0.2, "n": 1, "on_color": [1, 0, 0]},
        {4: [0, *((0.04, f) for f in FADES[1:]), (0.04, 1), *((0.04, 1 - f) for f in FADES[1:]), (0.04, 0)], 5: [0]},
    ),
    ("TonalBuzzer", {}, [], "play", {}, {4: [0, 0.5]}),
    ("TonalBuzzer", {}, [], "play", {"tone": "A5", "duration": 0.1}, {4: [0, 0.5, (0.1, 0)]}),
    ("TonalBuzzer", {}, [("play", {"tone": 57})], "stop", {}, {4: [0.5, 0]}),
    ("Motor", {}, [], "forward", {}, {4: [0, 1], 5: [0]}),
    ("Motor", {}, [], "forward", {"speed": 0.5, "duration": 0.1}, {4: [0, 0.5, (0.1, 0)], 5: [0]}),
    ("Motor", {}, [("forward", {})], "backward", {"speed": 0.5}, {4: [1, 0], 5: [0, 0.5]}),
    ("Motor", {}, [("forward", {"speed": 0.5})], "reverse", {}, {4: [0.5, 0], 5: [0, 0.5]}),
    ("Motor", {}, [], "value", {"value": -0.25}, {4: [0], 5: [0, 0.25]}),
    ("Motor", {"pwm": False, "enable": 6}, [], "forward", {"speed": 1}, {4: [0, 1], 5: [0], 6: [1]}),
    ("Motor", {}, [("backward", {})], "stop", {}, {4: [0], 5: [1, 0]}),
    ("Servo", {}, MIDDLE, "value", {"value": -1}, {4: [servo(0.5), servo(0)]}),
    ("Servo", {}, MIDDLE, "min", {}, {4: [servo(0.5), servo(0)]}),
    ("Servo", {}, MIDDLE, "max", {}, {4: [servo(0.5), servo(1)]}),
    ("Servo", {"initial_value": 1}, [], "mid", {}, {4: [servo(1), servo(0.5)]}),
    ("Servo", {}, MIDDLE, "detach", {}, {4: [servo(0.5), 0]}),
    ("Servo", {}, MIDDLE, "stop", {}, {4: [servo(0.5)]}),
    ("AngularServo", {}, [], "angle", {"angle": -45}, {4: [0, servo(0.25)]}),
    ("AngularServo", {"initial_angle": 0}, [], "rotate_by", {"angle": 45}, {4: [servo(0.5), servo(0.75)]}),
    ("AngularServo", {}, MIDDLE, "min", {}, {4: [servo(0.5), servo(0)]}),
    ("AngularServo", {"min_angle": 90, "max_angle": -90}, MIDDLE, "max", {}, {4: [servo(0.5), servo(1)]}),
    ("AngularServo", {}, [("max", {})], "mid", {}, {4: [servo(1), servo(0.5)]}),
    ("AngularServo", {}, MIDDLE, "detach", {}, {4: [servo(0.5), 0]}),
    ("AngularServo", {}, [("angle", {"angle": 45})], "zero", {}, {4: [servo(0.75)]}),
    ("AngularServo", {}, MIDDLE, "stop", {}, {4: [servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "min", {}, {18: [hardware_servo(0.5), hardware_servo(0)]}),
    ("ServoPWM", FAST, MIDDLE, "max", {}, {18: [hardware_servo(0.5), hardware_servo(1)]}),
    ("ServoPWM", FAST, [], "mid", {}, {18: [0, hardware_servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_to", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.75)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_by", {"angle": -45}, {18: [hardware_servo(0.5), hardware_servo(0.25)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_right", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.75)]}),
    ("ServoPWM", FAST, MIDDLE, "rotate_left", {"angle": 45}, {18: [hardware_servo(0.5), hardware_servo(0.25)]}),
    (
        "ServoPWM",
        {"speed": 0.4, "idle_off": True, "initial_angle": 0},
        [],
        "rotate_to",
        {"angle": 90},
        {18: [hardware_servo(0.5), hardware_servo(1), (0.1, 0)]},
    ),
    ("ServoPWM", FAST, MIDDLE, "detach", {}, {18: [hardware_servo(0.5), 0]}),
    ("ServoPWM", FAST, MIDDLE, "zero", {}, {18: [hardware_servo(0.5)]}),
    ("ServoPWM", FAST, MIDDLE, "stop", {}, {18: [hardware_servo(0.5)]}),
]
STEPPER_METHODS = {method.name for method in table.TYPES["StepperMotor"].methods}


def test_every_method_of_every_output_is_tried_and_bound() -> None:
    tried = {(case[0], case[3]) for case in CASES} | {("StepperMotor", name) for name in STEPPER_METHODS}
    assert tried == {(type.name, method.name) for type in table.TYPES.values() for method in type.methods}
    for name, type in table.TYPES.items():
        bound = ServoPWM if name == "ServoPWM" else CLASSES[name]
        assert {*bound.METHODS, *(("stop",) if type.is_output else ())} == {m.name for m in type.methods}, name  # type: ignore[attr-defined]


@pytest.mark.parametrize(("type", "given", "before", "method", "arguments", "expected"), CASES, ids=lambda x: str(x)[:40])
def test_a_method_gives_the_history_of_its_pins(
    type: str,
    given: dict[str, Any],
    before: list[tuple[str, dict[str, Any]]],
    method: str,
    arguments: dict[str, Any],
    expected: dict[int, list[Any]],
    bench: Bench,
) -> None:
    device = bench.open(type, **given)
    for name, values in before:
        task = device.call(name, values)
        if task is not None:
            ended(task)
    bench.clear()
    task = device.call(method, arguments)
    description = table.TYPES[type].method(method, device.config.parameters)
    assert description is not None and (task is None or description.long)
    if task is not None:
        assert ended(task).state == "succeeded"
        assert task.progress in (0.0, 1.0) and task.expected_s is not None
    for pin, states in expected.items():
        assert_history(bench.pin(pin), states)
    state = device.state()
    assert state["running"] is None and state["type"] == type
    told = bench.values()
    assert told == [] or told[-1] == state["value"]
    changed = any(len(states) > 1 for states in expected.values())
    assert bool(told) == (changed or method == "zero")


def test_a_tone_sets_the_frequency(bench: Bench) -> None:
    device = bench.open("TonalBuzzer")
    device.call("play", {"tone": 69})
    assert bench.pin(4).frequency == pytest.approx(440)
    device.call("play", {"tone": "A3"})
    assert bench.pin(4).frequency == pytest.approx(220)
    assert device.state()["value"] == 57
    device.call("stop", {})
    assert bench.pin(4).frequency is None and device.state()["value"] is None


# start, stop, keep


def test_keep_makes_no_edge(bench: Bench) -> None:
    for type in ("LED", "PWMLED", "RGBLED", "StepperMotor"):
        pins = list(PINS.get(type, {"pin": 4}).values())
        for level in (True, False):
            for pin in pins:
                bench.pin(pin)._change_state(float(level))
            bench.clear()
            device = bench.open(type, on_start="keep", on_stop="keep")
            assert device.state()["active"] is level
            assert all(len(bench.pin(pin).states) == 1 for pin in pins)
            device.close()
            device.open(bench.factory)
            device.close(keep=True)
            assert all(history(bench.pin(pin)) == [(0.0, float(level))] for pin in pins)


@pytest.mark.parametrize(
    ("type", "wanted", "level"),
    [("LED", "on", 1), ("LED", "off", 0), ("LED", 1, 1), ("LED", True, 1), ("PWMLED", 0.25, 0.25), ("Servo", 0, servo(0.5))],
)
def test_the_config_sets_the_state_at_start_and_stop(type: str, wanted: Any, level: float, bench: Bench) -> None:
    device = bench.open(type, on_start=wanted)
    assert bench.pin(4).state == pytest.approx(level)
    assert bench.events[0][0] == "changed" and bench.events[0][1]["cause"] == "on_start"
    device.close()
    bench.pin(4).clear_states()
    device = bench.open(type, on_stop=wanted)
    device.prepare_close()
    assert bench.pin(4).state == pytest.approx(level)
    device.close(keep=False)


def test_a_closed_device_refuses_and_can_be_opened_again(bench: Bench) -> None:
    device = bench.open("LED")
    device.close()
    device.close()
    for refused in (device.state, device.stop, lambda: device.call("on", {})):
        with pytest.raises(NotConnected, match="it is not open"):
            refused()  # type: ignore[operator]
    device.open(bench.factory)
    device.open(bench.factory)
    device.call("on", {})
    assert bench.pin(4).state == 1


def test_a_pin_that_is_taken_leaves_nothing_behind(bench: Bench) -> None:
    bench.open("LED", id="first", pin=6)
    with pytest.raises(CommandFailed, match="it could not be opened"):
        bench.open("RGBLED", max_on_time=5)
    bench.open("Buzzer", id="third", pin=5)
    assert threading.active_count() <= 5
