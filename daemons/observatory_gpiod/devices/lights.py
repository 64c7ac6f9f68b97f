"""Outputs that are switched, dimmed or coloured: one gpiozero object for each pin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar

import gpiozero

from observatory_common.arguments import refused
from observatory_gpiod.devices import patterns
from observatory_gpiod.devices.output import Output
from observatory_gpiod.devices.patterns import Level
from observatory_gpiod.devices.task import Task

Methods = Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]


class Switched(Output):
    """One or more lines, each off (0), on (1) or, with PWM, between; a value is a tuple of them."""

    OFF: Any = (0.0,)
    ON: Any = (1.0,)
    DIGITAL: ClassVar[Any] = gpiozero.DigitalOutputDevice

    _parts: tuple[Any, ...] = ()

    @property
    def _pwm(self) -> bool:
        return False

    @property
    def _active_high(self) -> bool:
        return bool(self.config.parameters["active_high"])

    def _configured(self, wanted: Any) -> Any:
        value = super()._configured(wanted)
        return value if isinstance(value, tuple) else (float(value),)

    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        made: list[Any] = []
        first = self.OFF if self._spoilt else value  # no flicker at each attempt, if not all lines can be had
        try:
            for index, pin in enumerate(self.config.pins.values()):
                level = None if keep else first[index]
                made.append(self._dimmed(factory, pin, level) if self._pwm else self._switched(factory, pin, level))
        finally:
            self._parts = tuple(made)
        if self._spoilt and not keep:
            self._drive(value)

    def _put_off(self) -> bool:
        for part in self._parts:
            part.off()
        return True

    def _switched(self, factory: Any, pin: int, level: float | None) -> Any:
        initial = None if level is None else bool(level)
        return self.DIGITAL(pin, active_high=self._active_high, initial_value=initial, pin_factory=factory)

    def _dimmed(self, factory: Any, pin: int, level: float | None) -> Any:
        if level is None:  # PWM has to be started at the level the line has
            found = factory.pin(pin)
            found.function = "output"
            level = float(found.state)
            level = level if self._active_high else 1.0 - level
        frequency = self.config.parameters.get("frequency", 100)
        return gpiozero.PWMLED(
            pin, active_high=self._active_high, initial_value=level, frequency=frequency, pin_factory=factory
        )

    def _drive(self, value: Any) -> None:
        for part, level in zip(self._parts, value, strict=True):
            part.value = level

    def _read(self) -> Any:
        return tuple(float(part.value) for part in self._parts)

    def _can_be_kept(self) -> bool:
        """Pulses end with the process, and would leave the line on or off, whichever it was."""
        return all(level in (0, 1) for level in self._read())

    def _release(self) -> None:
        parts, self._parts = self._parts, ()
        with ExitStack() as each:  # although one cannot be closed
            for part in parts:
                each.callback(part.close)

    def _plain(self, value: Any) -> Any:
        return value[0] if self._pwm else int(value[0])

    def _on(self, arguments: dict[str, Any]) -> Task | None:
        self._set(self.ON, "on")
        return self._for_a_while("on", arguments["duration"])

    def _off(self, _arguments: dict[str, Any]) -> None:
        self._set(self.OFF, "off")

    def _toggle(self, _arguments: dict[str, Any]) -> None:
        self._set(tuple(1.0 - level for level in self._read()), "toggle")

    def _value(self, arguments: dict[str, Any]) -> None:
        self._set(self._configured(arguments["value"]), "value")

    def _blink(self, arguments: dict[str, Any]) -> Task | None:
        return self._repeat("blink", arguments)

    def _beep(self, arguments: dict[str, Any]) -> Task | None:
        return self._repeat("beep", arguments)

    def _pulse(self, arguments: dict[str, Any]) -> Task | None:
        return self._repeat("pulse", {"on_time": 0.0, "off_time": 0.0} | arguments)

    def _repeat(self, method: str, arguments: dict[str, Any]) -> Task:
        cycle = patterns.Cycle(
            arguments.get("on_color", self.ON),
            arguments.get("off_color", self.OFF),
            arguments["on_time"],
            arguments["off_time"],
            arguments.get("fade_in_time", 0.0),
            arguments.get("fade_out_time", 0.0),
        )
        times = arguments["n"]

        def set_level(level: Level, told: bool) -> None:
            self._set(level, method, told)

        expected_s = None if times is None else times * cycle.seconds
        return self._start(method, lambda task: patterns.play(task, cycle, times, set_level), expected_s)


class OutputDevice(Switched):
    """Any line that is high or low."""

    DIGITAL = gpiozero.OutputDevice
    METHODS: ClassVar[Methods] = {
        "on": Switched._on,
        "off": Switched._off,
        "toggle": Switched._toggle,
        "value": Switched._value,
    }


class DigitalOutputDevice(Switched):
    """Any line that is high or low, and can blink."""

    METHODS: ClassVar[Methods] = {**OutputDevice.METHODS, "blink": Switched._blink}


class LED(DigitalOutputDevice):
    """A light that is on or off."""

    DIGITAL = gpiozero.LED


class Buzzer(Switched):
    """A buzzer of one tone."""

    DIGITAL = gpiozero.Buzzer
    METHODS: ClassVar[Methods] = {**OutputDevice.METHODS, "beep": Switched._beep}


class PWMLED(Switched):
    """A light that can be dimmed."""

    METHODS: ClassVar[Methods] = {**DigitalOutputDevice.METHODS, "pulse": Switched._pulse}

    @property
    def _pwm(self) -> bool:
        return True


class RGBLED(Switched):
    """A light of three colours; a value is red, green and blue."""

    OFF = (0.0, 0.0, 0.0)
    ON = (1.0, 1.0, 1.0)
    DIGITAL = gpiozero.LED
    METHODS: ClassVar[Methods] = PWMLED.METHODS

    @property
    def _pwm(self) -> bool:
        return bool(self.config.parameters["pwm"])

    def _plain(self, value: Any) -> Any:
        return list(value)

    def _can(self, method: str) -> bool:
        return self._pwm or method != "pulse"

    def _refuse(self, method: str, arguments: dict[str, Any]) -> None:
        if self._pwm:
            return
        if not self._can(method):
            raise refused("pulse", self.id, "a light with PWM (pwm true): this one cannot fade")
        for name in ("value", "on_color", "off_color"):
            color = arguments.get(name, ())
            if any(part not in (0, 1) for part in color):
                raise refused(name, list(color), "a list of three, each 0 or 1: this light has no PWM")
