"""A device as the config declares it: checked against the table, every complaint with its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from observatory_common.errors import InvalidArgument
from observatory_common.json_file import JsonPath, nearest
from observatory_gpiod.devices.base import DeviceConfig
from observatory_gpiod.devices.description import DeviceType
from observatory_gpiod.devices.table import TYPES
from observatory_gpiod.devices.values import accepted, allowed
from observatory_gpiod.pins import gpio_number, pin_name

#: What an id must not be, since `gpio ID` would be another command.
RESERVED_IDS = frozenset(
    {
        "all-off",
        "calibrate",
        "cancel",
        "check",
        "completion",
        "confirm",
        "describe",
        "events",
        "help",
        "init",
        "job",
        "jobs",
        "json",
        "kill",
        "list",
        "shutdown",
        "status",
        "stop",
        "version",
        "wait",
    }
)
#: What follows a key of the status to make another one: `position_steps` of `x`, and `position` of `steps_x`, are one key.
SECOND_WORDS = ("certain_", "steps_", "time_s_")
LONGEST_ON_S = 604_800.0
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
_COMMON = ("id", "type", "label")
_OF_OUTPUTS = ("on_start", "on_stop", "max_on_time")
_FIRST_VALUES = ("initial_value", "initial_angle")  # gpiozero's names of on_start


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a device: the path below it, and a message, which continues the value if there is one."""

    path: JsonPath
    message: str
    has_value: bool = True


def declared(data: Mapping[str, Any]) -> tuple[DeviceConfig | None, list[Complaint]]:
    """The device in an object of the config, or what is wrong with it."""
    complaints = list(_wrong_id(data))
    type = TYPES.get(data["type"]) if isinstance(data.get("type"), str) else None
    if type is None:
        known = ", ".join(TYPES)
        complaints.append(Complaint(("type",), f"is no type of device, expected {known}{nearest(data.get('type'), TYPES)}"))
        return None, complaints
    reading = _Reading(type, data)
    device = reading.device()
    return (device if not complaints + reading.complaints else None), complaints + reading.complaints


def twice(devices: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Complaint]:
    """Ids that two devices have, and pins that are used twice; the paths begin with the number of the device."""
    ids: dict[str, int] = {}
    names = {data["id"] for _, data in devices if isinstance(data.get("id"), str)}
    pins: dict[int, str] = {}
    for number, data in devices:
        id, type = data.get("id"), TYPES.get(str(data.get("type")))
        if isinstance(id, str):
            for word in SECOND_WORDS:
                if id.removeprefix(word) in names and id.startswith(word):
                    yield Complaint((number, "id"), f"and the id {id.removeprefix(word)} would share keys of the status")
            if id in ids:
                yield Complaint((number, "id"), f"is the id of devices[{ids[id]}] already")
            ids.setdefault(id, number)
        for name in (*type.pins, *type.optional_pins) if type is not None else ():
            pin = _pin(data.get(name))
            if pin is None:
                continue
            if pin in pins:
                yield Complaint((number, name), f"is {pin_name(pin)}, which {pins[pin]} uses already")
            pins.setdefault(pin, f"{id} ({name})")


def _wrong_id(data: Mapping[str, Any]) -> Iterator[Complaint]:
    id = data.get("id")
    if not isinstance(id, str) or not _ID.fullmatch(id):
        yield Complaint(("id",), "is no id: a letter, then up to 39 letters, digits, _ and -")
    elif id.lower() in RESERVED_IDS:
        yield Complaint(("id",), f"is a command of gpio, and so no id ({', '.join(sorted(RESERVED_IDS))} are)")


def _pin(value: Any) -> int | None:
    try:
        return gpio_number(value)
    except InvalidArgument:
        return None


