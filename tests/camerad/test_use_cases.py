"""Which uses of the camera can be had at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from observatory_camerad.acquisition.effects import Effect, Settling
from observatory_camerad.acquisition.use_cases import Transform, UseCase, defaults, merged, satisfied, standing
from observatory_camerad.drivers.base import Capabilities, SensorMode, Stream
from observatory_common.errors import CommandFailed

NONE = Transform()
LIVE = UseCase("lores", (640, 360), "YUV420")
PHOTO = UseCase("main", (2560, 1440), "RGB888", mode=1)
RAW = UseCase("raw", (2560, 1440), "SRGGB12", mode=1)
VIDEO = UseCase("main", (1280, 720), "RGB888")


def test_different_streams_of_one_mode_are_merged() -> None:
    found = merged([LIVE, PHOTO, RAW], NONE)
    assert found is not None
    assert found.streams == {
        "lores": Stream((640, 360), "YUV420"),
        "main": Stream((2560, 1440), "RGB888"),
        "raw": Stream((2560, 1440), "SRGGB12"),
    }
    assert (found.mode, found.hflip, found.vflip) == (1, False, False)


@pytest.mark.parametrize(
    "cases",
    [
        [PHOTO, VIDEO],  # one stream in two sizes
        [PHOTO, UseCase("raw", (1280, 720), "SRGGB12", mode=0)],  # two sensor modes
        [UseCase("lores", (1920, 1080), "YUV420"), VIDEO],  # lores larger than main
        [UseCase("main", (1280, 720), "BGR888"), VIDEO],  # one stream in two formats
    ],
)
def test_what_contradicts_cannot_be_merged(cases) -> None:
    assert merged(cases, NONE) is None


def test_buffers_are_the_most_that_any_asks_for_and_flips_hold_for_all() -> None:
    found = merged(
        [UseCase("main", (640, 480), "RGB888", buffer_count=2), UseCase("raw", (640, 480), "X", buffer_count=6)],
        Transform(hflip=True),
    )
    assert found is not None
    assert (found.buffer_count, found.hflip, found.vflip) == (6, True, False)


def test_the_standing_configuration_has_the_live_view_and_what_goes_with_it() -> None:
    cases = {"live": LIVE, "photo": PHOTO, "raw": RAW, "video": VIDEO}
    found = standing(cases, NONE)
    assert [name for name, case in cases.items() if satisfied(found, case)] == ["live", "photo", "raw"]
    for_video = standing(cases, NONE, ["video"])
    assert [name for name, case in cases.items() if satisfied(for_video, case)] == ["live", "raw", "video"]
    with pytest.raises(CommandFailed, match="video cannot be had"):
        standing(cases, NONE, ["photo", "video"])


def test_that_no_use_case_names_a_mode_is_not_mode_0() -> None:
    whatever = standing({"live": LIVE, "video": VIDEO}, NONE)
    assert whatever.mode is None
    assert not satisfied(whatever, replace(VIDEO, mode=0))
    named = standing({"live": LIVE, "video": replace(VIDEO, mode=0)}, NONE)
    assert named.mode == 0
    assert satisfied(named, VIDEO)


def test_without_use_cases_raw_has_the_largest_mode_of_the_most_bits() -> None:
    modes = tuple(
        SensorMode(size, bits, f"SRGGB{bits}", (0, 0, 3280, 2464), 1, (1, 1))
        for bits in (8, 10)
        for size in ((1640, 1232), (3280, 2464))
    )
    found = Capabilities("x", "x", "x", (3280, 2464), None, "RGGB", modes, {}, {}, frozenset({"raw"}))
    assert defaults(found, {})["raw"] == UseCase("raw", (3280, 2464), "SRGGB10", 3)


def test_a_camera_always_has_a_main_stream() -> None:
    found = merged([LIVE], NONE)
    assert found is not None and found.streams["main"] == found.streams["lores"]
    only_raw = merged([RAW], NONE)
    assert only_raw is not None and only_raw.streams["main"].size == (640, 360)


def frames_until(effect: Effect, readings) -> int:
    return next(number for number, metadata in enumerate(readings, 1) if effect.seen(metadata))


def test_a_change_is_in_effect_with_the_first_frame_that_says_so() -> None:
    readings = [{"ExposureTime": 10000}] * 3 + [{"ExposureTime": 6990}] * 20
    assert frames_until(Effect({"ExposureTime": 7000}, {"ExposureTime": 10000}, 8), readings) == 4


def test_a_value_that_was_there_before_proves_nothing() -> None:
    """So that a picture taken after `set` cannot have been on its way before."""
    assert frames_until(Effect({"ExposureTime": 7020}, {"ExposureTime": 7000}, 8), [{"ExposureTime": 7000}] * 30) == 9
    assert frames_until(Effect({"Brightness": 0.5}, {}, 8), [{}] * 30) == 9


def test_a_change_that_never_shows_is_not_waited_for_for_ever() -> None:
    assert frames_until(Effect({"LensPosition": 5.0}, {"LensPosition": 1.0}, 3), [{"LensPosition": 1.0}] * 100) == 16


def test_zero_hands_back_to_auto_exposure_and_is_not_expected_to_be_read() -> None:
    assert frames_until(Effect({"ExposureTime": 0}, {"ExposureTime": 7000}, 3), [{"ExposureTime": 9000}] * 100) == 4


def test_a_start_is_settled_once_auto_exposure_has_converged() -> None:
    settling = Settling({}, 3)
    assert [settling.over({"AeState": state}) for state in (1, 1, 1, 1, 2)] == [False] * 4 + [True]
    older = Settling({"ExposureTime": 0}, 3)
    assert [older.over({"AeLocked": locked}) for locked in (False, False, False, False, True)] == [False] * 4 + [True]
    silent = Settling({}, 3)
    assert [silent.over({}) for _ in range(5)] == [False] * 3 + [True, True]
    dark = Settling({}, 3, most_frames=6)
    assert [dark.over({"AeState": 1}) for _ in range(6)] == [False] * 5 + [True]


def test_a_start_with_a_fixed_exposure_is_settled_with_the_first_frame_that_has_it() -> None:
    """Frames may be minutes long: no more of them are waited for than it takes."""
    settling = Settling({"ExposureTime": 60_000_000, "AnalogueGain": 2.0}, 8)
    readings = [{"ExposureTime": 10_000}, {"ExposureTime": 59_999_990, "AnalogueGain": 2.0, "AeState": 0}]
    assert [settling.over(metadata) for metadata in readings] == [False, True]
