"""The buzzer that plays tones, and the motor on an H bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gpiozero
from gpiozero.tones import Tone

from observatory_common.arguments import refused
from observatory_gpiod.devices.output import Output
from observatory_gpiod.devices.task import Task


class TonalBuzzer(Output):
    """A buzzer that plays tones; a value is a MIDI note number, None is silence."""

    _buzzer: Any = None
    _note: int | None = None

    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        self._buzzer = gpiozero.TonalBuzzer(
            self.config.pins["pin"],
            mid_tone=Tone.from_midi(self.config.parameters["mid_tone"]),
            octaves=self.config.parameters["octaves"],
            pin_factory=factory,
        )
        self._drive(value)

    def _drive(self, value: Any) -> None:
        if value is None:
            self._buzzer.stop()
        else:
            self._buzzer.play(Tone.from_midi(value))
        self._note = value

    def _read(self) -> Any:
        return self._note if self._buzzer.is_active else None

    def _put_off(self) -> bool:
        if self._buzzer is not None:
            self._buzzer.stop()
        return True

    def _release(self) -> None:
        buzzer, self._buzzer = self._buzzer, None
        if buzzer is not None:
            buzzer.close()

    def _play(self, arguments: dict[str, Any]) -> Task | None:
        self._set(arguments["tone"], "play")
        return self._for_a_while("play", arguments["duration"])

    METHODS: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]] = {"play": _play}


class Motor(Output):
    """A motor on an H bridge; a value is its speed, negative backward."""

    OFF = 0.0

    _motor: Any = None

    def _make(self, factory: Any, value: Any, keep: bool) -> None:
        pins = self.config.pins
        pwm = self.config.parameters["pwm"]
        self._motor = gpiozero.Motor(pins["forward"], pins["backward"], enable=pins.get("enable"), pwm=pwm, pin_factory=factory)
        self._drive(value)

    def _drive(self, value: Any) -> None:
        self._motor.value = value

    def _read(self) -> Any:
        return float(self._motor.value)

    def _put_off(self) -> bool:
        if self._motor is not None:
            self._motor.stop()
        return True

    def _release(self) -> None:
        motor, self._motor = self._motor, None
        if motor is not None:
            motor.close()

    def _forward(self, arguments: dict[str, Any]) -> Task | None:
        self._set(float(arguments["speed"]), "forward")
        return self._for_a_while("forward", arguments["duration"])

    def _backward(self, arguments: dict[str, Any]) -> Task | None:
        self._set(-float(arguments["speed"]), "backward")
        return self._for_a_while("backward", arguments["duration"])

    def _reverse(self, _arguments: dict[str, Any]) -> None:
        self._set(-self._read(), "reverse")

    def _value(self, arguments: dict[str, Any]) -> None:
        self._set(float(arguments["value"]), "value")

    def _refuse(self, method: str, arguments: dict[str, Any]) -> None:
        duration_s = arguments.get("duration")
        if duration_s is not None and arguments["speed"] == 0:
            raise refused("duration", duration_s, "null: at speed 0 there is nothing to be switched off")

    METHODS: ClassVar[Mapping[str, Callable[[Any, dict[str, Any]], Task | None]]] = {
        "forward": _forward,
        "backward": _backward,
        "reverse": _reverse,
        "value": _value,
    }
