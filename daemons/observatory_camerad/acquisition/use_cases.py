"""What the camera is used for, and which uses can share one configuration of it.

A use case asks for one stream. Two of them can be merged if they ask for different streams, or for the same one in the
same size and format, and for the same sensor mode where both name one. The standing configuration holds the live view and
as many others as can be merged with it, so that most shots need no change of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from observatory_camerad.drivers.base import Capabilities, Configuration, Size, Stream
from observatory_common.errors import CommandFailed

#: In the order in which they are merged: the live view first.
USE_CASES = ("live", "photo", "raw", "video")
_LIVE_WIDTH = 640
_VIDEO_WIDTH = 1920


@dataclass(frozen=True)
class UseCase:
    """A use of the camera: its stream, size and format, and the controls that it needs (libcamera's names).

    `mode` is the number of the sensor mode, None where any will do.
    """

    stream: str
    size: Size
    format: str
    mode: int | None = None
    buffer_count: int = 4
    controls: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Transform:
    """Flips of the picture, which hold for all streams."""

    hflip: bool = False
    vflip: bool = False


def merged(cases: Iterable[UseCase], transform: Transform) -> Configuration | None:
    """The configuration in which all of them can be had at once; None if there is none."""
    streams: dict[str, Stream] = {}
    mode, buffer_count = None, 0
    for case in cases:
        wanted = Stream(case.size, case.format)
        if streams.setdefault(case.stream, wanted) != wanted:
            return None
        if case.mode is not None and mode is not None and case.mode != mode:
            return None
        mode = case.mode if mode is None else mode
        buffer_count = max(buffer_count, case.buffer_count)
    if "lores" in streams:
        lores = streams["lores"]
        main = streams.setdefault("main", lores)  # no driver can do without
        if lores.size[0] > main.size[0] or lores.size[1] > main.size[1]:
            return None
    elif "raw" in streams and "main" not in streams:
        streams["main"] = Stream(_scaled(streams["raw"].size, _LIVE_WIDTH), "RGB888")
    return Configuration(streams, mode, buffer_count, transform.hflip, transform.vflip)


def standing(cases: Mapping[str, UseCase], transform: Transform, first: Iterable[str] = ()) -> Configuration:
    """The configuration for the use cases named first, then the live view, and what else can be merged with them.

    Raises CommandFailed if those named first cannot be merged.
    """
    chosen: list[UseCase] = []
    found: Configuration | None = None
    demanded = list(first)
    for name in [*demanded, *(name for name in USE_CASES if name not in demanded)]:
        together = merged([*chosen, cases[name]], transform) if name in cases else None
        if together is not None:
            chosen.append(cases[name])
            found = together
        elif name in demanded:
            raise CommandFailed(f"the use case {name} cannot be had here", value=name, allowed=", ".join(cases))
    if found is None:
        raise CommandFailed("no use case is configured")
    return found


def satisfied(configuration: Configuration, case: UseCase) -> bool:
    """Whether a use case can be had from a configuration as it is."""
    stream = configuration.streams.get(case.stream)
    return stream == Stream(case.size, case.format) and case.mode in (None, configuration.mode)


def defaults(found: Capabilities, configured: Mapping[str, UseCase]) -> dict[str, UseCase]:
    """The use cases of which the config says nothing.

    Live is small and YUV; photo has the largest mode's size; video is what runs on the stream main anyway if that is not
    too large to be encoded, else at most 1920 wide.
    """
    modes = found.modes
    best = max(range(len(modes)), key=lambda n: (modes[n].size[0] * modes[n].size[1], modes[n].bit_depth), default=None)
    whole = modes[best].size if best is not None else found.sensor_size
    pace = _pace(found)
    cases = {
        "live": UseCase("lores", _scaled(whole, _LIVE_WIDTH), "YUV420", controls=pace),
        "photo": UseCase("main", _even(whole), "RGB888", best),
        "video": UseCase("main", _scaled(whole, _VIDEO_WIDTH), "RGB888", controls=pace),
    }
    if "raw" in found.features and best is not None:
        cases["raw"] = UseCase("raw", whole, modes[best].format, best)
    on_main = [case for case in configured.values() if case.stream == "main" and case.size[0] <= _VIDEO_WIDTH]
    if on_main:
        cases["video"] = on_main[0]
    return {name: cases[name] for name in USE_CASES if name in cases and name not in configured}


def _pace(found: Capabilities) -> dict[str, Any]:
    """30 frames a second, unless the camera has one pace of its own, as a film has."""
    limits = found.controls.get("FrameDurationLimits")
    own = limits is not None and isinstance(limits.default, (tuple, list)) and len(set(limits.default)) == 1
    return {} if limits is None or own else {"FrameDurationLimits": (33333, 33333)}


def _scaled(size: Size, width: int) -> Size:
    width = min(width, size[0])
    return _even((width, round(size[1] * width / size[0])))


def _even(size: Size) -> Size:
    return size[0] & ~1, size[1] & ~1
