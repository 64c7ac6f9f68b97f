"""Raw frames as FITS, and when they were exposed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits as astropy_fits
from astropy.time import Time
from cameras import Camerad

from observatory_camerad.acquisition.timing import Clocks, Exposure, exposure, iso
from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.outputs import fits
from observatory_camerad.simulator.camera import SIZE, SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig

NOW = Clocks(wall_ns=1_800_000_000_123_456_789, boot_ns=5_000_000_000_000)
METADATA = {"ExposureTime": 250_000, "FrameDuration": 300_000, "AnalogueGain": 2.0, "SensorTimestamp": NOW.boot_ns - 40_000_000}
INSTRUMENT = fits.Instrument("simulated", "simulator", "1.2.3", 2560, 2.0, "RGGB", 12, {"latitude": 28.76, "longitude": -17.88})


@pytest.mark.parametrize(
    ("wall", "source"),
    [
        (NOW.wall_ns - 40_000_500, "FrameWallClock"),
        ((NOW.wall_ns - 40_000_000) // 1000, "FrameWallClock"),  # microseconds, as before mid-2025
        (None, "CLOCK_BOOTTIME"),
        (NOW.wall_ns - 3600 * 10**9, "CLOCK_BOOTTIME"),  # the system clock was set meanwhile
        (0, "CLOCK_BOOTTIME"),
    ],
)
def test_the_start_of_an_exposure_from_whatever_clocks_there_are(wall: int | None, source: str) -> None:
    metadata = METADATA if wall is None else {**METADATA, "FrameWallClock": wall}
    found = exposure(metadata, NOW)
    assert found.source == source
    assert found.start_ns == pytest.approx(NOW.wall_ns - 40_000_000 - 250_000_000, abs=1e6)
    assert found.end_ns - found.start_ns == 250_000_000


def test_without_any_stamp_it_says_how_unsure_it_is() -> None:
    found = exposure({"ExposureTime": 250_000, "FrameDuration": 300_000}, NOW)
    assert (found.source, found.error_s) == ("system clock", pytest.approx(0.4))


@pytest.mark.parametrize("nanoseconds", [0, 999, 1_800_000_000_999_999_999, 1_800_000_000_000_000_001])
def test_times_are_written_as_astropy_reads_them(nanoseconds: int) -> None:
    assert Time(iso(nanoseconds), scale="utc").unix == pytest.approx(nanoseconds / 1e9, abs=1e-6)


def test_a_raw_frame_is_read_back_pixel_for_pixel() -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (90, 160), np.uint16)
    times = Exposure(NOW.wall_ns, NOW.wall_ns + 250_000_000, "FrameWallClock", 0.001, NOW.boot_ns)
    data = fits.encode(pixels, METADATA, times, INSTRUMENT)
    with astropy_fits.open(io.BytesIO(data), checksum=True) as file:
        file.verify("exception")
        assert np.array_equal(file[0].data, pixels)
        header = file[0].header
        assert (header["EXPTIME"], header["TIMESRC"], header["BAYERPAT"]) == (0.25, "FrameWallClock", "RGGB")
        assert (header["XBINNING"], header["XPIXSZ"], header["SITELAT"]) == (16, 32.0, 28.76)
        assert Time(header["DATE-OBS"], scale="utc").unix == pytest.approx(NOW.wall_ns / 1e9, abs=2e-6)
        assert "CCD-TEMP not available" in str(header["COMMENT"])


@pytest.mark.parametrize(("hflip", "vflip", "pattern"), [(0, 0, "RGGB"), (1, 0, "GRBG"), (0, 1, "GBRG"), (1, 1, "BGGR")])
def test_the_bayer_pattern_is_right_after_a_flip(hflip: int, vflip: int, pattern: str) -> None:
    """Red light alone: only the pixels that BAYERPAT calls red see it."""
    scene = SceneConfig(stars=0, sky_photons_per_s=50_000, colour_temperature_k=1000)
    camera = SimulatedCamera(scene, SensorConfig(), SimulatedOptics(1.4))
    camera.open()
    wanted = {"main": Stream((640, 360), "RGB888"), "raw": Stream(SIZE, "SRGGB12")}
    actual = camera.configure(Configuration(wanted, mode=1, hflip=bool(hflip), vflip=bool(vflip)))
    assert actual.streams["raw"].format == f"S{pattern}12"
    pixels = camera.next_request(5).array("raw")
    means = {letter: [] for letter in "RGB"}
    for number, letter in enumerate(pattern):
        means[letter].append(pixels[number // 2 :: 2, number % 2 :: 2].mean())
    assert min(means["R"]) > max(means["G"]) > max(means["B"])


@pytest.mark.parametrize(("size", "binning"), [((1280, 720), 2), (SIZE, 1)])
def test_a_raw_frame_of_the_daemon(size: tuple[int, int], binning: int, tmp_path: Path) -> None:
    """Its config names no sensor mode: the size of raw chooses it, and the header says which it was."""
    live = {"stream": "lores", "size": [320, 180], "format": "YUV420"}
    photo = {"stream": "main", "size": [640, 360], "format": "RGB888"}
    raw = {"stream": "raw", "size": list(size), "format": "SRGGB12"}
    camerad = Camerad(tmp_path, use_cases={"live": live, "photo": photo, "raw": raw})
    camerad.start()
    try:
        with camerad.connect() as camera:
            job = camera.wait_for(camera.take_raw())
            assert job["state"] == "succeeded", job
            metadata = job["result"]["metadata"]
            with astropy_fits.open(camerad.output / job["result"]["name"]) as file:
                assert file[0].data.shape == size[::-1]
                header = file[0].header
                assert (header["BITDEPTH"], header["XBINNING"], header["XPIXSZ"]) == (12, binning, 2.0 * binning)
                assert header["EXPTIME"] == metadata["ExposureTime"] / 1e6
                start_s = (metadata["FrameWallClock_us"] - metadata["ExposureTime"]) / 1e6
                assert Time(header["DATE-OBS"], scale="utc").unix == pytest.approx(start_s, abs=0.001)
                assert header["BLKLEVEL"] == 256
    finally:
        assert camerad.stop() == 0
