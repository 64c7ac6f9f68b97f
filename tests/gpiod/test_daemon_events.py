"""What happens at the inputs of the board, as a client of the daemon hears of it: every edge, in time, counted if lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gpio_daemon
import msgpack
import pytest
import waiting
from following import events_named, last_event
from rawclient import INVOKE, frame

from observatory_common import timestamps
from observatory_common.rpc.client import RemoteDaemon
from observatory_gpiod.devices.table import TYPES

GATE, BARE = 25, 16
DEVICES: list[dict[str, Any]] = [
    # a short press is far shorter than a hold, a long one far longer: a late machine must not take one for the other
    {"id": "door", "type": "Button", "pin": 17, "hold_time": 0.5, "bounce_time": 0.02},
    {"id": "knob", "type": "RotaryEncoder", "a": 20, "b": 21},
    {"id": "sky", "type": "LightSensor", "pin": 27, "queue_len": 1},
    {"id": "visitor", "type": "MotionSensor", "pin": 4, "pull_up": False, "sample_rate": 100},
    {"id": "track", "type": "LineSensor", "pin": 22, "queue_len": 1},
    {"id": "roof", "type": "DistanceSensor", "echo": 24, "trigger": 23, "queue_len": 2, "max_distance": 2},
    {"id": "gate", "type": "DigitalInputDevice", "pin": GATE},
    {"id": "bare", "type": "Button", "pin": BARE},
]
WIRING: list[dict[str, Any]] = [
    {"type": "button", "pin": 17, "bounces": 5, "bounce_s": 0.008},
    {"type": "encoder", "a": 20, "b": 21, "step_s": 0.01},
    {"type": "light", "pin": 27, "light": 0.05},
    {"type": "motion", "pin": 4},
    {"type": "line", "pin": 22},
    {"type": "distance", "trigger": 23, "echo": 24, "distance_cm": 150},
]
#: device, what happens at the board, the events that follow (data of each, as far as they are known), the state then
HAPPENS: list[tuple[str, dict[str, Any], list[tuple[str, dict[str, Any]]], dict[str, Any]]] = [
    (
        "door",
        {"press": 17, "for_s": 1.0},
        [("when_pressed", {"value": 1}), ("when_held", {"active": True}), ("when_released", {"value": 0})],
        {"active": False, "is_held": False},
    ),
    (
        "knob",
        {"turn": 20, "steps": 2},
        [("when_rotated", {"steps": n}) for n in (1, 2)] + [("when_rotated_clockwise", {"steps": n}) for n in (1, 2)],
        {"steps": 2},
    ),
    (
        "knob",
        {"turn": 20, "steps": -1},
        [("when_rotated", {"steps": 1}), ("when_rotated_counter_clockwise", {"steps": 1})],
        {"steps": 1},
    ),
    ("sky", {"adjust": 27, "light": 0.95}, [("when_light", {"active": True, "value": 1})], {"active": True}),
    ("sky", {"adjust": 27, "light": 0.01}, [("when_dark", {"active": False, "value": 0})], {"active": False}),
    ("visitor", {"press": 4, "for_s": 0.6}, [("when_motion", {"value": 1}), ("when_no_motion", {"value": 0})], {"value": 0}),
    (
        "track",
        {"press": 22, "for_s": 0.6},
        [("when_no_line", {"value": 1}), ("when_line", {"value": 0})],
        {"line_detected": True},
    ),
    ("roof", {"adjust": 24, "distance_cm": 10}, [("when_in_range", {"active": False})], {"active": False}),
    ("roof", {"adjust": 24, "distance_cm": 150}, [("when_out_of_range", {"active": True})], {"active": True}),
    ("gate", {"set": GATE, "level": True}, [("when_activated", {"active": True, "value": 1})], {"value": 1}),
    ("gate", {"set": GATE, "level": False}, [("when_deactivated", {"active": False, "value": 0})], {"value": 0}),
]


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpio_daemon.Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("events"), DEVICES, WIRING) as running:
        with running.connect() as gpio:  # sensors have to fill their queues first
            waiting.until(lambda: all(gpio.state(d["id"])["active"] is not None for d in DEVICES), 10, "readings")
        yield running


def events_of(gpio: RemoteDaemon, id: str, after: int) -> list[dict[str, Any]]:
    return [event for event in events_named(gpio, after=after) if event["source"] == id]


@pytest.mark.parametrize(("id", "request_", "expected", "then"), HAPPENS, ids=lambda x: str(x)[:24])
def test_what_happens_is_told(
    id: str, request_: dict[str, Any], expected: list[Any], then: dict[str, Any], gpiod: gpio_daemon.Gpiod
) -> None:
    with gpiod.connect() as gpio:
        (described,) = gpio.describe(id)
        brings = expected[0][1].get("active")  # a light that is read late looks dark for a moment, by itself
        waiting.until(lambda: brings is None or gpio.state(id)["active"] is not brings, 10, "what it is before")
        known, start, began = last_event(gpio), gpiod.board.state(), timestamps.utc_now()
        gpiod.board.request(**request_)
        waiting.until(lambda: len(events_of(gpio, id, known)) >= len(expected), 10, f"{expected}")
        events = events_of(gpio, id, known)
        assert sorted(event["name"] for event in events) == sorted(name for name, _ in expected)
        declared = {event["name"]: set(event["data"]) for event in described["events"]}
        for name, data in expected:
            found = [event for event in events if event["name"] == name and data.items() <= event["data"].items()]
            assert found and set(found[0]["data"]) == declared[name], (name, data, events)
        stamps = {change["at_ns"] // 1000 for change in gpiod.board.history(after=start["last"])}
        stamped = [event["data"]["at_us"] for event in events if "at_us" in event["data"]]
        if id != "door":  # the board stamps a debounced edge when it has settled
            assert set(stamped) <= stamps
        waiting.until(lambda: then.items() <= gpio.state(id).items(), 5, f"{then}")
        assert began < gpio.state(id)["since"] <= events[-1]["date"]


def test_all_events_of_all_inputs_have_been_tried() -> None:
    types = {device["id"]: device["type"] for device in DEVICES}
    tried = {(types[id], name) for id, _, expected, _ in HAPPENS for name, _ in expected}
    lossy = {(name, "edges_lost") for name in ("Button", "RotaryEncoder", "DigitalInputDevice")}  # below
    assert tried | lossy == {(type.name, event.name) for type in TYPES.values() if not type.is_output for event in type.events}


def test_a_button_that_bounces_is_pressed_once(gpiod: gpio_daemon.Gpiod) -> None:
    with gpiod.connect() as gpio:
        known, start = last_event(gpio), gpiod.board.state()
        for count in range(1, 4):
            gpiod.board.request(press=17, for_s=0.06)
            waiting.until(lambda n=count: len(events_of(gpio, "door", known)) >= 2 * n, 10, "press and release")
        assert [event["name"] for event in events_of(gpio, "door", known)] == ["when_pressed", "when_released"] * 3
        assert gpiod.board.line(17)["edges"] - start["lines"][17]["edges"] == 3 * 2 * 11


class Reader:
    """A client that reads events as they come, and notes how old each was."""

    def __init__(self, gpio: RemoteDaemon, source: str) -> None:
        self.gpio, self.source, self.after = gpio, source, last_event(gpio)
        self.at_us: list[int] = []
        self.names: list[str] = []
        self.age_s: list[float] = []
        self.lost = 0

    def read(self, count: int, timeout_s: float = 15) -> None:
        """Until so many events have come."""
        until_s = time.monotonic() + timeout_s
        while len(self.names) < count and time.monotonic() < until_s:
            answer = self.gpio.events(self.gpio.hello["boot_id"], self.after, 1)
            now_us = time.monotonic_ns() // 1000
            self.after, self.lost = answer["next"], self.lost + answer["lost"]
            for event in answer["events"]:
                if event["source"] == self.source:
                    self.names.append(event["name"])
                    self.at_us.append(event["data"]["at_us"])
                    self.age_s.append((now_us - event["data"]["at_us"]) / 1e6)


def check_thousand(gpiod: gpio_daemon.Gpiod, reader: Reader) -> None:
    """A thousand edges in a second: all of them arrive, in order, with their times."""
    start = gpiod.board.state()
    gpiod.board.request(toggle=GATE, edges=1000, per_second=1000)
    reader.read(1000)
    history = gpiod.board.history(GATE, start["last"])
    assert len(history) == 1000 and (history[-1]["at_ns"] - history[0]["at_ns"]) / 1e9 == pytest.approx(0.999)
    assert reader.at_us == [change["at_ns"] // 1000 for change in history]
    assert reader.names == [("when_deactivated", "when_activated")[change["level"]] for change in history]
    assert reader.lost == 0 and reader.gpio.state("gate")["edges_lost"] == 0


def test_a_thousand_edges_in_a_second_are_all_told(gpiod: gpio_daemon.Gpiod, machine_lag: Any) -> None:
    with gpiod.connect() as gpio:
        reader = Reader(gpio, "gate")
        check_thousand(gpiod, reader)
        assert sorted(reader.age_s)[500] < 0.1 + machine_lag.seconds


STOPS = """
import sys
from observatory_common.rpc.client import connect
with connect(sys.argv[1]) as gpio:
    boot_id, after = gpio.hello["boot_id"], 0
    while True:
        answer = gpio.events(boot_id, after, 10)
        after = answer["next"]
        print("read", flush=True)
