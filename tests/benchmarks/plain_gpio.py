"""A GPIO daemon as one would write it in an hour: bare Pyro5 and gpiozero, nothing checked. The baseline.

`python plain_gpio.py SOCKET DEVICES` (JSON: each name with gpiozero's class and its arguments) prints its address and serves
until it is killed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import cycle, islice
from typing import Any

import gpiozero
import Pyro5.api

from observatory_gpiod import factories


@Pyro5.api.expose
class Pins:
    """Devices of gpiozero on the simulated board, and the edges of the inputs among them."""

    def __init__(self, socket: str, devices: dict[str, tuple[str, dict[str, Any]]]) -> None:
        self._factory = factories.make("simulated", {"socket": socket, "name": "plain"})
        self._devices = {
            name: getattr(gpiozero, kind)(**given, pin_factory=self._factory) for name, (kind, given) in devices.items()
        }
        self._edges: list[int] = []
        self._came = threading.Condition()
        self._kept: dict[str, Any] = {}

    def call(self, device: str, method: str) -> None:
        """Do it."""
        getattr(self._devices[device], method)()

    def nothing(self, device: str, method: str) -> None:
        """The same without a device."""

    def report_status(self) -> dict[str, Any]:
        """All values."""
        return {name: device.value for name, device in self._devices.items()}

    def keep(self, status: dict[str, Any]) -> None:
        """Remember a status."""
        self._kept = status

    def kept(self) -> dict[str, Any]:
        """The remembered status."""
        return self._kept

    def timed_calls(self, device: str, methods: list[str], count: int) -> list[float]:
        """The seconds that so many calls of the methods in turn take here, within the process."""
        wanted = [getattr(self._devices[device], method) for method in methods]
        return [_seconds(call) for call in islice(cycle(wanted), count)]

    def timed_status(self, count: int) -> list[float]:
        """The seconds that so many readings of all values take here, within the process."""
        return [_seconds(self.report_status) for _ in range(count)]

    def listen(self, device: str) -> None:
        """Remember when each edge of an input was."""
        pin = self._devices[device].pin
        pin.edges, pin.when_changed = "both", self._changed

    def edges(self, after: int, timeout_s: float) -> list[int]:
        """The microseconds of all edges after the first so many, as soon as there are some."""
        with self._came:
            self._came.wait_for(lambda: len(self._edges) > after, timeout_s)
            return self._edges[after:]

    def _changed(self, ticks: float, _level: int) -> None:
        with self._came:
            self._edges.append(round(ticks * 1e6))
            self._came.notify_all()


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    Pyro5.api.config.SERIALIZER = "msgpack"
    daemon = Pyro5.api.Daemon(host="127.0.0.1", port=0)
    print(daemon.register(Pins(sys.argv[1], json.loads(sys.argv[2])), "plain"), flush=True)
    daemon.requestLoop()
