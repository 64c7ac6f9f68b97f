"""gpiozero's lgpio, as we change it, on a library made up here: what it must never do to a line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakelgpio
import gpiozero
import pytest

from observatory_common.errors import NotConnected
from observatory_gpiod.factories.edges import Edge
from observatory_gpiod.factories.line_level import read_level


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[fakelgpio.FakeLgpio]:
    library = fakelgpio.FakeLgpio({0: "raspberrypi-exp-gpio", 4: "pinctrl-rp1"})
    for number in (0, 4, 7):
        (tmp_path / f"gpiochip{number}").touch()
    monkeypatch.setitem(sys.modules, "lgpio", library)
    for name in ("gpiozero.pins.lgpio", "observatory_gpiod.factories.lgpio"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module("observatory_gpiod.factories.lgpio")
    monkeypatch.setattr(module, "read_level", lambda _chip, line: bool(library.levels.get(line)))
    monkeypatch.setattr(module.KeepingLGPIOFactory, "_get_revision", lambda _: 0xC04170)
    yield library
    for name in ("gpiozero.pins.lgpio", "observatory_gpiod.factories.lgpio"):
        sys.modules.pop(name, None)


def on_lgpio(tmp_path: Path) -> Any:
    return sys.modules["observatory_gpiod.factories.lgpio"].KeepingLGPIOFactory(devices=tmp_path)


def test_lgpio_finds_the_chip_by_its_label(fake: fakelgpio.FakeLgpio, tmp_path: Path) -> None:
    pins = on_lgpio(tmp_path)
    assert (pins.chip, list(fake.open.values())) == (4, [4])
    pins.close()
    fake.labels = {0: "raspberrypi-exp-gpio"}
    with pytest.raises(
        NotConnected, match=r"no GPIO chip is labelled pinctrl-rp1 or .*; found gpiochip0: raspberrypi-exp-gpio, gpiochip4"
    ):
        on_lgpio(tmp_path)
    assert fake.open == {}


@pytest.mark.parametrize("device", ["LED", "PWMLED"])
@pytest.mark.parametrize("device_first", [True, False])
def test_lgpio_never_drives_a_kept_line_low(device: str, device_first: bool, fake: fakelgpio.FakeLgpio, tmp_path: Path) -> None:
    fake.levels[22], fake.outputs = 1, {22}
    pins = on_lgpio(tmp_path)
    value = None if device == "LED" else 1
    led = getattr(gpiozero, device)(22, initial_value=value, pin_factory=pins)
    assert led.value == 1
    if device_first:
        pins.pin(22).keep = True
        led.close()
        pins.close()
    else:
        pins.close(keep=True)
        led.close()
    expected: list[tuple[Any, ...]] = [("output", 22, 1)]
    if device == "PWMLED":
        expected += [("pwm", 22, 100, 100), ("pwm", 22, 100, 100)]
    assert fake.calls == expected
    assert (fake.levels[22], fake.outputs) == (1, {22})


def test_lgpio_closes_to_an_input_unless_it_is_to_keep(fake: fakelgpio.FakeLgpio, tmp_path: Path) -> None:
    pins = on_lgpio(tmp_path)
    with gpiozero.LED(22, initial_value=True, pin_factory=pins):
        pass
    assert fake.calls == [("output", 22, 1), ("input", 22, 128)]
    pins.close()


def test_lgpio_has_alerts_after_a_change_of_function(fake: fakelgpio.FakeLgpio, tmp_path: Path) -> None:
    pins = on_lgpio(tmp_path)
    edges: list[Edge] = []
    ticks: list[float] = []
    pin = pins.pin(18)

    def changed(at: float, _level: int) -> None:
        ticks.append(at)

    pin.input_with_pull("floating")
    pin.edges = "rising"
    pin.when_changed = changed
    pin.function = "output"
    assert 18 not in fake.callbacks
    pin.function = "input"
    fake.callbacks[18](4, 18, 1, 2_000_000_000)
    assert ticks == [2.0]
    watch = pins.edges(18, edges.append)
    for level in (1, 0, 1, 1, 0, 2):
        fake.callbacks[18](4, 18, level, 3_000_000_000)
    assert (watch.seen, watch.lost, ticks) == (5, 1, [2.0, 3.0, 3.0, 3.0])
    for level in (1, 0, 1):  # before the last one a 1 and a 0 were lost: of an even number there is no sign
        fake.callbacks[18](4, 18, level, 4_000_000_000)
    assert (watch.seen, watch.lost) == (8, 1)
    watch.close()
    assert fake.calls[-1] == ("alert", 18, 1, 0)
    pin.when_changed = None
    assert 18 not in fake.callbacks
    pins.close()


def test_lgpio_has_pulses_finer_than_a_percent(fake: fakelgpio.FakeLgpio, tmp_path: Path) -> None:
    pins = on_lgpio(tmp_path)
    with gpiozero.Servo(13, pin_factory=pins) as servo:
        servo.value = 0.1
    assert fake.calls[-3] == ("pwm", 13, 50, pytest.approx(7.75))
    pins.close()


def test_the_level_is_read_as_the_kernel_lays_its_request_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chip = tmp_path / "gpiochip0"
    chip.touch()
    requests: list[int] = []

    def ioctl(_descriptor: int, number: int, data: bytearray) -> int:
        requests.append(number)
        if len(data) == 592:
            assert (data[0], data[256:261], data[560]) == (22, b"gpiod", 1)
            assert not any(data[288:560])  # neither input nor output, no attributes
            data[588:592] = os.open(chip, os.O_RDONLY).to_bytes(4, sys.byteorder)
        else:
            data[0:8] = (1).to_bytes(8, sys.byteorder)
        return 0

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    assert read_level(chip, 22)
    assert requests == [0xC250B407, 0xC010B40E]
