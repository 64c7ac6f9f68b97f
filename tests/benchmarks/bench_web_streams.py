"""Live pictures to many viewers: what webd costs for each beside a bare server, whether all keep the rate, and what else
is answered meanwhile."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import webd
from camera_bench import PACE_FPS
from processes import pause
from streaming import Mjpeg
from tables import Table
from web_bench import (
    CAMERA,
    FEED,
    Load,
    milliseconds,
    others,
    percentile,
    program,
    recorded,
    server_of,
    site,
    write_parts,
)

BASELINE = (
    "a bare asyncio server: a process that sends the same recorded parts at the same rate, one write for each client and part"
)
_MANY = 200
#: Viewers, and how many windows with so many.
_CLIENTS = {1: 3, 50: 3, _MANY: 7}
_NEEDED_FPS = 29.0
_ASKED = ("/api/v1/cameras", "/api/v1/system")


def fan_out(rig: webd.Rig, folder: Path, state: str, window_s: float = 3.0) -> Table:
    """Processor time per viewer, and the rate that each sees."""
    with ExitStack() as stack:
        ours = server_of(rig)
        parts = recorded(ours.port)
        part_bytes = statistics.mean(len(part) for part in parts)
        write_parts(folder / "parts", parts)
        bare, quick = (
            stack.enter_context(program(f"bare {loop}", "bare_streams.py", folder / "parts", loop, PACE_FPS))
            for loop in ("asyncio", "uvloop")
        )
        load = stack.enter_context(Load())
        found: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for clients, rounds in _CLIENTS.items():
            for _ in range(rounds):
                for server in (bare, quick, ours) if clients == _MANY else (bare, ours):
                    found.setdefault((server.name, clients), []).append(load.window(server, clients, part_bytes, window_s))
    table = Table(
        "Live view for many browsers, 1280x720",
        BASELINE,
        f"MJPEG at {PACE_FPS:g} frames/s of a simulated camera, {part_bytes / 1000:.0f} kB each; the clients are one process"
        f" that throws the pictures away; windows of {window_s:g} s, interleaved,"
        f" {_CLIENTS[_MANY]} each with {_MANY} viewers and 3 with fewer; webd, whole, has its fetch from camerad"
        " and its other work in it. Ratios of the server's processor time per picture sent,"
        f" to the bare server's window just before: medians. {state}",
    )
    for (name, clients), windows in found.items():
        cpu = statistics.median(window["server_cpu"] for window in windows)
        least = statistics.median(window["fps"][0] for window in windows)
        figure = f"{100 * cpu:.1f} % of a core, {100 * cpu / clients:.3f} % each, least {least:.1f} frames/s"
        base = found[bare.name, clients]
        ratio = statistics.median(_cost(window) / _cost(other) for window, other in zip(windows, base, strict=True))
        aim = 1.2 if (name, clients) == (ours.name, _MANY) else None
        table.add(f"{name}, {clients} viewer{'s' if clients > 1 else ''}", figure, ratio, aim)
    _add_slowest(table, found[bare.name, _MANY], found[ours.name, _MANY])
    return table


def _add_slowest(table: Table, bare: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """29 frames/s for everybody, or what a bare server gets through where the machine cannot do that."""
    needed, least, compared = slowest(bare, ours)
    busy = statistics.median(window["load_cpu"] for window in ours)
    figure = f"{least:.1f} frames/s ({compared}; the clients' process: {100 * busy:.0f} % of a core)"
    table.add(f"the slowest of {_MANY} viewers, against {needed:.1f} frames/s", figure, needed / least, 1.0)


def slowest(bare: list[dict[str, Any]], ours: list[dict[str, Any]]) -> tuple[float, float, str]:
    """What every viewer should see, what the slowest saw (frames/s), and in which windows; they are in pairs."""
    counted = [own["fps"][0] for own, other in zip(ours, bare, strict=True) if other["fps"][0] >= _NEEDED_FPS]
    if counted:
        where = f"in the {len(counted)} of {len(ours)} windows before which the bare server's slowest saw {_NEEDED_FPS:g}"
        return _NEEDED_FPS, min(counted), where
    reached, least = (statistics.median(window["fps"][0] for window in windows) for windows in (bare, ours))
    return reached, least, f"medians: in none of {len(ours)} windows a bare server gave {_NEEDED_FPS:g} to all"


def _cost(window: dict[str, Any]) -> float:
    """Processor seconds for each picture sent."""
    return float(window["server_cpu"] / sum(window["fps"]))


def answers(rig: webd.Rig, state: str, seconds: float = 8.0) -> Table:
    """How long the API takes while many look."""
    table = Table(
        "Answers of the API while others look",
        "the same webd while nobody looks",
        f"{' and '.join(_ASKED)} in turn, over a kept connection of somebody who is logged in, 50 times a second for"
        f" {seconds:g} s each. {state}",
    )
    server = server_of(rig)
    with Load() as load, rig.web.administrator() as person:
        alone = ask(person, seconds)
        load.begin(server, _MANY, 1.0, seconds + 1.0)
        pause(2.0)
        many = ask(person, seconds)
        looking = sum(fps > 0 for fps in load.seen()["fps"])
    base_s = statistics.median(alone)
    table.add("nobody looks", milliseconds(alone), 1.0)
    table.add(f"{looking} look", milliseconds(many), statistics.median(many) / base_s)
    slow_s = percentile(many, 99)
    table.add(f"{looking} look, p99 against 100 ms", f"{slow_s * 1e3:.1f} ms, at most {max(many) * 1e3:.1f}", slow_s / 0.1, 1.0)
    return table


def ask(person: webd.Browser, seconds: float) -> list[float]:
    """The seconds that each answer of the API took."""
    took = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path in _ASKED:
            began = time.monotonic()
            person.get(path).raise_for_status()
            took.append(time.monotonic() - began)
            pause(max(0.02 - took[-1], 0.0))
    return took


def first_picture(rig: webd.Rig, rounds: int = 10) -> Table:
    """From the request to the first picture, and how old pictures are."""
    with rig.cameras[CAMERA].connect() as camera, Mjpeg(rig.web.port, FEED):
        direct, through, ages, direct_ages = [], [], [], []
        camera.frame("live", None, 0, 5.0)
        pause(2.0)
        for _ in range(rounds):
            began = time.monotonic()
            answer = camera.frame("live", None, 0, 5.0)
            direct.append(time.monotonic() - began)
            began = time.monotonic()
            with Mjpeg(rig.web.port, FEED) as client:
                client.part()
                through.append(time.monotonic() - began)
                for _ in range(5):
                    headers, _ = client.part()
                    ages.append(time.time() - float(headers["X-Timestamp"]))
            for _ in range(5):
                answer = camera.frame("live", answer["boot_id"], answer["number"], 5.0)
                direct_ages.append(time.time() - answer["metadata"]["FrameWallClock_us"] / 1e6)
    table = Table(
        "Age of a picture on its way through webd",
        "the same from camerad itself, by a client of its own",
        f"One viewer more while another looks, {rounds} rounds, medians; from the end of the exposure to the viewer.",
    )
    for what, ours, base in (("first picture", through, direct), ("age of a picture", ages, direct_ages)):
        value, base_value = statistics.median(ours), statistics.median(base)
        table.add(f"camerad, {what}", f"{base_value * 1e3:.1f} ms", 1.0)
        table.add(f"webd, {what}", f"{value * 1e3:.1f} ms", value / base_value)
    return table


def run() -> list[Table]:
    """All tables."""
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder))


def _run(folder: Path) -> list[Table]:
    state = others()
    with site(folder) as rig:
        return [fan_out(rig, folder, state), answers(rig, state), first_picture(rig)]
