"""Devices of gpiod on gpiozero's mock pins, and what the pins went through."""

from __future__ import annotations

import math
from typing import Any

from gpiozero.pins.mock import MockFactory, MockPWMPin

from observatory_gpiod.devices import table
from observatory_gpiod.devices.base import Device, Hooks, Position
from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.making import make
from observatory_gpiod.devices.task import Task

TOLERANCE = 0.05  # gpiozero's own, of its tests
PINS: dict[str, dict[str, Any]] = {
    "RotaryEncoder": {"a": 20, "b": 21},
    "RGBLED": {"red": 4, "green": 5, "blue": 6},
    "DistanceSensor": {"echo": 4, "trigger": 5},
    "Motor": {"forward": 4, "backward": 5},
    "StepperMotor": {"in1": 4, "in2": 5, "in3": 6, "in4": 7},
    "ServoPWM": {"pin": 18},
}


class KeepingPin(MockPWMPin):  # type: ignore[misc]
    """A mock pin that is left as it is when it is closed, if it is to be kept."""

    keep = False

    def close(self) -> None:
        if self.keep:
            self.when_changed = None
        else:
            super().close()
        self.keep = False

    def _set_frequency(self, value: float | None) -> None:
        if not (self.keep and value is None):
            super()._set_frequency(value)


class KeepingFactory(MockFactory):  # type: ignore[misc]
    """A factory whose pins can be left as they are."""

    can_keep = True


class Bench:
    """Devices on mock pins, and all that they told."""

    def __init__(self) -> None:
        self.factory = KeepingFactory(pin_class=KeepingPin)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.undeclared: list[tuple[str, dict[str, Any]]] = []
        self.moves: list[tuple[str, Any]] = []
        self.devices: list[Device] = []

    def hooks(self, type: str) -> Hooks:
        declared_data = {event.name: set(event.data) for event in table.TYPES[type].events}

        def told(_id: str, name: str, data: dict[str, Any]) -> None:
            self.events.append((name, data))
            if declared_data.get(name) != set(data):
                self.undeclared.append((name, data))

        return Hooks(
            on_event=told,
            on_moving=lambda _id, start, target: self.moves.append(("moving", (start.value, target.value))),
            on_position=lambda _id, position: self.moves.append(("position", position)),
        )

    def open(self, type: str, position: Position | None = None, **given: Any) -> Device:
        config, complaints = declared({"id": "it", "type": type, **PINS.get(type, {"pin": 4}), **given})
        assert config is not None, complaints
        device = make(config, self.hooks(type))
        self.devices.append(device)
        device.open(self.factory, position)
        return device

    def pin(self, number: int) -> Any:
        return self.factory.pin(number)

    def clear(self) -> None:
        self.events.clear()
        self.moves.clear()
        for pin in self.factory.pins.values():
            pin.clear_states()

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def values(self) -> list[Any]:
        return [data["value"] for name, data in self.events if name == "changed"]


def ended(task: Task | None, timeout_s: float = 10) -> Task:
    assert task is not None
    task.join(timeout_s)
    assert task.error is None
    return task


def history(pin: Any) -> list[tuple[float, float]]:
    return [(state.timestamp, float(state.state)) for state in pin.states]


def assert_history(pin: Any, expected: list[Any], late_s: float = 0.0) -> None:
    """The history of a mock pin: see `assert_states`."""
    assert_states(history(pin), expected, late_s)


def assert_states(found: list[tuple[float, float]], expected: list[Any], late_s: float = 0.0) -> None:
    """States, or (seconds since the one before, state); the first is the state at the beginning.

    The machine may have been late by `late_s` seconds.
    """
    assert len(found) == len(expected), (found, expected)
    for (seconds, state), wanted in zip(found, expected, strict=True):
        if isinstance(wanted, tuple):
            assert math.isclose(seconds, wanted[0], rel_tol=TOLERANCE, abs_tol=TOLERANCE + late_s), (found, expected)
            wanted = wanted[1]
        assert math.isclose(state, wanted, abs_tol=1e-6), (found, expected)


def pulse_width(low: float, high: float, fraction: float, frame: float = 0.02) -> float:
    return (low + (high - low) * fraction) / frame


def servo(fraction: float) -> float:
    return pulse_width(0.001, 0.002, fraction)


def hardware_servo(fraction: float) -> float:
    return pulse_width(0.0005, 0.0025, fraction)
