"""The simulated sky as an astronomer would measure it: raw frames against the numbers of the model (EMVA 1288)."""

from __future__ import annotations

import numpy as np
import pytest
import sep

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.clocks import LeapingClocks
from observatory_camerad.simulator.modes import SIZE
from observatory_camerad.simulator.scene import SceneConfig, Star
from observatory_camerad.simulator.sensor import Sensor, SensorConfig

SENSOR = SensorConfig()
GREENS = ((0, 1), (1, 0))


def frames(scene: SceneConfig, exposure_us: int, gain: float, count: int, stars: tuple[Star, ...] = (), mode: int = 1):
    """Raw frames, and the exposure (s) and gain they were really taken with."""
    camera = SimulatedCamera(scene, SENSOR, SimulatedOptics(scene.seeing_sigma_pixels), clocks=LeapingClocks())
    camera.scene.stars.extend(stars)
    camera.open()
    camera.configure(Configuration({"raw": Stream(SIZE, "SRGGB12")}, mode=mode))
    camera.set_controls({"AeEnable": False, "ExposureTime": exposure_us, "AnalogueGain": gain})
    for _ in range(4):
        camera.next_request(100)
    taken = []
    for _ in range(count):
        request = camera.next_request(100)
        taken.append(request.array("raw"))
    return np.stack(taken), request.metadata["ExposureTime"] / 1e6, request.metadata["AnalogueGain"]


def electrons(photons: float, exposure_s: float) -> float:
    return photons * SENSOR.quantum_efficiency + SENSOR.dark_electrons_per_s * exposure_s


def test_sep_finds_the_stars_where_they_are_and_as_bright_as_they_are() -> None:
    generator = np.random.default_rng(5)
    grid = [(x, y) for x in range(100, SIZE[0] - 99, 200) for y in range(100, SIZE[1] - 99, 200)]
    stars = tuple(
        Star(x + generator.uniform(-30, 30), y + generator.uniform(-30, 30), (flux / 2, flux, flux * 0.6))
        for (x, y), flux in zip(grid, np.geomspace(3e5, 3.5e6, len(grid)), strict=True)
    )
    scene = SceneConfig(stars=0, sky_photons_per_s=2000, seeing_sigma_pixels=2.4)
    raw, exposure_s, gain = frames(scene, 200_000, 1.0, 1, stars)
    scale = SENSOR.numbers_per_electron * gain
    for row, column in GREENS:
        plane = np.ascontiguousarray(raw[0, row::2, column::2], np.float32)
        background = sep.Background(plane, bw=64, bh=64)
        sky = electrons(2000 * exposure_s, exposure_s)
        assert background.globalback - SENSOR.black_level == pytest.approx(sky * scale, rel=0.03)
        noise = np.sqrt((sky + SENSOR.read_noise_electrons**2) * scale**2 + 1 / 12)
        assert background.globalrms == pytest.approx(noise, rel=0.03)
        found = sep.extract(plane - background.back(), 6.0, err=background.globalrms)
        assert len(found) == len(stars)
        ratios, weights = [], []
        for star in stars:
            x, y = (star.x - column) / 2, (star.y - row) / 2
            nearest = np.hypot(found["x"] - x, found["y"] - y)
            assert nearest.min() < 0.25
            flux, _, _ = sep.sum_circle(plane - background.back(), [x], [y], 7.0, subpix=0)
            model = star.photons_per_s[1] * exposure_s * SENSOR.quantum_efficiency * scale / 4
            ratios.append(float(flux[0]) / model)
            weights.append(model)
        assert np.average(ratios, weights=weights) == pytest.approx(1, abs=0.01)
        brightest = np.array(ratios)[np.array(weights) > np.median(weights)]
        assert np.abs(brightest - 1).max() < 0.03  # the zero point, star by star


@pytest.mark.parametrize("gain", [1.0, 4.0])
def test_signal_is_linear_in_exposure_time(gain: float) -> None:
    scene = SceneConfig(stars=0, sky_photons_per_s=40_000)
    slopes = []
    for exposure_us in (1_000, 5_000, 20_000, 80_000):
        raw, exposure_s, actual = frames(scene, exposure_us, gain, 2, mode=0)
        signal = raw[:, 0::2, 1::2].mean() - SENSOR.black_level
        slopes.append(signal / exposure_s / actual / SENSOR.numbers_per_electron)
    assert slopes == pytest.approx([40_000 * SENSOR.quantum_efficiency + SENSOR.dark_electrons_per_s] * 4, rel=0.01)


