"""What a client may send to a device, and how long methods end."""

from __future__ import annotations

import time
from typing import Any

import pytest
import waiting
from gpio_bench import Bench, assert_history, ended

from observatory_common.errors import CommandFailed, InvalidArgument, Uncertain, UnknownMethod
from observatory_gpiod.devices import table


def test_describe_is_enough_to_draw_a_form(bench: Bench) -> None:
    described = {type["type"]: type for type in table.describe()}
    assert len(described) == 19
    assert [name for name, type in described.items() if type["direction"] == "input"] == [
        type.name for type in table.TYPES.values() if not type.methods
    ]
    for type in described.values():
        for method in type["methods"]:
            assert method["description"]
            for parameter in method["parameters"]:
                assert parameter["type"] and parameter["description"]
    angle = bench.open("AngularServo", min_angle=0, max_angle=120).describe()["methods"][0]["parameters"][0]
    assert (angle["minimum"], angle["maximum"], angle["unit"]) == (-120, 240, "degrees")


BAD_CALLS: list[tuple[str, Any, Any, type[Exception], str]] = [
    ("LED", "close", {}, UnknownMethod, "expected on, off, toggle, blink, value, stop"),
    ("LED", "pulse", {}, UnknownMethod, "LED has no method 'pulse'"),
    ("LED", "blnk", {}, UnknownMethod, "did you mean blink?"),
    *(
        ("LED", name, {}, UnknownMethod, "LED has no method")
        for name in ("__class__", "__del__", "_write", "pin", "METHODS", "", "on ", None, 3, ["on"], {}, "_on")
    ),
    ("Button", "stop", {}, UnknownMethod, "none: it is an input"),
    ("LED", "on", None, InvalidArgument, "arguments is None, expected an object"),
    ("LED", "on", [1], InvalidArgument, "expected an object"),
    ("LED", "on", {"durations": 1}, InvalidArgument, "expected duration; did you mean duration?"),
    ("LED", "on", {3: 1}, InvalidArgument, "has no argument 3, expected duration"),
    ("LED", "off", {"duration": 1}, InvalidArgument, "expected none"),
    ("LED", "value", {}, InvalidArgument, "lacks the argument value"),
    *(
        ("PWMLED", "value", {"value": value}, InvalidArgument, "expected a number from 0 to 1")
        for value in (1.01, -0.01, float("nan"), float("inf"), -float("inf"), 10**400, True, None, "1", [1], {}, b"1")
    ),
    *(("LED", "value", {"value": value}, InvalidArgument, "a whole number") for value in (0.5, 2, True, float("nan"), None)),
    *(("LED", "blink", {"n": n}, InvalidArgument, "or null") for n in (0, -1, 1.5, True, "3", 10**12)),
    *(("LED", "blink", {"on_time": t}, InvalidArgument, "from 0.001") for t in (0, -1, 1e9, float("nan"), None)),
    *(("RGBLED", "value", {"value": v}, InvalidArgument, "value is") for v in ([1, 1], [1, 1, 2], "red", 1, [1, 1, True])),
    *(("TonalBuzzer", "play", {"tone": t}, InvalidArgument, "tone is") for t in (56, 82, "B5", "H4", "A", 69.5, True, None)),
    *(("AngularServo", "angle", {"angle": a}, InvalidArgument, "angle is") for a in (90.1, -91, float("nan"), None)),
    ("AngularServo", "rotate_by", {"angle": 10}, Uncertain, "its angle is not known"),
    ("Motor", "forward", {"speed": -0.1}, InvalidArgument, "speed is -0.1"),
    ("Motor", "forward", {"speed": 0, "duration": 1}, InvalidArgument, "at speed 0"),
    ("StepperMotor", "rotate", {"angle": 36001}, InvalidArgument, "from -36000 to 36000"),
    ("StepperMotor", "step", {"steps": 99_999}, InvalidArgument, "within 36000 degrees"),
    ("StepperMotor", "rotate_right", {"angle": -1}, InvalidArgument, "from 0 to 36000"),
]


@pytest.mark.parametrize(("type", "method", "arguments", "error", "why"), BAD_CALLS, ids=lambda x: str(x)[:30])
def test_a_bad_call_is_refused_and_nothing_moves(
    type: str, method: Any, arguments: Any, error: type[Exception], why: str, bench: Bench
) -> None:
    device = bench.open(type)
    task = device.call("blink", {"on_time": 60}) if type == "LED" else None
    if task is not None:
        waiting.until(lambda: bench.pin(4).state, 2, "the light")
    bench.clear()
    with pytest.raises(error, match=why.replace("(", r"\(")):
        device.call(method, arguments)
    assert bench.events == [] and bench.moves == []
    assert all(len(pin.states) == 1 for pin in bench.factory.pins.values())
    assert task is None or task.state == "running", "a refused call must not end what runs"


