"""What files of pixels say of the camera behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MAKES = {"picamera2": "Raspberry Pi", "simulator": "observatory-daemons"}


@dataclass(frozen=True)
class Instrument:
    """What does not change from frame to frame. The pattern is that of the frame's first four pixels as it is written.

    `binning` is in sensor pixels a pixel; None: as if the frame showed the whole width of the sensor.
    """

    camera: str
    driver: str
    software_version: str
    sensor_width: int
    pixel_size_um: float | None
    bayer_pattern: str | None
    bit_depth: int
    site: Mapping[str, float]
    binning: int | None = None

    @property
    def make(self) -> str | None:
        """Who made the camera, as far as the driver tells."""
        return _MAKES.get(self.driver)
