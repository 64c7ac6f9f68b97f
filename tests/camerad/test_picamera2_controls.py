"""How libcamera's controls, as Picamera2 lists them on Pi cameras, are described."""

from __future__ import annotations

import pytest

from observatory_camerad.controls import checked
from observatory_camerad.drivers.picamera2 import control_info


@pytest.mark.parametrize(
    ("name", "limits", "described"),
    [
        ("ExposureTime", (0, 66666, 20000), ("int", 1, 0, 66666)),
        ("AeEnable", (False, True, True), ("bool", 1, False, True)),
        ("AnalogueGain", (1.0, 16.0, 1.0), ("float", 1, 1.0, 16.0)),
        ("ColourGains", (0.0, 32.0, None), ("float", 2, 0.0, 32.0)),
        ("FrameDurationLimits", (33333, 120000, None), ("int", 2, 33333, 120000)),
        ("ScalerCrop", ((0, 0, 64, 64), (0, 0, 4608, 2592), (576, 0, 3456, 2592)), ("int", 4, 0, 4608)),
        ("AfWindows", ((0, 0, 0, 0), (65535,) * 4, ((0, 0, 0, 0),)), ("int", 4, 0, 65535)),
        ("LensPosition", (0.0, 15.0, 1.0), ("float", 1, 0.0, 15.0)),
        ("SomethingNew", (None, None, None), ("int", 1, None, None)),
    ],
)
def test_a_control_is_described_by_its_limits(name, limits, described) -> None:
    info = control_info(name, *limits, {})
    assert (info.type, info.count, info.minimum, info.maximum) == described
    assert info.repeated is (name == "AfWindows")


def test_a_crop_may_begin_at_the_corner() -> None:
    info = control_info("ScalerCrop", (0, 0, 64, 64), (0, 0, 4608, 2592), (576, 0, 3456, 2592), {})
    assert checked({"ScalerCrop": [0, 0, 4608, 2592]}, {"ScalerCrop": info}) == {"ScalerCrop": (0, 0, 4608, 2592)}
