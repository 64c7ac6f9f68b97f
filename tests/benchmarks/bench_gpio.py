"""gpiod at work on the simulated board, against gpiozero in the process and the plainest daemon around it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import boards
import gpio_daemon
import observatory
import Pyro5.api
import waiting
from processes import bound, cpu_s, pause
from tables import Table

import observatory_common
from observatory_gpiod.devices.declared import declared

ROUNDS = 15
CALLS_PER_ROUND = 300
STATUSES_PER_ROUND = 30
SITE = Path(observatory_common.__file__).with_name("site")
LAMP, PLAIN_LAMP, GATE, PLAIN_GATE = 17, 18, 22, 23
Devices = Mapping[str, tuple[str, dict[str, Any]]]


@contextmanager
def plain(socket: Path, devices: Devices) -> Iterator[tuple[Pyro5.api.Proxy, int]]:
    """The plainest daemon on a board, and its process number."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("plain_gpio.py")), str(socket), json.dumps(devices)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        with Pyro5.api.Proxy(process.stdout.readline().strip()) as proxy:
            proxy._pyroSerializer = "msgpack"
            yield proxy, process.pid
    finally:
        process.kill()
        process.communicate()


def by_gpiozero(devices: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Devices of a config as gpiozero's classes and their arguments; a stepper is four outputs."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for data in devices:
        config, complaints = declared(data)
        assert config is not None, complaints
        if config.type == "StepperMotor":
            found |= {f"{config.id}-{name}": ("OutputDevice", {"pin": pin}) for name, pin in config.pins.items()}
        else:
            found[config.id] = (config.type, {**config.pins, **config.parameters})
    return found


class Timed:
    """One way to do something: `measure` gives the seconds of a round, of which the medians are kept."""

    def __init__(self, name: str, measure: Callable[[], list[float]]) -> None:
        self.name = name
        self._measure = measure
        self._medians: list[float] = []
        self._slowest: list[float] = []

    def round(self, counts: bool) -> None:
        """Measure; the first round warms up and does not count."""
        times = sorted(self._measure())
        if counts:
            self._medians.append(statistics.median(times))
            self._slowest.append(times[int(len(times) * 0.99)])

    @property
    def p50_s(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(self._medians)

    @property
    def shown(self) -> str:
        """The figure of a table."""
        return f"{self.p50_s * 1e6:.0f} us, p99 {statistics.median(self._slowest) * 1e6:.0f} us"


def interleaved(ways: Sequence[Timed]) -> None:
    """Measure all, one after the other, round by round."""
    for number in range(ROUNDS + 1):
        for way in ways:
            way.round(counts=number > 0)


def repeated(call: Callable[[], Any], count: int) -> Callable[[], list[float]]:
    """The seconds of so many calls."""

    def measure() -> list[float]:
        clock, times = time.perf_counter, []
        for _ in range(count):
            began = clock()
            call()
            times.append(clock() - began)
        return times

    return measure


def calls(folder: Path) -> Table:
    """A lamp switched on and off."""
    table = Table(
        "A remote `call` that switches a lamp",
        "the call of gpiozero in the process, and a bare Pyro5 call that does nothing, of the same line",
        f"On and off in turn, {ROUNDS} rounds of {CALLS_PER_ROUND} over a kept connection, interleaved; medians of medians."
        " The daemons and the board share a processor, with the client or without. Every call of gpiod is a line of its audit.",
    )
    processors = sorted(os.sched_getaffinity(0))
    for processor, where in ((processors[0], "one processor for all"), (processors[-1], "the client on its own")):
        within, nothing, plainest, ours = _calls(folder / where, processor, processors[0])
        base_s = within.p50_s + nothing.p50_s
        for way in (within, nothing, plainest, ours):
            table.add(f"{way.name}, {where}", way.shown, way.p50_s / base_s)
        ratio = ours.p50_s / plainest.p50_s
        table.add(f"gpiod against the plainest daemon, {where}", f"{ours.p50_s * 1e6:.0f} us", ratio, 2.0)
    return table


def _calls(folder: Path, daemons_cpu: int, client_cpu: int) -> list[Timed]:
    with ExitStack() as stack:
        with bound(daemons_cpu):
            gpiod = stack.enter_context(gpio_daemon.daemon(folder, [{"id": "lamp", "type": "LED", "pin": LAMP}]))
            bare, _ = stack.enter_context(plain(gpiod.board.socket, {"lamp": ("LED", {"pin": PLAIN_LAMP})}))
        stack.enter_context(bound(client_cpu))
        gpio = stack.enter_context(gpiod.connect())
        for_nothing, for_plain, for_ours = (cycle(("on", "off")) for _ in range(3))
        ways = [
            Timed("gpiozero in the process", lambda: bare.timed_calls("lamp", ["on", "off"], CALLS_PER_ROUND)),
            Timed("bare Pyro5, msgpack", repeated(lambda: bare.nothing("lamp", next(for_nothing)), CALLS_PER_ROUND)),
            Timed("the plainest daemon: both in one", repeated(lambda: bare.call("lamp", next(for_plain)), CALLS_PER_ROUND)),
            Timed("gpiod", repeated(lambda: gpio.invoke("call", "lamp", next(for_ours)), CALLS_PER_ROUND)),
        ]
        interleaved(ways)
        return ways


def status(folder: Path) -> Table:
    """Everything about as many devices as there are pins."""
    table = Table(
        "Status of 28 devices",
        "14 lamps and 14 buttons read by gpiozero in the process, and a bare Pyro5 call that answers with the same dictionary",
        f"{ROUNDS} rounds of {STATUSES_PER_ROUND} calls, interleaved; medians of medians; all on one processor. Each value is"
        " asked of the board when the status is.",
    )
    kinds = ("LED", "Button")
    devices = [{"id": f"{kinds[pin % 2]}-{pin}", "type": kinds[pin % 2], "pin": pin} for pin in range(28)]
    with ExitStack() as stack:
        stack.enter_context(bound(min(os.sched_getaffinity(0))))
        gpiod = stack.enter_context(gpio_daemon.daemon(folder / "ours", devices))
        (folder / "plain").mkdir()
        board = stack.enter_context(boards.board(folder / "plain"))
        bare, _ = stack.enter_context(plain(board.socket, by_gpiozero(devices)))
        gpio = stack.enter_context(gpiod.connect())
        bare.keep(gpio.report_status())
        within = Timed("gpiozero in the process", lambda: bare.timed_status(STATUSES_PER_ROUND))
        answer = Timed("bare Pyro5, msgpack, the same dictionary", repeated(bare.kept, STATUSES_PER_ROUND))
        ours = Timed("gpiod", repeated(gpio.report_status, STATUSES_PER_ROUND))
        ways = (within, answer, ours)
        interleaved(ways)
    base_s = within.p50_s + answer.p50_s
    for way in ways:
        table.add(way.name, way.shown, way.p50_s / base_s, 2.0 if way is ours else None)
    return table


class Hearing(ABC):
    """Takes edges as they come, in a thread of its own, for as long as the context lasts; `at_us` and `came_us` of each."""

    def __init__(self) -> None:
        self.at_us: list[int] = []
        self.came_us: list[int] = []
        self.lost = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hearing")

    def __enter__(self) -> Hearing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)

    def ages_s(self, since: int = 0) -> list[float]:
        """How old the edges were when they came, in order of age."""
        pairs = zip(self.at_us[since:], self.came_us[since:], strict=True)
        return sorted((came - at) / 1e6 for at, came in pairs)

    def until(self, count: int, timeout_s: float = 20) -> None:
        """Wait until so many have come, or the time is up."""
        try:
            waiting.until(lambda: len(self.came_us) >= count, timeout_s, f"{count} edges")
        except AssertionError as late:
            print(late, file=sys.stderr)

    def _run(self) -> None:
        with self._connected() as read:
            while not self._end.is_set():
                at_us = read()
                now_us = time.monotonic_ns() // 1000
                self.at_us += at_us
                self.came_us += [now_us] * len(at_us)

    @abstractmethod
    def _connected(self) -> Any:
        """What reads the next edges' times, for as long as it is entered."""


class OfGpiod(Hearing):
    """By `events`."""

    def __init__(self, gpiod: gpio_daemon.Gpiod) -> None:
        super().__init__()
        self._gpiod = gpiod

    @contextmanager
    def _connected(self) -> Iterator[Callable[[], list[int]]]:
        with self._gpiod.connect() as gpio:
            boot_id, after = gpio.hello["boot_id"], 0

            def read() -> list[int]:
                nonlocal after
                answer = gpio.events(boot_id, after, 0.5)
                after = answer["next"]
                self.lost += answer["lost"]
                return [event["data"]["at_us"] for event in answer["events"] if event["source"] == "gate"]

            yield read


class OfPlain(Hearing):
    """By the plainest daemon's `edges`."""

    def __init__(self, uri: str) -> None:
        super().__init__()
        self._uri = uri

    @contextmanager
    def _connected(self) -> Iterator[Callable[[], list[int]]]:
        with Pyro5.api.Proxy(self._uri) as proxy:
            proxy._pyroSerializer = "msgpack"
            yield lambda: proxy.edges(len(self.at_us), 0.5)


def edges(folder: Path, single: int = 400, fast: int = 5000) -> Table:
    """From an edge to whoever waits for it."""
    table = Table(
        "From an edge to a client that waits for it",
        "the plainest daemon: a bare Pyro5 call that waits, woken by gpiozero, of the same line",
        f"From the board's time stamp to the client's receipt. {single} single edges each, in turn; then {fast} edges at 1000 a"
        " second, one after the other.",
    )
    with ExitStack() as stack:
        gate = {"id": "gate", "type": "DigitalInputDevice", "pin": GATE}
        gpiod = stack.enter_context(gpio_daemon.daemon(folder, [gate]))
        devices = {"gate": ("DigitalInputDevice", {"pin": PLAIN_GATE})}
        bare, _ = stack.enter_context(plain(gpiod.board.socket, devices))
        bare.listen("gate")
        base, ours = stack.enter_context(OfPlain(str(bare._pyroUri))), stack.enter_context(OfGpiod(gpiod))
        both = ((base, PLAIN_GATE), (ours, GATE))
        for number in range(1, single + 1):
            for hearing, pin in both:
                gpiod.board.request(toggle=pin, edges=1, per_second=1000)
                hearing.until(number)
        singles = [hearing.ages_s() for hearing, _ in both]
        crowds = []
        for hearing, pin in both:
            gpiod.board.request(toggle=pin, edges=fast, per_second=1000)
            hearing.until(single + fast)
            crowds.append(hearing.ages_s(single))
    for what, (base_s, ours_s) in (("a single edge", singles), ("1000 a second", crowds)):
        for name, part in (("p50", 0.5), ("p99", 0.99)):
            of_base, of_ours = (found[int(len(found) * part)] for found in (base_s, ours_s))
            table.add(f"the plainest daemon, {what}, {name}", f"{of_base * 1e3:.2f} ms", 1.0)
            table.add(f"gpiod, {what}, {name}", f"{of_ours * 1e3:.2f} ms", of_ours / of_base)
    arrived = len(crowds[1])
    wanted_over_arrived = fast / max(arrived, 1) if not ours.lost else float("inf")
    table.add(f"gpiod, 1000 a second, {fast} edges to those that came", f"{arrived} came", wanted_over_arrived, 1.0)
    return table


def _site(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SITE / kind / "test.json").read_text())
    return found


