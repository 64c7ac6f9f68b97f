"""camerad's memory: at rest, at work, and whether it grows."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import waiting
from camera_bench import PACE_FPS, Viewer, bare, camerad, settings
from cameras import Camerad
from processes import memory_mib, pause
from tables import Table

from observatory_common.rpc.client import RemoteDaemon

FRAMES = 10_000
PHOTOS = 1_000
_QUICK_FPS = 90.0
_FLAT = 1.02
_FILLING = 1_100  # photos after which the ring of events is full, and every other table of bounded length
_AT_ONCE = 100  # photos, after which they are deleted


def at_work(folder: Path) -> Table:
    """Idle, streaming, and with what else it may have loaded."""
    table = Table(
        "Memory of camerad",
        "the bare encoder, a process with the same driver, which encodes each frame by the same call of OpenCV"
        " (raspiCamSrv: 118 MiB idle, 273 MiB streaming)",
        f"Resident memory with shared libraries, simulated camera of 1280x720 RGB888 and raw at {PACE_FPS:g} frames/s; in"
        " this order in one daemon; what was loaded stays.",
    )
    with camerad(folder) as daemon, daemon.connect() as camera:
        pause(5.0)
        idle = memory_mib(daemon.process.pid)
        with Viewer(daemon):
            pause(10.0)
            streaming = memory_mib(daemon.process.pid)
            _take(camera, camera.take_photo)
            photo = memory_mib(daemon.process.pid)
            _take(camera, camera.take_raw)
            raw = memory_mib(daemon.process.pid)
            job = camera.start_video(5.0)
            pause(4.0)
            video = memory_mib(daemon.process.pid)
            assert camera.wait_for(job)["state"] == "succeeded"
        with bare(daemon.config) as plain:
            plain.ask("encode")
            pause(5.0)
            base = memory_mib(plain.pid)
    table.add("the bare encoder, encoding", f"{base:.0f} MiB", 1.0)
    for what, value in (
        ("idle", idle),
        ("streaming", streaming),
        ("and a photo", photo),
        ("and a raw frame as FITS", raw),
        ("and recording H.264", video),
    ):
        table.add(f"camerad, {what}", f"{value:.0f} MiB", value / base)
    table.add("camerad idle, against 90 MiB", f"{idle:.0f} MiB", idle / 90, 1.0)
    table.add("camerad streaming, against 150 MiB", f"{streaming:.0f} MiB", streaming / 150, 1.0)
    return table


def growth(folder: Path, frames: int = FRAMES, photos: int = PHOTOS, before: int = _FILLING) -> Table:
    """Over many frames and photos."""
    table = Table(
        "Memory over time",
        "the mean of the first quarter of the samples",
        f"One daemon with one viewer at {_QUICK_FPS:g} frames/s of 1280x720. Before the photos that count, {before} others fill"
        " the tables of bounded length (events, jobs). The slope is that of the line through all samples; the ratio is the"
        " last quarter's mean to the first's.",
    )
    with camerad(folder, **settings(_QUICK_FPS)) as daemon, daemon.connect() as camera, Viewer(daemon) as viewer:

        def some_frames(count: int) -> None:
            wanted = viewer.count + count
            waiting.until(lambda: viewer.count >= wanted, 10 + count, f"{count} frames")

        def some_photos(count: int) -> None:
            for _ in range(count):
                _take(camera, camera.take_photo)
            camera.delete_files([file["name"] for file in camera.files()])

        some_frames(frames // 10)
        _grown(table, daemon, "frames", some_frames, frames)
        while before > 0:
            some_photos(min(before, _AT_ONCE))
            before -= _AT_ONCE
        _grown(table, daemon, "photos", some_photos, photos)
    return table


def _grown(table: Table, daemon: Camerad, what: str, some: Callable[[int], None], count: int) -> None:
    done, samples = [0], [memory_mib(daemon.process.pid)]
    while done[-1] < count:
        some(max(count // 40, 1))
        done.append(done[-1] + max(count // 40, 1))
        samples.append(memory_mib(daemon.process.pid))
    slope = statistics.linear_regression(done, samples).slope
    quarter = max(len(samples) // 4, 1)
    first, last = statistics.mean(samples[:quarter]), statistics.mean(samples[-quarter:])
    shown = f"{first:.1f} MiB to {last:.1f} MiB, slope {slope * 1024 * 1000:+.0f} KiB per 1000"
    table.add(f"{count} {what}", shown, last / first, _FLAT)


def _take(camera: RemoteDaemon, start: Callable[[], dict[str, object]]) -> None:
    job = camera.wait_for(start())
    assert job["state"] == "succeeded", job


def run() -> list[Table]:
    """All tables."""
    tables = []
    for measure in (at_work, growth):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder)))
    return tables
