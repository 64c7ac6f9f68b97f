"""Servos: positions, ends, hardware PWM; and the stepper motor."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import waiting
from gpio_bench import PINS, TOLERANCE, Bench, ended, servo
from gpio_cases import TURNS
from vitals import Vitals

from observatory_common.errors import CommandFailed, DeviceLost, InvalidArgument, NotConnected, Uncertain
from observatory_gpiod.devices.base import Device, Hooks, Position
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
    device = bench.open("AngularServo", Position(45.0), initial_angle=45)
    bench.clear()
    device.call("zero", {})
    assert bench.moves == [("position", Position(0.0, trim=45.0))]
    device.call("angle", {"angle": -135})
    assert bench.pin(4).state == pytest.approx(servo(0))
    with pytest.raises(InvalidArgument, match="from -135 to 45"):
        device.call("angle", {"angle": 46})
    assert [name for name, _ in bench.moves] == ["position", "moving"], "it takes a while to be there"


def test_a_servo_is_there_after_the_time_that_it_may_take(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observatory_gpiod.devices.servos.Servo.SETTLES_WITHIN_S", 0.3)
    device = bench.open("AngularServo", initial_angle=45)
    waiting.until(lambda: device.look_after() or len(bench.moves) == 2, 5, "its arrival")  # type: ignore[func-returns-value]
    assert bench.moves == [("moving", (None, 45)), ("position", Position(45))]
    bench.clear()
    for angle in (10, 20, 30):
        device.call("angle", {"angle": angle})
    device.call("zero", {})
    assert bench.moves == [("moving", (45, 10))], "on its way all the time"
    waiting.until(lambda: device.look_after() or len(bench.moves) == 2, 5, "its arrival")  # type: ignore[func-returns-value]
    assert bench.moves[1] == ("position", Position(0, trim=30))
    device.call("angle", {"angle": -60})
    device.call("detach", {})
    assert bench.moves[-1] == ("position", Position(-60, trim=30, certain=False)), "nobody knows how far it came"
    assert device.state()["position_certain"] is False


@pytest.mark.parametrize("on_start", [60, "keep"])
def test_a_servo_whose_ends_have_changed_can_still_be_used(on_start: Any, bench: Bench) -> None:
    device = bench.open("AngularServo", Position(60.0, trim=45.0), on_start=on_start)
    assert (device.state()["value"], device.state()["position_certain"]) == (None, False)
    device.call("angle", {"angle": 10})
    assert device.state()["position_certain"]


def test_a_stopped_servo_stays_about_where_it_had_come(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("ServoPWM", speed=4, initial_angle=-90)
    task = device.call("rotate_to", {"angle": 90})
    waiting.until(lambda: device.state()["running"], 1, "the move")
    began_s = time.monotonic()
    waiting.until(lambda: time.monotonic() - began_s > 0.5, 5, "a quarter of the way")
    assert task is not None
    task.cancel()
    ended(task)
    assert device.state()["position"] == pytest.approx(-45, abs=10 + 90 * machine_lag.seconds)


@pytest.mark.parametrize("position", [None, Position(90.0, certain=False)])
def test_a_servo_stopped_on_its_way_from_nobody_knows_where_has_no_pulses(position: Position | None, bench: Bench) -> None:
    device = bench.open("ServoPWM", position, speed=100)
    task = device.call("rotate_to", {"angle": 90})
    assert task is not None and task.expected_s == 50, "a whole way, as it may be"
    waiting.until(lambda: bench.pin(18).state, 2, "the move")
    task.cancel()
    ended(task)
    assert bench.pin(18).state == 0 and task.state == "stopped"
    assert bench.moves[-1] == ("position", Position(90, certain=False)) and not device.state()["position_certain"]


LOST = DeviceLost("the board is lost")


@pytest.mark.parametrize("type", ["AngularServo", "ServoPWM"])
@pytest.mark.parametrize("end", [lambda it: it.close(), lambda it: it.abandon(LOST)], ids=["close", "abandon"])
def test_a_servo_cut_off_on_its_way_does_not_arrive_later(
    type: str, end: Callable[[Device], None], bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("observatory_gpiod.devices.servos.Servo.SETTLES_WITHIN_S", 0.5)
    speed = {"speed": 1} if type == "ServoPWM" else {}
    device = bench.open(type, Position(0.0), on_stop="keep", initial_angle=90, **speed)
    settled_s = time.monotonic() + 0.6
    end(device)
    cut_off = ("position", Position(90, certain=False))
    assert bench.moves == [("moving", (0, 90)), cut_off]
    waiting.until(lambda: time.monotonic() > settled_s, 5, "the time that it would have taken")
    device.look_after()
    assert bench.moves[-1] == cut_off and len(bench.moves) == 2


def test_a_servo_that_has_arrived_is_not_cut_off_by_a_close(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observatory_gpiod.devices.servos.Servo.SETTLES_WITHIN_S", 0.1)
    device = bench.open("AngularServo", Position(0.0), on_stop="keep", initial_angle=90)
    settled_s = time.monotonic() + 0.1
    waiting.until(lambda: time.monotonic() > settled_s, 5, "the time that it takes")
    device.close()
    assert bench.moves == [("moving", (0, 90)), ("position", Position(90))]


def pwm_chip(folder: Path, device: str = "fe20c000.pwm", number: int = 0) -> Path:
    """What the kernel shows of a PWM chip, its first line exported already."""
    chip = folder / f"pwmchip{number}"
    line = chip / "pwm0"
    line.mkdir(parents=True)
    (folder / "devices" / device).mkdir(parents=True)
    (chip / "device").symlink_to(f"../devices/{device}")
    for name in ("period", "duty_cycle", "enable"):
        (line / name).write_text("0")
    return line


HEADER, SOC, FAN = "1f00098000.pwm", "107d517a80.pwm", "1f0009c000.pwm"  # of a Pi 5


@pytest.mark.parametrize(("pwm", "pin"), [("fe20c000.pwm", 18), ("3f20c000.pwm", 12), ("2020c000.pwm", 12), (HEADER, 12)])
def test_hardware_pwm_is_written_to_the_kernel(
    pwm: str, pin: int, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    line = pwm_chip(tmp_path, pwm)
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


@pytest.mark.parametrize("kept", [True, False])
def test_a_servo_on_its_way_arrives_only_with_kept_pulses(
    kept: bool, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    pwm_chip(tmp_path)
    config, _ = declared({"id": "it", "type": "ServoPWM", "pin": 18, "speed": 1, "initial_angle": 90})
    assert config is not None
    device = make(config, bench.hooks("ServoPWM"), sysfs_pwm=tmp_path)
    device.open(bench.factory, Position(0.0))
    settled_s = time.monotonic() + 0.3
    device.close(keep=kept)
    waiting.until(lambda: time.monotonic() > settled_s, 5, "the time that it takes")
    device.look_after()
    assert bench.moves == [("moving", (0, 90)), ("position", Position(90, certain=kept))]


def test_a_channel_of_hardware_pwm_serves_one_pin(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    line = pwm_chip(tmp_path)
    devices = []
    for pin in (12, 18):
        config, _ = declared({"id": f"on{pin}", "type": "ServoPWM", "pin": pin, "speed": 0.01})
        assert config is not None
        devices.append(make(config, Hooks(), sysfs_pwm=tmp_path))
    bench.devices += devices
    devices[0].open(bench.factory)
    with pytest.raises(NotConnected, match=f"GPIO18: its PWM channel, {line}, drives another pin already"):
        devices[1].open(bench.factory)
    devices[0].close()
    devices[1].open(bench.factory)


def test_hardware_pwm_is_that_of_the_header(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    lines = [pwm_chip(tmp_path, device, number) for number, device in ((0, SOC), (2, HEADER), (6, FAN))]
    config, _ = declared({"id": "it", "type": "ServoPWM", "pin": 12, "speed": 0.01})
    assert config is not None
    device = make(config, Hooks(), sysfs_pwm=tmp_path)
    bench.devices.append(device)
    device.open(bench.factory)
    ended(device.call("rotate_to", {"angle": 45}))
    assert [(line / "duty_cycle").read_text() for line in lines] == ["0", "2000000", "0"]


@pytest.mark.parametrize(
    ("chips", "found"),
    [
        ({}, r"\(found none\)"),
        ({0: "c0100000.pwm"}, r"\(found pwmchip0: c0100000.pwm\)"),
        ({0: SOC, 6: FAN}, r"\(found pwmchip0: 107d517a80.pwm, pwmchip6: 1f0009c000.pwm\)"),
    ],
)
def test_no_hardware_pwm_is_said(chips: dict[int, str], found: str, bench: Bench, tmp_path: Path) -> None:
    for number, device in chips.items():
        pwm_chip(tmp_path, device, number)
    config, _ = declared({"id": "it", "type": "ServoPWM", "pin": 18})
    assert config is not None
    with pytest.raises(NotConnected, match=rf"GPIO18 has no hardware PWM .* {found}: is there dtoverlay=pwm"):
        make(config, Hooks(), sysfs_pwm=tmp_path).open(bench.factory)


# stepper


def coils(bench: Bench) -> tuple[int, ...]:
    return tuple(int(bench.pin(pin).state) for pin in (4, 5, 6, 7))


@pytest.mark.parametrize(("method", "arguments", "steps"), TURNS)
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
    own = Vitals(os.getpid())
    before_s, began_s = own.waited_s(), time.monotonic()
    task = ended(device.call("rotate", {"angle": 0.087890625 * 160}))
    took_s = time.monotonic() - began_s
    waited_s = max(own.waited_s() - before_s, 0.0)
    assert task.expected_s == pytest.approx(160 * 0.0049)
    missed = task.result["missed_deadlines"]
    assert took_s == pytest.approx(160 * 0.0049, rel=0.05, abs=TOLERANCE + machine_lag.seconds * (1 + missed))
    assert device.state()["missed_deadlines"] == missed
    if machine_lag.seconds < 0.0049:
        assert missed <= waited_s / 0.0049, "none, but for want of a processor"


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


def test_a_wipe_of_a_million_times_begins_and_ends_at_once_and_takes_no_room(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("StepperMotor", Position(0.0))
    tracemalloc.start()
    try:
        began_s = time.monotonic()
        task = device.call("wipe", {"angle_from": -11.25, "angle_to": 11.25, "count": 1_000_000})
        called_s = time.monotonic() - began_s
        waiting.until(lambda: device.state()["position_steps"] < -2, 5, "some steps")
        began_s = time.monotonic()
        device.call("stop", {})
        stopped_s = time.monotonic() - began_s
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert task is not None and task.expected_s == pytest.approx((2 * 128 + 2 * 256 * 1_000_000) * 0.001)
    assert task.state == "stopped" and task.result["outcome"] == "stopped"
    assert peak < 2**20 and max(called_s, stopped_s) < 0.2 + machine_lag.seconds


def test_a_wipe_between_one_and_the_same_angle_only_goes_there_and_back(bench: Bench, machine_lag: Any) -> None:
    device = bench.open("StepperMotor", Position(0.0))
    began_s = time.monotonic()
    task = ended(device.call("wipe", {"angle_from": 1, "angle_to": 1, "count": 1_000_000}))
    assert time.monotonic() - began_s < 0.3 + machine_lag.seconds
    assert (task.result["outcome"], task.result["position_steps"], task.progress) == ("arrived", 0, 1.0)


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
