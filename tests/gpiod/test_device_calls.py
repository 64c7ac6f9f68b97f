"""What a client may send to a device, and how long methods end."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import waiting
from gpio_bench import Bench, assert_history, ended
from gpio_cases import BAD_CALLS, LONG

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_common.jobs import JobTable
from observatory_common.storage import StateFile
from observatory_gpiod.calls import Calls
from observatory_gpiod.devices import table
from observatory_gpiod.devices.base import Position
from observatory_gpiod.journal import Journal


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


def test_a_device_describes_its_pins_and_what_is_configured(bench: Bench) -> None:
    lamp = bench.open("PWMLED", pin="BOARD12", frequency=50, on_start="keep", on_stop=0.5, max_on_time=60).describe()
    assert (lamp["pins"], lamp["lines"]) == (["pin"], {"pin": "GPIO18"})
    assert lamp["configured"] == {
        "active_high": True,
        "frequency": 50,
        "on_start": "keep",
        "on_stop": 0.5,
        "max_on_time": 60,
    }
    motor = bench.open("Motor", enable=6).describe()
    assert motor["lines"] == {"forward": "GPIO4", "backward": "GPIO5", "enable": "GPIO6"}
    door = bench.open("Button", pin=17).describe()
    assert door["lines"] == {"pin": "GPIO17"} and "on_start" not in door["configured"]


@pytest.mark.parametrize(("type", "method"), [("AngularServo", "angle"), ("ServoPWM", "rotate_to")])
def test_a_servo_describes_its_own_ends(type: str, method: str, bench: Bench) -> None:
    device = bench.open(type, Position(30.0), min_angle=0, max_angle=120, on_start="keep")

    def described() -> list[tuple[float, float]]:
        found = device.describe()
        (angle,) = next(each["parameters"] for each in found["methods"] if each["name"] == method)
        return [(one["minimum"], one["maximum"]) for one in (angle, found["value"])]

    assert described() == [(0, 120)] * 2
    with pytest.raises(InvalidArgument, match="from 0 to 120"):
        device.call(method, {"angle": 121})
    device.call("zero", {})
    assert described() == [(-30, 90)] * 2
    (by,) = next(each["parameters"] for each in device.describe()["methods"] if each["name"] == "rotate_by")
    assert (by["minimum"], by["maximum"], by["unit"]) == (-120, 120, "degrees")


@pytest.mark.parametrize("pwm", [True, False])
def test_a_light_describes_no_method_that_it_can_never_do(pwm: bool, bench: Bench) -> None:
    assert ("pulse" in {method["name"] for method in bench.open("RGBLED", pwm=pwm).describe()["methods"]}) is pwm


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


def test_a_fade_of_many_hours_begins_at_once_and_takes_no_room(bench: Bench) -> None:
    device = bench.open("PWMLED")
    tracemalloc.start()
    try:
        task = device.call("pulse", {"fade_in_time": 3600, "fade_out_time": 3600, "n": 2})
        waiting.until(lambda: bench.pin(4).state > 0, 5, "some light")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert task is not None and task.expected_s == 14400
    assert peak < 2**20


def test_what_would_take_longer_than_there_are_dates_goes_on_like_what_has_no_end(bench: Bench, tmp_path: Path) -> None:
    times: dict[str, Any] = {"on_time": 86_400, "off_time": 86_400, "n": 1_000_000_000}
    calls = Calls(JobTable("this run"), Journal(StateFile(tmp_path / "journal.json"), "this run"))
    job = calls.call(bench.open("LED"), "blink", times, "me")
    assert job is not None and job.to_wire()["expected_end"] is None and job.state == "running"
    job.cancel()
    waiting.until(lambda: job.state == "stopped", 5, "its end")


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
