"""Zoom and pan: rectangles on the sensor."""

from __future__ import annotations

from typing import Any

from observatory_camerad.drivers.base import Capabilities, Rectangle
from observatory_common import arguments
from observatory_common.errors import CommandFailed, InvalidArgument, WindowOutsideSensor

LARGEST_ZOOM = 100.0
_SMALLEST = 16  # pixels, either way


def whole(found: Capabilities) -> Rectangle:
    """What is seen without zoom. Raises CommandFailed for a camera that cannot zoom."""
    info = found.controls.get("ScalerCrop")
    if info is None:
        raise CommandFailed("this camera cannot zoom", value="ScalerCrop", allowed="a camera with the control ScalerCrop")
    default = info.default
    if isinstance(default, (tuple, list)) and len(default) == 4 and default[2] > 0:
        return (int(default[0]), int(default[1]), int(default[2]), int(default[3]))
    return (0, 0, *found.sensor_size)


def rectangle(value: Any, found: Capabilities) -> Rectangle:
    """A crop given as [x, y, width, height] in pixels of the sensor. Raises WindowOutsideSensor, InvalidArgument."""
    whole(found)
    width, height = found.sensor_size
    allowed = f"[x, y, width, height] inside {width}x{height}, at least {_SMALLEST}x{_SMALLEST}"
    if type(value) not in (list, tuple) or len(value) != 4 or any(type(number) is not int for number in value):
        raise InvalidArgument(
            f"crop is {arguments.shown(value)}, expected {allowed}", value=arguments.shown(value), allowed=allowed
        )
    x, y, w, h = value
    if not (0 <= x <= width - w and 0 <= y <= height - h and w >= _SMALLEST and h >= _SMALLEST):
        raise WindowOutsideSensor(f"crop is {list(value)}, expected {allowed}", value=str(list(value)), allowed=allowed)
    return (x, y, w, h)


def zoomed(zoom: float, centre: tuple[float, float], found: Capabilities) -> Rectangle:
    """The part of what is seen without zoom that is `zoom` times smaller each way, about a centre (0 to 1 each way).

    At the border it is moved inside; its aspect is kept.
    """
    x0, y0, width, height = whole(found)
    w = max(round(width / zoom), _SMALLEST)
    h = max(round(height / zoom), _SMALLEST)
    x = min(max(round(x0 + centre[0] * width - w / 2), x0), x0 + width - w)
    y = min(max(round(y0 + centre[1] * height - h / 2), y0), y0 + height - h)
    return (x & ~1, y & ~1, w & ~1, h & ~1)
