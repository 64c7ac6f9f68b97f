"""The simulated camera's exposure, white balance, focus, limits and delays, as libcamera's users know them."""

from __future__ import annotations

import pytest
from simulated import QUICK, camera, frames

from observatory_camerad.drivers.base import Stream
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_camerad.simulator.controls import AF_RANGES, AWB_TEMPERATURES_K
from observatory_camerad.simulator.modes import MODES, SIZE
from observatory_camerad.simulator.scene import SceneConfig, temperature_of, tint, white_gains
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.errors import CommandFailed


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


def exposures(made: SimulatedCamera, count: int) -> list[int]:
    return [request.metadata["ExposureTime"] for request in frames(made, count)]


@pytest.mark.parametrize("ev", [-2.0, 0.0, 1.0])
def test_exposure_value_shifts_what_auto_exposure_aims_at(ev: float) -> None:
    scene = SceneConfig(sky_photons_per_s=100_000, stars=0)
    made = camera(scene, streams={"raw": Stream((1280, 720), "SRGGB12")})
    made.set_controls({"ExposureValue": ev})
    request = list(frames(made, 40))[-1]
    assert request.metadata["AeState"] == 2
    green = made.next_request(5).array("raw")[::2, 1::2].mean() - SensorConfig().black_level
    assert green == pytest.approx(0.18 * 2**ev * (4095 - SensorConfig().black_level), rel=0.05)


