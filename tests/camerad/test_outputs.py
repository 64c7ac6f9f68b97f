"""What pictures say of themselves: EXIF in JPEG, PNG and TIFF, and DNG as a raw converter reads it."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import rawpy
import tifffile
from astropy.io import fits as astropy_fits
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from observatory_camerad.acquisition.timing import Exposure
from observatory_camerad.outputs import dng, encoding, exif, fits
from observatory_camerad.outputs.instrument import Instrument
from observatory_camerad.outputs.metadata import strict_json
from observatory_common.errors import CommandFailed

TIMES = Exposure(1_800_000_000_123_456_789, 1_800_000_000_373_456_789, "FrameWallClock", 0.001, 5_000_000_000)
SITE = {"latitude": -28.7606, "longitude": 17.8816, "elevation": 2396.1}
INSTRUMENT = Instrument("imx477", "picamera2", "1.2.3", 4056, 1.55, "RGGB", 12, SITE)
METADATA: dict[str, Any] = {
    "ExposureTime": 250_000,
    "AnalogueGain": 4.0,
    "DigitalGain": 1.5,
    "LensPosition": 2.5,
    "ColourGains": (2.0, 1.6),
    "SensorBlackLevels": (4096, 4112, 4128, 4144),  # red, green beside red, green beside blue, blue; 16 bits
}
PICTURE = np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8)


def block(metadata: dict[str, Any] = METADATA, site: dict[str, float] = SITE) -> bytes:
    return exif.exif_bytes(metadata, TIMES, INSTRUMENT, "camerad 1.2.3", site)


def directories(data: bytes) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """The main, EXIF and GPS tags of a picture or an EXIF block, by Pillow."""
    found = Image.Exif()
    if data.startswith(b"Exif"):
        found.load(data)
    else:
        found = Image.open(io.BytesIO(data)).getexif()
    return dict(found), dict(found.get_ifd(exif.IFD_EXIF)), dict(found.get_ifd(exif.IFD_GPS))


def comment(inner: dict[int, Any]) -> dict[str, Any]:
    assert inner[0x9286][:8] == b"ASCII\0\0\0"
    return json.loads(inner[0x9286][8:])


def test_exif_says_when_where_and_how() -> None:
    main, inner, gps = directories(block())
    assert (main[0x010F], main[0x0110], main[0x0131]) == ("Raspberry Pi", "imx477", "camerad 1.2.3")
    assert (inner[0x9003], inner[0x9291], inner[0x9011]) == ("2027:01:15 08:00:00", "123456", "+00:00")
    assert (inner[0x829A], inner[0x8827], inner[0x9206]) == (0.25, 600, 0.4)
    assert comment(inner) == json.loads(strict_json(METADATA))
    assert (gps[1], gps[3], gps[6], gps[7]) == ("S", "E", pytest.approx(2396.1), (8, 0, 0))
    for angle, parts in ((28.7606, gps[2]), (17.8816, gps[4])):
        assert float(parts[0] + parts[1] / 60 + parts[2] / 3600) == pytest.approx(angle, abs=1e-7)


def test_another_reader_finds_the_same_types() -> None:
    """tifffile, which has none of Pillow's code."""
    picture = encoding.encode(PICTURE, "RGB888", "tiff", exif=block())
    with tifffile.TiffFile(io.BytesIO(picture)) as file:
        tags = file.pages.first.tags
        assert tags["Make"].value == "Raspberry Pi"
        assert tags["ExifTag"].value["ExposureTime"] == (1, 4)
        assert tags["ExifTag"].value["ISOSpeedRatings"] == 600
        assert tags[exif.IFD_GPS].value["GPSLatitudeRef"] == "S"
        assert file.pages.first.tags["StripOffsets"].value


