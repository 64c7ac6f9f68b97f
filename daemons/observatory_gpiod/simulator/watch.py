"""A client's interest in the edges of a line, as a kernel's line request serves it: filtered, debounced, numbered."""

from __future__ import annotations

from collections.abc import Callable

from observatory_gpiod.simulator.lines import Line, Lines
from observatory_gpiod.simulator.timeline import Planned, Timeline

EDGES = ("both", "rising", "falling")
#: pin, instant in nanoseconds, level (None: edges up to this number were lost), number of the edge on this watch
Report = tuple[int, int, int | None, int]


class Watch:
    """Reports edges of an input. With a bounce time, a level is reported when it has stood for so long."""

    def __init__(
        self,
        lines: Lines,
        timeline: Timeline,
        pin: int,
        edges: str,
        bounce_ns: int,
        send: Callable[[Report], None],
        number: int = 0,
    ) -> None:
        self._lines, self._timeline = lines, timeline
        self._pin, self._edges, self._bounce_ns, self._send = pin, edges, bounce_ns, send
        self._reported = lines[pin].level
        self._settling: Planned | None = None
        self._number = number
        self._to_lose = 0
        lines.listen(pin, self._edge)

    def close(self) -> None:
        """Report nothing more."""
        self._forget()
        self._lines.unlisten(self._pin, self._edge)

    def lose(self, edges: int) -> None:
        """Lose the next edges, then say so."""
        self._to_lose = edges

    def _forget(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None

    def _edge(self, line: Line, at_ns: int) -> None:
        self._forget()
        if line.function != "input":
            self._reported = line.level  # what its owner drives is no news to it
        elif self._bounce_ns:
            self._settling = self._timeline.at(at_ns + self._bounce_ns, self._settled)
        else:
            self._report(line.level, at_ns)

    def _settled(self, at_ns: int) -> None:
        self._settling = None
        level = self._lines[self._pin].level
        if level != self._reported:
            self._report(level, at_ns)

    def _report(self, level: bool, at_ns: int) -> None:
        self._reported = level
        if self._edges not in ("both", "rising" if level else "falling"):
            return
        self._number += 1
        if self._to_lose:
            self._to_lose -= 1
            if not self._to_lose:
                self._send((self._pin, at_ns, None, self._number))
        else:
            self._send((self._pin, at_ns, int(level), self._number))
