"""Servos: by value, by angle, and on a hardware PWM pin."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gpiozero

from observatory_common.arguments import refused
from observatory_common.errors import InvalidArgument, Uncertain
from observatory_gpiod.devices.base import DeviceConfig, Hooks, Position
from observatory_gpiod.devices.hardware_pwm import PinPulses, Pulses, SysfsPulses
from observatory_gpiod.devices.output import Output
from observatory_gpiod.devices.task import Task

log = logging.getLogger("gpiod.servos")

Methods = Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]
_ROUNDING = 1e-6
_TO_AN_ANGLE = ("angle", "rotate_to")


class Servo(Output):
    """A servo by value, -1 to 1; None: no pulses, the shaft is free and stays known where it was.

    A servo tells nobody where it is. It counts as arrived once it has had its pulses for the time that it may take.
    """

    SETTLES_WITHIN_S: ClassVar[float] = 1.0

    READINGS: ClassVar[tuple[str, ...]] = (*Output.READINGS, "position", "position_certain")

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        super().__init__(config, hooks)
        self._servo: Any = None
        self._driven: float | None = None
        self._at = Position(None)
        self._settles_at_s: float | None = None  # None: it stands, as far as is known

    @property
    def position(self) -> Position:
        """Where the shaft is, as far as the pulses tell."""
        return self._at

    def _open(self, factory: Any, position: Position | None) -> None:
        self._at = position or Position(None, certain=False)
        super()._open(factory, position)

    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        self._make_servo(factory)
        if keep:  # what is known to be right can be driven again without a move
            value = self._proven()
        if value is not None:
            try:
                value = self._reachable("on_start", value)
            except InvalidArgument as error:  # zero was called elsewhere since, or the config has changed
                log.error("%s gets no pulses until it is sent somewhere: %s", self.id, error)
                self._at, value = replace(self._at, certain=False), None
        self._drive(value)

    def _make_servo(self, factory: Any) -> None:
        parameters = self.config.parameters
        self._servo = gpiozero.Servo(self.config.pins["pin"], initial_value=None, **parameters, pin_factory=factory)

    def _drive(self, value: Any) -> None:
        self._note_arrival()
        if value is not None:
            target = Position(value, trim=self._at.trim)
            if target != self._at and self._settles_at_s is None:
                self.hooks.on_moving(self.id, self._at, target)
            travel_s = self._travel_s(self._proven(), value)
            self._pulse(value)
            if target != self._at:
                self._at = target
                self._settles_at_s = time.monotonic() + travel_s
        else:
            self._pulse(None)
            self._cut_off()
        self._driven = value

    def look_after(self) -> None:
        """Say where it is, once it has had the time to be there."""
        self._note_arrival()

    def _note_arrival(self) -> None:
        with self._setting:
            if self._settles_at_s is not None and time.monotonic() >= self._settles_at_s:
                self._settles_at_s = None
                self.hooks.on_position(self.id, self._at)

    def _cut_off(self) -> None:
        """Its pulses end: if it was on its way, it stops somewhere."""
        if self._settles_at_s is not None:
            self._settles_at_s = None
            self._told_position(replace(self._at, certain=False))

    def _proven(self) -> float | None:
        """Where it is, if that is certain."""
        return self._at.value if self._at.certain else None

    def _travel_s(self, start: float | None, end: float) -> float:
        """How long a way may take; from an unknown place the whole of it."""
        return self.SETTLES_WITHIN_S

    def _told_position(self, position: Position) -> None:
        if position != self._at:
            self._at = position
            self.hooks.on_position(self.id, position)

    def _pulse(self, value: float | None) -> None:
        self._servo.value = value

    def _read(self) -> Any:
        return self._driven

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"position": self._at.value, "position_certain": self._at.certain}

    def _come_to_rest(self) -> None:
        with self._set_alone():
            self._note_arrival()  # what has arrived is not cut off
        super()._come_to_rest()

    def _release(self) -> None:
        self._cut_off()
        if self._servo is not None:
            self._servo.close()
        self._servo = None

    def _rest(self, cause: str) -> None:
        """It stays where it is."""

    def _reachable(self, name: str, value: float) -> float:
        """The value, if it is within the ends; what is beyond by rounding alone is put onto them."""
        low, high = self._ends()
        if not low - _ROUNDING <= value <= high + _ROUNDING:
            raise refused(name, value, f"a number from {low:g} to {high:g}")
        return min(max(value, low), high)

    def _ends(self) -> tuple[float, float]:
        low, high = sorted(self._first_and_last())
        return low, high

    def _first_and_last(self) -> tuple[float, float]:
        """The values of the shortest and the longest pulse."""
        return -1.0, 1.0

    def _value(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("value", arguments["value"])

    def _min(self, _arguments: dict[str, Any]) -> Task | None:
        return self._go("min", self._first_and_last()[0])

    def _max(self, _arguments: dict[str, Any]) -> Task | None:
        return self._go("max", self._first_and_last()[1])

    def _mid(self, _arguments: dict[str, Any]) -> Task | None:
        return self._go("mid", sum(self._ends()) / 2)

    def _detach(self, _arguments: dict[str, Any]) -> None:
        self._set(None, "detach")

    def _go(self, method: str, value: float) -> Task | None:
        self._set(self._reachable(method, value), method)
        return None

    METHODS: ClassVar[Methods] = {"value": _value, "min": _min, "mid": _mid, "max": _max, "detach": _detach}


class AngularServo(Servo):
    """A servo by angle, in degrees, counted from where `zero` was called."""

    def describe(self) -> dict[str, Any]:
        """As of every device; an angle to go to is between the ends as they are now: `zero` shifts them."""
        described = super().describe()
        low, high = self._ends()
        goes = [method["parameters"] for method in described["methods"] if method["name"] in _TO_AN_ANGLE]
        for parameter in [described["value"], *(parameter for parameters in goes for parameter in parameters)]:
            parameter.update(minimum=low, maximum=high)
        return described

    def _make_servo(self, factory: Any) -> None:
        parameters = self.config.parameters
        self._servo = gpiozero.AngularServo(self.config.pins["pin"], initial_angle=None, **parameters, pin_factory=factory)

    def _pulse(self, value: float | None) -> None:
        self._servo.angle = None if value is None else self._raw(value)

    def _raw(self, value: float) -> float:
        low, high = sorted((self.config.parameters["min_angle"], self.config.parameters["max_angle"]))
        return float(min(max(value + self._at.trim, low), high))

    def _first_and_last(self) -> tuple[float, float]:
        given = self.config.parameters
        return given["min_angle"] - self._at.trim, given["max_angle"] - self._at.trim

    def _refuse(self, method: str, arguments: dict[str, Any]) -> None:
        if method in _TO_AN_ANGLE:
            self._reachable("angle", arguments["angle"])
        elif method in ("rotate_by", "rotate_right", "rotate_left"):
            by = -arguments["angle"] if method == "rotate_left" else arguments["angle"]
            self._reachable("angle", self._known(method) + by)

    def _known(self, method: str) -> float:
        if self._at.value is None:
            raise Uncertain(f"{self.id} cannot {method}: its angle is not known; go to an angle first", value=method)
        return self._at.value

    def _angle(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("angle", arguments["angle"])

    def _rotate_by(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("rotate_by", self._known("rotate_by") + arguments["angle"])

    def _zero(self, _arguments: dict[str, Any]) -> None:
        with self._setting:
            shift = self._known("zero")
            position = Position(0.0, trim=self._at.trim + shift, certain=self._at.certain)
            if self._settles_at_s is None:
                self._told_position(position)
            else:
                self._at = position
            if self._driven is not None:
                self._driven = self._told = 0.0
        self._emit("changed", {"value": self._driven, "active": self._driven is not None, "cause": "zero"})

    METHODS: ClassVar[Methods] = {
        "angle": _angle,
        "rotate_by": _rotate_by,
        "min": Servo._min,
        "mid": Servo._mid,
        "max": Servo._max,
        "detach": Servo._detach,
        "zero": _zero,
    }


class ServoPWM(AngularServo):
    """A servo on a hardware PWM pin; a move lasts as long as the servo takes by its declared speed.

    `sysfs` is the folder of the kernel's PWM chips, None to use the PWM of the pin factory.
    """

    def __init__(self, config: DeviceConfig, hooks: Hooks, sysfs: Path | None = None) -> None:
        super().__init__(config, hooks)
        self._sysfs = sysfs

    def _make_servo(self, factory: Any) -> None:
        pin, frame_s = self.config.pins["pin"], self.config.parameters["frame_width"]
        pulses: Pulses = PinPulses(factory, pin, frame_s) if self._sysfs is None else SysfsPulses(self._sysfs, pin, frame_s)
        self._servo = pulses

    def _close(self, keep: bool | None) -> None:
        if self._sysfs is None:
            super()._close(keep)
        elif self._servo is not None:
            kept = self.config.on_stop == "keep" if keep is None else keep
            if not kept:
                self._cut_off()
            self._servo.close(kept)
            self._servo = None

    def look_after(self) -> None:
        """Say where it is, and with idle_off end its pulses, once it has had the time to be there."""
        super().look_after()
        with self._setting:
            driven = self.is_open and self._driven is not None
            if driven and self.config.parameters["idle_off"] and self._settles_at_s is None and self.task is None:
                self._set(None, "idle_off")

    def _pulse(self, value: float | None) -> None:
        if value is None:
            self._servo.set(None)
            return
        given = self.config.parameters
        fraction = (self._raw(value) - given["min_angle"]) / (given["max_angle"] - given["min_angle"])
        self._servo.set(given["min_pulse_width"] + fraction * (given["max_pulse_width"] - given["min_pulse_width"]))

    def _travel_s(self, start: float | None, end: float) -> float:
        low, high = self._ends()
        way: float = high - low if start is None else abs(end - start)
        return way / 360 * float(self.config.parameters["speed"])

    def _go(self, method: str, value: float) -> Task | None:
        target = self._reachable(method, value)
        start = self._proven()
        travel_s = self._travel_s(start, target)
        began_s = time.monotonic()
        self._set(target, method)

        def travel(task: Task) -> dict[str, Any]:
            arrives_s = max(began_s + travel_s, self._settles_at_s or 0.0)
            if not task.pass_time(arrives_s):
                self._note_arrival()
                if self.config.parameters["idle_off"]:
                    self._set(None, method)
            elif start is None:
                self._set(None, method)  # nobody knows where it is by now: only without pulses does it stay there
            else:
                done = min((time.monotonic() - began_s) / travel_s, 1.0) if travel_s > 0 else 1.0
                self._set(start + (target - start) * done, method)  # the shaft ends about where it is by now
            return {"angle": self._at.value}

        return self._start(method, travel, travel_s)

    def _rotate_to(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("rotate_to", arguments["angle"])

    def _rotate_right(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("rotate_right", self._known("rotate_right") + arguments["angle"])

    def _rotate_left(self, arguments: dict[str, Any]) -> Task | None:
        return self._go("rotate_left", self._known("rotate_left") - arguments["angle"])

    METHODS: ClassVar[Methods] = {
        "min": Servo._min,
        "mid": Servo._mid,
        "max": Servo._max,
        "rotate_to": _rotate_to,
        "rotate_by": AngularServo._rotate_by,
        "rotate_right": _rotate_right,
        "rotate_left": _rotate_left,
        "detach": Servo._detach,
        "zero": AngularServo._zero,
    }
