"""What an output tells of itself: every change of its state, once, with since when; and who made it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import done, finished
from gpio_bench import Bench, ended

from observatory_common.errors import CommandFailed, InvalidArgument, Uncertain
from observatory_common.jobs import JobTable
from observatory_common.storage import StateFile
from observatory_gpiod.calls import Calls
from observatory_gpiod.devices.base import Device
from observatory_gpiod.devices.output import Output
from observatory_gpiod.journal import Journal


def switch_off(device: Device) -> None:
    assert isinstance(device, Output)
    device.switch_off("all_off")


@pytest.mark.parametrize(
    ("cause", "off"),
    [("off", lambda it: it.call("off", {})), ("all_off", switch_off), ("on_stop", lambda it: it.prepare_close())],
)
def test_coils_that_go_off_after_a_turn_are_told(cause: str, off: Callable[[Device], None], bench: Bench) -> None:
    device = bench.open("StepperMotor", gear_reduction=4)
    ended(device.call("rotate", {"angle": 20}))
    assert device.state()["active"]
    bench.clear()
    device.since = None
    for _ in range(2):  # once
        off(device)
    assert bench.events == [("changed", {"value": [0, 0, 0, 0], "active": False, "cause": cause})]
    assert device.state()["since"] is not None


def test_a_fade_is_told_by_its_first_light_and_by_its_end(bench: Bench) -> None:
    device = bench.open("PWMLED")
    bench.clear()
    task = device.call("pulse", {"fade_in_time": 60})
    waiting.until(lambda: len(bench.pin(4).states) > 4, 10, "some steps")
    assert bench.events == [("changed", {"value": pytest.approx(1 / 1500), "active": True, "cause": "pulse"})]
    assert device.state()["since"] is not None
    device.call("stop", {})
    assert task is not None and task.state == "stopped"
    assert bench.values()[1:] == [0]
    bench.clear()
    ended(device.call("pulse", {"fade_in_time": 0.2, "fade_out_time": 0.2, "n": 2}))
    assert bench.values() == [0.2, 1, 0, 0.2, 1, 0]


def test_a_fade_from_a_colour_is_told_as_the_colour(bench: Bench) -> None:
    device = bench.open("RGBLED")
    bench.clear()
    fade = {"fade_in_time": 0.2, "fade_out_time": 0.2, "on_color": [0, 0, 0], "off_color": [1, 0, 0], "n": 1}
    ended(device.call("pulse", fade))
    assert bench.values() == [[1, 0, 0], [0, 0, 0], [0.2, 0, 0], [1, 0, 0]]


def half_red(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Device:
    """A colour of which the second line refuses to go on."""
    device = bench.open("RGBLED", pwm=False)
    bench.clear()
    change = bench.pin(5)._change_state

    def refuse(value: float) -> Any:
        if value:
            raise OSError(5, "Input/output error")
        return change(value)

    monkeypatch.setattr(bench.pin(5), "_change_state", refuse)
    return device


def test_what_went_off_after_half_a_call_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        device = half_red(bench, patch)
        with pytest.raises(CommandFailed):
            device.call("on", {})
        assert device.state()["active"]
    device.call("off", {})
    device.call("off", {})
    assert bench.values() == [[0, 0, 0]]


class Setters:
    """Calls by name, and who is noted for each."""

    def __init__(self, folder: Path) -> None:
        self.by: list[tuple[str, str]] = []
        journal = Journal(StateFile(folder / "journal.json"), "this run")
        self.calls = Calls(JobTable("this run"), journal, lambda *noted: self.by.append(noted))


@pytest.fixture
def setters(tmp_path: Path) -> Setters:
    return Setters(tmp_path)


def test_who_repeats_a_request_is_not_who_set_it(setters: Setters, bench: Bench) -> None:
    device = bench.open("LED")
    for by in ("A", "B"):
        setters.calls.call_once(device, "on", {}, by, "once")
    assert setters.by == [("it", "A")]


def test_who_is_refused_is_not_who_set_it(setters: Setters, bench: Bench) -> None:
    lamp, wheel = bench.open("LED"), bench.open("StepperMotor", in1=10, in2=11, in3=12, in4=13)
    wheel._certain = False  # type: ignore[attr-defined]
    for device, method, arguments in ((lamp, "on", {"duration": -1}), (wheel, "rotate_to", {"target": 9})):
        with pytest.raises((InvalidArgument, Uncertain)):
            setters.calls.call(device, method, arguments, "B")
        with pytest.raises((InvalidArgument, Uncertain)):
            setters.calls.call_once(device, method, arguments, "B", "once")
    assert setters.by == []


@pytest.mark.parametrize("once", [False, True])
def test_who_has_set_it_by_half_is_who_set_it(
    once: bool, setters: Setters, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = half_red(bench, monkeypatch)
    setters.calls.call(device, "stop", {}, "A")
    call = partial(setters.calls.call_once, request_id="once") if once else setters.calls.call
    with pytest.raises(CommandFailed):
        call(device, "on", {}, "B")
    assert device.state()["active"] and setters.by == [("it", "A"), ("it", "B")]


def test_who_cancels_is_who_set_it_last(tmp_path: Path) -> None:
    lamp = {"id": "lamp", "type": "LED", "pin": 17}
    with gpio_daemon.daemon(tmp_path, [lamp], machines={"Roof": "127.0.0.3"}, control_machines=["LocalHost", "Roof"]) as gpiod:

        def from_roof(*call: Any) -> None:
            with gpiod.raw_client("127.0.0.3") as roof:
                roof.connect(gpio_daemon.NAME)
                answer = roof.invoke(gpio_daemon.NAME, *call)
                assert answer is not None and answer.code is None

        with gpiod.connect() as gpio:
            short = gpio.invoke("call", "lamp", "on", {"duration": 0.01})
            done(gpio, short)
            from_roof("cancel", [short["id"]])  # which has ended
            assert gpio.state("lamp")["set_by"] == "LocalHost (127.0.0.1)"
            job = gpio.invoke("call", "lamp", "blink")
            from_roof("cancel", [job["id"]])
            assert finished(gpio, job)["state"] == "stopped"
            assert gpio.state("lamp")["set_by"] == "Roof (127.0.0.3)"
            gpio.invoke("call", "lamp", "on", request_id="once")
            from_roof("call", ["lamp", "on"], {"request_id": "once"})
            assert gpio.state("lamp")["set_by"] == "LocalHost (127.0.0.1)"
