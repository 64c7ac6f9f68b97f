"""Inputs: gpiozero's devices, their readings and their events."""

from __future__ import annotations

import time
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gpiozero
from gpiozero.exc import PWMSoftwareFallback

from observatory_common.errors import CommandFailed, ObservatoryError
from observatory_gpiod.devices.base import Device, DeviceConfig, Hooks, Position, hardware


class Input(Device):
    """A device that is read. `EVENTS` maps each event to whether the device is active after it."""

    EVENTS: ClassVar[Mapping[str, bool]] = {}

    READINGS: ClassVar[tuple[str, ...]] = ("value", "active", "active_time_s")

    _reader: Any = None

    @abstractmethod
    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        """Make the gpiozero object."""

    def _open(self, factory: Any, position: Position | None) -> None:
        self._reader = self._make(factory, dict(self.config.parameters))
        self._listen()

    def _listen(self) -> None:
        """Let gpiozero tell; what is told is known from the event, since reading the pin may have to wait for it."""
        for name, active in self.EVENTS.items():
            setattr(self._reader, name, self._teller(name, active))

    def _teller(self, name: str, active: bool) -> Callable[[], None]:
        return lambda: self._emit(name, {"active": active, "value": int(active)})

    def _close(self, keep: bool | None) -> None:
        self._release()

    def _release(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _state(self) -> dict[str, Any]:
        active = bool(self._reader.is_active)
        return {"value": int(active), "active": active, "active_time_s": self._reader.active_time}


class Edges(Input):
    """An input each edge of which counts: stamped by the backend, if it does that, and lost ones are told."""

    READINGS: ClassVar[tuple[str, ...]] = (*Input.READINGS, "edges_lost")

    def __init__(self, config: DeviceConfig, hooks: Hooks) -> None:
        super().__init__(config, hooks)
        self._watches: list[Any] = []
        self._at_us: int | None = None

    def _open(self, factory: Any, position: Position | None) -> None:
        super()._open(factory, position)
        if hasattr(factory, "edges"):
            self._watches = [factory.edges(pin, self._edge) for pin in self.config.pins.values()]

    def _edge(self, edge: Any) -> None:
        """Called for each edge just before gpiozero hears of it, in the same thread."""
        self._at_us = edge.at_ns // 1000
        if edge.lost:
            self._emit("edges_lost", {"lost": edge.lost, "at_us": self._at_us})

    def _teller(self, name: str, active: bool) -> Callable[[], None]:
        return lambda: self._emit(name, {"active": active, "value": int(active), "at_us": self._at_us})

    def _release(self) -> None:
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.close()
        super()._release()

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"edges_lost": sum(watch.lost for watch in self._watches)}


class DigitalInputDevice(Edges):
    """Any input that is high or low."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_activated": True, "when_deactivated": False}

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        return gpiozero.DigitalInputDevice(self.config.pins["pin"], **parameters, pin_factory=factory)


class Button(Edges):
    """A push button or switch."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_pressed": True, "when_released": False}
    READINGS: ClassVar[tuple[str, ...]] = (*Edges.READINGS, "is_held")

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        return gpiozero.Button(self.config.pins["pin"], **parameters, pin_factory=factory)

    def _listen(self) -> None:
        super()._listen()
        self._reader.when_held = lambda: self._emit("when_held", {"active": True, "value": 1})

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"is_held": bool(self._reader.is_held)}


class RotaryEncoder(Edges):
    """A knob with two contacts."""

    READINGS: ClassVar[tuple[str, ...]] = (*Edges.READINGS, "steps")

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        bounce_time_s = parameters.pop("bounce_time")
        encoder = gpiozero.RotaryEncoder(self.config.pins["a"], self.config.pins["b"], **parameters, pin_factory=factory)
        if bounce_time_s is not None:  # gpiozero 2.0.1 sets it under a name that no pin knows
            encoder.a.pin.bounce = encoder.b.pin.bounce = bounce_time_s
        return encoder

    def _listen(self) -> None:
        for name in ("when_rotated", "when_rotated_clockwise", "when_rotated_counter_clockwise"):
            setattr(self._reader, name, self._step_teller(name))

    def _step_teller(self, name: str) -> Callable[[], None]:
        reader = self._reader  # which an event may outlive here
        return lambda: self._emit(name, {"steps": reader.steps, "at_us": self._at_us})

    def _state(self) -> dict[str, Any]:
        steps = int(self._reader.steps)
        return super()._state() | {"value": float(self._reader.value), "steps": steps}


