"""A completed frame as everything above the driver sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from observatory_camerad.acquisition.timing import Clocks, Exposure, exposure
from observatory_camerad.drivers.base import Configuration, Request

if TYPE_CHECKING:
    import numpy as np


class Frame:
    """Pixels and metadata of one request, which belong together. `array` is for the camera's thread only.

    `number` counts the frames of this run of the daemon from 1.
    """

    def __init__(self, request: Request, configuration: Configuration, number: int) -> None:
        self.metadata: Mapping[str, Any] = request.metadata
        self.configuration = configuration
        self.number = number
        self._request = request
        self._clocks = Clocks.now()
        self._arrays: dict[str, np.ndarray] = {}

    def array(self, stream: str) -> np.ndarray:
        """The pixels of a stream, made once however many ask: nobody may write to them, anybody may keep them.

        Raises KeyError for a stream that is not configured.
        """
        if stream not in self._arrays:
            pixels = self._request.array(stream)
            pixels.flags.writeable = False
            self._arrays[stream] = pixels
        return self._arrays[stream]

    @property
    def exposure(self) -> Exposure:
        """When it was exposed."""
        return exposure(self.metadata, self._clocks)

    @property
    def timestamp_us(self) -> int:
        """When it ended, on the boot clock."""
        return int(self.metadata.get("SensorTimestamp", self._clocks.boot_ns)) // 1000

    @property
    def duration_s(self) -> float:
        """From the start of this frame to that of the next."""
        return float(self.metadata.get("FrameDuration", 100_000)) / 1e6