def test_read_noise_and_dark_current_from_dark_frames() -> None:
    dark = SceneConfig(stars=0, sky_photons_per_s=0)
    for gain in (1.0, 8.0):
        raw, _, actual = frames(dark, 1000, gain, 6, mode=0)
        scale = SENSOR.numbers_per_electron * actual
        assert raw.mean() == pytest.approx(SENSOR.black_level, abs=0.02)
        noise = np.sqrt(np.diff(raw.astype(float), axis=0).var() / 2 - 1 / 12) / scale
        assert noise == pytest.approx(SENSOR.read_noise_electrons, rel=0.03)
    raw, exposure_s, actual = frames(dark, 60_000_000, 4.0, 2, mode=0)
    collected = (raw.mean() - SENSOR.black_level) / SENSOR.numbers_per_electron / actual
    assert collected == pytest.approx(SENSOR.dark_electrons_per_s * exposure_s, rel=0.01)


def test_the_photon_transfer_curve_gives_the_gain() -> None:
    for gain in (1.0, 4.0, 16.0):
        means, variances = [], []
        for photons in (3, 20, 60, 200, 600):  # on both sides of where Poisson's numbers become normal ones
            raw, _, actual = frames(SceneConfig(stars=0, sky_photons_per_s=photons * 100), 10_000, gain, 8, mode=0)
            green = raw[:, 0::2, 1::2].astype(float)
            if green.max() >= 4095:
                continue
            means.append(green.mean() - SENSOR.black_level)
            variances.append(np.diff(green, axis=0).var() / 2)
        slope = np.polyfit(means, variances, 1)[0]
        assert slope == pytest.approx(SENSOR.numbers_per_electron * actual, rel=0.03)


def test_saturation() -> None:
    bright = SceneConfig(stars=0, sky_photons_per_s=1e6)
    raw, _, gain = frames(bright, 100_000, 1.0, 1, mode=0)
    full = round(SENSOR.full_well_electrons * SENSOR.numbers_per_electron * gain) + SENSOR.black_level
    assert raw.min() == raw.max() == full
    raw, _, _ = frames(bright, 100_000, 8.0, 1, mode=0)
    assert raw.min() == raw.max() == 4095
    raw, exposure_s, gain = frames(bright, 20_000, 1.0, 1, mode=0)  # 80 per cent full: nothing is cut yet
    signal = raw[0, 0::2, 1::2].mean() - SENSOR.black_level
    assert signal == pytest.approx(electrons(1e6 * exposure_s, exposure_s) * SENSOR.numbers_per_electron, rel=0.01)


@pytest.mark.parametrize("electrons", [0.05, 0.5, 1.0, 3.0, 7.5, 15.0, 31.0, 33.0, 100.0, 2000.0])
def test_mean_variance_and_skew_of_the_noise_are_poissons(electrons: float) -> None:
    config = SensorConfig(
        quantum_efficiency=1.0, dark_electrons_per_s=0, read_noise_electrons=0.0, numbers_per_electron=1.0, black_level=0
    )
    sensor = Sensor(config, seed=11)
    rates = np.full((720, 1280), electrons, np.float32)
    values = np.stack([sensor.expose(rates, 1.0, 1.0, n) for n in range(6)]).astype(float)
    rounding = 1 / 12 if electrons > 32 else 0  # the table has whole electrons
    away = values - values.mean()
    assert values.mean() == pytest.approx(electrons, rel=0.005)
    assert values.var() == pytest.approx(electrons + rounding, rel=0.01)
    if electrons < 32:
        assert (away**3).mean() / values.std() ** 3 == pytest.approx(electrons**-0.5, rel=0.03)


@pytest.mark.parametrize("photons", [5.0, 50.0, 5000.0])
def test_the_noise_of_two_frames_and_of_neighbours_is_uncorrelated(photons: float) -> None:
    sensor = Sensor(SENSOR, seed=4)
    rates = np.full((720, 1280), photons, np.float32)
    stack = np.stack([sensor.expose(rates, 1.0, 4.0 if photons < 100 else 1.0, n) for n in range(40)]).astype(np.float32)
    stack -= stack.mean()
    single = stack.var()
    for one, other in ((0, 1), (3, 4), (0, 39), (10, 20)):
        assert abs((stack[one] * stack[other]).mean()) < 0.005 * single
    assert abs((stack[:, :, 1:] * stack[:, :, :-1]).mean()) < 0.002 * single
    assert abs((stack[:, 1:] * stack[:, :-1]).mean()) < 0.002 * single
    assert stack.mean(axis=0).var() == pytest.approx(single / 40, rel=0.05)  # no pattern stays when frames are averaged
