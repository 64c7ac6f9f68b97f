"""The simulated camera: photons, noise, places, pace and clocks as the model says, and its page."""

from __future__ import annotations

import dataclasses
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from simulated import camera, frames

from observatory_camerad.acquisition import timing
from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.clocks import LeapingClocks, SystemClocks
from observatory_camerad.simulator.faults import KNOWN, Faults
from observatory_camerad.simulator.focuser import FocuserConfig
from observatory_camerad.simulator.modes import MODES, SIZE, possible_crop
from observatory_camerad.simulator.scene import Mover, Scene, SceneConfig, Star
from observatory_camerad.simulator.sensor import Sensor, SensorConfig
from observatory_common.errors import CommandFailed


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


@pytest.mark.parametrize("photons", [100.0, 100_000.0])
def test_the_first_frame_takes_little_memory_beside_its_own(photons: float) -> None:
    """New memory is slow to get: the first photo after a start would wait for it."""
    sensor = Sensor(SensorConfig(), seed=1)
    rates = np.full(SIZE[::-1], photons, np.float32)
    tracemalloc.start()
    try:
        frame = sensor.expose(rates, 0.01, 1.0, 1)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * frame.nbytes
    finally:
        tracemalloc.stop()


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


@pytest.mark.parametrize(
    ("wanted", "actual"),
    [
        ((640, 360, 1280, 720), (640, 360, 1280, 720)),
        ((641, 363, 1283, 723), (640, 360, 1280, 720)),
        ((2000, 1200, 1280, 720), (1280, 720, 1280, 720)),  # moved, then cut, to lie on the sensor
        ((100, 100, 2560, 1440), (0, 0, 2560, 1440)),
        ((100, 100, 0, 0), (68, 68, 64, 64)),
    ],
)
def test_a_crop_is_rounded_and_kept_on_the_sensor(wanted, actual) -> None:
    made = camera()
    made.set_controls({"ScalerCrop": wanted})
    assert list(frames(made, 4))[-1].metadata["ScalerCrop"] == actual
    x, y, width, height = possible_crop(wanted, MODES[1])
    assert not any(value % 2 for value in (x, y, width, height))
    assert 0 <= x <= SIZE[0] - width and 0 <= y <= SIZE[1] - height


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (320, 180)])
@pytest.mark.parametrize("crop", [(0, 0, *SIZE), (640, 400, 1280, 720), (1004, 602, 640, 360)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_star_is_where_the_crop_says(mode: int, size, crop, flip: bool) -> None:
    scene = SceneConfig(stars=0, sky_photons_per_s=100)
    made = camera(scene, streams={"main": Stream(size, "RGB888")}, mode=mode, hflip=flip, vflip=flip)
    star = (1203.4, 768.2)
    made.scene.stars.append(Star(*star, (1e7, 2e7, 1.2e7)))
    made.set_controls({"ScalerCrop": crop, "AeEnable": False, "ExposureTime": 20_000, "AnalogueGain": 1.0})
    list(frames(made, 4))
    request = made.next_request(5)
    picture = request.array("main")[:, :, 1].astype(float)
    picture[picture < 60] = 0
    rows, columns = np.indices(picture.shape)
    place = [float((picture * index).sum() / picture.sum()) + 0.5 for index in (columns, rows)]  # from the pixels' corners
    if flip:
        place = [length - value for length, value in zip(size, place, strict=True)]
    actual = request.metadata["ScalerCrop"]
    for axis in (0, 1):
        scale = actual[2 + axis] / size[axis]
        assert actual[axis] + place[axis] * scale - 0.5 == pytest.approx(star[axis], abs=max(0.5 * scale, 0.8))


def test_movers_cross_the_sensor_and_come_in_again() -> None:
    mover = Mover(x=2500.0, y=700.0, vx=1000.0, vy=-30.0, size_pixels=60.0, photons_per_s=1e8)
    scene = SceneConfig(stars=0, sky_photons_per_s=100, movers=(mover, Mover(1280, 720, size_pixels=20, photons_per_s=1e5)))
    made = camera(scene, streams={"raw": Stream((1280, 720), "SRGGB12"), "main": Stream((1280, 720), "RGB888")})
    made.set_controls({"AeEnable": False, "ExposureTime": 10_000, "AnalogueGain": 1.0})
    began = made.next_request(5).metadata["SensorTimestamp"] - 33_333_000
    list(frames(made, 3))
    for request in list(frames(made, 60))[::7]:
        at_s = (request.metadata["SensorTimestamp"] - began) / 1e9 - 0.005
        green = made._renderer.raw(request._configuration, request._facts)[::2, 1::2].astype(float) - 256 - 1
        expected = (2500 + 1000 * at_s) % 2560, (700 - 30 * at_s) % 1440
        bright = np.where(green > 8, green, 0)
        if 40 < expected[0] < 2520:
            rows, columns = np.indices(green.shape)
            x, y = (float((bright * index).sum() / bright.sum()) for index in (columns, rows))
            assert (4 * x + 2, 4 * y + 1) == pytest.approx(expected, abs=1)
            near = np.hypot(4 * columns + 2 - expected[0], 4 * rows + 1 - expected[1]) < 50
            electrons = (green + 1)[near].sum() / 0.25 - 0.605 * near.sum()
            assert electrons == pytest.approx(1e8 * 0.6 * 0.01 / 16, rel=0.03)
    both = Scene(SceneConfig(stars=0, sky_photons_per_s=0, movers=(Mover(1, 2, size_pixels=50),)), SIZE, "RGGB")
    pieces = both.moved(1.4, 0.0)
    assert len(pieces) == 4  # one in each corner
    green = sum(float(rates[::2, 1::2].sum() + rates[1::2, ::2].sum()) for _, rates in pieces)
    assert green == pytest.approx(5e5, rel=0.01)


def test_frames_keep_their_grid_and_nothing_is_rendered_unasked() -> None:
    clocks = LeapingClocks()
    made = camera(clocks=clocks)
    stamps = [request.metadata["SensorTimestamp"] for request in frames(made, 300)]
    assert set(np.diff(stamps)) == {33_333_000}
    assert clocks.passed_ns == pytest.approx(10e9, abs=34e6)
    assert made.rendered == 0
    request = made.next_request(5)
    request.array("main")
    request.array("raw")
    assert made.rendered == 1


class HeldUpClocks(LeapingClocks):
    """Clocks of a thread that is held up between two readings, now and then, for almost a frame."""

    readings = 0

    def boot_ns(self) -> int:
        self.readings += 1
        if self.readings % 5 == 0:
            self.passed_ns += 30_000_000
        return super().boot_ns()


def test_a_thread_that_is_held_up_moves_no_stamp() -> None:
    found = [request.metadata for request in frames(camera(clocks=HeldUpClocks()), 50)]
    assert set(np.diff([metadata["SensorTimestamp"] for metadata in found])) == {33_333_000}
    assert set(np.diff([metadata["FrameWallClock"] for metadata in found])) == {33_333_000}


def test_two_clocks_are_read_at_one_instant_though_the_thread_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, held_up_ns = [5_000_000_000], iter([40_000_000, 2_000, 30_000_000])

    def wall_ns() -> int:
        now[0] += next(held_up_ns)
        return 1_800_000_000_000_000_000 + now[0]

    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: now[0])
    monkeypatch.setattr(time, "time_ns", wall_ns)
    found = timing.Clocks.now()
    assert found.wall_ns - found.boot_ns == pytest.approx(1_800_000_000_000_000_000, abs=2_000)


def test_frames_come_at_their_pace(machine_lag) -> None:
    made = camera(clocks=SystemClocks())
    began = time.monotonic()
    stamps = [request.metadata["SensorTimestamp"] for request in frames(made, 20)]
    took_s = time.monotonic() - began
    assert took_s > 20 / 31 - machine_lag.seconds  # the first frame has begun before
    assert took_s < 20 / 30 + 0.5 + machine_lag.seconds
    steps = np.diff(stamps) / 33.333e6
    assert np.abs(steps - np.rint(steps)).max() < 0.05
    assert abs(stamps[-1] - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < 2e9


def test_a_late_reader_finds_as_many_frames_as_there_are_buffers_and_the_grid_goes_on() -> None:
    clocks = LeapingClocks()
    made = camera(clocks=clocks, buffer_count=3)
    first = made.next_request(5)
    clocks.passed_ns += 33_333_000 * 10 + 5_000_000
    late = list(frames(made, 4))
    assert [request.number - first.number for request in late] == [8, 9, 10, 11]
    stamps = [request.metadata["SensorTimestamp"] - first.metadata["SensorTimestamp"] for request in late]
    assert stamps == [33_333_000 * n for n in (8, 9, 10, 11)]


def test_a_step_of_the_system_clock_during_the_exposure_leaves_the_sensors_time_alone() -> None:
    clocks = LeapingClocks()
    made = camera(clocks=clocks)
    made.set_controls({"AeEnable": False, "ExposureTime": 1_000_000, "FrameDurationLimits": (1_000_000, 1_000_000)})
    before = list(frames(made, 5))[-1].metadata
    clocks.passed_ns += 400_000_000
    clocks.wall_step_ns += 3600 * 10**9
    after = made.next_request(5).metadata
    assert after["SensorTimestamp"] - before["SensorTimestamp"] == 1_000_000_000
    assert after["FrameWallClock"] - before["FrameWallClock"] == 3601 * 10**9
    now = timing.Clocks(clocks.wall_ns(), clocks.boot_ns())
    found = timing.exposure(after, now)
    assert found.end_ns == pytest.approx(clocks.wall_ns(), abs=2e6)
    assert found.end_ns - found.start_ns == after["ExposureTime"] * 1000
    clocks.wall_step_ns += 3600 * 10**9  # once more, between the stamp and the reader
    found = timing.exposure(after, timing.Clocks(clocks.wall_ns(), clocks.boot_ns()))
    assert found.source == "CLOCK_BOOTTIME"


def test_a_wait_for_a_frame_can_be_ended_from_another_thread() -> None:
    made = camera(faults=Faults(stalled=True), clocks=SystemClocks())
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


@pytest.mark.parametrize(
    ("main", "raw", "mode"),
    [((640, 360), None, 0), ((1920, 1080), None, 1), ((640, 360), (1280, 720), 0), ((640, 360), SIZE, 1)],
)
def test_the_sizes_of_the_streams_choose_a_mode_that_nobody_names(main, raw, mode: int) -> None:
    made = camera()
    streams = {"main": Stream(main, "RGB888"), **({} if raw is None else {"raw": Stream(raw, "SRGGB12")})}
    assert made.configure(Configuration(streams)).mode == mode
    request = next(frames(made, 1))
    assert request.array("main").shape == (*main[::-1], 3)
    if raw is not None:
        assert request.array("raw").shape == raw[::-1]
    assert made.configure(Configuration(streams, mode=1)).mode == 1


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("sky", "exposure_us"), [(1e5, 20_000), (2000.0, 10_000), (0.0, 1000)], ids=["bright", "dim", "dark"])
def test_thirty_frames_a_second_on_one_core_in_every_light(mode: int, sky: float, exposure_us: int) -> None:
    streams = {"main": Stream((1280, 720), "RGB888"), "raw": Stream(MODES[mode].size, "SRGGB12")}
    made = camera(SceneConfig(sky_photons_per_s=sky), streams=streams, mode=mode)
    made.set_controls({"AeEnable": False, "ExposureTime": exposure_us, "AnalogueGain": 4.0})
    list(frames(made, 4))
    used = []
    for _ in range(12):
        request = made.next_request(5)
        began = time.process_time()
        request.array("raw")
        request.array("main")
        used.append(time.process_time() - began)
    assert min(used) < 1 / 30


PAGE = (Path(__file__).parents[2] / "docs" / "camerad-simulator.md").read_text()


def table(heading: str) -> dict[str, str]:
    """First and second column of the table below a heading of the page."""
    section = PAGE.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): row[1].strip().strip("`") for row in rows}


@pytest.mark.parametrize("kind", [SceneConfig, Mover, SensorConfig, FocuserConfig])
def test_the_page_lists_the_keys_and_their_defaults(kind: type) -> None:
    names = {SceneConfig: "scene", Mover: "scene.movers", SensorConfig: "sensor", FocuserConfig: "focuser"}
    written = table(f"### `{names[kind]}`")
    assert list(written) == [field.name for field in dataclasses.fields(kind)]
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING:
            assert written[field.name] == "required"
        elif field.default == ():
            assert written[field.name] == "none"
        else:
            assert float(written[field.name]) == field.default


def test_the_page_lists_the_faults() -> None:
    assert tuple(table("## Faults")) == KNOWN
