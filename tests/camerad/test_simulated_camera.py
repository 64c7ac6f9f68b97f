"""The simulated camera: photons, noise, colours, algorithms, delays and faults as the model says."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.camera import MODES, SIZE, Faults, SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.scene import Scene, SceneConfig, Star, temperature_of, tint, white_gains
from observatory_camerad.simulator.sensor import Sensor, SensorConfig
from observatory_common.errors import CommandFailed, DeviceLost, NotConnected

QUICK = {"FrameDurationLimits": (8333, 8333)}
ALL = {"main": Stream((1280, 720), "RGB888"), "lores": Stream((640, 360), "YUV420"), "raw": Stream((1280, 720), "SRGGB12")}


def camera(scene: SceneConfig | None = None, faults: Faults | None = None, **configuration) -> SimulatedCamera:
    made = SimulatedCamera(scene or SceneConfig(), SensorConfig(), SimulatedOptics(1.4), faults)
    made.open()
    made.configure(Configuration(configuration.pop("streams", ALL), **configuration))
    return made


def frames(made: SimulatedCamera, count: int):
    for _ in range(count):
        request = made.next_request(5)
        assert request is not None
        yield request
        request.release()


def test_the_signal_and_its_noise_follow_emva_1288() -> None:
    config = SensorConfig()
    sensor = Sensor(config, seed=3)
    for photons, exposure_s, gain in ((20_000.0, 0.05, 1.0), (2_000.0, 0.01, 4.0), (100.0, 0.02, 8.0)):
        rates = np.full((400, 400), photons, np.float32)
        frames = np.stack([sensor.expose(rates, exposure_s, gain, n) for n in range(20)]).astype(float)
        scale = config.numbers_per_electron * gain
        electrons = (photons * config.quantum_efficiency + config.dark_electrons_per_s) * exposure_s
        assert frames.mean() - config.black_level == pytest.approx(electrons * scale, rel=0.03, abs=0.1)
        variance = (electrons + config.read_noise_electrons**2) * scale**2 + 1 / 12
        assert np.diff(frames, axis=0).var() / 2 == pytest.approx(variance, rel=0.03)


def test_a_sensor_is_full_at_its_full_well_and_never_beyond_its_largest_number() -> None:
    sensor = Sensor(SensorConfig(), seed=1)
    full = sensor.expose(np.full((100, 100), 1e9, np.float32), 1.0, 1.0, 1)
    assert full.max() == full.min() == round(SensorConfig().full_well_electrons * 0.25) + 256
    assert sensor.expose(np.full((100, 100), 1e9, np.float32), 1.0, 16.0, 1).min() == 4095


def test_the_same_seed_and_number_give_the_same_pixels() -> None:
    one, other = camera(), camera()
    first, second = next(frames(one, 1)), next(frames(other, 1))
    assert np.array_equal(first.array("raw"), second.array("raw"))
    assert not np.array_equal(first.array("raw"), next(frames(camera(SceneConfig(seed=2)), 1)).array("raw"))


@pytest.mark.parametrize("sigma", [0.8, 1.4, 3.0, 8.0])
def test_the_light_of_a_star_is_kept_whatever_its_width(sigma: float) -> None:
    config = SceneConfig(stars=0, sky_photons_per_s=0)
    scene = Scene(config, (200, 100), "RGGB")
    scene.stars.append(Star(100.3, 50.2, (1e6, 1e6, 1e6)))
    rates = scene.rates(sigma)
    assert rates.sum() == pytest.approx(1e6, rel=0.001)
    rows, columns = np.indices(rates.shape)
    assert (rates * columns).sum() / rates.sum() == pytest.approx(100.3, abs=0.01)
    assert (rates * rows).sum() / rates.sum() == pytest.approx(50.2, abs=0.01)
    width = np.sqrt((rates * (columns - 100.3) ** 2).sum() / rates.sum())
    assert width == pytest.approx(np.sqrt(sigma**2 + 1 / 12), rel=0.02)


def test_a_star_at_the_edge_or_beyond_it_is_no_error() -> None:
    scene = Scene(SceneConfig(stars=0, sky_photons_per_s=0), (40, 30), "RGGB")
    scene.stars += [Star(x, y, (1e6, 1e6, 1e6)) for x, y in ((0, 0), (39, 29), (-3, 10), (45, 10), (-500, 5), (20, 900))]
    assert 0 < scene.rates(1.5).sum() < 4e6


@pytest.mark.parametrize("kelvin", [2850.0, 4000.0, 5600.0, 6500.0])
def test_white_balance_finds_the_colour_of_the_light(kelvin: float) -> None:
    gains = white_gains(kelvin)
    assert [gain * part for gain, part in zip((gains[0], 1.0, gains[1]), tint(kelvin), strict=True)] == pytest.approx([1, 1, 1])
    assert temperature_of(gains) == pytest.approx(kelvin)
    made = camera(SceneConfig(colour_temperature_k=kelvin, stars=0))
    made.set_controls(QUICK)
    last = [request.metadata for request in frames(made, 60)][-1]
    assert last["ColourTemperature"] == pytest.approx(kelvin, rel=0.02)


def test_auto_exposure_converges_over_frames_and_says_when() -> None:
    made = camera(SceneConfig(sky_photons_per_s=100_000, stars=0))
    seen = [(request.metadata["AeState"], request.metadata["ExposureTime"]) for request in frames(made, 25)]
    assert seen[0][0] == 1
    assert seen[-1][0] == 2
    assert len({exposure for _, exposure in seen[:6]}) > 3  # over frames, not at once
    picture = next(frames(made, 1)).array("main")
    assert 90 < picture.mean() < 150


def test_controls_take_effect_some_frames_late_and_are_rounded_as_a_sensor_does() -> None:
    made = camera()
    made.set_controls({**QUICK, "AeEnable": False})
    list(frames(made, 4))
    made.set_controls({"ExposureTime": 5000, "AnalogueGain": 2.003})
    seen = [request.metadata["ExposureTime"] for request in frames(made, 5)]
    late = next(n for n, exposure in enumerate(seen) if abs(exposure - 5000) < MODES[0].exposure_us[0])
    assert late == 2
    last = next(frames(made, 1)).metadata
    assert last["ExposureTime"] % MODES[0].exposure_us[0] == 0
    assert last["AnalogueGain"] == 513 / 256
    assert last["DigitalGain"] == 1.0


def test_autofocus_scans_and_ends_at_the_sharpest_place() -> None:
    made = camera()
    made.set_controls({**QUICK, "AfMode": 1})
    list(frames(made, 4))
    made.set_controls({"AfTrigger": 0})
    states = [request.metadata["AfState"] for request in frames(made, 40)]
    assert 1 in states
    last = next(frames(made, 1)).metadata
    assert last["AfState"] == 2
    assert last["LensPosition"] == pytest.approx(1.0, abs=0.1)
    made.set_controls({"AfMode": 0, "LensPosition": 6.0})
    blurred = list(frames(made, 5))[-1].metadata
    assert blurred["LensPosition"] == 6.0
    assert blurred["FocusFoM"] < last["FocusFoM"]


def test_streams_have_the_shapes_and_orders_of_libcamera() -> None:
    made = camera(SceneConfig(colour_temperature_k=2850.0, stars=0, sky_photons_per_s=50_000))
    made.set_controls({"AwbEnable": False, "ColourGains": (2.0, 1.6)})
    request = list(frames(made, 5))[-1]
    request = made.next_request(5)
    assert request.array("main").shape == (720, 1280, 3)
    assert request.array("lores").shape == (540, 640)
    assert request.array("raw").shape == (720, 1280)
    assert request.array("raw").dtype == np.uint16
    blue, _, red = request.array("main").mean((0, 1))  # RGB888 has blue first; tungsten light without balance is red
    assert red > blue
    with pytest.raises(KeyError):
        request.array("other")


def test_the_whole_sensor_the_crop_and_the_flips() -> None:
    made = camera(streams={"main": Stream((640, 360), "BGR888"), "raw": Stream(SIZE, "SRGGB12")}, mode=1)
    raw = made.next_request(5).array("raw")
    assert raw.shape == SIZE[::-1]
    flipped = camera(
        streams={"raw": Stream(SIZE, "SRGGB12"), "main": Stream((640, 360), "BGR888")}, mode=1, hflip=True, vflip=True
    )
    assert np.array_equal(flipped.next_request(5).array("raw"), raw[::-1, ::-1])
    made.set_controls({"ScalerCrop": (640, 360, 1280, 720)})
    request = list(frames(made, 3))[-1]
    assert request.metadata["ScalerCrop"] == (640, 360, 1280, 720)


def test_frames_come_at_their_pace_and_nothing_is_rendered_unasked(machine_lag) -> None:
    made = camera()
    began = time.monotonic()
    stamps = [request.metadata["SensorTimestamp"] for request in frames(made, 20)]
    assert time.monotonic() - began < 20 / 30 + 0.5 + machine_lag.seconds
    assert np.diff(stamps).mean() == pytest.approx(33.333e6, rel=0.1)
    used = time.process_time()
    list(frames(made, 20))
    assert time.process_time() - used < 0.2  # rendering them would take more
    made.set_controls({"ExposureTime": 200_000, "AeEnable": False, "FrameDurationLimits": (33333, 300_000)})
    assert list(frames(made, 4))[-1].metadata["FrameDuration"] >= 199_000


def test_faults() -> None:
    faults = Faults()
    made = camera(faults=faults)
    list(frames(made, 2))
    faults.stalled = True
    assert made.next_request(0.1) is None
    faults.stalled = False
    number = next(frames(made, 1))._number
    faults.drop_frames = 3
    assert next(frames(made, 1))._number == number + 4
    faults.gone = True
    with pytest.raises(DeviceLost):
        made.next_request(1)
    with pytest.raises(NotConnected):
        made.open()
    faults.gone, faults.refuse_open = False, True
    with pytest.raises(NotConnected):
        made.open()


def test_a_wait_for_a_frame_can_be_ended_from_another_thread() -> None:
    faults = Faults(stalled=True)
    made = camera(faults=faults)
    threading.Timer(0.1, made.interrupt).start()
    began = time.monotonic()
    assert made.next_request(30) is None
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "wanted",
    [
        Configuration({"main": Stream((5000, 720), "RGB888")}),
        Configuration({"main": Stream((640, 480), "MJPEG")}),
        Configuration({"other": Stream((640, 480), "RGB888")}),
        Configuration({"main": Stream((640, 480), "RGB888")}, mode=7),
    ],
)
def test_configurations_that_it_cannot_have(wanted: Configuration) -> None:
    with pytest.raises(CommandFailed):
        camera().configure(wanted)
