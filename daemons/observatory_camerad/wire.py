"""The camera's abilities and settings as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from observatory_camerad.acquisition.use_cases import UseCase, satisfied
from observatory_camerad.drivers.base import Capabilities, Configuration
from observatory_camerad.outputs.metadata import plain

_NANOSECONDS = frozenset({"SensorTimestamp", "FrameWallClock"})


def capabilities(found: Capabilities) -> dict[str, Any]:
    """Model, sensor, modes, streams, features."""
    return {
        "driver": found.driver,
        "model": found.model,
        "location": found.location,
        "sensor_size": found.sensor_size,
        "pixel_size_um": found.pixel_size_um,
        "bayer_pattern": found.bayer_pattern,
        "modes": [
            {
                "size": mode.size,
                "bit_depth": mode.bit_depth,
                "format": mode.format,
                "crop": mode.crop,
                "shortest_frame_us": mode.shortest_frame_us,
                "exposure_us": mode.exposure_us,
            }
            for mode in found.modes
        ],
        "streams": dict(found.streams),
        "features": sorted(found.features),
    }


def controls(found: Capabilities, in_force: Mapping[str, Any]) -> dict[str, Any]:
    """Each control's type, range, default, unit, names of values, and what it is set to (None: its default)."""
    return {
        name: {
            "type": info.type,
            "count": info.count,
            "repeated": info.repeated,
            "minimum": info.minimum,
            "maximum": info.maximum,
            "default": info.default,
            "unit": info.unit,
            "description": info.description,
            "values": dict(info.values),
            "value": in_force.get(name),
        }
        for name, info in found.controls.items()
    }


def metadata(found: Mapping[str, Any]) -> dict[str, Any]:
    """A frame's metadata: clocks of nanoseconds become whole microseconds, which every client's numbers can hold.

    SensorTimestamp is then `SensorTimestamp_us`, FrameWallClock `FrameWallClock_us`. Files keep libcamera's own.
    """
    wired: dict[str, Any] = {}
    for name, value in found.items():
        if name in _NANOSECONDS and isinstance(value, int):
            wired[f"{name}_us"] = value // 1000
        else:
            wired[name] = plain(value)
    return wired


def use_case(case: UseCase, running: Configuration | None) -> dict[str, Any]:
    """A use case, and whether it can be had from the running configuration without changing it."""
    return {
        "stream": case.stream,
        "size": case.size,
        "format": case.format,
        "mode": case.mode,
        "buffer_count": case.buffer_count,
        "controls": dict(case.controls),
        "running": running is not None and satisfied(running, case),
    }