"""


def test_readers_that_stop_reading_cost_nobody_anything(gpiod: gpio_daemon.Gpiod, machine_lag: Any) -> None:
    with ExitStack() as stack:
        gpio = stack.enter_context(gpiod.connect())
        stopped = subprocess.Popen(
            [sys.executable, "-c", STOPS, gpio_daemon.NAME], env=gpiod.env, stdout=subprocess.PIPE, text=True
        )
        stack.callback(stopped.wait, 10)
        stack.callback(stopped.kill)
        stack.enter_context(stopped.stdout)  # type: ignore[arg-type]
        assert stopped.stdout is not None and stopped.stdout.readline() == "read\n"
        stopped.send_signal(signal.SIGSTOP)
        ask = frame(INVOKE, msgpack.packb((gpio_daemon.NAME, "events", [None, 0, 0], {})))
        for _ in range(5):  # each asks for megabytes and takes nothing
            deaf = stack.enter_context(gpiod.raw_client())
            deaf.connect(gpio_daemon.NAME)
            deaf.sock.setblocking(False)
            try:
                deaf.sock.send(ask * 400)
            except BlockingIOError:
                pass
        reader = Reader(gpio, "gate")
        check_thousand(gpiod, reader)
        assert max(reader.age_s) < 1 + machine_lag.seconds
        began_s = time.monotonic()
        gpio.report_status()
        assert time.monotonic() - began_s < 0.25 + machine_lag.seconds


@pytest.mark.parametrize(("id", "pin"), [("gate", GATE), ("bare", BARE), ("knob", 20)])
def test_lost_edges_are_counted_and_told(id: str, pin: int, gpiod: gpio_daemon.Gpiod) -> None:
    with gpiod.connect() as gpio:
        known, before = last_event(gpio), gpio.state(id)["edges_lost"]
        gpiod.board.request(fault="lose_edges", pin=pin, count=7)
        gpiod.board.request(toggle=pin, edges=20, per_second=500)
        waiting.until(lambda: gpio.state(id)["edges_lost"] == before + 7, 10, "the loss")
        (described,) = gpio.describe(id)
        (declared,) = (event["data"] for event in described["events"] if event["name"] == "edges_lost")
        lost = [event["data"] for event in events_of(gpio, id, known) if event["name"] == "edges_lost"]
        assert [data["lost"] for data in lost] == [7] and set(lost[0]) == set(declared)
        assert sum("7 edges on" in line and "were lost" in line for line in gpiod.log_lines()) >= 1
        gpiod.board.request(set=pin, level=None)


def test_the_ring_tells_a_slow_reader_what_it_lost(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "gate", "type": "DigitalInputDevice", "pin": GATE}]) as gpiod:
        with gpiod.connect() as gpio:
            boot_id = gpio.hello["boot_id"]
            gpiod.board.request(toggle=GATE, edges=9000, per_second=5000)
            waiting.until(lambda: gpio.events(boot_id, 0, 0)["lost"] == 9000 - 8192, 20, "the ring to be full")
            answer = gpio.events(boot_id, 0, 0)
            assert answer["events"][0]["seq"] == 9000 - 8192 + 1
            assert gpio.state("gate")["edges_lost"] == 0
