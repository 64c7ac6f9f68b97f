"""focusd and focus at work, against the plainest daemon and the bare interpreter."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import observatory
import Pyro5.api
import waiting
from tables import Table
from vitals import Vitals

ROUNDS = 15
IDLE_S = 40.0


@contextmanager
def plain(daemon: observatory.Daemon) -> Iterator[tuple[Pyro5.api.Proxy, int]]:
    """The plain daemon on the simulator's port (focusd must not run), and its process number."""
    program = Path(__file__).with_name("plain_daemon.py")
    process = subprocess.Popen([sys.executable, str(program), str(daemon.link)], stdout=subprocess.PIPE, text=True)
    try:
        uri = process.stdout.readline().strip()
        with Pyro5.api.Proxy(uri) as proxy:
            proxy._pyroSerializer = "msgpack"
            waiting.until(proxy.report_status, 10, "the plain daemon to have polled")
            yield proxy, process.pid
    finally:
        process.kill()
        process.communicate()


def command_times(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall and processor milliseconds of one run."""
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return (time.perf_counter() - began) * 1e3, used * 1e3


def start_of_commands(folder: Path) -> Table:
    """What a person waits for."""
    table = Table(
        "Commands from a shell",
        '`python -c "import Pyro5.api"` (multifocusd\'s `focus status` takes 2.0 times as long)',
        f"{ROUNDS} runs each, interleaved, medians of whole processes.",
    )
    with observatory.daemon(folder) as daemon:
        focus = [sys.executable, "-m", "observatory_cli.focus"]
        commands = {
            "baseline": [sys.executable, "-c", "import Pyro5.api"],
            "`focus status`": [*focus, "status"],
            "`focus json`": [*focus, "json"],
            "`focus stop`": [*focus, "stop"],
            "`focus` without arguments": focus,
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(command_times(command, daemon.env))
    wall = {name: statistics.median(w for w, _ in found) for name, found in times.items()}
    cpu = {name: statistics.median(c for _, c in found) for name, found in times.items()}
    for name in commands:
        aim = 1.6 if name == "`focus status`" else None
        table.add(f"{name}, wall", f"{wall[name]:.0f} ms", wall[name] / wall["baseline"], aim)
        table.add(f"{name}, processor", f"{cpu[name]:.0f} ms", cpu[name] / cpu["baseline"], aim)
    return table


def cpu_and_memory_at_rest(folder: Path) -> Table:
    """focusd on multifocusd's sample settings, doing nothing."""
    table = Table(
        "At rest",
        "the plainest daemon: bare Pyro5 and pyserial, polling every 5 s (multifocusd: 0.04 % of a core, 28 MiB)",
        f"{IDLE_S:g} s each at the sample configuration, connected, no client.",
    )
    with observatory.daemon(folder, start=False) as daemon:
        with plain(daemon) as (_, pid):
            base_cpu, base_mb = _rest(pid)
        daemon.start()
        cpu, mb = _rest(daemon.process.pid)
    mib = 1e6 / 2**20
    table.add("the plainest daemon, processor", f"{base_cpu * 100:.3f} % of a core", 1.0)
    table.add("focusd, processor", f"{cpu * 100:.3f} % of a core", cpu / max(base_cpu, 1e-6))
    table.add("the plainest daemon, memory", f"{base_mb * mib:.1f} MiB", 1.0)
    table.add("focusd, memory", f"{mb * mib:.1f} MiB", mb / base_mb)
    table.add("focusd, processor against multifocusd's 0.04 %", f"{cpu * 100:.3f} %", cpu / 0.0004, 1.0)
    table.add("focusd, memory against multifocusd's 28 MiB", f"{mb * mib:.1f} MiB", mb * mib / 28, 1.0)
    return table


def _rest(pid: int) -> tuple[float, float]:
    vitals = Vitals(pid)
    began, used = time.monotonic(), _cpu_ns(pid)
    waiting.until(lambda: time.monotonic() - began > IDLE_S, IDLE_S + 10, "the end of the rest")
    return (_cpu_ns(pid) - used) / 1e9 / (time.monotonic() - began), vitals.memory_mb()


def _cpu_ns(pid: int) -> int:
    """All threads' processor time, finer than the kernel's ticks."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def arrival(folder: Path) -> Table:
    """From the motor's arrival to the end of `focus set`."""
    delay_s = observatory.SAMPLE["moving_loop_delay"]
    table = Table(
        "Arrival of the motor to the return of `focus set`",
        "one `moving_loop_delay` (0.5 s) and 50 ms (multifocusd: 4.2 s)",
        "Moves of 1 to 200 steps at the controller's real speed.",
    )
    late = []
    with observatory.daemon(folder) as daemon:
        here = 0
        for steps in (1, 5, 20, 50, -50, 61, -61, 90, 130, -200):
            here += steps
            assert daemon.focus("set", "1", str(here)).returncode == 0
            ended = time.monotonic()
            late.append(ended - daemon.simulator.state()["channels"]["1"]["halted_at_monotonic"])
    for what, value in (("median", statistics.median(late)), ("slowest", max(late))):
        table.add(what, f"{value * 1e3:.0f} ms", value / (delay_s + 0.05), 1.0)
    return table


def stopping(folder: Path) -> Table:
    """From the call of a stop to the halted motor."""
    table = Table(
        "Stop over a kept connection",
        "the plainest daemon (multifocusd: halted after 1.0 ms, answered after 1.2 ms)",
        f"{ROUNDS * 2} stops of a moving motor; halted: by the simulator's clock; answered: by the client's.",
    )
    with observatory.daemon(folder, start=False) as daemon:
        with plain(daemon) as (proxy, _):
            base = _stops(daemon, lambda n: proxy.move(n), proxy.stop)
        daemon.start()
        with daemon.connect() as focuser:
            focuser.confirm_position(1)
            ours = _stops(daemon, lambda n: focuser.set_focus(1, n), lambda: focuser.stop_channel(1))
    table.add("the plainest daemon, halted", f"{base[0] * 1e3:.2f} ms", 1.0)
    table.add("focusd, halted", f"{ours[0] * 1e3:.2f} ms", ours[0] / base[0])
    table.add("the plainest daemon, answered", f"{base[1] * 1e3:.2f} ms", 1.0)
    table.add("focusd, answered (after the position was read back)", f"{ours[1] * 1e3:.2f} ms", ours[1] / base[1])
    table.add("focusd, halted, against multifocusd's 1.0 ms", f"{ours[0] * 1e3:.2f} ms", ours[0] / 1e-3, 1.0)
    return table


def _stops(daemon: observatory.Daemon, move: Callable[[int], object], stop: Callable[[], object]) -> tuple[float, float]:
    halted, answered = [], []
    for number in range(ROUNDS * 2):
        move(100_000 if number % 2 == 0 else -100_000)
        waiting.until(lambda: daemon.simulator.state()["channels"]["1"]["moving"], 5, "the motor to move")
        began = time.monotonic()
        stop()
        answered.append(time.monotonic() - began)
        halted.append(daemon.simulator.state()["channels"]["1"]["halted_at_monotonic"] - began)
    return statistics.median(halted), statistics.median(answered)


def run() -> list[Table]:
    """All tables."""
    tables = []
    for measure in (start_of_commands, cpu_and_memory_at_rest, arrival, stopping):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder)))
    return tables
