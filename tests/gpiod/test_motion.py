"""Servos: positions, ends, hardware PWM; and the stepper motor."""

from __future__ import annotations

import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import waiting
from gpio_bench import PINS, TOLERANCE, Bench, ended, servo

from observatory_common.errors import CommandFailed, InvalidArgument, NotConnected, Uncertain
from observatory_gpiod.devices.base import Hooks, Position
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.making import make
from observatory_gpiod.devices.stepper import SEQUENCE

# servos


def test_a_servo_is_where_it_was_when_the_daemon_starts_again(bench: Bench) -> None:
    device = bench.open("AngularServo", Position(30.0, trim=15.0))
    assert bench.pin(4).state == pytest.approx(servo(0.75))
    assert device.state()["position"] == 30.0
    device.close()
    device = bench.open("AngularServo", Position(30.0, certain=False))
    assert device.state()["value"] is None and not device.state()["position_certain"]
    device.call("rotate_by", {"angle": 10})
    assert device.state()["value"] == 40 and device.state()["position_certain"]


def test_zero_names_the_angle_and_shifts_the_ends(bench: Bench) -> None:
    device = bench.open("AngularServo", initial_angle=45)
    bench.clear()
    device.call("zero", {})
    assert bench.moves == [("position", Position(0.0, trim=45.0))]
    device.call("angle", {"angle": -135})
    assert bench.pin(4).state == pytest.approx(servo(0))
    with pytest.raises(InvalidArgument, match="from -135 to 45"):
        device.call("angle", {"angle": 46})
    assert [name for name, _ in bench.moves] == ["position", "moving", "position"]


def test_a_stopped_servo_stays_about_where_it_had_come(bench: Bench) -> None:
    device = bench.open("ServoPWM", speed=4, initial_angle=-90)
    task = device.call("rotate_to", {"angle": 90})
    waiting.until(lambda: device.state()["running"], 1, "the move")
    began_s = time.monotonic()
    waiting.until(lambda: time.monotonic() - began_s > 0.5, 5, "a quarter of the way")
    assert task is not None
    task.cancel()
    ended(task)
    assert device.state()["position"] == pytest.approx(-45, abs=10)


def pwm_chip(folder: Path, channels: int) -> Path:
    """What the kernel shows of a PWM chip, its first line exported already."""
    chip = folder / "pwmchip0"
    line = chip / "pwm0"
    line.mkdir(parents=True)
    (chip / "npwm").write_text(f"{channels}\n")
    for name in ("period", "duty_cycle", "enable"):
        (line / name).write_text("0")
    return line


