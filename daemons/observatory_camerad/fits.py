"""Raw frames as 16-bit FITS, with the header names of INDI's cameras."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory_camerad.timing import Exposure, iso

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Instrument:
    """What does not change from frame to frame. The pattern is that of the frame's first four pixels as it is written."""

    camera: str
    driver: str
    software_version: str
    sensor_width: int
    pixel_size_um: float | None
    bayer_pattern: str | None
    bit_depth: int
    site: Mapping[str, float]


def encode(pixels: np.ndarray, metadata: Mapping[str, Any], exposure: Exposure, instrument: Instrument) -> bytes:
    """A FITS file of rows x columns of uint16, the numbers as the sensor gave them (BZERO 32768)."""
    from astropy.io import fits

    header = fits.Header()
    binning = max(round(instrument.sensor_width / pixels.shape[1]), 1)
    cards: list[tuple[str, Any, str]] = [
        ("DATE-OBS", iso(exposure.start_ns), "UTC, start of exposure of the first row"),
        ("DATE-END", iso(exposure.end_ns), "UTC, end of exposure of the first row"),
        ("TIMESYS", "UTC", ""),
        ("TIMESRC", exposure.source, "clock behind DATE-OBS"),
        ("TIMEERR", exposure.error_s, "[s] how sure that is, beside the clock itself"),
        ("EXPTIME", metadata["ExposureTime"] / 1e6, "[s]"),
        ("INSTRUME", instrument.camera, ""),
        ("CAMDRV", instrument.driver, "driver of camerad"),
        ("SWCREATE", f"camerad {instrument.software_version}", ""),
        ("IMAGETYP", "Light Frame", ""),
        ("ROWORDER", "TOP-DOWN", ""),
        ("XBINNING", binning, ""),
        ("YBINNING", binning, ""),
        ("BITDEPTH", instrument.bit_depth, "bits of the sensor's numbers"),
        ("DATAMAX", (1 << instrument.bit_depth) - 1, "largest number"),
        ("GAIN", metadata.get("AnalogueGain"), "analogue gain"),
        ("CCD-TEMP", metadata.get("SensorTemperature"), "[deg C]"),
        ("LENSPOS", metadata.get("LensPosition"), "[dioptre]"),
    ]
    if instrument.pixel_size_um is not None:
        cards += [(key, instrument.pixel_size_um * binning, "[um]") for key in ("XPIXSZ", "YPIXSZ")]
    if instrument.bayer_pattern is not None:
        cards += [("BAYERPAT", instrument.bayer_pattern, "first two pixels of the first two rows")]
        cards += [("XBAYROFF", 0, ""), ("YBAYROFF", 0, "")]
    levels = metadata.get("SensorBlackLevels")
    if levels:
        cards.append(("BLKLEVEL", levels[0] / (1 << (16 - instrument.bit_depth)), "black level in the sensor's numbers"))
    for key, name, unit in (("SITELAT", "latitude", "deg"), ("SITELONG", "longitude", "deg"), ("SITEELEV", "elevation", "m")):
        if name in instrument.site:
            cards.append((key, instrument.site[name], f"[{unit}]"))
    for key, value, comment in cards:
        if value is None:
            header.add_comment(f"{key} not available")
        else:
            header[key] = (value, comment)
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(buffer, checksum=True)
    return buffer.getvalue()
