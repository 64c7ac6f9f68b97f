"""webd and camerad beside what was measured of raspiCamSrv, on its terms: its picture size, no browser but its requests."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import beside_taking
import waiting
import webd
from bench_web_streams import ask
from camera_bench import settings
from processes import cpu_s, memory_mib, pause
from streaming import Mjpeg
from tables import Table
from web_bench import CAMERA, FEED, Load, drawing_s, others, percentile, recorded, server_of, site

_SIZE = (640, 480)
_MANY = 200
_START_PAGE = "/live"
_HOW = (
    "raspiCamSrv 4.10 was measured once, on a machine of this kind (2 processors, its camera simulated too, 640x480 at 30"
    " frames/s, pictures of 21 kB); it was not run again for this table. webd and camerad as one for processor time and memory;"
    " what the simulation of the sensor costs is in ours, unless the row says otherwise, and is not in theirs."
)


def run() -> list[Table]:
    """Both tables."""
    state = others()
    tables = []
    for measure in (_looked_at, beside_taking.taken):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder), state))
    return tables


def _looked_at(folder: Path, state: str) -> Table:
    """Starts, pages and streams."""
    table = Table("Beside raspiCamSrv", "what raspiCamSrv was measured to take", _HOW)
    live = {"stream": "main", "size": list(_SIZE), "format": "RGB888", "mode": 0}
    cases = {case: {**one, "size": list(_SIZE)} if case != "raw" else one for case, one in settings()["use_cases"].items()}
    with site(folder, settings(use_cases={**cases, "live": live})) as rig:
        _at_rest(table, rig)
        _pages(table, rig)
        part_bytes = _viewers(table, rig)
        _full_house(table, rig, part_bytes)
    table.how += f" Ours: pictures of {part_bytes / 1000:.0f} kB. {state}"
    return table


def _at_rest(table: Table, rig: webd.Rig, seconds: float = 10.0) -> None:
    """What both use before anybody has looked or logged in."""
    pids = (rig.web.process.pid, rig.cameras[CAMERA].process.pid)
    pause(3.0)  # all has been started by then
    began_s, before = time.monotonic(), [cpu_s(pid) for pid in pids]
    pause(seconds)
    took_s = time.monotonic() - began_s
    web, camera = ((cpu_s(pid) - used_s) / took_s for pid, used_s in zip(pids, before, strict=True))
    memory = sum(memory_mib(pid) for pid in pids)
    table.add("memory before anybody looks", f"118 MiB there, {memory:.0f} MiB here", memory / 118, 1.0)
    # No aim: a camera that is open costs something, and a photo from one that is not takes 2 s.
    figure = (
        f"0.03 % of a core there, its camera closed; {100 * web:.2f} % webd and {100 * camera:.2f} % camerad here, whose camera"
        " delivers frames all the time, so that a photo need not wait for its start"
    )
    table.add("processor time before anybody looks", figure, (web + camera) / 0.0003)


def _pages(table: Table, rig: webd.Rig, rounds: int = 3) -> None:
    """From the start of webd to its first page; the start page; the first picture; and when the encoder rests again."""
    started, start_pages, pictures, rests = [], [], [], []
    with rig.web.administrator() as person, rig.cameras[CAMERA].connect() as camera:
        for _ in range(rounds):
            rig.web.end_well()
            began = time.monotonic()
            rig.web.start()
            with rig.web.browser() as stranger:
                stranger.get("/login").raise_for_status()
            started.append(time.monotonic() - began)
            began = time.monotonic()
            page = person.get(_START_PAGE).raise_for_status()
            start_pages.append(time.monotonic() - began)
            began = time.monotonic()
            with Mjpeg(rig.web.port, FEED) as client:
                client.part()
            pictures.append(time.monotonic() - began)
            began = time.monotonic()
            waiting.until(lambda: not camera.report_status()["watched"], 30, "the viewer to be forgotten")
            rests.append(time.monotonic() - began)
    of_page = f", {len(page.content) / 1000:.0f} kB; its other files: see the start page above"
    for what, values, theirs_s, there, here in (
        ("from the start to the first page that is answered", started, 1.36, "", ""),
        ("the start page's HTML alone, the first after a login", start_pages, 0.372, ", 93 kB", of_page),
        ("from the request to the first real picture, when nobody has looked", pictures, 2.60, "", ""),
    ):
        middle_s = statistics.median(values)
        figure = f"{theirs_s * 1e3:.0f} ms there{there}; {middle_s * 1e3:.1f} ms here{here}"
        table.add(what, figure, middle_s / theirs_s, 1.0)
    # No aim: both keep it for 10 s on purpose.
    rest_s = statistics.median(rests)
    figure = (
        f"10.3 s there, the camera with it; {rest_s:.1f} s here, of which webd fetches for 0.7 s, for a page that is loaded"
        " again, and camerad waits 10 s for the next call"
    )
    table.add("from the last viewer's end to the encoder's", figure, rest_s / 10.3)


def _viewers(table: Table, rig: webd.Rig, window_s: float = 3.0, rounds: int = 5) -> float:
    """What each viewer costs beyond the first, and all that look in memory; the size of a picture."""
    ours, camerad = server_of(rig), rig.cameras[CAMERA].process.pid
    part_bytes = statistics.mean(len(part) for part in recorded(ours.port))
    found: dict[int, list[dict[str, Any]]] = {1: [], 50: []}
    with Load() as load:
        for _ in range(rounds):
            for clients, windows in found.items():
                began_s, camera_s = time.monotonic(), cpu_s(camerad)
                windows.append(load.window(ours, clients, part_bytes, window_s))
                windows[-1]["camera_cpu"] = (cpu_s(camerad) - camera_s) / (time.monotonic() - began_s)
                windows[-1]["memory"] = memory_mib(ours.pid) + memory_mib(camerad)
    middle = {
        (clients, what): statistics.median(window[what] for window in windows)
        for clients, windows in found.items()
        for what in ("server_cpu", "camera_cpu", "memory")
    }
    each = statistics.median(
        (fifty["server_cpu"] - one["server_cpu"]) / 49 for one, fifty in zip(found[1], found[50], strict=True)
    )
    table.add("processor time for each viewer more", f"0.25 % of a core there, {100 * each:.3f} % here", each / 0.0025, 1.0)
    drawn_fps = statistics.median(statistics.median(window["fps"]) for window in found[50])
    drawing = drawn_fps * drawing_s(rig.cameras[CAMERA].config, "live")
    all_of_it = middle[50, "server_cpu"] + middle[50, "camera_cpu"]
    # No aim for the first: in ours a simulated sensor draws each picture, which no real camera has the processor do.
    figure = (
        f"21.6 % of a core there, without its simulated sensor; {100 * all_of_it:.1f} % here, with ours, whose drawing of the"
        f" pictures takes {100 * drawing:.1f} %"
    )
    table.add("camera, JPEG and 50 viewers", figure, all_of_it / 0.216)
    without = all_of_it - drawing
    figure = f"21.6 % of a core there, {100 * without:.1f} % here"
    table.add("the same, both without the simulated sensor", figure, without / 0.216, 1.0)
    for clients, theirs_mib in ((1, 273), (50, 279)):
        memory = middle[clients, "memory"]
        what = f"memory with {clients} viewer{'s' if clients > 1 else ''}"
        table.add(what, f"{theirs_mib} MiB there, {memory:.0f} MiB here", memory / theirs_mib, 1.0)
    return part_bytes


def _full_house(table: Table, rig: webd.Rig, part_bytes: float) -> None:
    """200 at once: who is served, what else is answered, and how long webd takes to end under them."""
    ours = server_of(rig)
    with Load() as load, rig.web.browser() as stranger, rig.web.administrator() as person:
        load.begin(ours, _MANY, part_bytes, 5.0)
        pause(2.0)
        began = time.monotonic()
        stranger.get("/login").raise_for_status()
        login_s = time.monotonic() - began
        api_s = percentile(ask(person, 3.0), 99)
        rates = load.seen()["fps"]
        load.begin(ours, _MANY, part_bytes, 4.0, 0.1)
        with rig.web.connect() as web:
            while sum(stream["viewers"] for stream in web.report_status()["streams"]) < _MANY:
                pause(0.1)
        pause(1.0)
        began = time.monotonic()
        rig.web.end_well()
        stopped_s = time.monotonic() - began
        load.seen()
    served = sum(rate > 0 for rate in rates)
    figure = f"6 of 10 there, {served} of {_MANY} here, none below {rates[0]:.1f} frames/s"
    table.add("viewers who see anything", figure, _MANY / max(served, 1), 1.0)
    figure = f"none within 6 s of 6 viewers there, {login_s * 1e3:.0f} ms of {_MANY} here"
    table.add("an answer of the login page meanwhile", figure, login_s / 6, 1.0)
    table.add("an answer of the API meanwhile, p99, against 100 ms", f"{api_s * 1e3:.1f} ms here", api_s / 0.1, 1.0)
    table.add(f"its end, while {_MANY} look", f"10.5 s there, {stopped_s:.2f} s here", stopped_s / 10.5, 1.0)
