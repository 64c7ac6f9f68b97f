"""Control values against what this camera lists: all of a transaction is right, or none of it is done."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from observatory_camerad.drivers.base import ControlInfo
from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument
from observatory_common.json_file import nearest

MOST_REPEATED = 10
_AF_MANUAL, _AF_AUTO = 0, 1  # libcamera's numbers
_AF_WINDOWS = 1
#: Zero hands these back to auto exposure.
_AUTOMATIC = {"ExposureTime": 0, "AnalogueGain": 0.0}
_PACE = (33333, 33333)  # where neither the config nor the camera says anything
_INT32 = 2**31 - 1
_LARGEST = 1e300  # a whole number of a file may be beyond what a float can hold


def checked(wanted: Any, known: Mapping[str, ControlInfo], in_force: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values as the driver takes them. Raises InvalidArgument, naming control, value and range.

    With the controls `in_force` it is also checked that they can have an effect beside those.
    """
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
    if in_force is not None:
        _check_together(values, {**in_force, **values}, known)
    return values


def fitting(values: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> tuple[dict[str, Any], dict[str, str]]:
    """Of controls from a config or an overlay those that this camera can take, and for the others why not."""
    good: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name, value in values.items():
        try:
            good |= checked({name: _listed(value)}, known)
        except InvalidArgument as error:
            refused[name] = str(error)
    return good, refused


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, (tuple, list)) else value