@pytest.mark.parametrize(
    ("metadata", "tag", "expected"),
    [
        ({"AnalogueGain": 1000.0}, 0x8827, 65535),
        ({"AnalogueGain": 1e300, "DigitalGain": 1e300}, 0x8827, 65535),
        ({"AnalogueGain": 0.001}, 0x8827, 1),
        ({"AnalogueGain": 0}, 0x8827, None),
        ({"AnalogueGain": math.nan}, 0x8827, None),
        ({"AnalogueGain": 2, "DigitalGain": math.inf}, 0x8827, 200),
        ({"ExposureTime": 1}, 0x829A, 1e-6),
        ({"ExposureTime": 600_000_000}, 0x829A, 600),
        ({"ExposureTime": 1e30}, 0x829A, 4294967295),
        ({"ExposureTime": 0}, 0x829A, None),
        ({"ExposureTime": "long"}, 0x829A, None),
        ({"LensPosition": 0.0}, 0x9206, 4294967295),
        ({"LensPosition": 1e-30}, 0x9206, 4294967295),
        ({"LensPosition": 1e30}, 0x9206, pytest.approx(0, abs=1e-6)),
        ({"LensPosition": -1.0}, 0x9206, None),
        ({"LensPosition": np.float32(0.5)}, 0x9206, 2),
        ({}, 0x829A, None),
    ],
)
def test_no_value_breaks_exif(metadata: dict[str, Any], tag: int, expected: Any) -> None:
    assert directories(block(metadata, {}))[1].get(tag) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["ExposureTime", "AnalogueGain", "DigitalGain", "LensPosition", "ColourGains", "SensorBlackLevels", "x"]
        ),
        st.one_of(st.none(), st.floats(), st.integers(), st.text(max_size=5), st.lists(st.floats(), max_size=4), st.binary()),
    ),
    st.fixed_dictionaries({}, optional={name: st.floats(-180, 180) for name in SITE}),
)
def test_exif_dng_and_fits_of_whatever_a_camera_says(metadata: dict[str, Any], site: dict[str, float]) -> None:
    directories(exif.with_exif(encoding.encode(PICTURE, "RGB888"), block(metadata, site)))
    pixels = raw_pixels(4, 6)
    with tifffile.TiffFile(io.BytesIO(dng.encode(pixels, metadata, TIMES, replace(INSTRUMENT, site=site)))) as file:
        assert np.array_equal(file.pages.first.asarray(), pixels)
    fits.encode(pixels, metadata, TIMES, INSTRUMENT)


def test_big_metadata_do_not_break_the_segment() -> None:
    metadata = {"Statistics": b"x" * 100_000, "text": "é" * 300, "Gain": 1, **{f"key{n}": "a" * 1900 for n in range(100)}}
    data = block(metadata)
    assert len(data) <= exif.LONGEST
    found = comment(directories(data)[1])
    assert found["Gain"] == 1
    assert found["text"] == "é" * 300
    assert "Statistics" not in found


@pytest.mark.parametrize("format", ["jpg", "png", "tiff"])
def test_the_pixels_are_those_without_exif(format: str) -> None:
    without = encoding.encode(PICTURE, "RGB888", format)
    data = encoding.encode(PICTURE, "RGB888", format, exif=block())
    assert np.array_equal(*(cv2.imdecode(np.frombuffer(x, np.uint8), cv2.IMREAD_COLOR) for x in (without, data)))
    assert np.array_equal(*(np.asarray(Image.open(io.BytesIO(x))) for x in (without, data)))
    main, inner, gps = directories(data)
    assert (main[0x0110], inner[0x8827], gps[1]) == ("imx477", 600, "S")
    if format != "jpg":
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)))[:, :, ::-1], PICTURE)
    else:
        assert data.endswith(without[2:])


def test_bmp_has_no_exif() -> None:
    assert encoding.encode(PICTURE, "RGB888", "bmp", exif=block()) == encoding.encode(PICTURE, "RGB888", "bmp")


def test_exif_of_the_camera_itself_is_replaced() -> None:
    once = exif.with_exif(encoding.encode(PICTURE, "RGB888"), block({"AnalogueGain": 1.0}))
    twice = exif.with_exif(once, block({"AnalogueGain": 2.0}))
    assert directories(twice)[1][0x8827] == 200
    assert twice.count(b"Exif\0\0") == 1


@pytest.mark.parametrize("picture", [b"", b"BM", b"\xff\xd8", b"GIF89a"])
def test_what_is_no_picture_is_refused_or_left(picture: bytes) -> None:
    if picture == b"\xff\xd8":
        assert exif.with_exif(picture, block()).startswith(b"\xff\xd8\xff\xe1")
        return
    with pytest.raises(CommandFailed, match="EXIF needs a JPEG or PNG"):
        exif.with_exif(picture, block())


def test_a_block_that_is_too_long_is_refused() -> None:
    for bad in (b"Exif\0\0" + bytes(65528), b"II*\0"):
        with pytest.raises(CommandFailed, match="EXIF block of"):
            exif.with_exif(b"\xff\xd8\xff\xd9", bad)


def test_a_picture_that_cannot_be_encoded_is_a_failed_command() -> None:
    with pytest.raises(CommandFailed, match="could not be encoded"):
        encoding.encode(np.zeros((0, 0, 3), np.uint8), "RGB888")