@pytest.mark.parametrize(("channels", "pin"), [(2, 18), (2, 12), (4, 12)])
def test_hardware_pwm_is_written_to_the_kernel(
    channels: int, pin: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    line = pwm_chip(tmp_path, channels)
    config, _ = declared({"id": "it", "type": "ServoPWM", "pin": pin, "speed": 0.01})
    assert config is not None
    device = make(config, Hooks(), sysfs_pwm=tmp_path)
    bench.devices.append(device)
    device.open(bench.factory)
    ended(device.call("rotate_to", {"angle": 45}))
    assert [(line / name).read_text() for name in ("period", "duty_cycle", "enable")] == ["20000000", "2000000", "1"]
    device.close(keep=True)
    assert (line / "enable").read_text() == "1"
    device.open(bench.factory)
    device.close()
    assert (line / "enable").read_text() == "0" and (tmp_path / "pwmchip0/unexport").read_text() == "0"
    assert bench.factory.pins == {}, "the line belongs to the kernel's PWM"


@pytest.mark.parametrize("channels", [None, 1])
def test_no_hardware_pwm_is_said(channels: int | None, bench: Bench, tmp_path: Path) -> None:
    if channels is not None:
        pwm_chip(tmp_path, channels)
    config, _ = declared({"id": "it", "type": "ServoPWM", "pin": 18})
    assert config is not None
    with pytest.raises(NotConnected, match=r"GPIO18 has no hardware PWM .* is there dtoverlay=pwm"):
        make(config, Hooks(), sysfs_pwm=tmp_path).open(bench.factory)


# stepper


def coils(bench: Bench) -> tuple[int, ...]:
    return tuple(int(bench.pin(pin).state) for pin in (4, 5, 6, 7))


@pytest.mark.parametrize(
    ("method", "arguments", "steps"),
    [
        ("step", {"steps": 2}, 8),
        ("step", {"steps": -2}, -8),
        ("step_forward", {}, 4),
        ("step_backward", {"steps": 3}, -12),
        ("rotate", {"angle": 45}, 32),
        ("rotate_by", {"angle": -45}, -32),
        ("rotate_right", {"angle": 22.5}, 16),
        ("rotate_left", {"angle": 22.5}, -16),
        ("rotate_to", {"target": -22.5}, -16),
        ("swing", {}, 6),
        ("wipe", {"angle_from": -10, "angle_to": 10, "count": 1}, 0),
    ],
)
@pytest.mark.parametrize("mode", [0, 1])
def test_the_stepper_turns(method: str, arguments: dict[str, Any], steps: int, mode: int, bench: Bench) -> None:
    device = bench.open("StepperMotor", gear_reduction=4, mode=mode)
    bench.clear()
    seen: list[tuple[int, ...]] = []
    original = device._drive  # type: ignore[attr-defined]
    device._drive = lambda value: (seen.append(value), original(value))  # type: ignore[attr-defined]
    task = ended(device.call(method, arguments))
    wanted = steps if "step" in method else round(steps / (1 + mode))
    degrees = wanted * 5.625 * (1 + mode) / 4
    state = device.state()
    assert (state["position_steps"], state["position"]) == (wanted, degrees)
    assert task.result | {"missed_deadlines": 0} == {
        "angle": degrees,
        "position_steps": wanted,
        "outcome": "arrived",
        "missed_deadlines": 0,
        "stopped": False,
    }
    assert bench.names() == ["moving", "moved"]
    assert bench.moves[0][0] == "moving" and bench.moves[-1] == ("position", Position(degrees, SEQUENCE.index(coils(bench))))
    numbers = [SEQUENCE.index(value) for value in seen]  # type: ignore[arg-type]
    expected_steps = {(2 if mode else 1), 8 - (2 if mode else 1)}
    assert {(b - a) % 8 for a, b in pairwise(numbers)} <= expected_steps
    if mode == 1:
        assert all(number % 2 for number in numbers)


def test_the_stepper_keeps_its_time(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("StepperMotor", speed=0.9)  # 4.9 ms for a step
    bench.clear()
    began_s = time.monotonic()
    task = ended(device.call("rotate", {"angle": 0.087890625 * 160}))
    took_s = time.monotonic() - began_s
    assert task.expected_s == pytest.approx(160 * 0.0049)
    missed = task.result["missed_deadlines"]
    assert took_s == pytest.approx(160 * 0.0049, rel=0.05, abs=TOLERANCE + machine_lag.seconds * (1 + missed))
    assert device.state()["missed_deadlines"] == missed
    if machine_lag.seconds < 0.0049:
        assert missed == 0


def test_missed_deadlines_are_counted_and_not_made_up_for(bench: Bench) -> None:
    device = bench.open("StepperMotor")  # 1 ms for a step
    original = bench.pin(4)._change_state
    pause = threading.Event()

    def slow(value: float) -> Any:
        pause.wait(0.02)
        return original(value)

    bench.pin(4)._change_state = slow
    task = ended(device.call("rotate", {"angle": 0.087890625 * 32}))
    assert task.result["missed_deadlines"] >= 8  # that coil switches twice in eight steps
    assert device.state()["missed_deadlines"] == task.result["missed_deadlines"]
    assert device.state()["position_steps"] == 32


def test_a_stopped_stepper_knows_where_it_is(bench: Bench) -> None:
    device = bench.open("StepperMotor")
    task = device.call("rotate", {"angle": 360})
    waiting.until(lambda: device.state()["position_steps"] > 20, 5, "some steps")
    device.stop()
    state = device.state()
    assert task is not None and task.result["outcome"] == "stopped" and task.result["position_steps"] == state["position_steps"]
    assert 20 < state["position_steps"] < 4096 and state["position_certain"]
    assert bench.moves[-1][1].value == state["position"]


def test_the_stepper_swings_between_its_ends(bench: Bench) -> None:
    device = bench.open("StepperMotor", gear_reduction=1, swing_from=-22.5, swing_to=22.5, swing_step=16.875)
    angles = []
    for _ in range(6):
        ended(device.call("swing", {}))
        angles.append(device.state()["position"])
    assert angles == [16.875, 11.25, -5.625, -22.5, -5.625, 11.25]


def test_a_wipe_goes_on_until_it_is_stopped(bench: Bench) -> None:
    device = bench.open("StepperMotor", gear_reduction=1)
    task = device.call("wipe", {"angle_from": -11.25, "angle_to": 11.25, "count": 0})
    seen: set[int] = set()
    waiting.until(lambda: seen.add(device.state()["position_steps"]) or {-2, 2} <= seen, 5, "both ends")  # type: ignore[func-returns-value]
    device.stop()
    assert task is not None and task.state == "stopped" and task.expected_s is None


def test_an_uncertain_stepper_only_turns_by_amounts(bench: Bench) -> None:
    device = bench.open("StepperMotor", Position(90.0, phase=3, certain=False))
    state = device.state()
    assert (state["position"], state["position_certain"]) == (90.0, False)
    for method, arguments in (("rotate_to", {"target": 0}), ("swing", {}), ("wipe", {})):
        with pytest.raises(Uncertain, match="call zero or set_position"):
            device.call(method, arguments)
    ended(device.call("rotate", {"angle": 1}))
    assert not device.state()["position_certain"]
    device.call("set_position", {"angle": 10})
    assert device.state()["position_certain"] and device.state()["position"] == pytest.approx(10, abs=0.05)
    device.call("zero", {})
    assert device.state()["position_steps"] == 0
    ended(device.call("rotate_to", {"target": 1}))


def test_the_stepper_goes_on_in_its_phase_after_a_restart(bench: Bench) -> None:
    device = bench.open("StepperMotor")
    ended(device.call("rotate", {"angle": 0.087890625 * 13}))
    last = bench.moves[-1][1]
    device.close()
    device = bench.open("StepperMotor", last)
    assert device.state()["position_steps"] == 13
    ended(device.call("rotate", {"angle": 0.087890625}))
    assert coils(bench) == SEQUENCE[14 % 8]
    device.call("off", {})
    assert coils(bench) == (0, 0, 0, 0) and device.state()["position_steps"] == 14


def test_a_move_that_cannot_be_journalled_is_not_made(bench: Bench) -> None:
    def full(_id: str, _start: Position, _target: Position) -> None:
        raise CommandFailed("no room for the journal")

    for type, method, arguments in (("StepperMotor", "rotate", {"angle": 9}), ("Servo", "max", {})):
        config, _ = declared({"id": "it", "type": type, **PINS.get(type, {"pin": 10})})
        assert config is not None
        device = make(config, Hooks(on_moving=full))
        bench.devices.append(device)
        device.open(bench.factory)
        bench.clear()
        with pytest.raises(CommandFailed, match="no room"):
            device.call(method, arguments)
        assert all(len(pin.states) == 1 for pin in bench.factory.pins.values())
