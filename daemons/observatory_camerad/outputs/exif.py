"""EXIF: what a picture says of itself, put into JPEG and PNG without touching the pixels."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from observatory_camerad.acquisition.timing import Exposure
from observatory_camerad.outputs.instrument import Instrument
from observatory_camerad.outputs.metadata import ascii_text, finite, plain
from observatory_common.errors import CommandFailed

LONGEST = 65533  # what a segment of a JPEG holds
_LONGEST_COMMENT = 48_000
_LONGEST_VALUE = 2_000  # of one key in the comment
_HEADER = b"Exif\0\0"
_LARGEST = 0xFFFFFFFF  # as the numerator of a distance: infinity
IFD_EXIF, IFD_GPS = 0x8769, 0x8825
_PNG = b"\x89PNG\r\n\x1a\n"


def exif_bytes(
    metadata: Mapping[str, Any], exposure: Exposure, instrument: Instrument, software: str, site: Mapping[str, float]
) -> bytes:
    """An EXIF block (b"Exif", two zeros, a TIFF) of at most 65533 bytes; what is not known is left out.

    Times are the start of the exposure in UTC; the sensitivity is 100 times the whole gain, at most 65535; the distance is
    1 / LensPosition in metres; UserComment is the metadata as JSON. `site` has latitude and longitude in degrees, north and
    east positive, and elevation in metres.
    """
    from PIL import Image

    block = Image.Exif()
    texts = {0x010F: instrument.make, 0x0110: instrument.camera, 0x0131: software, 0x0132: start_of(exposure)[0]}
    for number, text in texts.items():
        if text:
            block[number] = ascii_text(text)
    block.get_ifd(IFD_EXIF).update(exif_tags(metadata, exposure))
    if gps := gps_tags(site, exposure):
        block.get_ifd(IFD_GPS).update(gps)
    return bytes(block.tobytes())


def exif_tags(metadata: Mapping[str, Any], exposure: Exposure, digital: bool = True) -> dict[int, Any]:
    """The tags of the EXIF directory, as Pillow takes them; `digital`: the pixels have the digital gain."""
    seconds, microseconds = start_of(exposure)
    tags: dict[int, Any] = {
        0x9000: b"0232",
        0x9003: seconds,
        0x9011: "+00:00",
        0x9286: b"ASCII\0\0\0" + _comment(metadata),
        0x9291: microseconds,
    }
    exposure_us = finite(metadata.get("ExposureTime"))
    if exposure_us is not None and exposure_us > 0:
        tags[0x829A] = _rational(Fraction(exposure_us) / 1_000_000)
    if (speed := _sensitivity(metadata, digital)) is not None:
        tags[0x8827] = speed
    dioptres = finite(metadata.get("LensPosition"))
    if dioptres is not None and dioptres >= 0:
        tags[0x9206] = _rational(1 / Fraction(dioptres) if dioptres * _LARGEST > 1 else Fraction(_LARGEST))
    return tags


def gps_tags(site: Mapping[str, float], exposure: Exposure) -> dict[int, Any]:
    """The tags of the GPS directory, as Pillow takes them; none if the site is not known."""
    latitude, longitude, elevation = (finite(site.get(name)) for name in ("latitude", "longitude", "elevation"))
    if latitude is None or longitude is None:
        return {}
    start = datetime.fromtimestamp(exposure.start_ns // 1_000_000_000, UTC)
    tags: dict[int, Any] = {
        0: b"\x02\x03\x00\x00",
        1: "N" if latitude >= 0 else "S",
        2: _degrees(latitude),
        3: "E" if longitude >= 0 else "W",
        4: _degrees(longitude),
        7: tuple(_rational(Fraction(number)) for number in (start.hour, start.minute, start.second)),
        29: start.strftime("%Y:%m:%d"),
    }
    if elevation is not None:
        tags[5] = b"\x00" if elevation >= 0 else b"\x01"
        tags[6] = _rational(Fraction(round(abs(elevation) * 100), 100))
    return tags


def start_of(exposure: Exposure) -> tuple[str, str]:
    """The start of an exposure as EXIF has it: `2026:01:02 03:04:05` and the microseconds, UTC."""
    whole_s, rest_ns = divmod(exposure.start_ns, 1_000_000_000)
    return datetime.fromtimestamp(whole_s, UTC).strftime("%Y:%m:%d %H:%M:%S"), f"{rest_ns // 1000:06d}"


def _sensitivity(metadata: Mapping[str, Any], digital: bool) -> int | None:
    """100 times the gain (of the sensor, or with the digital one), at most what EXIF holds; None if it is not known."""
    analogue, factor = finite(metadata.get("AnalogueGain")), finite(metadata.get("DigitalGain"))
    if analogue is None or analogue <= 0:
        return None
    gain = analogue * factor if digital and factor is not None and factor > 0 else analogue
    return max(round(min(gain * 100, 65535)), 1)


def with_exif(picture: bytes, block: bytes) -> bytes:
    """The same JPEG or PNG with another EXIF block; its pixels are not touched. Raises CommandFailed."""
    if not block.startswith(_HEADER) or len(block) > LONGEST:
        raise CommandFailed(
            f"an EXIF block of {len(block)} bytes cannot be used", value=len(block), allowed=f"at most {LONGEST} bytes"
        )
    if picture.startswith(_PNG):
        return _png_with_exif(picture, block[len(_HEADER) :])
    if not picture.startswith(b"\xff\xd8"):
        raise CommandFailed(f"EXIF needs a JPEG or PNG; this begins with {picture[:8].hex()}", allowed="a JPEG or PNG")
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    return b"".join((picture[:2], segment, *_jpeg_without_exif(picture)))


def _jpeg_without_exif(picture: bytes) -> list[bytes]:
    """What follows the start of the image, without EXIF that some cameras write themselves."""
    at, kept = 2, []
    while picture[at : at + 1] == b"\xff" and 0xE0 <= picture[at + 1] <= 0xEF:
        end = at + 2 + int.from_bytes(picture[at + 2 : at + 4], "big")
        if not (picture[at + 1] == 0xE1 and picture.startswith(_HEADER, at + 4)):
            kept.append(picture[at:end])
        at = end
    return [*kept, picture[at:]]


def _png_with_exif(picture: bytes, tiff: bytes) -> bytes:
    chunk = b"eXIf" + tiff
    after_header = len(_PNG) + 25
    written = len(tiff).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return picture[:after_header] + written + picture[after_header:]


def _comment(metadata: Mapping[str, Any]) -> bytes:
    """The metadata as one line of JSON, without values that are too long (statistics), so that it always fits."""
    kept: dict[str, Any] = {}
    size = 2
    for key, value in plain(metadata).items():
        length = len(json.dumps({key: value}))
        if length <= _LONGEST_VALUE and size + length <= _LONGEST_COMMENT:
            kept[key] = value
            size += length
    return json.dumps(kept, allow_nan=False).encode("ascii")


def _degrees(angle: float) -> tuple[Any, Any, Any]:
    """Degrees, minutes and seconds, to 0.1 milliseconds of arc."""
    minutes, parts = divmod(round(abs(angle) * 36_000_000), 600_000)
    return tuple(_rational(part) for part in (Fraction(minutes // 60), Fraction(minutes % 60), Fraction(parts, 10_000)))


def _rational(number: Fraction) -> Any:
    """A number from 0 as two of 32 bits, as near as they allow."""
    from PIL.TiffImagePlugin import IFDRational

    number = min(number, Fraction(_LARGEST))
    number = number.limit_denominator(max(_LARGEST // (int(number) + 1), 1))
    return IFDRational(number.numerator, number.denominator)
