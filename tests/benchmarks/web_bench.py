"""What webd's benchmarks share: a webd over a camera at the measured settings, and the process of the many clients."""

from __future__ import annotations

import json
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import webd
from camera_bench import settings
from processes import pause
from streaming import Mjpeg

from observatory_camerad import config as camerad_config
from observatory_camerad.acquisition.use_cases import standing
from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics
from observatory_common.config import read_document
from observatory_common.directory import Directory

CAMERA = "cam1"
FEED = "/video_feed"
_HERE = Path(__file__).parent


@contextmanager
def site(folder: Path, camera_config: Mapping[str, Any] | None = None) -> Iterator[webd.Rig]:
    """A webd whose streams need no login, in front of one camera; both as real processes."""
    config = camera_config or settings()
    with webd.running(folder, cameras_named=[CAMERA], camera_config=config, public_streams=True) as rig:
        yield rig


@dataclass(frozen=True)
class Server:
    """One that is measured."""

    name: str
    port: int
    pid: int


def server_of(rig: webd.Rig) -> Server:
    """The webd of a site."""
    return Server("webd", rig.web.port, rig.web.process.pid)


@contextmanager
def program(name: str, file: str, *arguments: object) -> Iterator[Server]:
    """A bare server of this folder, which prints its port, as a process."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    command = [sys.executable, str(_HERE / file), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            yield Server(name, int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


class Load:
    """The clients' process."""

    def __init__(self) -> None:
        command = [sys.executable, str(_HERE / "stream_load.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()

    def window(self, server: Server, clients: int, part_bytes: float, window_s: float) -> dict[str, Any]:
        """What a number of clients see of a server."""
        self.begin(server, clients, part_bytes, window_s)
        return self.seen()

    def begin(self, server: Server, clients: int, part_bytes: float, window_s: float, warm_s: float = 1.0) -> None:
        """Have them look, for `warm_s` that do not count and `window_s` that do."""
        wish = {"port": server.port, "path": FEED, "clients": clients, "warm_s": warm_s, "window_s": window_s}
        self._process.stdin.write(json.dumps({**wish, "part_bytes": part_bytes, "pid": server.pid}) + "\n")
        self._process.stdin.flush()

    def seen(self) -> dict[str, Any]:
        """What they have seen since they began: waits for it."""
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


def recorded(port: int, count: int = 30) -> list[bytes]:
    """Parts as webd sends them, each with the boundary after it."""
    parts = []
    with Mjpeg(port, FEED) as client:
        for _ in range(count):
            headers, body = client.part()
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            parts.append(head.encode() + b"\r\n" + body + b"\r\n--frame\r\n")
    return parts


def write_parts(file: Path, parts: Sequence[bytes]) -> None:
    """As bare_streams.py reads them."""
    file.write_bytes(b"".join(struct.pack("!I", len(part)) + part for part in parts))


def drawing_s(config: Path, case: str, frames: int = 60) -> float:
    """Processor seconds in which a camerad's simulated camera draws one picture of a use case; measured in this process."""
    found = camerad_config.parse(read_document(config), Directory({}, {}))
    simulator = found.simulator
    driver = SimulatedCamera(simulator.scene, simulator.sensor, SimulatedOptics(simulator.scene.seeing_sigma_pixels))
    driver.open()
    try:
        driver.configure(standing(found.use_cases, found.transform))
        driver.set_controls(found.controls)
        took = []
        for _ in range(frames):
            request = driver.next_request(5.0)
            assert request is not None
            began = time.process_time()
            request.array(found.use_cases[case].stream)
            took.append(time.process_time() - began)
            request.release()
    finally:
        driver.close()
    return statistics.median(took)


def milliseconds(times_s: Sequence[float]) -> str:
    """The median and the slowest of a hundred."""
    return f"{statistics.median(times_s) * 1e3:.1f} ms, p99 {percentile(times_s, 99) * 1e3:.1f} ms"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(round(percent / 100 * (len(ordered) - 1)), len(ordered) - 1)]


def others(seconds: float = 2.0) -> str:
    """What else the machine is doing, for the table; to be asked while nothing is measured."""
    before = _idle_and_all()
    pause(seconds)
    idle, all_ticks = (after - then for after, then in zip(_idle_and_all(), before, strict=True))
    return f"Others used {100 * (1 - idle / all_ticks):.0f} % of the machine just before."


def _idle_and_all() -> tuple[int, int]:
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