class _Reading:
    """One pass over a declaration, collecting complaints."""

    def __init__(self, type: DeviceType, data: Mapping[str, Any]) -> None:
        self.type = type
        self.data = data
        self.complaints: list[Complaint] = []

    def device(self) -> DeviceConfig | None:
        """The device, if nothing is complained of."""
        self._unknown_keys()
        pins = self._pins()
        parameters = self._parameters()
        label = self.data.get("label")
        if label is not None and not (isinstance(label, str) and 1 <= len(label) <= 80 and label.isprintable()):
            self._complain("label", "is not a text of 1 to 80 printable characters")
        if self.complaints:
            return None
        contradiction = self.type.contradiction(parameters)
        if contradiction is not None:
            key, message = contradiction
            by_default = key not in self.data and parameters[key] is not None
            self._complain(key, f"is {parameters[key]:g} by default, which {message}" if by_default else message)
            return None
        on_start, on_stop, max_on_time_s = self._states(parameters)
        if self.complaints:
            return None
        id, type = self.data["id"], self.type.name
        return DeviceConfig(id, type, pins, parameters, on_start, on_stop, max_on_time_s, label)

    def _complain(self, key: str, message: str) -> None:
        self.complaints.append(Complaint((key,), message, has_value=key in self.data))

    def _first_value(self) -> str | None:
        """gpiozero's name of on_start, for this type; None for an input and a motor."""
        if self.type.value is None:
            return None
        return "initial_angle" if self.type.value.name == "angle" else "initial_value"

    def _unknown_keys(self) -> None:
        known = [*_COMMON, *self.type.pins, *self.type.optional_pins, *(p.name for p in self.type.parameters)]
        if self.type.is_output:
            known += [*_OF_OUTPUTS, *filter(None, [self._first_value()])]
        for key in self.data:
            if key in known:
                continue
            if key in (*_OF_OUTPUTS, *_FIRST_VALUES) and not self.type.is_output:
                self._complain(key, f"is only for outputs; {self.type.name} is an input")
            else:
                hint = nearest(key, known) or f"; {self.type.name} has {', '.join(known)}"
                self._complain(key, f"unknown key for a {self.type.name}{hint}")

    def _pins(self) -> dict[str, int]:
        pins: dict[str, int] = {}
        for name in (*self.type.pins, *self.type.optional_pins):
            value = self.data.get(name)
            if value is None:
                if name in self.type.pins:
                    self._complain(name, f"is missing: a {self.type.name} needs {' and '.join(self.type.pins)}")
                continue
            try:
                pin = gpio_number(value)
            except InvalidArgument as error:
                self._complain(name, f"is no pin: {error}")
                continue
            if self.type.only_pins and pin not in self.type.only_pins:
                allowed_pins = ", ".join(map(pin_name, self.type.only_pins))
                self._complain(name, f"has no hardware PWM, expected {allowed_pins}")
            pins[name] = pin
        return pins

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = {}
        for parameter in self.type.parameters:
            value = self.data.get(parameter.name, parameter.default)
            if value is None and parameter.default is None:
                parameters[parameter.name] = None
                continue
            try:
                parameters[parameter.name] = accepted(parameter, value)
            except InvalidArgument:
                self._complain(parameter.name, f"is not {allowed(parameter)}")
        return parameters

    def _states(self, parameters: Mapping[str, Any]) -> tuple[Any, Any, float | None]:
        if not self.type.is_output:
            return "off", "off", None
        first = self._first_value()
        if first in self.data and "on_start" in self.data:
            self._complain(first or "", "is another name of on_start, which is there too")
        key = first if first is not None and first in self.data else "on_start"
        on_start = self._state(key, self.data.get(key, self.type.start), parameters)
        on_stop = self._state("on_stop", self.data.get("on_stop", "off"), parameters)
        return on_start, on_stop, self._max_on_time()

    def _state(self, key: str, wanted: Any, parameters: Mapping[str, Any]) -> Any:
        if key in _FIRST_VALUES and wanted is None:  # gpiozero's None: as it is found, or nothing
            wanted = "keep" if "keep" in self.type.states else "off"
        if isinstance(wanted, bool):
            wanted = "on" if wanted else "off"
        if wanted in self.type.states:
            return wanted
        value = self.type.start_value(parameters)
        words = ", ".join(self.type.states)
        if value is None:
            self._complain(key, f"is not one of {words}")
            return None
        try:
            return accepted(value, wanted)
        except InvalidArgument:
            self._complain(key, f"is not one of {words}, and not {allowed(value)}")
            return None

    def _max_on_time(self) -> float | None:
        seconds = self.data.get("max_on_time")
        if seconds is None:
            return None
        if type(seconds) not in (int, float) or not 0.01 <= seconds <= LONGEST_ON_S:
            self._complain("max_on_time", f"is not a number from 0.01 to {LONGEST_ON_S:g} (s)")
            return None
        return float(seconds)