QUIET = [
    *({"id": f"button-{n}", "type": "Button", "pin": n, "bounce_time": 0.01} for n in range(5)),
    *({"id": f"relay-{n}", "type": "OutputDevice", "pin": n, "max_on_time": 60} for n in range(5, 8)),
    {"id": "lamp", "type": "PWMLED", "pin": 18},
    {"id": "flap", "type": "AngularServo", "pin": 12},
]


def at_rest(folder: Path, seconds: float = 10.0) -> Table:
    """Nobody asks, and nothing moves but what the sensors see."""
    table = Table(
        "gpiod at rest",
        "the same devices made by gpiozero in the plainest daemon, of the same line",
        f"Processor time, by the processes' own clocks, in % of a core: all at the same time for {seconds:g} s, no client.",
    )
    sets = {
        "10 buttons and outputs": (QUIET, []),
        "the 10 devices of `make run`": (_site("gpiod")["devices"], _site("gpiod-simulator")["wiring"]),
    }
    pids: dict[str, int] = {}
    with ExitStack() as stack:
        for number, (name, (devices, wiring)) in enumerate(sets.items()):
            gpiod = stack.enter_context(gpio_daemon.daemon(folder / f"{number}", devices, wiring))
            (folder / f"plain-{number}").mkdir()
            board = stack.enter_context(boards.board(folder / f"plain-{number}", *wiring))
            bare, pid = stack.enter_context(plain(board.socket, by_gpiozero(devices)))
            bare.report_status  # noqa: B018 (connects: it is there)
            pids |= {f"gpiozero, {name}": pid, f"gpiod, {name}": gpiod.process.pid}
        focusd = stack.enter_context(observatory.daemon(folder / "focusd"))
        idle = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        stack.callback(idle.wait, 10)
        stack.callback(idle.kill)
        pids |= {"focusd, connected": focusd.process.pid, "Python that waits": idle.pid}
        pause(3.0)
        before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
        pause(seconds)
        took_s = time.monotonic() - began
        used = {name: (cpu_s(pid) - before[name]) / took_s for name, pid in pids.items()}
    for name in sets:
        base, ours = used[f"gpiozero, {name}"], used[f"gpiod, {name}"]
        table.add(f"gpiozero, {name}", f"{base * 100:.3f} %", 1.0)
        table.add(f"gpiod, {name}", f"{ours * 100:.3f} %", ours / max(base, 1e-6))
    quiet = used["gpiod, 10 buttons and outputs"]
    table.add("gpiod, 10 buttons and outputs, against 1 %", f"{quiet * 100:.3f} %", quiet / 0.01, 1.0)
    for name in ("focusd, connected", "Python that waits"):
        table.add(f"{name}, against the same gpiod", f"{used[name] * 100:.3f} %", used[name] / quiet)
    return table


def run() -> list[Table]:
    """All tables."""
    tables = []
    for measure in (calls, status, edges, at_rest):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(measure(Path(folder)))
    return tables
