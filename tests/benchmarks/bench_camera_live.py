"""The live view: what it costs beside the bare encoder, whether it holds its rate, how soon a first viewer sees it."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import waiting
from camera_bench import PACE_FPS, Bare, Viewer, bare, camerad, rate, settings
from cameras import Camerad
from processes import cpu_s, pause
from tables import Table

BASELINE = "the bare encoder: a process with the same driver, which encodes each frame by the same call of OpenCV"


def cost(folder: Path, windows: int = 8, window_s: float = 6.0) -> Table:
    """Processor time per frame, with one viewer."""
    table = Table(
        "Live JPEG at 1280x720",
        BASELINE,
        f"Simulated camera at {PACE_FPS:g} frames/s, both at the same time; one viewer takes every frame from camerad by"
        f" `frame()`; medians of {windows} windows of {window_s:g} s; processor time by the processes' own clocks, the viewer's"
        " is not in it. Ratios of times.",
    )
    with camerad(folder) as daemon, bare(daemon.config) as plain, Viewer(daemon) as viewer:
        plain.ask("encode")
        pause(3.0)  # both are warm
        ours, base = [], []
        for _ in range(windows):
            began = (_plain(plain), (cpu_s(daemon.process.pid), viewer.count))
            pause(window_s)
            ended = (_plain(plain), (cpu_s(daemon.process.pid), viewer.count))
            for found, before, after in zip((base, ours), began, ended, strict=True):
                frames = after[1] - before[1]
                found.append(((after[0] - before[0]) / frames, window_s / frames))
    (base_cpu_s, base_s), (our_cpu_s, our_s) = (map(statistics.median, zip(*found, strict=True)) for found in (base, ours))
    rows = (("processor time of a frame", base_cpu_s, our_cpu_s, 1.15), ("time from frame to frame", base_s, our_s, 1.02))
    for what, base_value, value, aim in rows:
        table.add(f"the bare encoder, {what}", f"{base_value * 1e3:.2f} ms", 1.0)
        table.add(f"camerad, {what}", f"{value * 1e3:.2f} ms", value / base_value, aim)
    return table


def _plain(process: Bare) -> tuple[float, int]:
    return cpu_s(process.pid), process.ask("count")["frames"]


def held(folder: Path, seconds: float = 8.0) -> Table:
    """The rate that was configured."""
    table = Table(
        "Live view at its configured rate",
        "the time from frame to frame that is configured",
        f"{seconds:g} s each with one viewer; frames that the camera made and the viewer did not get are missing.",
    )
    for frames_per_s in (15.0, 30.0, 60.0):
        with camerad(folder / f"{frames_per_s:g}", **settings(frames_per_s)) as daemon, Viewer(daemon) as viewer:
            pause(2.0)
            began = viewer.count
            pause(seconds)
            seen = viewer.since(began)
        missing = seen[-1].number - seen[0].number + 1 - len(seen)
        found = rate(seen)
        table.add(f"{frames_per_s:g} frames/s", f"{found:.2f} frames/s, {missing} missing", frames_per_s / found, 1.02)
    return table


def first_viewer(folder: Path, rounds: int = 5, again: int = 3) -> Table:
    """From the first viewer's call to a real frame."""
    table = Table(
        "First frame of a first viewer",
        "the driver alone: opened for the viewer, first frame encoded, in a new process (raspiCamSrv: 2.6 s)",
        f"{rounds} new processes each, interleaved, medians; a daemon whose last viewer has gone encodes nothing.",
    )
    opened, fresh, returning = [], [], []
    for number in range(rounds):
        with camerad(folder / f"{number}") as daemon:
            fresh.append(_first_s(daemon))
            with bare(daemon.config) as plain:
                opened.append(plain.first_s)
            for _ in range(again if number == rounds - 1 else 0):
                with daemon.connect() as camera:
                    waiting.until(lambda: not camera.report_status()["watched"], 30, "the viewers to be forgotten")
                returning.append(_first_s(daemon))
    base_s = statistics.median(opened)
    table.add("the driver alone, opened for it", f"{base_s * 1e3:.0f} ms", 1.0)
    for what, found in (("since its start", fresh), ("after the last has gone", returning)):
        middle_s = statistics.median(found)
        table.add(f"camerad, the first {what}", f"{middle_s * 1e3:.0f} ms, at most {max(found) * 1e3:.0f}", middle_s / base_s)
    slowest_s = max(fresh + returning)
    table.add("camerad, the slowest, against 0.3 s", f"{slowest_s * 1e3:.0f} ms", slowest_s / 0.3, 1.0)
    return table


def _first_s(daemon: Camerad) -> float:
    with daemon.connect() as camera:
        camera.report_status()  # connected
        began = time.monotonic()
        answer = camera.frame("live", None, 0, 5.0)
        took_s = time.monotonic() - began
        assert answer["number"] is not None
        return took_s


def two_cameras(folder: Path, seconds: float = 10.0) -> Table:
    """Two daemons at once."""
    table = Table(
        "Two cameras at once",
        "one camera alone",
        f"{seconds:g} s each at {PACE_FPS:g} frames/s of 1280x720, one viewer each. Ratios of times.",
    )
    with ExitStack() as stack:
        daemons = [stack.enter_context(camerad(folder / name)) for name in ("left", "right")]
        viewers = [stack.enter_context(Viewer(daemons[0]))]
        (alone,) = _watched(daemons[:1], viewers, seconds)
        viewers.append(stack.enter_context(Viewer(daemons[1])))
        both = _watched(daemons, viewers, seconds)
    for name, (frame_s, used_s) in (("alone", alone), ("left of two", both[0]), ("right of two", both[1])):
        aim = None if name == "alone" else 1.02
        table.add(f"{name}, time from frame to frame", f"{frame_s * 1e3:.2f} ms", frame_s / alone[0], aim)
        table.add(f"{name}, processor time of a frame", f"{used_s * 1e3:.2f} ms", used_s / alone[1])
    return table


def _watched(daemons: list[Camerad], viewers: list[Viewer], seconds: float) -> list[tuple[float, float]]:
    """Of each daemon the seconds and the processor seconds of a frame."""
    pause(2.0)
    began = [(cpu_s(daemon.process.pid), viewer.count) for daemon, viewer in zip(daemons, viewers, strict=True)]
    pause(seconds)
    found = []
    for daemon, viewer, (used_s, count) in zip(daemons, viewers, began, strict=True):
        seen = viewer.since(count)
        found.append((1 / rate(seen), (cpu_s(daemon.process.pid) - used_s) / len(seen)))
    return found


def run() -> list[Table]:
    """All tables."""
    tables = []
    for measure in (cost, held, first_viewer, two_cameras):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder)))
    return tables