# DNG


def raw_pixels(rows: int = 90, columns: int = 160, bits: int = 12) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 1 << bits, (rows, columns), np.uint16)


@pytest.mark.parametrize("pattern", ["RGGB", "GRBG", "GBRG", "BGGR"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_raw_converter_reads_a_dng(pattern: str, bits: int) -> None:
    pixels = raw_pixels(bits=bits)
    data = dng.encode(pixels, METADATA, TIMES, replace(INSTRUMENT, bayer_pattern=pattern, bit_depth=bits))
    with rawpy.imread(io.BytesIO(data)) as raw:
        assert np.array_equal(raw.raw_image, pixels)
        letters = raw.color_desc.decode()
        assert "".join(letters[index] for index in raw.raw_pattern.ravel()) == pattern
        assert raw.white_level == (1 << bits) - 1
        assert raw.camera_whitebalance[:3] == pytest.approx([2.0, 1.0, 1.6], rel=1e-4)
        blacks = {"R": 4096, "B": 4144}
        for place, letter in enumerate(pattern):
            beside_red = "R" in pattern[place // 2 * 2 :][:2]
            expected = blacks.get(letter, 4112 if beside_red else 4128) / (1 << (16 - bits))
            index = raw.raw_pattern.ravel()[place]
            assert raw.black_level_per_channel[index] == pytest.approx(expected, abs=1), (letter, beside_red)
        picture = raw.postprocess(use_camera_wb=True, no_auto_bright=True)
        assert picture.shape == (90, 160, 3)
        assert (raw.other.iso_speed, raw.other.shutter_speed) == (400, 0.25)


def test_a_grey_scene_is_grey_and_black_is_black() -> None:
    pixels = np.empty((64, 64), np.uint16)
    for place, level in enumerate((256 + 800, 257 + 1600, 258 + 1600, 259 + 1000)):  # RGGB, lit as ColourGains say
        pixels[place // 2 :: 2, place % 2 :: 2] = level
    correction = (1.8, -0.6, -0.2, -0.3, 1.5, -0.2, 0.1, -0.7, 1.6)
    for extra in ({}, {"ColourCorrectionMatrix": correction}, {"ColourCorrectionMatrix": (1 / 3,) * 9}):
        data = dng.encode(pixels, {**METADATA, **extra}, TIMES, INSTRUMENT)
        with rawpy.imread(io.BytesIO(data)) as raw:
            picture = raw.postprocess(use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16)
        means = picture[8:-8, 8:-8].reshape(-1, 3).mean(axis=0)
        assert np.ptp(means) < 0.01 * means.mean()


def test_the_colour_matrix_is_that_of_the_camera() -> None:
    """Pure red light of sRGB, as this sensor sees it by its own correction, comes out as red."""
    correction = np.array([[1.8, -0.6, -0.2], [-0.3, 1.5, -0.2], [0.1, -0.7, 1.6]])
    balanced = np.linalg.inv(correction) @ [0.5, 0.05, 0.05]
    seen = balanced / (METADATA["ColourGains"][0], 1.0, METADATA["ColourGains"][1])
    pixels = np.empty((64, 64), np.uint16)
    for place, (channel, black) in enumerate(((0, 256), (1, 257), (1, 258), (2, 259))):
        pixels[place // 2 :: 2, place % 2 :: 2] = round(black + seen[channel] * (4095 - 256))
    data = dng.encode(pixels, {**METADATA, "ColourCorrectionMatrix": correction.ravel().tolist()}, TIMES, INSTRUMENT)
    with rawpy.imread(io.BytesIO(data)) as raw:
        picture = raw.postprocess(use_camera_wb=True, no_auto_bright=True, gamma=(1, 1), output_bps=16)
    red, green, blue = picture[8:-8, 8:-8].reshape(-1, 3).mean(axis=0)
    assert green / red == pytest.approx(0.1, abs=0.02)
    assert blue / red == pytest.approx(0.1, abs=0.02)


def test_a_monochrome_dng() -> None:
    pixels = raw_pixels()
    data = dng.encode(pixels, METADATA, TIMES, replace(INSTRUMENT, bayer_pattern=None, camera="OV9281"))
    with rawpy.imread(io.BytesIO(data)) as raw:
        assert np.array_equal(raw.raw_image, pixels)
        assert raw.num_colors == 1
        assert (raw.white_level, raw.black_level_per_channel[0]) == (4095, 256)
        assert raw.postprocess().shape[:2] == (90, 160)


@pytest.mark.parametrize("metadata", [{}, {"ColourGains": (0, math.nan), "SensorBlackLevels": (1,), "ExposureTime": -1}])
def test_a_dng_of_a_camera_that_says_little(metadata: dict[str, Any]) -> None:
    pixels = raw_pixels(3, 5)
    data = dng.encode(pixels, metadata, TIMES, replace(INSTRUMENT, driver="other", camera="Größe", site={}))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        assert np.array_equal(page.asarray(), pixels)
        assert page.tags["UniqueCameraModel"].value == "Gr??e"
        assert bytes(page.tags["DNGVersion"].value) == b"\x01\x04\x00\x00"
        assert page.tags["DateTime"].value == "2027:01:15 08:00:00"
        for absent in ("Make", "BlackLevel", "AsShotNeutral", exif.IFD_GPS):
            assert absent not in page.tags


def test_a_frame_that_lies_scattered_in_memory() -> None:
    pixels = raw_pixels(90, 200)[::1, 20:180]
    assert not pixels.flags.c_contiguous
    with rawpy.imread(io.BytesIO(dng.encode(pixels, METADATA, TIMES, INSTRUMENT))) as raw:
        assert np.array_equal(raw.raw_image, pixels)


@pytest.mark.parametrize(
    ("pixels", "pattern"),
    [(np.zeros((4, 4), np.uint8), "RGGB"), (np.zeros((4, 4, 3), np.uint16), None), (np.zeros((4, 4), np.uint16), "RGB")],
)
def test_what_is_no_raw_frame_is_refused(pixels: np.ndarray, pattern: str | None) -> None:
    with pytest.raises(CommandFailed, match="a DNG"):
        dng.encode(pixels, {}, TIMES, replace(INSTRUMENT, bayer_pattern=pattern))


# FITS of one plane


@pytest.mark.parametrize("plane", fits.PLANES)
@pytest.mark.parametrize("format", ["RGB888", "BGR888", "YUV420"])
def test_a_fits_of_one_plane_of_a_picture(format: str, plane: str) -> None:
    bgr = np.repeat(np.repeat(np.random.default_rng(3).integers(0, 256, (30, 40, 1), np.uint8), 2, 0), 2, 1).repeat(3, 2)
    array = {"RGB888": bgr, "BGR888": bgr[:, :, ::-1], "YUV420": cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)}[format]
    instrument = replace(INSTRUMENT, driver="v4l2", camera="Caméra " * 20, pixel_size_um=None, binning=2)
    metadata = {"SensorTemperature": math.nan, "SensorBlackLevels": (4096,) * 4}
    data = fits.encode_mono(array, format, metadata, TIMES, instrument, plane)
    with astropy_fits.open(io.BytesIO(data), checksum=True) as file:
        header = file[0].header
        expected = bgr[:, :, 1].astype(float)
        found = file[0].data
        assert found.dtype == np.uint16
        if (format, plane) == ("YUV420", "luma"):  # 16 to 235
            expected = 16 + expected * 219 / 255
        assert np.abs(found - expected).max() <= 3
        assert not {"BAYERPAT", "XBAYROFF", "BLKLEVEL", "EXPTIME"} & set(header)
        assert (header["BITDEPTH"], header["DATAMAX"], header["XBINNING"]) == (8, 255, 2)
        assert "EXPTIME not available" in str(header["COMMENT"])
        assert f"{plane} of a processed picture" in str(header["COMMENT"])


def test_a_picture_of_another_format_cannot_be_one_plane() -> None:
    with pytest.raises(CommandFailed, match="MJPEG cannot be made FITS"):
        fits.encode_mono(PICTURE, "MJPEG", {}, TIMES, INSTRUMENT)


def test_a_raw_fits_holds_the_very_numbers_and_says_their_depth() -> None:
    pixels = raw_pixels(bits=12)
    with astropy_fits.open(io.BytesIO(fits.encode(pixels, METADATA, TIMES, INSTRUMENT))) as file:
        header = file[0].header
        assert np.array_equal(file[0].data, pixels)
        assert (header["BITDEPTH"], header["DATAMAX"], header["BLKLEVEL"], header["BZERO"]) == (12, 4095, 256, 32768)
        assert (header["DATE-OBS"], header["DATE-END"]) == ("2027-01-15T08:00:00.123457", "2027-01-15T08:00:00.373457")
        assert (header["TIMESRC"], header["TIMEERR"]) == ("FrameWallClock", 0.001)
