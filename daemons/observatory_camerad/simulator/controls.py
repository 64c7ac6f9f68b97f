"""The simulated camera's controls, as a Raspberry Pi camera with autofocus lists them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from observatory_camerad.drivers.base import ControlInfo, Rectangle
from observatory_common.errors import CommandFailed

LENS_RANGE = (0.0, 15.0)
#: AfRange: where a scan looks, in dioptres.
AF_RANGES = {0: (0.0, 12.0), 1: (3.0, 15.0), 2: LENS_RANGE}
GAIN_RANGE = (1.0, 16.0)
_AWB_MODES = {
    "Auto": 0,
    "Incandescent": 1,
    "Tungsten": 2,
    "Fluorescent": 3,
    "Indoor": 4,
    "Daylight": 5,
    "Cloudy": 6,
    "Custom": 7,
}
#: Colour temperatures of the AwbModes that are no algorithm.
AWB_TEMPERATURES_K = {1: 2850.0, 2: 3200.0, 3: 4000.0, 4: 3500.0, 5: 5600.0, 6: 6500.0, 7: 5000.0}
_ZERO_IS_AUTOMATIC = ("ExposureTime", "AnalogueGain")


def controls(sensor: Rectangle, exposure_us: tuple[int, int], frame_us: tuple[int, int]) -> dict[str, ControlInfo]:
    """All of them; ranges of exposure and frame duration are those of all modes together."""
    return {
        "AeEnable": ControlInfo("bool", 0, 1, True, description="auto exposure and gain"),
        "AeConstraintMode": _enumeration("what auto exposure protects", Normal=0, Highlight=1, Shadows=2),
        "AeExposureMode": _enumeration("what auto exposure prefers", Normal=0, Short=1, Long=2),
        "AeMeteringMode": _enumeration("where auto exposure looks", CentreWeighted=0, Spot=1, Matrix=2),
        "AeFlickerMode": _enumeration("whether auto exposure avoids the flicker of lamps", Off=0, Manual=1),
        "AeFlickerPeriod": ControlInfo("int", 100, 1_000_000, 10000, "us", "the flicker's period; 10000 for lamps on 50 Hz"),
        "ExposureTime": ControlInfo("int", *exposure_us, 10000, "us", "how long a frame collects light"),
        "ExposureValue": ControlInfo("float", -8.0, 8.0, 0.0, "EV", "how much brighter auto exposure aims"),
        "AnalogueGain": ControlInfo("float", *GAIN_RANGE, 1.0, "", "amplification in the sensor"),
        "FrameDurationLimits": ControlInfo("int", *frame_us, (33333, 33333), "us", "shortest and longest frame", count=2),
        "AwbEnable": ControlInfo("bool", 0, 1, True, description="auto white balance"),
        "AwbMode": _enumeration("which light is assumed", **_AWB_MODES),
        "ColourGains": ControlInfo(
            "float", 0.0, 32.0, (1.5, 1.5), "", "red and blue gain; turns auto white balance off", count=2
        ),
        "Brightness": ControlInfo("float", -1.0, 1.0, 0.0),
        "Contrast": ControlInfo("float", 0.0, 32.0, 1.0),
        "Saturation": ControlInfo("float", 0.0, 32.0, 1.0, description="0 is monochrome"),
        "Sharpness": ControlInfo("float", 0.0, 16.0, 1.0),
        "NoiseReductionMode": _enumeration("how much the picture is smoothed", Off=0, Fast=1, HighQuality=2, Minimal=3, ZSL=4),
        "AfMode": _enumeration("who moves the lens", Manual=0, Auto=1, Continuous=2),
        "AfRange": _enumeration("where a scan looks", Normal=0, Macro=1, Full=2),
        "AfSpeed": _enumeration("how large a scan's steps are", Normal=0, Fast=1),
        "AfMetering": _enumeration("where autofocus looks; without effect on an even field", Auto=0, Windows=1),
        "AfPause": _enumeration("pause continuous autofocus", Immediate=0, Deferred=1, Resume=2),
        "AfTrigger": _enumeration("begin or end a scan", Start=0, Cancel=1),
        "AfWindows": ControlInfo(
            "int", 0, max(sensor[2:]), None, "pixel", "x, y, width, height of each; without effect too", count=4, repeated=True
        ),
        "LensPosition": ControlInfo("float", *LENS_RANGE, 1.0, "dioptre", "0 is infinity, 10 is 0.1 m"),
        "ScalerCrop": ControlInfo("int", 0, max(sensor[2:]), sensor, "pixel", "x, y, width, height on the sensor", count=4),
    }


def require_possible(name: str, value: Any, known: Mapping[str, ControlInfo]) -> None:
    """Raises CommandFailed for a control that is not listed or a value out of its range."""
    info = known.get(name)
    if info is None:
        raise CommandFailed(f"the simulated camera has no control {name}", value=name)
    if name in _ZERO_IS_AUTOMATIC and value == 0:
        return
    groups = value if info.repeated else [value]
    numbers = [number for group in groups for number in (group if isinstance(group, (tuple, list)) else (group,))]
    low = -math.inf if info.minimum is None else info.minimum
    high = math.inf if info.maximum is None else info.maximum
    if len(numbers) != info.count * len(groups) or not all(low <= number <= high for number in numbers):
        allowed = f"{low} to {high}" + (f", {info.count} of them" if info.count > 1 else "")
        raise CommandFailed(f"{name} is {value}, expected {allowed}", value=value, allowed=allowed)


def _enumeration(description: str, **values: int) -> ControlInfo:
    return ControlInfo("int", min(values.values()), max(values.values()), 0, description=description, values=values)
