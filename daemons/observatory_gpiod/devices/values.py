"""Checks of values against the parameters of the table: strict about types, since anything may arrive over the wire."""

from __future__ import annotations

import re
from typing import Any

from observatory_common import arguments
from observatory_common.arguments import refused
from observatory_gpiod.devices.description import KINDS, Parameter

_NOTE = re.compile(r"([A-G])([#♯b♭]?)([0-9])")
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
_UNBOUNDED = 1e300


def accepted(parameter: Parameter, value: Any) -> Any:
    """`value` as the device takes it: float, int, bool, a tuple of them, or None. Raises InvalidArgument."""
    if value is None and parameter.nullable:
        return None
    match parameter.kind:
        case "number":
            return _number(parameter, value)
        case "integer":
            return _integer(parameter, value)
        case "boolean":
            return _boolean(parameter, value)
        case "tone":
            return _tone(parameter, value)
        case "color":
            return _color(parameter, value)
        case "range":
            return _range(parameter, value)
    raise ValueError(f"{parameter.kind!r} is no kind of parameter")


def allowed(parameter: Parameter) -> str:
    """In words what `accepted` takes."""
    words = KINDS[parameter.kind]
    if parameter.kind != "color" and parameter.minimum is not None and parameter.maximum is not None:
        words += f" from {parameter.minimum:.12g} to {parameter.maximum:.12g}"
    if parameter.unit is not None:
        words += f" ({parameter.unit})"
    return words + (" or null" if parameter.nullable else "")


def _number(parameter: Parameter, value: Any) -> float:
    low, high = _bounds(parameter)
    if type(value) not in (int, float) or not low <= value <= high:  # a NaN is in no range
        raise refused(parameter.name, value, allowed(parameter))
    return float(value)


def _integer(parameter: Parameter, value: Any) -> int:
    low, high = _bounds(parameter)
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if not whole or not low <= value <= high:
        raise refused(parameter.name, value, allowed(parameter))
    return int(value)


def _boolean(parameter: Parameter, value: Any) -> bool:
    if type(value) is not bool:
        raise refused(parameter.name, value, allowed(parameter))
    return value


def _tone(parameter: Parameter, value: Any) -> int:
    number = value
    if type(value) is str and (match := _NOTE.fullmatch(value)) is not None:
        letter, accidental, octave = match.groups()
        number = _SEMITONES[letter] + _ACCIDENTALS[accidental] + 12 * (int(octave) + 1)
    low, high = _bounds(parameter)
    if type(number) is not int or not low <= number <= high:
        raise refused(parameter.name, value, allowed(parameter))
    return number


def _color(parameter: Parameter, value: Any) -> tuple[float, float, float]:
    if type(value) not in (list, tuple) or len(value) != 3:
        raise refused(parameter.name, value, allowed(parameter))
    red, green, blue = (arguments.number(parameter.name, part, 0, 1) for part in value)
    return red, green, blue


def _range(parameter: Parameter, value: Any) -> tuple[int, int]:
    low, high = (int(bound) for bound in _bounds(parameter))
    if type(value) not in (list, tuple) or len(value) != 2:
        raise refused(parameter.name, value, allowed(parameter))
    first, second = (arguments.whole_number(parameter.name, part, low, high) for part in value)
    if first > second:
        raise refused(parameter.name, value, allowed(parameter))
    return first, second


def _bounds(parameter: Parameter) -> tuple[float, float]:
    low = -_UNBOUNDED if parameter.minimum is None else parameter.minimum
    high = _UNBOUNDED if parameter.maximum is None else parameter.maximum
    return low, high
