"""The simulated sensor's size, modes and formats, and which part of it a picture shows."""

from __future__ import annotations

from collections.abc import Mapping

from observatory_camerad.drivers.base import Configuration, Rectangle, SensorMode, Stream

PATTERN = "RGGB"
SIZE = (2560, 1440)
WHOLE: Rectangle = (0, 0, *SIZE)
LONGEST_EXPOSURE_US = 600_000_000
MODES = (
    SensorMode((1280, 720), 12, "SRGGB12", WHOLE, 8333, (29, LONGEST_EXPOSURE_US)),
    SensorMode(SIZE, 12, "SRGGB12", WHOLE, 33333, (58, LONGEST_EXPOSURE_US)),
)
FORMATS = {"main": ("RGB888", "BGR888", "YUV420"), "lores": ("YUV420", "RGB888", "BGR888"), "raw": ("SRGGB12",)}
SMALLEST_CROP = 64


def fitting_mode(streams: Mapping[str, Stream]) -> int:
    """The number of the smallest mode from which raw, or else main, need not be enlarged; of the largest if there is none."""
    stream = streams.get("raw") or streams.get("main")
    width, height = (0, 0) if stream is None else stream.size
    large_enough = (n for n, mode in enumerate(MODES) if mode.size[0] >= width and mode.size[1] >= height)
    return next(large_enough, len(MODES) - 1)


def flipped_pattern(configuration: Configuration) -> str:
    """The mosaic's first four letters once the picture is flipped."""
    a, b, c, d = list(PATTERN)
    if configuration.hflip:
        a, b, c, d = b, a, d, c
    if configuration.vflip:
        a, b, c, d = c, d, a, b
    return a + b + c + d


def possible_crop(wanted: Rectangle, mode: SensorMode) -> Rectangle:
    """The nearest that can be had: at least 64 x 64 about the same centre, moved and then cut to lie on the sensor as
    libcamera does, in whole mosaic cells of the mode."""
    cell = 2 * SIZE[0] // mode.size[0]
    found = []
    for start, length, end in zip(wanted[:2], wanted[2:], SIZE, strict=True):
        actual = min(max(length, SMALLEST_CROP), end) // cell * cell
        start = max(min(start + (length - actual) // 2 if length < actual else start, end - actual), 0)
        found.append((start // cell * cell, actual))
    (x, width), (y, height) = found
    return x, y, width, height
