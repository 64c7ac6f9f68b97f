"""Many frames and photos: memory, threads and files of the daemon do not grow with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from cameras import FAST, Camerad, done

from observatory_common.rpc.client import RemoteDaemon

FRAMES = 2_000  # the benchmark has 10,000
PHOTOS = 200  # and 1,000
ROUNDS = 20
WARM_UP_ROUNDS = 4
MOST_GROWTH_MB = 3.0  # over all rounds after those: an arena of the allocator more or less
WITHIN_S = 60


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path, **FAST)
    running.start()
    yield running
    running.end()


def look(camera: RemoteDaemon, frames: int) -> None:
    """At so many frames as they come."""
    latest = camera.frame("live")
    last = latest["number"] + frames
    while latest["number"] < last:
        latest = camera.frame("live", latest["boot_id"], latest["number"])


def test_memory_threads_and_files_are_flat_over_frames_and_photos(camerad: Camerad, machine_lag) -> None:
    vitals = camerad.vitals
    memory_mb, threads, files = [], [], []
    rounds_s, began = [], time.monotonic()
    with camerad.connect() as camera:
        for number in range(ROUNDS):
            round_began = time.monotonic()
            look(camera, FRAMES // ROUNDS)
            for shot in range(PHOTOS // ROUNDS):
                done(camera, camera.take_photo("jpg", "fits" if shot == number % 2 else None))
            rounds_s.append(time.monotonic() - round_began)
            if number >= WARM_UP_ROUNDS:
                memory_mb.append(vitals.memory_mb())
                threads.append(vitals.threads())
                files.append(vitals.open_files())
        taken = camera.report_status()["frames"]
    lasted_s = time.monotonic() - began
    slope_mb = float(np.polyfit(np.arange(len(memory_mb)), memory_mb, 1)[0]) * len(memory_mb)
    print(
        f"{taken} frames and {PHOTOS} photos in {lasted_s:.0f} s: RSS {memory_mb[0]:.1f} -> {memory_mb[-1]:.1f} MB,"
        f" slope {slope_mb:+.2f} MB over the run, threads {min(threads)} to {max(threads)}, files {min(files)} to {max(files)}"
    )
    assert taken >= FRAMES
    assert median(rounds_s) * ROUNDS < WITHIN_S + machine_lag.seconds, rounds_s  # others may hold up some rounds
    assert slope_mb < MOST_GROWTH_MB
    assert max(threads) - min(threads) <= 2
    assert max(files) - min(files) <= 2


def test_memory_is_flat_over_recordings(camerad: Camerad) -> None:
    vitals = camerad.vitals
    memory_mb = []
    with camerad.connect() as camera:
        for number in range(12):
            assert done(camera, camera.start_video(0.2))["frames"] > 0
            if number >= 4:
                memory_mb.append(vitals.memory_mb())
        threads, files = vitals.threads(), vitals.open_files()
        assert done(camera, camera.start_video(0.3))["frames"] > 0
    slope_mb = float(np.polyfit(np.arange(len(memory_mb)), memory_mb, 1)[0]) * len(memory_mb)
    print(f"RSS {memory_mb[0]:.1f} -> {memory_mb[-1]:.1f} MB over {len(memory_mb)} recordings, slope {slope_mb:+.2f} MB")
    assert slope_mb < MOST_GROWTH_MB
    assert abs(vitals.threads() - threads) <= 2 and abs(vitals.open_files() - files) <= 2