def test_auto_exposure_within_its_limits() -> None:
    dark = camera(SceneConfig(sky_photons_per_s=10, stars=0))
    last = list(frames(dark, 60))[-1].metadata
    assert (last["AeState"], last["AnalogueGain"], last["ExposureTime"]) == (2, 16.0, 33333 // 29 * 29)
    bright = camera(SceneConfig(sky_photons_per_s=1e10, stars=0))
    last = list(frames(bright, 60))[-1].metadata
    assert (last["AeState"], last["AnalogueGain"], last["ExposureTime"]) == (2, 1.0, 29)
    dim = SceneConfig(sky_photons_per_s=40_000, stars=0)
    normal, short, still = camera(dim), camera(dim), camera(dim)
    short.set_controls({"AeExposureMode": 1})
    still.set_controls({"AeFlickerMode": 1, "AeFlickerPeriod": 10000})
    assert exposures(normal, 60)[-1] == 33333 // 29 * 29
    assert exposures(short, 60)[-1] == pytest.approx(33333 / 4, abs=29)
    assert exposures(still, 60)[-1] == pytest.approx(30000, abs=29)


def test_one_of_exposure_and_gain_is_fixed_and_the_other_found() -> None:
    made = camera(SceneConfig(sky_photons_per_s=100_000, stars=0))
    made.set_controls({"ExposureTime": 5800})
    last = list(frames(made, 60))[-1].metadata
    assert last["ExposureTime"] == 5800
    assert last["AnalogueGain"] > 4
    made.set_controls({"ExposureTime": 0, "AnalogueGain": 2.0})
    last = list(frames(made, 60))[-1].metadata
    assert last["AnalogueGain"] == 2.0
    assert last["ExposureTime"] > 10000


def test_frame_duration_limits_cap_the_exposure_and_long_exposures_lengthen_the_frame() -> None:
    made = camera()
    made.set_controls({"AeEnable": False, "ExposureTime": 2_000_000, "FrameDurationLimits": (50_000, 100_000)})
    last = list(frames(made, 6))[-1].metadata
    assert (last["ExposureTime"], last["FrameDuration"]) == (100_000 // 29 * 29, 100_000 // 29 * 29)
    made.set_controls({"FrameDurationLimits": (50_000, 5_000_000)})
    last = list(frames(made, 6))[-1].metadata
    assert last["ExposureTime"] == last["FrameDuration"] == 2_000_000 // 29 * 29
    made.set_controls({"ExposureTime": 1000})
    stamps = [request.metadata for request in frames(made, 6)]
    assert stamps[-1]["FrameDuration"] == 50_000
    assert stamps[-1]["SensorTimestamp"] - stamps[-2]["SensorTimestamp"] == 50_000_000
    whole = camera(streams={"main": Stream((640, 360), "RGB888")}, mode=1)
    whole.set_controls({"FrameDurationLimits": (8333, 8333), "ExposureTime": 1_000_000})
    last = list(frames(whole, 6))[-1].metadata
    assert (last["FrameDuration"], last["ExposureTime"]) == (33333, 33333 // 58 * 58)  # no mode is faster than it is


def test_white_balance_by_mode_by_hand_and_back() -> None:
    made = camera(SceneConfig(colour_temperature_k=5600.0, stars=0))
    for mode, kelvin in AWB_TEMPERATURES_K.items():
        made.set_controls({"AwbMode": mode})
        assert list(frames(made, 5))[-1].metadata["ColourTemperature"] == kelvin
    made.set_controls({"AwbEnable": False})
    list(frames(made, 3))
    made.set_controls({"ColourGains": (1.25, 3.5)})
    assert list(frames(made, 5))[-1].metadata["ColourGains"] == (1.25, 3.5)
    made.set_controls({"AwbEnable": True, "AwbMode": 0})
    assert list(frames(made, 80))[-1].metadata["ColourTemperature"] == pytest.approx(5600, rel=0.02)
    made.set_controls({"ColourGains": (2.5, 2.5)})  # turns it off by itself
    assert list(frames(made, 30))[-1].metadata["ColourGains"] == (2.5, 2.5)
    made.set_controls({"ColourGains": (0.0, 0.0)})
    assert list(frames(made, 80))[-1].metadata["ColourTemperature"] == pytest.approx(5600, rel=0.02)


def focused(made: SimulatedCamera, controls: dict, count: int = 62) -> tuple[list[int], dict]:
    made.set_controls(controls)
    seen = [request.metadata for request in frames(made, count)]
    return [metadata["AfState"] for metadata in seen], seen[-1]


@pytest.mark.parametrize("best", [0.0, 0.3, 1.0, 1.77, 5.4, 12.0])
@pytest.mark.parametrize("fast", [0, 1])
def test_autofocus_scans_and_ends_at_the_sharpest_place_within_two_seconds(best: float, fast: int) -> None:
    made = camera(optics=SimulatedOptics(1.4, best_lens_position=best))
    states, last = focused(made, {"AfMode": 1, "AfTrigger": 0, "AfSpeed": fast})
    assert [states[0], states[5], states[-1]] == [0, 1, 2]
    assert last["LensPosition"] == pytest.approx(best, abs=0.15)
    assert last["FrameDuration"] == 33333
    after = focused(made, {"AfMode": 0, "LensPosition": 6.0 if best < 5 else 3.0}, 6)[1]
    assert after["LensPosition"] == (6.0 if best < 5 else 3.0)
    assert after["FocusFoM"] < last["FocusFoM"]


def test_autofocus_fails_where_nothing_is_sharp() -> None:
    made = camera(optics=SimulatedOptics(1.4, focuser_defocus=lambda: 60.0))
    states, _ = focused(made, {"AfMode": 1, "AfTrigger": 0})
    assert states[-1] == 3


def test_autofocus_looks_in_its_range_and_can_be_cancelled() -> None:
    made = camera(optics=SimulatedOptics(1.4, best_lens_position=14.0))
    positions = []
    made.set_controls({"AfMode": 1, "AfRange": 1, "AfTrigger": 0})
    positions = [request.metadata["LensPosition"] for request in frames(made, 62)]
    assert min(positions[5:]) >= AF_RANGES[1][0]
    assert positions[-1] == pytest.approx(14.0, abs=0.15)
    made.set_controls({"AfTrigger": 0})
    list(frames(made, 10))
    states, last = focused(made, {"AfTrigger": 1}, 10)
    assert (states[0], states[-1]) == (1, 0)
    assert last["LensPosition"] == pytest.approx(focused(made, {"LensPosition": 2.0}, 6)[1]["LensPosition"])  # not manual


def test_continuous_autofocus_looks_again_when_the_picture_blurs_and_can_be_paused() -> None:
    optics = SimulatedOptics(1.4, best_lens_position=2.2)
    made = camera(optics=optics)
    states, last = focused(made, {"AfMode": 2})
    assert states[-1] == 2
    assert last["LensPosition"] == pytest.approx(2.2, abs=0.15)
    assert set(focused(made, {}, 60)[0]) == {2}  # nothing changes: it rests
    optics.best_lens_position = 4.4  # somebody comes nearer
    states, last = focused(made, {}, 80)
    assert 1 in states and states[-1] == 2
    assert last["LensPosition"] == pytest.approx(4.4, abs=0.15)
    made.set_controls({"AfPause": 0})
    list(frames(made, 4))
    optics.best_lens_position = 1.0
    assert set(focused(made, {}, 60)[0]) == {2}
    states, last = focused(made, {"AfPause": 2}, 80)
    assert states[-1] == 2
    assert last["LensPosition"] == pytest.approx(1.0, abs=0.15)
    optics.focuser_defocus = lambda: 60.0  # the telescope's focuser moves: nothing is sharp any more
    assert focused(made, {}, 90)[0][-1] == 3
    optics.focuser_defocus = lambda: 0.0
    assert focused(made, {}, 90)[0][-1] == 2


@pytest.mark.parametrize(
    "wanted",
    [{"ExposureTime": 5}, {"AwbMode": 8}, {"ColourGains": (1.0,)}, {"NoSuchControl": 1}, {"ScalerCrop": (0, 0, 9999, 2)}],
)
def test_impossible_controls_are_refused_and_change_nothing(wanted: dict) -> None:
    made = camera()
    with pytest.raises(CommandFailed, match=next(iter(wanted))):
        made.set_controls({"Brightness": 0.5, **wanted})
    assert next(frames(made, 1)).metadata["ScalerCrop"] == (0, 0, *SIZE)


def test_noise_reduction_smoothes_the_picture_but_not_the_raw_frame() -> None:
    spread = {}
    for mode in (0, 1, 2):
        made = camera(SceneConfig(stars=0, sky_photons_per_s=20_000))
        made.set_controls({"NoiseReductionMode": mode, "AwbEnable": False})
        request = list(frames(made, 5))[-1]
        request = made.next_request(5)
        spread[mode] = request.array("main")[:, :, 1].std(), request.array("raw")[::2, ::2].std()
    assert spread[0][0] > spread[1][0] * 1.03 > spread[2][0] * 1.1
    assert spread[0][1] == spread[1][1] == spread[2][1]
