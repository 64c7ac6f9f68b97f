"""Every device type and every method, from a config to the history of gpiozero's mock pins."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from gpio_bench import PINS, Bench, assert_history, ended, history, servo
from gpio_cases import CASES, NAMING, TURNS

from observatory_common.errors import CommandFailed, NotConnected
from observatory_gpiod.devices import table
from observatory_gpiod.devices.making import CLASSES
from observatory_gpiod.devices.servos import ServoPWM


def test_every_method_of_every_output_is_tried_and_bound() -> None:
    tried = {(case[0], case[3]) for case in CASES} | {("StepperMotor", turn[0]) for turn in TURNS}
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
    machine_lag: Any,
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
        assert_history(bench.pin(pin), states, machine_lag.seconds)
    state = device.state()
    assert state["running"] is None and state["type"] == type
    told = bench.values()
    assert told == [] or told[-1] == state["value"]
    changed = any(len(states) > 1 for states in expected.values())
    assert bool(told) == (changed or method in NAMING)


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
