"""What a type of device is: its pins, parameters, methods and events, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

#: What the value of a parameter may be.
KINDS = {
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "tone": "a MIDI note number (69 is A4) or a note as A4 or C#5",
    "color": "a list of three numbers from 0 to 1 (red, green, blue)",
    "range": "a list of two whole numbers, the first not above the second",
}


@dataclass(frozen=True)
class Parameter:
    """One value that a device or a method takes.

    `kind` is a key of KINDS; `minimum` and `maximum` bound the number, or each number of a list. A `nullable` one may
    be None. A `required` one has no default.
    """

    name: str
    kind: str
    description: str
    default: Any = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    nullable: bool = False
    required: bool = False

    def described(self) -> dict[str, Any]:
        """As plain types, enough to draw a field of a form."""
        return {
            "name": self.name,
            "type": self.kind,
            "unit": self.unit,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "default": self.default,
            "required": self.required,
            "nullable": self.nullable,
            "description": self.description,
        }

    def whole(self) -> Parameter:
        """The same for a line that knows only off and on: whole numbers."""
        return replace(self, kind="integer") if self.kind == "number" else self


@dataclass(frozen=True)
class Method:
    """What a device can be told to do.

    A `long` one may go on after the call has returned, as a task that can be cancelled. `effect` says what moves or is
    switched.
    """

    name: str
    effect: str
    parameters: tuple[Parameter, ...] = ()
    long: bool = False

    def described(self) -> dict[str, Any]:
        """As plain types."""
        parameters = [parameter.described() for parameter in self.parameters]
        return {"name": self.name, "description": self.effect, "long": self.long, "parameters": parameters}


@dataclass(frozen=True)
class Event:
    """What a device tells by itself: `data` maps each key of the event's data to its meaning."""

    name: str
    description: str
    data: Mapping[str, str]

    def described(self) -> dict[str, Any]:
        """As plain types."""
        return {"name": self.name, "description": self.description, "data": dict(self.data)}


Parameters = Mapping[str, Any]


def _as_it_is(parameter: Parameter, _given: Parameters) -> Parameter:
    return parameter


def _nothing_wrong(_given: Parameters) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True)
class DeviceType:
    """A type of device, under gpiozero's name of it.

    `pins` are its required ones, `optional_pins` the others. `value` is what can be set at start and stop beside
    `states` (of `keep`, `off`, `on`); both are empty for an input. `narrow` gives the parameter of a method as it is
    for a device with these parameters; `contradiction` names a parameter that does not fit the others, and why.
    `start` is what `on_start` is if the config does not say.
    """

    name: str
    description: str
    pins: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    methods: tuple[Method, ...] = ()
    events: tuple[Event, ...] = ()
    optional_pins: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    value: Parameter | None = None
    start: str = "off"
    narrow: Callable[[Parameter, Parameters], Parameter] = _as_it_is
    contradiction: Callable[[Parameters], tuple[str, str] | None] = _nothing_wrong
    only_pins: tuple[int, ...] = ()

    @property
    def is_output(self) -> bool:
        """True for what drives a pin."""
        return bool(self.states)

    def method(self, name: str, given: Parameters) -> Method | None:
        """The method of this name, as it is for a device with these parameters; None if there is none."""
        found = next((method for method in self.methods if method.name == name), None)
        if found is None or self.narrow is _as_it_is:
            return found
        return replace(found, parameters=tuple(self.narrow(parameter, given) for parameter in found.parameters))

    def start_value(self, given: Parameters) -> Parameter | None:
        """What may be set at start and stop by a device with these parameters; None if nothing."""
        return None if self.value is None else self.narrow(self.value, given)

    def described(self, given: Parameters | None = None) -> dict[str, Any]:
        """As plain types: enough to draw the forms of a device with these parameters (by default the type's own)."""
        known = {parameter.name: parameter.default for parameter in self.parameters} | dict(given or {})
        value = self.start_value(known)
        methods = [method for name in self.methods if (method := self.method(name.name, known)) is not None]
        return {
            "type": self.name,
            "description": self.description,
            "direction": "output" if self.is_output else "input",
            "pins": list(self.pins),
            "optional_pins": list(self.optional_pins),
            "parameters": [parameter.described() for parameter in self.parameters],
            "states": list(self.states),
            "value": None if value is None else value.described(),
            "methods": [method.described() for method in methods],
            "events": [event.described() for event in self.events],
        }
