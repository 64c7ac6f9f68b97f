"""gpiod on the pins of a real Raspberry Pi, `make test-pi`: two of them, joined by a wire, which another gpiod watches.

`OBSERVATORY_TEST_PINS=20,21` names them; without it nothing is driven. The same is rehearsed on simulated boards: one whose
kernel holds the lines that a program frees, and one whose does not.
"""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boards
import pytest
import waiting
from following import done, events_named, last_event
from gpio_bench import TOLERANCE
from gpio_daemon import Gpiod

from observatory_common.rpc.client import RemoteDaemon
from observatory_gpiod.pins import gpio_number

PINS = "OBSERVATORY_TEST_PINS"
#: Of the kernel's drivers of the pins: whether lines that are freed stay driven.
PARAMETERS = "/sys/module/pinctrl_*/parameters/persist_gpio_outputs"
KEEP = {"on_start": "keep", "on_stop": "keep"}


@dataclass
class Wire:
    """A gpiod with a `lamp` at one end of a wire, and another with a `gate` at the other."""

    holds: bool | None
    lamp: int
    make: Callable[[str, dict[str, Any]], Gpiod]
    gate: RemoteDaemon
    since: int = 0

    def lamp_with(self, **config: Any) -> Gpiod:
        """The driving gpiod, not yet started."""
        return self.make("driver", {"id": "lamp", "type": "OutputDevice", "pin": self.lamp, **config})

    def level(self) -> int:
        """What the other end has."""
        level: int = self.gate.state("gate")["value"]
        return level

    def until(self, level: int) -> None:
        """Wait until the other end has this level."""
        waiting.until(lambda: self.level() == level, 5, f"{level} at the other end: is there a wire?")

    def clear(self) -> None:
        """Forget the edges so far."""
        self.since = last_event(self.gate)

    def edges(self) -> list[tuple[int, int]]:
        """The edges since: microseconds and level."""
        events = events_named(self.gate, "when_activated", "when_deactivated", after=self.since)
        return [(event["data"]["at_us"], event["data"]["value"]) for event in events]


def pins() -> tuple[int, int]:
    """The pins that somebody has joined for this; skips if nobody has."""
    named = os.environ.get(PINS)
    if not named:
        pytest.skip(f"{PINS} names no two pins joined by a wire, as 20,21")
    if importlib.util.find_spec("lgpio") is None:
        pytest.skip("there is no lgpio: apt install python3-lgpio")
    lamp, gate = (gpio_number(name.strip()) for name in named.split(","))
    return lamp, gate


def held_by_the_kernel() -> bool | None:
    """What the kernel says; None if it has no such parameter."""
    found = {path.read_text().strip() for path in Path("/").glob(PARAMETERS.lstrip("/"))}
    return found == {"Y"} if len(found) == 1 else None


@pytest.fixture(params=["board", "lgpio"])
def wire(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    with ExitStack() as stack:
        holds: bool | None
        if request.param == "lgpio":
            lamp, gate = pins()
            holds, backend = held_by_the_kernel(), {"pin_factory": "lgpio", "simulator": None}
        else:
            lamp, gate, holds = 20, 21, request.param != "freeing board"
            on_release = "hold" if holds else "input"
            loop = {"type": "loop", "from": lamp, "to": gate}
            board = stack.enter_context(boards.board(tmp_path, loop, on_release=on_release))
            backend = {"simulator": {"socket": str(board.socket)}}

        def make(name: str, device: dict[str, Any]) -> Gpiod:
            (tmp_path / name).mkdir()
            made = Gpiod(tmp_path / name, [device], **backend)
            made.env["LG_WD"] = str(tmp_path / name)
            stack.callback(made.close)
            return made

        watcher = make("watcher", {"id": "gate", "type": "DigitalInputDevice", "pin": gate})
        watcher.start()
        yield Wire(holds, lamp, make, stack.enter_context(watcher.connect()))


@pytest.mark.parametrize("wire", ["board", "freeing board", "lgpio"], indirect=True)
def test_a_kept_output_has_no_edge_across_restarts(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    gpiod = wire.lamp_with(**KEEP)
    gpiod.start()
    with gpiod.connect() as gpio:
        gpio.invoke("call", "lamp", "on")
    wire.until(1)
    wire.clear()
    gpiod.process.send_signal(signal.SIGTERM)
    assert gpiod.process.wait(20) == 0
    holds = wire.level() == 1
    if wire.holds is None:
        with capsys.disabled():
            print(f"\nthis kernel {'holds' if holds else 'frees'} driven lines")
    else:
        assert holds == wire.holds
    gpiod.start()
    gpiod.kill()
    gpiod.start()
    with gpiod.connect() as gpio:
        found = gpio.state("lamp")["value"]
        assert found == wire.level()
        if holds:
            assert (found, wire.edges()) == (1, [])
        gpio.invoke("call", "lamp", "off")
    wire.until(0)


def test_an_output_goes_off_at_the_end(wire: Wire) -> None:
    gpiod = wire.lamp_with()
    gpiod.start()
    with gpiod.connect() as gpio:
        gpio.invoke("call", "lamp", "on")
    wire.until(1)
    wire.clear()
    assert gpiod.terminate() == 0
    wire.until(0)
    assert [level for _, level in wire.edges()] == [0]


def test_an_output_is_not_on_for_too_long(wire: Wire, machine_lag: Any) -> None:
    gpiod = wire.lamp_with(max_on_time=0.5)
    gpiod.start()
    wire.until(0)
    wire.clear()
    with gpiod.connect() as gpio:
        gpio.invoke("call", "lamp", "on")
    waiting.until(lambda: len(wire.edges()) == 2, 5, "on and off")
    (on_us, on), (off_us, off) = wire.edges()
    assert (on, off) == (1, 0)
    assert (off_us - on_us) / 1e6 == pytest.approx(0.5, abs=TOLERANCE + machine_lag.seconds)


def test_every_edge_is_told(wire: Wire) -> None:
    gpiod = wire.make("driver", {"id": "lamp", "type": "LED", "pin": wire.lamp})
    gpiod.start()
    wire.until(0)
    wire.clear()
    with gpiod.connect() as gpio:
        job = gpio.invoke("call", "lamp", "blink", {"on_time": 0.001, "off_time": 0.001, "n": 500})
        assert done(gpio, job) == {"times": 500}
    waiting.until(lambda: len(wire.edges()) >= 1000, 5, "1000 edges")
    edges = wire.edges()
    assert [level for _, level in edges] == [1, 0] * 500
    assert edges == sorted(edges) and wire.gate.state("gate")["edges_lost"] == 0
