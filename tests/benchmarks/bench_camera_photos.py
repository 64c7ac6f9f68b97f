"""Photos: how soon one is there, with and without live view, and what they do to the live view."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from camera_bench import PACE_FPS, Bare, Seen, Viewer, bare, camerad, settings
from cameras import Camerad
from processes import pause
from tables import Table

from observatory_common.rpc.client import RemoteDaemon

LATENCY_AIM_S = 0.05
OLDEST_AIM_S = 0.25
_LARGE_RAW = {"stream": "raw", "size": [2560, 1440], "format": "SRGGB12", "mode": 1}


def latency(folder: Path, rounds: int = 40) -> Table:
    """From the call to the end of the job."""
    table = Table(
        "Latency of a photo",
        "the driver alone: wait for the next frame, take its pixels, encode, write"
        " (raspiCamSrv: 34 ms while it streams, 2.1 s when not)",
        f"{rounds} photos each, 1280x720 JPEG at {PACE_FPS:g} frames/s, interleaved, at random moments; the mean wait for"
        " the next frame is 17 ms of it. camerad: from the call of take_photo until its job has ended: picture and"
        " metadata are on the disk (fsync) then; the driver alone waits for no disk.",
    )
    moments = random.Random(1)
    times: dict[str, list[float]] = {"the driver alone": [], "camerad, nobody looks": [], "camerad, live view runs": []}
    with camerad(folder / "quiet") as quiet, camerad(folder / "busy") as busy, bare(busy.config) as plain, Viewer(busy):
        with quiet.connect() as quiet_camera, busy.connect() as busy_camera:
            shots = (
                lambda: _bare_photo(plain, folder / "bare.jpg"),
                lambda: _photo(quiet_camera),
                lambda: _photo(busy_camera),
            )
            for number in range(rounds + 2):
                for found, shot in zip(times.values(), shots, strict=True):
                    pause(moments.uniform(0.03, 0.1))
                    took_s = shot()
                    if number > 1:  # the first ones load the encoder
                        found.append(took_s)
    base_s = statistics.median(times["the driver alone"])
    for what, found in times.items():
        middle_s = statistics.median(found)
        table.add(what, f"{middle_s * 1e3:.1f} ms, at most {max(found) * 1e3:.1f}", middle_s / base_s)
    for what in ("camerad, nobody looks", "camerad, live view runs"):
        middle_s = statistics.median(times[what])
        aim = f"{LATENCY_AIM_S * 1e3:g} ms"
        table.add(f"{what}, against {aim}", f"{middle_s * 1e3:.1f} ms", middle_s / LATENCY_AIM_S, 1.0)
    return table


def _bare_photo(plain: Bare, path: Path) -> float:
    took_s: float = plain.ask(f"photo {path}")["took_s"]
    return took_s


def _photo(camera: RemoteDaemon) -> float:
    began = time.monotonic()
    job = camera.wait_for(camera.take_photo())
    assert job["state"] == "succeeded", job
    return time.monotonic() - began


def live_view_meanwhile(folder: Path, photos: int = 50, raws: int = 10) -> Table:
    """How old the live view's frame becomes while photos are taken."""
    table = Table(
        "The live view while photos are taken",
        f"{OLDEST_AIM_S * 1e3:g} ms",
        f"One viewer at {PACE_FPS:g} frames/s; the age is that of a frame (since its exposure ended) when the next one has"
        " come to the viewer: the oldest picture that anybody looked at.",
    )
    with camerad(folder / "merged") as daemon:
        quiet = _ages(daemon, lambda camera: pause(3.0))
        taken = _ages(daemon, lambda camera: _take(camera.take_photo, photos, camera))
    small = {**settings()["use_cases"], "raw": _LARGE_RAW}
    with camerad(folder / "changed", **settings(use_cases=small)) as daemon:
        gaps: list[float] = []

        def change(camera: RemoteDaemon) -> None:
            for _ in range(raws):
                _take(camera.take_raw, 1, camera)
                pause(0.5)  # until the live view is back
                gaps.append(camera.report_status()["reconfiguration_gap_s"])

        changed = _ages(daemon, change)
    for what, ages, aim in (
        ("nothing is taken", quiet, 1.0),
        (f"{photos} photos, from the running configuration", taken, 1.0),
        (f"{raws} raw frames of a larger sensor mode: the configuration changes and back", changed, None),
    ):
        oldest_s, middle_s = max(ages), statistics.median(ages)
        table.add(f"{what}, the oldest", f"{oldest_s * 1e3:.0f} ms (median {middle_s * 1e3:.0f})", oldest_s / OLDEST_AIM_S, aim)
    gap_s = statistics.median(gaps)
    shown = f"{gap_s * 1e3:.0f} ms, at most {max(gaps) * 1e3:.0f}"
    table.add("frames missing for a change and back, as the status says", shown, gap_s / OLDEST_AIM_S)
    return table


def _take(start: Callable[[], dict[str, object]], count: int, camera: RemoteDaemon) -> None:
    for _ in range(count):
        job = camera.wait_for(start())
        assert job["state"] == "succeeded", job


def _ages(daemon: Camerad, action: Callable[[RemoteDaemon], None]) -> list[float]:
    """How old each frame was when the next came, while something was done."""
    with daemon.connect() as camera, Viewer(daemon) as viewer:
        pause(1.0)
        began = viewer.count
        action(camera)
        pause(0.5)
        seen: list[Seen] = viewer.since(began)
    return [after.came_s - before.exposed_s for before, after in pairwise(seen)]


def run() -> list[Table]:
    """All tables."""
    tables = []
    for measure in (latency, live_view_meanwhile):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder)))
    return tables