def test_a_light_without_pwm_takes_no_shades(bench: Bench) -> None:
    device = bench.open("RGBLED", pwm=False)
    for method, arguments in (("value", {"value": [0.5, 0, 0]}), ("blink", {"on_color": [0.1, 0, 0]}), ("pulse", {})):
        with pytest.raises(InvalidArgument):
            device.call(method, arguments)
    with pytest.raises(InvalidArgument, match="from 0 to 0"):
        device.call("blink", {"fade_in_time": 1})
    with pytest.raises(InvalidArgument, match="whole"):
        bench.open("Motor", pwm=False, forward=10, backward=11).call("forward", {"speed": 0.5})


# long methods

LONG: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("LED", {}, "on", {"duration": 60}),
    ("LED", {}, "blink", {"on_time": 60}),
    ("LED", {}, "blink", {"on_time": 0.001, "off_time": 0.001}),
    ("DigitalOutputDevice", {}, "blink", {}),
    ("Buzzer", {}, "beep", {}),
    ("PWMLED", {}, "blink", {"fade_in_time": 5}),
    ("PWMLED", {}, "pulse", {}),
    ("RGBLED", {}, "pulse", {}),
    ("TonalBuzzer", {}, "play", {"duration": 60}),
    ("Motor", {}, "forward", {"duration": 60}),
    ("ServoPWM", {"initial_angle": 0}, "max", {}),
    ("StepperMotor", {}, "rotate", {"angle": 360}),
    ("StepperMotor", {}, "wipe", {"count": 0}),
    ("StepperMotor", {"speed": 0}, "swing", {}),
]


@pytest.mark.parametrize(("type", "given", "method", "arguments"), LONG, ids=lambda x: str(x)[:30])
@pytest.mark.parametrize("how", ["stop", "cancel", "close"])
def test_whatever_is_long_ends_at_once(
    type: str, given: dict[str, Any], method: str, arguments: dict[str, Any], how: str, bench: Bench, machine_lag: Any
) -> None:
    device = bench.open(type, **given)
    bench.clear()
    task = device.call(method, arguments)
    assert task is not None
    waiting.until(lambda: any(len(pin.states) > 1 for pin in bench.factory.pins.values()), 5, "something to happen")
    assert device.state()["running"] == method and task.state == "running"
    began_s = time.monotonic()
    {"stop": device.stop, "cancel": task.cancel, "close": device.close}[how]()
    task.join(5)
    assert time.monotonic() - began_s < 0.1 + machine_lag.seconds
    assert task.state == "stopped" and task.error is None
    if how != "close":
        assert device.state()["running"] is None
        if type not in ("ServoPWM", "StepperMotor"):
            assert not device.state()["active"]
    assert all(pin.state in (0, 1) or type == "ServoPWM" for pin in bench.factory.pins.values())


def test_a_new_call_takes_the_place_of_the_old(bench: Bench) -> None:
    device = bench.open("LED")
    first = device.call("on", {"duration": 60})
    bench.clear()
    assert device.call("on", {}) is None
    assert first is not None and first.state == "stopped"
    assert_history(bench.pin(4), [1])
    assert bench.events == []


def test_a_task_tells_its_end(bench: Bench) -> None:
    device = bench.open("LED")
    told: list[str] = []
    task = device.call("blink", {"on_time": 0.01, "off_time": 0.01, "n": 3})
    assert task is not None
    task.on_end(lambda it: told.append(it.state))
    ended(task)
    waiting.until(lambda: told, 2, "the end")
    assert told == ["succeeded"] and task.result == {"times": 3, "stopped": False} and task.progress == 1.0
    assert bench.values() == [0, 1, 0, 1, 0, 1, 0]


def test_a_line_that_fails_fails_the_task_and_the_call(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    device = bench.open("LED")
    task = device.call("blink", {"on_time": 0.01, "off_time": 0.01})
    assert task is not None
    waiting.until(lambda: len(bench.pin(4).states) > 3, 5, "some blinks")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(bench.pin(4), "_change_state", broken)
        task.join(5)
        assert isinstance(task.error, CommandFailed) and task.state == "failed"
        with pytest.raises(CommandFailed, match="it could not be set to"):
            device.call("on", {})
    device.call("off", {})
