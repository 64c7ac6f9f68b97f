"""How much the hardened calls cost: a status of 40 keys, against bare Pyro5, in interleaved rounds of one run.

`python tests/benchmarks/bench_rpc.py [ROUNDS]` prints two tables of ratios to bare Pyro5+msgpack: with the scheduler
free, and with server and client bound to one processor each (steadier: always a wake-up across processors).
Every server is a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import Pyro5.api
import Pyro5.server

from observatory_common.access import Gate, Policy, view
from observatory_common.directory import DaemonEntry, Directory
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.rpc.server import Server

CALLS_PER_ROUND = 300
BASELINE = "bare Pyro5, msgpack"


def status() -> dict[str, Any]:
    """40 keys: 13 int, 11 float, 9 str, 3 lists, 2 dicts, a bool and a None."""
    values: dict[str, Any] = {f"steps_of_channel_{n}": 1000 * n for n in range(13)}
    values |= {f"temperature_{n}_C": 10.25 + n for n in range(11)}
    values |= {f"status_label_{n}": f"text number {n}" for n in range(9)}
    values |= {f"limits_{n}": [-10000, n, 10000] for n in range(3)}
    values |= {f"details_{n}": {"exposure_s": 0.5, "gain": n} for n in range(2)}
    return values | {"moving": False, "last_error": None}


class Device:
    """The object behind the hardened server."""

    boot_id = "bench"
    software_version = "0"

    def __init__(self) -> None:
        self._status = status()

    @view
    def report_status(self) -> dict[str, Any]:
        """The 40 keys."""
        return self._status


@Pyro5.server.expose
class BareDevice:
    """The same behind a bare Pyro5 daemon."""

    def __init__(self) -> None:
        self._status = status()

    def report_status(self) -> dict[str, Any]:
        """The 40 keys."""
        return self._status


def serve_hardened(pipe: Pipe, processor: int | None) -> None:
    """A process: the hardened server, until the pipe closes."""
    _bind(processor)
    server = Server(Gate(Device()), Policy(["LocalHost"], None, [], Directory({}, {})), "device", "127.0.0.1", 0)
    server.start()
    pipe.send(server.address)
    pipe.recv()
    server.close(1.0)


def serve_bare(pipe: Pipe, processor: int | None) -> None:
    """A process: a Pyro5 daemon as it comes, until the pipe closes."""
    _bind(processor)
    Pyro5.api.config.POLLTIMEOUT = 0.2
    daemon = Pyro5.server.Daemon(host="127.0.0.1", port=0)
    daemon.register(BareDevice(), "device")
    pipe.send(daemon.sock.getsockname()[:2])
    daemon.requestLoop(lambda: not pipe.poll())
    daemon.close()


@contextmanager
def running(target: Callable[[Pipe, int | None], None], processor: int | None) -> Iterator[tuple[str, int]]:
    """The address of a server process, for as long as the context lasts."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=target, args=(there, processor))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("stop")
        process.join(10)
        process.kill()


@dataclass
class Row:
    """The medians of each round of one stack, in seconds."""

    name: str
    call: Callable[[], Any]
    medians: list[float]
    slowest: list[float]


def measure(rounds: int, pinned: bool) -> dict[str, float]:
    """Print the table and return each stack's ratio to bare Pyro5+msgpack."""
    server_cpu, client_cpu = (1, 0) if pinned and (os.cpu_count() or 1) > 1 else (None, None)
    allowed = os.sched_getaffinity(0)
    _bind(client_cpu)
    try:
        with ExitStack() as stack:
            hardened = stack.enter_context(running(serve_hardened, server_cpu))
            bare = stack.enter_context(running(serve_bare, server_cpu))
            ours = stack.enter_context(RemoteDaemon(DaemonEntry("bench", "device", "LocalHost", *hardened), 5.0, None))
            rows = [
                Row(BASELINE, _proxy(stack, bare, "msgpack"), [], []),
                Row("hardened daemon, our client", ours.report_status, [], []),
                Row("hardened daemon, Pyro5's proxy", _proxy(stack, hardened, "msgpack"), [], []),
                Row("bare Pyro5, serpent", _proxy(stack, bare, "serpent"), [], []),
            ]
            for number in range(rounds + 1):
                for row in rows:
                    times = _times(row.call)
                    if number:  # the first round warms up
                        row.medians.append(statistics.median(times))
                        row.slowest.append(times[int(len(times) * 0.99)])
    finally:
        os.sched_setaffinity(0, allowed)
    base = statistics.median(rows[0].medians)
    print(f"\nstatus call, 40 keys, {'one processor each' if pinned else 'scheduler free'}, {rounds} rounds")
    print(f"{'stack':34} {'p50 us':>8} {'best us':>8} {'p99 us':>8} {'ratio':>7}")
    for row in rows:
        p50 = statistics.median(row.medians)
        print(
            f"{row.name:34} {p50 * 1e6:8.1f} {min(row.medians) * 1e6:8.1f} {statistics.median(row.slowest) * 1e6:8.1f}"
            f" {p50 / base:7.2f}"
        )
    return {row.name: statistics.median(row.medians) / base for row in rows}


def _times(call: Callable[[], Any]) -> list[float]:
    clock, times = time.perf_counter, []
    for _ in range(CALLS_PER_ROUND):
        began = clock()
        call()
        times.append(clock() - began)
    return sorted(times)


def _proxy(stack: ExitStack, address: tuple[str, int], serializer: str) -> Callable[[], Any]:
    proxy = Pyro5.api.Proxy(f"PYRO:device@{address[0]}:{address[1]}")
    proxy._pyroSerializer = serializer
    stack.enter_context(proxy)
    call: Callable[[], Any] = proxy.report_status
    return call


def _bind(processor: int | None) -> None:
    if processor is not None:
        os.sched_setaffinity(0, {processor})


def main() -> None:
    """Print both tables."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for pinned in (False, True):
        measure(rounds, pinned)


if __name__ == "__main__":
    main()
