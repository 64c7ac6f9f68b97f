"""Which encoder makes a file of which ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from observatory_camerad.acquisition.timing import Exposure
from observatory_camerad.drivers.base import Stream
from observatory_camerad.outputs import dng, encoding, exif, fits
from observatory_camerad.outputs.instrument import Instrument
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

PHOTO_FORMATS = ("jpg", "png", "tiff", "bmp", "fits")
RAW_FORMATS = ("fits", "dng")

Encoder = Callable[[], bytes]


def picture_encoder(
    ending: str, pixels: np.ndarray, stream_format: str, metadata: Mapping[str, Any], times: Exposure, instrument: Instrument
) -> Encoder:
    """Of a picture: with EXIF where the format has it; `fits` is its luma, 16 bits."""
    if ending == "fits":
        scaled = replace(instrument, binning=None)
        return lambda: fits.encode_mono(pixels, stream_format, metadata, times, scaled)

    def encode() -> bytes:
        block = exif.exif_bytes(metadata, times, instrument, f"camerad {instrument.software_version}", instrument.site)
        return encoding.encode(pixels, stream_format, ending, exif=block)

    return encode


def raw_encoder(
    ending: str, pixels: np.ndarray, stream: Stream, metadata: Mapping[str, Any], times: Exposure, instrument: Instrument
) -> Encoder:
    """Of a raw frame; its pixels are cut to the stream's size, the padding of rows with them. Raises CommandFailed."""
    cut = pixels[: stream.size[1], : stream.size[0]]
    if instrument.bayer_pattern is not None:
        instrument = replace(instrument, bayer_pattern=stream.format[1:5])
    if ending == "fits":
        return lambda: fits.encode(cut, metadata, times, instrument)
    if ending == "dng":
        return lambda: dng.encode(cut, metadata, times, instrument)
    raise CommandFailed(f"a raw frame cannot be written as {ending}", value=ending, allowed=", ".join(RAW_FORMATS))
