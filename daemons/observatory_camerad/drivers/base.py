"""What camerad asks of a camera. Everything above this interface works with every camera that has it.

Names, units and value ranges of controls and metadata are libcamera's: ExposureTime in microseconds, LensPosition in
dioptres, ScalerCrop as (x, y, width, height) in pixels of the whole sensor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

Size = tuple[int, int]  # width, height
Rectangle = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True)
class ControlInfo:
    """A control of one camera: `count` numbers of `type` (int, float, bool); `values` names those of an enumeration.

    A `repeated` one takes a list of 1 to 10 such groups of numbers (AfWindows).
    """

    type: str
    minimum: float | None
    maximum: float | None
    default: Any
    unit: str = ""
    description: str = ""
    count: int = 1
    values: Mapping[str, int] = field(default_factory=dict)
    repeated: bool = False


@dataclass(frozen=True)
class SensorMode:
    """A way in which the sensor can be read out. Durations and exposures are microseconds."""

    size: Size
    bit_depth: int
    format: str
    crop: Rectangle
    shortest_frame_us: int
    exposure_us: tuple[int, int]


@dataclass(frozen=True)
class Capabilities:
    """What a camera is and can do.

    `streams` maps a stream's name (`main`, `lores`, `raw`) to the formats it can have. `features` are words such as
    `autofocus`, `raw`, `bayer`, `hardware_h264`.
    """

    driver: str
    model: str
    location: str
    sensor_size: Size
    pixel_size_um: float | None
    bayer_pattern: str | None
    modes: tuple[SensorMode, ...]
    controls: Mapping[str, ControlInfo]
    streams: Mapping[str, tuple[str, ...]]
    features: frozenset[str]
    #: After so many further frames a changed control is surely in effect, if the driver has taken it.
    control_delay_frames: int = 8

    def mode_of(self, configuration: Configuration) -> SensorMode | None:
        """The sensor mode of a configuration as the driver returned it, if that is known."""
        number = configuration.mode
        return self.modes[number] if number is not None and number < len(self.modes) else None


@dataclass(frozen=True)
class Stream:
    """Size and format of a stream."""

    size: Size
    format: str


@dataclass(frozen=True)
class Configuration:
    """How a camera is set up: its streams by name, the sensor mode's number, buffers, flips.

    A mode of None: any will do, or in what a driver returns, it does not know which.
    """

    streams: Mapping[str, Stream]
    mode: int | None = None
    buffer_count: int = 4
    hflip: bool = False
    vflip: bool = False


class Request(ABC):
    """A completed frame: all its streams and its metadata belong together. Must be released."""

    metadata: Mapping[str, Any]

    @abstractmethod
    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream: rows x columns x 3 for RGB888 and BGR888, rows * 3/2 x columns for YUV420, rows x columns of
        uint16 for raw, in the sensor's numbers. They belong to the caller, also after `release`. Raises KeyError for a
        stream that is not configured."""

    @abstractmethod
    def release(self) -> None:
        """Give its buffers back; `array` must not be called afterwards. May be called twice."""


class CameraDriver(ABC):
    """A camera. Used by one thread, except `interrupt`. Every method ends in bounded time.

    Raises NotConnected when there is no camera, DeviceLost when it has gone, CommandFailed for what it refuses.
    """

    @abstractmethod
    def open(self) -> Capabilities:
        """Find and take the camera."""

    @abstractmethod
    def close(self) -> None:
        """Stop and let go of it. Does nothing to one that is not open."""

    @abstractmethod
    def configure(self, wanted: Configuration, controls: Mapping[str, Any] | None = None) -> Configuration:
        """Set it up as wanted, or as near as it can, and return how. Frames stop and start again, with these controls."""

    @abstractmethod
    def set_controls(self, values: Mapping[str, Any]) -> None:
        """Have controls changed; frames that are under way keep the old values."""

    @abstractmethod
    def next_request(self, timeout_s: float) -> Request | None:
        """The next completed frame, or None if none came within `timeout_s` seconds or `interrupt` was called."""

    @abstractmethod
    def interrupt(self) -> None:
        """Have a waiting `next_request` return soon. May be called from any thread."""
