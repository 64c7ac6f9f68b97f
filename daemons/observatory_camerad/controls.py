"""Control values against what this camera lists: all of a transaction is right, or none of it is done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from observatory_camerad.drivers.base import ControlInfo
from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument
from observatory_common.json_file import nearest


def checked(wanted: Any, known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """The values as the driver takes them. Raises InvalidArgument, naming control, value and range."""
    if type(wanted) is not dict or not wanted:
        raise InvalidArgument(f"controls are {shown(wanted)}, expected names and values", value=shown(wanted))
    values = {}
    for name, value in wanted.items():
        info = known.get(name)
        if info is None:
            hint = nearest(name, known)
            raise InvalidArgument(
                f"this camera has no control {shown(name)}{hint}", value=shown(name), allowed=", ".join(known)
            )
        values[name] = _value(name, value, info)
    return values


def _value(name: str, value: Any, info: ControlInfo) -> Any:
    if isinstance(value, str) and info.values:
        if value not in info.values:
            raise _refused(name, value, info)
        return info.values[value]
    if info.count == 1:
        return _number(name, value, value, info)
    if type(value) is not list or len(value) != info.count:
        raise _refused(name, value, info)
    numbers = tuple(_number(name, item, value, info) for item in value)
    if name == "FrameDurationLimits" and numbers[0] > numbers[1]:
        raise InvalidArgument(f"{name} is {shown(value)}: the shortest is above the longest", value=shown(value))
    return numbers


def _number(name: str, item: Any, value: Any, info: ControlInfo) -> Any:
    if info.type == "bool":
        if type(item) is not bool:
            raise _refused(name, value, info)
        return item
    kinds = (int,) if info.type == "int" else (int, float)
    low = -math.inf if info.minimum is None else info.minimum
    high = math.inf if info.maximum is None else info.maximum
    if type(item) not in kinds or not low <= item <= high or not math.isfinite(item):
        raise _refused(name, value, info)
    return item if info.type == "int" else float(item)


def _refused(name: str, value: Any, info: ControlInfo) -> InvalidArgument:
    if info.type == "bool":
        allowed = "true or false"
    elif info.values:
        allowed = "one of " + ", ".join(f"{word} ({number})" for word, number in info.values.items())
    else:
        kind = "a whole number" if info.type == "int" else "a number"
        unit = f" {info.unit}" if info.unit else ""
        allowed = f"{kind} from {info.minimum} to {info.maximum}{unit}"
        if info.count > 1:
            allowed = f"a list of {info.count}, each {allowed}"
    return InvalidArgument(f"{name} is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)