class _Watched:
    """What a smoothed sensor of gpiozero is made with: its thread ends with a reason where it would with a traceback."""

    failure: str | None = None

    def _read(self) -> Any:
        try:
            with hardware(type(self).__name__.removeprefix("_"), "be read"):
                return super()._read()  # type: ignore[misc]
        except ObservatoryError as error:
            self.failure = str(error)
            raise ReferenceError(self.failure) from error  # by which the thread of gpiozero ends


class _LightSensor(_Watched, gpiozero.LightSensor):  # type: ignore[misc]
    """gpiozero's."""


class _MotionSensor(_Watched, gpiozero.MotionSensor):  # type: ignore[misc]
    """gpiozero's."""


class _LineSensor(_Watched, gpiozero.LineSensor):  # type: ignore[misc]
    """gpiozero's."""


class _DistanceSensor(_Watched, gpiozero.DistanceSensor):  # type: ignore[misc]
    """gpiozero's, which keeps its last readings for ever: this one knows when the last echo came."""

    last_echo_s: float | None = None

    def _read(self) -> Any:
        reading = super()._read()
        if reading is not None:
            self.last_echo_s = time.monotonic()
        return reading

    def close(self) -> None:
        """End the thread before the trigger that it uses, other than gpiozero does."""
        queue = getattr(self, "_queue", None)  # a sensor that could not be made has none
        if queue is not None:
            queue.stop()
        super().close()


class Smoothed(Input):
    """A sensor that is read again and again by a thread of gpiozero."""

    @property
    def broken(self) -> str | None:
        """Why its thread has ended."""
        return None if self._reader is None else self._reader.failure

    def _state(self) -> dict[str, Any]:
        if self.broken is not None:
            raise CommandFailed(self.broken, value=self.id)
        # its value waits until the queue is full, which may be never; both times are None until then
        if self._reader.active_time is None and self._reader.inactive_time is None:
            return {"value": None, "active": None, "active_time_s": None}
        value = float(self._reader.value)
        return {"value": value, "active": bool(self._reader.is_active), "active_time_s": self._reader.active_time}


class LightSensor(Smoothed):
    """A light dependent resistor that charges a capacitor."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_light": True, "when_dark": False}

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        return _LightSensor(self.config.pins["pin"], **parameters, pin_factory=factory)


class MotionSensor(Smoothed):
    """A passive infrared sensor."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_motion": True, "when_no_motion": False}

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        return _MotionSensor(self.config.pins["pin"], **parameters, pin_factory=factory)


class LineSensor(Smoothed):
    """An infrared sensor that sees a line; active means that it sees none."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_no_line": True, "when_line": False}
    READINGS: ClassVar[tuple[str, ...]] = (*Smoothed.READINGS, "line_detected")

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        return _LineSensor(self.config.pins["pin"], **parameters, pin_factory=factory)

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        return state | {"line_detected": None if state["active"] is None else not state["active"]}


class DistanceSensor(Smoothed):
    """An ultrasonic sensor; active means out of range. No echo for a second: no distance."""

    EVENTS: ClassVar[Mapping[str, bool]] = {"when_out_of_range": True, "when_in_range": False}
    READINGS: ClassVar[tuple[str, ...]] = (*Smoothed.READINGS, "distance_m", "reading_age_s")
    LONGEST_SILENCE_S: ClassVar[float] = 1.0

    def _make(self, factory: Any, parameters: dict[str, Any]) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PWMSoftwareFallback)  # a config names its factory with open eyes
            return _DistanceSensor(self.config.pins["echo"], self.config.pins["trigger"], **parameters, pin_factory=factory)

    def _teller(self, name: str, active: bool) -> Callable[[], None]:
        reader = self._reader  # which an event may outlive here
        return lambda: self._emit(name, {"active": active, "distance_m": float(reader.distance)})

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        last_echo_s = self._reader.last_echo_s
        age_s = None if last_echo_s is None else time.monotonic() - last_echo_s
        if age_s is None or age_s > self.LONGEST_SILENCE_S or state["value"] is None:
            state |= {"value": None, "active": None, "distance_m": None}
        else:
            state["distance_m"] = state["value"] * self._reader.max_distance
        return state | {"reading_age_s": age_s}
