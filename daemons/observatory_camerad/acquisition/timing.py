"""When a frame was exposed, in UTC, from what the camera says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from observatory_common.timestamps import boot_and_wall_ns

_AGREE_NS = 1_000_000_000


@dataclass(frozen=True)
class Clocks:
    """The system's clocks at one instant, in nanoseconds: since 1970, and since the boot."""

    wall_ns: int
    boot_ns: int

    @classmethod
    def now(cls) -> Clocks:
        """Both, as near to one instant as can be had."""
        boot_ns, wall_ns = boot_and_wall_ns()
        return cls(wall_ns, boot_ns)


@dataclass(frozen=True)
class Exposure:
    """Start and end of an exposure in nanoseconds since 1970, which clock says so, and how sure that is.

    `start_boot_ns` is its start since the boot: that clock is never set.
    """

    start_ns: int
    end_ns: int
    source: str
    error_s: float
    start_boot_ns: int


def exposure(metadata: Mapping[str, Any], clocks: Clocks) -> Exposure:
    """The exposure of a frame's first row; `clocks` as read soon after the frame came.

    SensorTimestamp (boot clock) and FrameWallClock (UTC) mark the start of the readout, which is the end of the
    exposure (raspberrypi/picamera2 issues 787 and 821). FrameWallClock was in microseconds before mid-2025 and is absent
    on older libcamera, so it is believed only where it agrees with the boot clock. Where the camera does not say how long
    it exposed (USB cameras), start and end are one, and the error is a frame's duration.
    """
    exposure_ns = round((metadata.get("ExposureTime") or 0) * 1000)
    error_s = 0.001 if exposure_ns else metadata.get("FrameDuration", 0) / 1e6 + 0.001
    boot_ns, wall = metadata.get("SensorTimestamp"), metadata.get("FrameWallClock")
    by_boot = clocks.wall_ns if boot_ns is None else clocks.wall_ns - (clocks.boot_ns - boot_ns)
    for candidate in () if wall is None else (wall, wall * 1000):
        if abs(candidate - by_boot) < _AGREE_NS:
            since_boot_ns = candidate - clocks.wall_ns + clocks.boot_ns if boot_ns is None else boot_ns
            return Exposure(candidate - exposure_ns, candidate, "FrameWallClock", error_s, since_boot_ns - exposure_ns)
    if boot_ns is not None:
        return Exposure(by_boot - exposure_ns, by_boot, "CLOCK_BOOTTIME", error_s, boot_ns - exposure_ns)
    frame_ns = round(metadata.get("FrameDuration", 0) * 1000)  # between its end and now lies at least its own transfer
    end_ns, start_boot_ns = by_boot - frame_ns, clocks.boot_ns - frame_ns - exposure_ns
    return Exposure(end_ns - exposure_ns, end_ns, "system clock", 0.1 + frame_ns / 1e9, start_boot_ns)


def iso(moment_ns: int) -> str:
    """As FITS has it: UTC without a zone, to the microsecond."""
    whole_s, rest_ns = divmod(moment_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(whole_s, UTC) + timedelta(microseconds=round(rest_ns / 1000))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
