"""How much `frame()` costs beside a bare Pyro annotation of the same bytes. Every server is a process of its own."""

from __future__ import annotations

import ctypes
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import Pyro5.api
import Pyro5.server
from bench_rpc import running
from camera_bench import paced
from tables import Table

from observatory_camerad import config as camerad_config
from observatory_camerad.camera import Camera
from observatory_camerad.outputs import encoding
from observatory_common.access import Gate, Policy
from observatory_common.config import read_document
from observatory_common.directory import DaemonEntry, Directory
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.rpc.server import Server
from observatory_common.service import Context

SIZES = {"200 kB": 200_000, "1 MB": 1_000_000}
AIM = 0.9  # of the bare annotation's frames per second
_KEEPING = {-3: 128 << 20, -1: 512 << 20, -2: 64 << 20}  # glibc's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
BYTES_PER_ROUND = 60_000_000
STARTS = 3  # of the servers: where a process has its buffers in memory is good or bad luck for its whole life


@Pyro5.server.expose
class BareFrames:
    """A daemon as it comes: the bytes beside an answer that says nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def frame(self) -> None:
        """The bytes."""
        Pyro5.api.current_context.response_annotations = {"FRAM": self._data}


def keep_memory() -> None:
    """Have this process's allocator keep what is freed, as MALLOC_TRIM_THRESHOLD_ and its like in a unit file do."""
    allocator = ctypes.CDLL(None)
    for option, value in _KEEPING.items():
        assert allocator.mallopt(option, value) == 1


def serve_bare(size: int, keeping: bool, pipe: Pipe, processor: int) -> None:
    """A process: the bare daemon, until the pipe speaks."""
    os.sched_setaffinity(0, {processor})
    if keeping:
        keep_memory()
    Pyro5.api.config.POLLTIMEOUT = 0.2
    daemon = Pyro5.server.Daemon(host="127.0.0.1", port=0)
    daemon.register(BareFrames(random.Random(1).randbytes(size)), "device")
    pipe.send(daemon.sock.getsockname()[:2])
    daemon.requestLoop(lambda: not pipe.poll())
    daemon.close()


def serve_camera(size: int, keeping: bool, pipe: Pipe, processor: int) -> None:
    """A process: camerad behind its server, whose encoder always makes these bytes, at a frame each 5 s."""
    os.sched_setaffinity(0, {processor})
    if keeping:
        keep_memory()
    data = random.Random(1).randbytes(size)
    encoding.encode = lambda *_: data
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "cam.json"
        whole = {
            "daemon": "localhost_test",
            "log_name": "bench",
            "control_machines": ["LocalHost"],
            "driver": "simulator",
            "use_cases": {"live": {"stream": "main", "size": [64, 36], "format": "RGB888"}},
            "controls": paced(0.2),
        }
        file.write_text(json.dumps(whole))
        directory = Directory({}, {})
        camera = Camera(camerad_config.parse(read_document(file), directory), Context("cam", "boot", folder, directory, "0"))
        server = Server(Gate(camera), Policy(["LocalHost"], None, [], directory), "device", "127.0.0.1", 0)
        server.start()
        camera.start()
        pipe.send(server.address)
        pipe.recv()
        camera.close(3.0)
        server.close(1.0)


def measure(table: Table, label: str, size: int, rounds: int, keeping: bool, processors: tuple[int, int]) -> None:
    """Add the rows of one size and one arrangement: `processors` are the servers' and the client's."""
    bare: list[float] = []
    ours: list[float] = []
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processors[1]})
    try:
        for _ in range(STARTS):
            _measure_once(bare, ours, size, rounds, keeping, processors[0])
    finally:
        os.sched_setaffinity(0, allowed)
    base_s = statistics.median(bare)
    where = "one processor for both" if processors[0] == processors[1] else "one processor each"
    memory = ", memory kept" if keeping else ""
    for name, medians, aim in (("bare annotation", bare, None), ("`frame()`", ours, round(1 / AIM, 2))):
        took_s = statistics.median(medians)
        shown = f"{took_s * 1e6:.0f} us, {base_s / took_s:.2f} of the baseline's rate"
        table.add(f"{name} of {label}, {where}{memory}", shown, took_s / base_s, aim)


def _measure_once(bare: list[float], ours: list[float], size: int, rounds: int, keeping: bool, server_cpu: int) -> None:
    """Add the median seconds of each round, with new servers."""
    with ExitStack() as stack:
        address = stack.enter_context(running(partial(serve_camera, size, keeping), server_cpu))
        plain = stack.enter_context(running(partial(serve_bare, size, keeping), server_cpu))
        camera = stack.enter_context(RemoteDaemon(DaemonEntry("bench", "device", "LocalHost", *address), 15.0, None))
        proxy = stack.enter_context(Pyro5.api.Proxy(f"PYRO:device@{plain[0]}:{plain[1]}"))
        proxy._pyroSerializer = "msgpack"
        calls = ((bare, lambda: _beside(proxy.frame())), (ours, lambda: len(camera.frame("live")["data"])))
        for number in range(rounds + 1):
            for medians, call in calls:
                median = _median_s(call, size)
                if number:  # the first round warms up
                    medians.append(median)


def _beside(_: Any) -> int:
    return len(Pyro5.api.current_context.response_annotations["FRAM"])


def _median_s(call: Callable[[], int], size: int) -> float:
    clock, times = time.perf_counter, []
    for _ in range(BYTES_PER_ROUND // size):
        began = clock()
        assert call() == size
        times.append(clock() - began)
    return statistics.median(times)


def run(rounds: int = 6) -> list[Table]:
    """The table."""
    table = Table(
        "A frame to a client",
        "a bare Pyro5 daemon whose method sets the same bytes as an annotation and returns nothing, of the same line",
        f"{STARTS} starts of the servers, {rounds} rounds of {BYTES_PER_ROUND // 1_000_000} MB each over a kept connection,"
        " interleaved; medians of medians;"
        f" ratios of times ({AIM:g} of the bare rate is {1 / AIM:.2f} of its time). camerad answers with the latest frame,"
        " which is there already, and its metadata. A megabyte that glibc gives back to the kernel and gets anew with each"
        " frame costs more than all else; with `memory kept` it does not, in all processes.",
    )
    processors = sorted(os.sched_getaffinity(0))
    for keeping in (False, True):
        if keeping:
            keep_memory()  # the client's too, for the rest of this process
        for label, size in SIZES.items():
            for server_cpu in dict.fromkeys((processors[0], processors[-1])):
                measure(table, label, size, rounds, keeping, (server_cpu, processors[0]))
    return [table]
