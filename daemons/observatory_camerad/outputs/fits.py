"""Raw frames, and single planes of pictures, as 16-bit FITS with the header names of INDI's cameras."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from observatory_camerad.acquisition.timing import Exposure, iso
from observatory_camerad.outputs.instrument import Instrument
from observatory_camerad.outputs.metadata import ascii_text, finite, finite_numbers
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PLANES", "Instrument", "encode", "encode_mono"]

PLANES = ("luma", "green")


def encode(pixels: np.ndarray, metadata: Mapping[str, Any], exposure: Exposure, instrument: Instrument) -> bytes:
    """A FITS file of rows x columns of uint16, the numbers as the sensor gave them (BZERO 32768).

    They are not shifted to fill 16 bits, so that they equal the raw array: BITDEPTH and DATAMAX say how far they go.
    """
    return _encoded(
        pixels, metadata, exposure, instrument, ["DATE-OBS is that of the first row; a rolling shutter is later below"]
    )


def encode_mono(
    array: np.ndarray,
    stream_format: str,
    metadata: Mapping[str, Any],
    exposure: Exposure,
    instrument: Instrument,
    plane: str = "luma",
) -> bytes:
    """A FITS file of one plane (one of PLANES) of a picture, for cameras without raw: rows x columns of 0 to 255.

    Its numbers went through the camera's processing, which the header says. Raises CommandFailed.
    """
    import cv2
    import numpy as np

    if stream_format == "YUV420":
        if plane != "luma":
            array = cv2.cvtColor(array, cv2.COLOR_YUV2BGR_I420)[:, :, 1]
        else:
            array = array[: array.shape[0] * 2 // 3]
    elif stream_format in ("RGB888", "BGR888"):  # libcamera's RGB888 has blue first
        blue_first = stream_format == "RGB888"
        code = cv2.COLOR_BGR2GRAY if blue_first else cv2.COLOR_RGB2GRAY
        array = cv2.cvtColor(array, code) if plane == "luma" else array[:, :, 1]
    else:
        raise CommandFailed(f"a picture of format {stream_format} cannot be made FITS", allowed="RGB888, BGR888, YUV420")
    instrument = replace(instrument, bayer_pattern=None, bit_depth=8)
    metadata = {key: value for key, value in metadata.items() if key != "SensorBlackLevels"}
    notes = [f"{plane} of a processed picture: black level subtracted, not linear"]
    return _encoded(array.astype(np.uint16), metadata, exposure, instrument, notes)


def _encoded(
    pixels: np.ndarray, metadata: Mapping[str, Any], exposure: Exposure, instrument: Instrument, notes: list[str]
) -> bytes:
    from astropy.io import fits

    header = fits.Header()
    binning = instrument.binning or max(round(instrument.sensor_width / pixels.shape[1]), 1)
    exposure_us = finite(metadata.get("ExposureTime"))
    cards: list[tuple[str, Any, str]] = [
        ("DATE-OBS", iso(exposure.start_ns), "UTC, start of exposure of the first row"),
        ("DATE-END", iso(exposure.end_ns), "UTC, end of exposure of the first row"),
        ("TIMESYS", "UTC", ""),
        ("TIMESRC", exposure.source, "clock behind DATE-OBS"),
        ("TIMEERR", exposure.error_s, "[s] how sure that is, beside the clock itself"),
        ("EXPTIME", None if exposure_us is None else exposure_us / 1e6, "[s]"),
        ("INSTRUME", ascii_text(instrument.camera), ""),
        ("CAMDRV", ascii_text(instrument.driver), "driver of camerad"),
        ("SWCREATE", f"camerad {ascii_text(instrument.software_version)}", ""),
        ("IMAGETYP", "Light Frame", ""),
        ("ROWORDER", "TOP-DOWN", ""),
        ("XBINNING", binning, ""),
        ("YBINNING", binning, ""),
        ("BITDEPTH", instrument.bit_depth, "bits of the sensor's numbers"),
        ("DATAMAX", (1 << instrument.bit_depth) - 1, "largest number"),
        ("GAIN", finite(metadata.get("AnalogueGain")), "analogue gain"),
        ("CCD-TEMP", finite(metadata.get("SensorTemperature")), "[deg C]"),
        ("LENSPOS", finite(metadata.get("LensPosition")), "[dioptre]"),
    ]
    if instrument.pixel_size_um is not None:
        cards += [(key, instrument.pixel_size_um * binning, "[um]") for key in ("XPIXSZ", "YPIXSZ")]
    if instrument.bayer_pattern is not None:
        cards += [("BAYERPAT", instrument.bayer_pattern, "first two pixels of the first two rows")]
        cards += [("XBAYROFF", 0, ""), ("YBAYROFF", 0, "")]
    levels = finite_numbers(metadata.get("SensorBlackLevels"), 4)
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
    for note in notes:
        header.add_comment(note)
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(buffer, checksum=True)
    return buffer.getvalue()
