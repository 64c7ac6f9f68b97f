"""Two cameras that fire together: how far apart their exposures are can be read from what lies beside the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cameras import Camerad, done

PAIRS = 5
FRAME_S = 1 / 30


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Camerad, Camerad]]:
    both = []
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        both.append(Camerad(tmp_path / name))
    try:
        for camerad in both:
            camerad.start()
        yield both[0], both[1]
    finally:
        for camerad in both:
            if camerad.process is not None:
                camerad.end()


def beside(camerad: Camerad, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((camerad.output / name).with_suffix(".json").read_text())["observatory"]
    return found


def test_two_cameras_fire_together_and_say_how_far_apart(pair: tuple[Camerad, Camerad], machine_lag) -> None:
    left, right = pair
    offsets_s = []
    with left.connect() as one, right.connect() as other:
        for number in range(PAIRS):
            at = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat(timespec="microseconds").replace("+00:00", "Z")
            jobs = [one.take_photo(at=at), other.take_photo(at=at)]
            names = [done(camera, job)["name"] for camera, job in zip((one, other), jobs, strict=True)]
            assert names == [f"camera-{number + 1:08d}.jpg"] * 2
            facts = [beside(camerad, name) for camerad, name in zip(pair, names, strict=True)]
            for fact in facts:
                assert datetime.fromisoformat(fact["at"]) == datetime.fromisoformat(at)
                after_s = (datetime.fromisoformat(fact["exposure_start"]) - datetime.fromisoformat(at)).total_seconds()
                assert fact["after_at_us"] / 1e6 == pytest.approx(after_s, abs=2e-6)
                assert abs(after_s) < FRAME_S + machine_lag.seconds  # who is held up may lose the nearest frame
            offsets_s.append((facts[1]["after_at_us"] - facts[0]["after_at_us"]) / 1e6)
    print("right after left, ms:", *(f"{offset * 1e3:.2f}" for offset in offsets_s))
    assert max(map(abs, offsets_s)) < FRAME_S + machine_lag.seconds
    drift_s = [(offset - offsets_s[0] + FRAME_S / 2) % FRAME_S - FRAME_S / 2 for offset in offsets_s]
    assert max(map(abs, drift_s)) < 0.002 + machine_lag.seconds  # each camera has a grid of its own, and keeps it


def test_a_pair_whose_time_is_over_is_refused_by_both_and_costs_no_number(pair: tuple[Camerad, Camerad]) -> None:
    for camerad in pair:
        with camerad.connect() as camera:
            with pytest.raises(ValueError, match="at is"):
                camera.take_photo(at="2001-01-01T00:00:00Z")
            assert done(camera, camera.take_photo())["name"] == "camera-00000001.jpg"