def long_enough(values: Mapping[str, Any], in_force: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """The same with frames that are long enough for their exposure, if they say nothing of frames."""
    exposure_us, limits = values.get("ExposureTime"), in_force.get("FrameDurationLimits")
    if not exposure_us or limits is None or "FrameDurationLimits" in values or exposure_us <= limits[1]:
        return dict(values)
    return {**exposure_controls(exposure_us, in_force, known), **values}


def settled_values(names: Iterable[str], in_force: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """For each control of some names what is in force, or else its default; exposure and gain go back to auto exposure."""
    values = {name: in_force.get(name, _AUTOMATIC.get(name, known[name].default)) for name in names if name in known}
    return {name: value for name, value in values.items() if value is not None}


def exposure_controls(exposure_us: int, base: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """What a fixed exposure takes: no auto exposure, and frames that are long enough for it; else the usual ones."""
    values: dict[str, Any] = {"ExposureTime": exposure_us}
    if "AeEnable" in known:
        values["AeEnable"] = False
    limits = known.get("FrameDurationLimits")
    if limits is not None:
        usual = _usual_limits(base, limits)
        longest = exposure_us if limits.maximum is None else min(exposure_us, int(limits.maximum))
        values["FrameDurationLimits"] = (usual[0], max(usual[1], longest))
    return values


def automatic_controls(base: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """What takes back a fixed exposure and gain, and the long frames that they needed."""
    values: dict[str, Any] = {name: 0 for name in _AUTOMATIC if name in known}
    limits = known.get("FrameDurationLimits")
    return values if limits is None else {**values, "FrameDurationLimits": list(_usual_limits(base, limits))}


def _usual_limits(base: Mapping[str, Any], limits: ControlInfo) -> tuple[int, int]:
    shortest, longest = base.get("FrameDurationLimits") or limits.default or _PACE
    return int(shortest), int(longest)


def _check_together(values: Mapping[str, Any], all_values: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> None:
    """Raise the first of the conflicts."""
    for _, error in _conflicts(values, all_values, known):
        raise error


def without_conflicts(
    values: Mapping[str, Any], in_force: Mapping[str, Any], known: Mapping[str, ControlInfo]
) -> tuple[dict[str, Any], dict[str, InvalidArgument]]:
    """Of checked values those that go together with one another and with those in force, and for the others why not."""
    good, refused = dict(values), dict[str, InvalidArgument]()
    while (found := next(_conflicts(good, {**in_force, **good}, known), None)) is not None:
        name, error = found
        del good[name]
        refused[name] = error
    return good, refused


def _conflicts(
    values: Mapping[str, Any], all_values: Mapping[str, Any], known: Mapping[str, ControlInfo]
) -> Iterator[tuple[str, InvalidArgument]]:
    """Controls that would be ignored, or cut without a word: which of `values`, and what it needs. Zero means automatic."""
    exposure_us, limits = all_values.get("ExposureTime"), all_values.get("FrameDurationLimits")
    named = [name for name in ("ExposureTime", "FrameDurationLimits") if name in values]
    if exposure_us and limits and exposure_us > limits[1] and named:
        yield (
            named[0],
            _unfit(
                f"an ExposureTime of {exposure_us} us does not fit into frames of {limits[1]} us (FrameDurationLimits)",
                exposure_us,
                f"at most {limits[1]} us, or longer FrameDurationLimits in the same call",
            ),
        )
    if values.get("AeEnable") is True and values.get("ExposureTime") and values.get("AnalogueGain"):
        yield (
            "AeEnable",
            _unfit("AeEnable is true, but ExposureTime and AnalogueGain are fixed", True, "one or the other"),
        )
    if values.get("AwbEnable") is True and "ColourGains" in values:
        yield "ColourGains", _unfit("AwbEnable is true, but ColourGains are fixed", True, "one or the other")
    mode = all_values.get("AfMode", _AF_MANUAL)
    if "AfMode" in known and "LensPosition" in values and mode != _AF_MANUAL:
        message = "LensPosition has no effect while the camera focuses"
        yield "LensPosition", _unfit(message, values["LensPosition"], "with AfMode Manual")
    if "AfWindows" in values and all_values.get("AfMetering") != _AF_WINDOWS:
        message = "AfWindows have no effect in this AfMetering"
        yield "AfWindows", _unfit(message, values["AfWindows"], "with AfMetering Windows")
    if "AfTrigger" in values and mode != _AF_AUTO:
        yield "AfTrigger", _unfit("AfTrigger has no effect in this AfMode", values["AfTrigger"], "with AfMode Auto")
    crop = values.get("ScalerCrop")
    if crop is not None and (crop[2] < 1 or crop[3] < 1):
        yield "ScalerCrop", _unfit(f"ScalerCrop {list(crop)} is empty", list(crop), "a width and height above 0")


def _unfit(message: str, value: Any, allowed: str) -> InvalidArgument:
    return InvalidArgument(f"{message}, expected {allowed}", value=shown(value), allowed=allowed)


def _value(name: str, value: Any, info: ControlInfo) -> Any:
    if isinstance(value, str) and info.values:
        if value not in info.values:
            raise _refused(name, value, info)
        return info.values[value]
    if info.repeated:
        if type(value) is not list or not 1 <= len(value) <= MOST_REPEATED:
            raise _refused(name, value, info)
        return tuple(_numbers(name, group, value, info) for group in value)
    if info.count == 1:
        return _number(name, value, value, info)
    numbers = _numbers(name, value, value, info)
    if name == "FrameDurationLimits" and numbers[0] > numbers[1]:
        raise InvalidArgument(f"{name} is {shown(value)}: the shortest is above the longest", value=shown(value))
    return numbers


def _numbers(name: str, group: Any, value: Any, info: ControlInfo) -> tuple[Any, ...]:
    if type(group) is not list or len(group) != info.count:
        raise _refused(name, value, info)
    return tuple(_number(name, item, value, info) for item in group)


def _number(name: str, item: Any, value: Any, info: ControlInfo) -> Any:
    if info.type == "bool":
        if type(item) is not bool:
            raise _refused(name, value, info)
        return item
    kinds = (int,) if info.type == "int" else (int, float)
    unbounded = _INT32 if info.type == "int" else math.inf  # libcamera's whole numbers have 32 bits
    low = -unbounded if info.minimum is None else info.minimum
    high = unbounded if info.maximum is None else info.maximum
    if name in _AUTOMATIC and type(item) in kinds and item == 0:
        return item if info.type == "int" else 0.0
    if type(item) not in kinds or not low <= item <= high or not abs(item) < _LARGEST:
        raise _refused(name, value, info)
    return item if info.type == "int" else float(item)


def _refused(name: str, value: Any, info: ControlInfo) -> InvalidArgument:
    allowed = allowed_values(info)
    return InvalidArgument(f"{name} is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)


def allowed_values(info: ControlInfo) -> str:
    """What a control takes, in words: "a number from 1.0 to 16.0"."""
    if info.type == "bool":
        return "true or false"
    if info.values:
        return "one of " + ", ".join(f"{word} ({number})" for word, number in info.values.items())
    kind = "a whole number" if info.type == "int" else "a number"
    unit = f" {info.unit}" if info.unit else ""
    allowed = f"{kind} from {info.minimum} to {info.maximum}{unit}"
    if info.count > 1:
        allowed = f"a list of {info.count}, each {allowed}"
    return f"a list of 1 to {MOST_REPEATED}, each {allowed}" if info.repeated else allowed
