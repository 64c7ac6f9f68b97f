"""A simulated board as a real process, with its socket in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import waiting

from observatory_common.errors import DaemonNotReachable
from observatory_gpiod.simulator.client import BoardClient


class BoardProcess(BoardClient):
    """The board, and its client."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.socket = folder / "board"
        self.config_path = folder / "board.json"
        self.config_path.write_text(json.dumps({"socket": str(self.socket), **config}))
        self.env = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "OBSERVATORY_ETC": str(folder)}
        self.log_path = folder / "board.log"
        super().__init__(self.socket)
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(self.command(), env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        waiting.until(self._answers, 20, "the board to answer")

    def command(self, *options: str) -> list[str]:
        """How it is started."""
        return [sys.executable, "-m", "observatory_gpiod.simulator", str(self.config_path), *options]

    def close(self) -> None:
        """End it; it must end well."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                assert self.process.wait(10) == 0
            finally:
                self.process.kill()
                self.process.wait(10)

    def levels(self, pin: int, after: int = 0) -> list[float]:
        """The levels of a line, one for each change since a number: 0, 1, or the duty where there are pulses."""
        return [_level(change) for change in self.history(pin, after)]

    def went(self, pin: int, start: dict[str, Any]) -> list[tuple[float, float]]:
        """The levels of a line since a `state()`, each with the seconds after the one before; the first as it was then."""
        found = [(0.0, _level(start["lines"][pin]))]
        before_ns = start["now_ns"]
        for change in self.history(pin, start["last"]):
            if _level(change) != found[-1][1]:
                found.append(((change["at_ns"] - before_ns) / 1e9, _level(change)))
                before_ns = change["at_ns"]
        return found

    def last(self) -> int:
        """The number of the last change."""
        return int(self.state()["last"])

    def wired(self, kind: str) -> dict[str, Any]:
        """The truth about the thing of a type that is wired."""
        return next(wire for wire in self.state()["wiring"] if wire["type"] == kind)

    def until_level(self, pin: int, level: int) -> None:
        """Wait for a line to have a level."""
        waiting.until(lambda: self.line(pin)["level"] == level, 10, f"line {pin} to be {level}")

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the board ended with {self.process.returncode}:\n{self.log_path.read_text()}")
        try:
            return bool(self.state())
        except DaemonNotReachable:
            return False


def _level(line: dict[str, Any]) -> float:
    return float(line["level"] if line["duty"] is None else line["duty"])


@contextmanager
def board(folder: Path, *wiring: dict[str, Any], **config: Any) -> Iterator[BoardProcess]:
    """A running board with this wiring."""
    running = BoardProcess(folder, wiring=list(wiring), **config)
    try:
        yield running
    finally:
        running.close()
