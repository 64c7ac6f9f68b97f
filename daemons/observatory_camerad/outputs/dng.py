"""Raw frames as DNG 1.4, which raw converters read: the sensor's numbers and what they mean."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from observatory_camerad.acquisition.timing import Exposure
from observatory_camerad.outputs.exif import IFD_EXIF, IFD_GPS, exif_tags, gps_tags, start_of
from observatory_camerad.outputs.instrument import Instrument
from observatory_camerad.outputs.metadata import ascii_text, finite_numbers
from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    import numpy as np

_Tags = dict[int, tuple[int, Any]]  # type and value by number
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
_CFA, _LINEAR_RAW = 32803, 34892
_D65 = 21
_COLOURS = {"R": 0, "G": 1, "B": 2}
# linear sRGB to XYZ, both for D65
_SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))


def encode(pixels: np.ndarray, metadata: Mapping[str, Any], exposure: Exposure, instrument: Instrument) -> bytes:
    """A DNG of rows x columns of uint16, uncompressed, the numbers as the sensor gave them.

    Black level, white balance and colour matrix are the frame's own (SensorBlackLevels, ColourGains,
    ColourCorrectionMatrix); without a colour correction the sensor's white-balanced colours are taken for sRGB, which is
    no calibration. Without a Bayer pattern it is a monochrome DNG. Raises CommandFailed.
    """
    import numpy as np
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    if pixels.ndim != 2 or pixels.dtype != np.uint16:
        raise CommandFailed(f"a DNG is made of rows x columns of uint16, not of {pixels.shape} of {pixels.dtype}")
    pattern = instrument.bayer_pattern
    if pattern is not None and sorted(pattern) != ["B", "G", "G", "R"]:
        raise CommandFailed(f"a DNG of the colour pattern {pattern!r} cannot be made", value=pattern, allowed="such as RGGB")
    rows, columns = pixels.shape
    model = ascii_text(instrument.camera) or "camera"
    tags: _Tags = {
        0x00FE: (_LONG, 0),  # NewSubfileType: the picture itself
        0x0100: (_LONG, columns),
        0x0101: (_LONG, rows),
        0x0102: (_SHORT, 16),  # BitsPerSample
        0x0103: (_SHORT, 1),  # Compression: none
        0x0106: (_SHORT, _LINEAR_RAW if pattern is None else _CFA),
        0x0110: (_ASCII, model),
        0x0111: (_LONG, 0),  # StripOffsets, from the end of the directory; Pillow makes it from the file's begin
        0x0112: (_SHORT, 1),  # Orientation
        0x0115: (_SHORT, 1),  # SamplesPerPixel
        0x0116: (_LONG, rows),  # RowsPerStrip
        0x0117: (_LONG, rows * columns * 2),  # StripByteCounts
        0x011C: (_SHORT, 1),  # PlanarConfiguration
        0x0131: (_ASCII, f"camerad {ascii_text(instrument.software_version)}"),
        0x0132: (_ASCII, start_of(exposure)[0]),
        0xC612: (_BYTE, b"\x01\x04\x00\x00"),  # DNGVersion
        0xC613: (_BYTE, b"\x01\x01\x00\x00"),  # DNGBackwardVersion
        0xC614: (_ASCII, model),  # UniqueCameraModel
        0xC61D: (_LONG, (1 << instrument.bit_depth) - 1),  # WhiteLevel
        IFD_EXIF: (_LONG, exif_tags(metadata, exposure, digital=False)),
        **_black_levels(metadata, pattern, instrument.bit_depth),
    }
    if instrument.make is not None:
        tags[0x010F] = (_ASCII, instrument.make)
    if gps := gps_tags(instrument.site, exposure):
        tags[IFD_GPS] = (_LONG, gps)
    if pattern is not None:
        tags.update(_colours(metadata, pattern))
    directory = ImageFileDirectory_v2(b"II\x2a\x00\x08\x00\x00\x00")
    for number, (type, value) in tags.items():
        directory.tagtype[number] = type
        directory[number] = value
    buffer = io.BytesIO()
    directory.save(buffer)
    buffer.write(np.ascontiguousarray(pixels, "<u2").data)
    return buffer.getvalue()


def _black_levels(metadata: Mapping[str, Any], pattern: str | None, bit_depth: int) -> _Tags:
    """SensorBlackLevels are on a 16-bit scale, in the order red, green beside red, green beside blue, blue."""
    known = [max(level, 0.0) / (1 << (16 - bit_depth)) for level in finite_numbers(metadata.get("SensorBlackLevels"), 4)]
    if not known:
        return {}
    if pattern is None:
        return {0xC61A: (_RATIONAL, _rationals(known[:1], 1 << 16))}
    places = []
    for number, letter in enumerate(pattern):
        row = pattern[:2] if number < 2 else pattern[2:]
        places.append({"R": 0, "B": 3}.get(letter, 1 if "R" in row else 2))
    return {
        0xC619: (_SHORT, (2, 2)),  # BlackLevelRepeatDim
        0xC61A: (_RATIONAL, _rationals([known[place] for place in places], 1 << 16)),
    }


def _colours(metadata: Mapping[str, Any], pattern: str) -> _Tags:
    import numpy as np

    tags: _Tags = {
        0x828D: (_SHORT, (2, 2)),  # CFARepeatPatternDim
        0x828E: (_BYTE, bytes(_COLOURS[letter] for letter in pattern)),  # CFAPattern
        0xC65A: (_SHORT, _D65),  # CalibrationIlluminant1
    }
    gains = finite_numbers(metadata.get("ColourGains"), 2)
    balance = np.eye(3)
    if gains and all(0.01 < gain < 100 for gain in gains):
        balance = np.diag((gains[0], 1.0, gains[1]))
        tags[0xC628] = (_RATIONAL, _rationals([1 / gains[0], 1.0, 1 / gains[1]]))  # AsShotNeutral
    correction = np.eye(3)
    terms = finite_numbers(metadata.get("ColourCorrectionMatrix"), 9)
    if terms and max(map(abs, terms)) < 100 and abs(np.linalg.det(np.reshape(terms, (3, 3)))) > 0.01:
        correction = np.reshape(terms, (3, 3))  # without saturation there is no inverse
    # What the frame was balanced for counts as D65: then the converter needs no other illuminant.
    matrix = np.linalg.inv(np.array(_SRGB_TO_XYZ) @ correction @ balance)
    tags[0xC621] = (_SRATIONAL, _rationals(matrix.ravel().tolist(), 10_000))  # ColorMatrix1, from XYZ
    return tags


def _rationals(numbers: list[float], denominator: int = 1_000_000) -> tuple[Any, ...]:
    from PIL.TiffImagePlugin import IFDRational

    return tuple(IFDRational(round(number * denominator), denominator) for number in numbers)
