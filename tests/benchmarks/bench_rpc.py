"""How much the hardened calls cost, against bare Pyro5. Every server is a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

import Pyro5.api
import Pyro5.server
from tables import Table

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


def serve_hardened(pipe: Pipe, processor: int) -> None:
    """A process: the hardened server, until the pipe closes."""
    _bind(processor)
    server = Server(Gate(Device()), Policy(["LocalHost"], None, [], Directory({}, {})), "device", "127.0.0.1", 0)
    server.start()
    pipe.send(server.address)
    pipe.recv()
    server.close(1.0)


def serve_bare(pipe: Pipe, processor: int) -> None:
    """A process: a Pyro5 daemon as it comes, until the pipe closes."""
    _bind(processor)
    Pyro5.api.config.POLLTIMEOUT = 0.2
    daemon = Pyro5.server.Daemon(host="127.0.0.1", port=0)
    daemon.register(BareDevice(), "device")
    pipe.send(daemon.sock.getsockname()[:2])
    daemon.requestLoop(lambda: not pipe.poll())
    daemon.close()


@contextmanager
def running(target: Callable[[Pipe, int | None], None], processor: int) -> Iterator[tuple[str, int]]:
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
class Stack:
    """The medians of each round of one stack, in seconds."""

    name: str
    call: Callable[[], Any]
    medians: list[float]
    slowest: list[float]
    aim: float | None = None


def measure(table: Table, rounds: int, server_cpu: int, client_cpu: int) -> None:
    """Add the rows of one arrangement."""
    allowed = os.sched_getaffinity(0)
    _bind(client_cpu)
    try:
        with ExitStack() as stack:
            hardened = stack.enter_context(running(serve_hardened, server_cpu))
            bare = stack.enter_context(running(serve_bare, server_cpu))
            ours = stack.enter_context(RemoteDaemon(DaemonEntry("bench", "device", "LocalHost", *hardened), 5.0, None))
            rows = [
                Stack(BASELINE, _proxy(stack, bare, "msgpack"), [], []),
                Stack("hardened daemon, our client", ours.report_status, [], [], 1.3),
                Stack("hardened daemon, Pyro5's proxy", _proxy(stack, hardened, "msgpack"), [], []),
                Stack("bare Pyro5, serpent", _proxy(stack, bare, "serpent"), [], []),
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
    for row in rows:
        p50 = statistics.median(row.medians)
        shown = f"{p50 * 1e6:.0f} us, p99 {statistics.median(row.slowest) * 1e6:.0f} us"
        table.add(
            f"{row.name}, {'one processor for both' if server_cpu == client_cpu else 'one processor each'}",
            shown,
            p50 / base,
            row.aim,
        )


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


def _bind(processor: int) -> None:
    os.sched_setaffinity(0, {processor})


def run(rounds: int = 15) -> list[Table]:
    """The tables."""
    table = Table(
        "Status call of 40 keys",
        f"{BASELINE}, of the same line",
        f"{rounds} rounds of {CALLS_PER_ROUND} calls over a kept connection, interleaved; medians of medians. Server"
        " and client are bound to their processors: left free, the scheduler's choice outweighs all else.",
    )
    processors = sorted(os.sched_getaffinity(0))
    for server_cpu in (processors[0], processors[-1]):
        measure(table, rounds, server_cpu, processors[0])
    return [table]
