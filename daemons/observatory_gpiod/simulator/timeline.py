"""What happens when: actions in the order of their instants, each told the instant it was meant for."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

Action = Callable[[int], None]
NS = 1_000_000_000


class Planned:
    """An action to come; `cancel` before its instant and it never happens."""

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        """Forget it."""
        self.action = None


class Timeline:
    """Instants are nanoseconds of CLOCK_MONOTONIC. Late or not, an action gets the instant that was planned.

    So what the board stamps is as exact as its plan, however busy the machine is.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Planned]] = []
        self._order = count()

    def at(self, at_ns: int, action: Action) -> Planned:
        """Plan `action(at_ns)`."""
        planned = Planned(action)
        heapq.heappush(self._heap, (at_ns, next(self._order), planned))
        return planned

    def every(self, first_ns: int, period_ns: int, action: Action) -> None:
        """Plan an action again and again, without drift."""

        def again(at_ns: int) -> None:
            self.at(at_ns + period_ns, again)
            action(at_ns)

        self.at(first_ns, again)

    def next_ns(self) -> int | None:
        """When the next action is due; None if nothing is planned."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run(self, until_ns: int, most: int = 10_000) -> None:
        """Do what is due, in order, and what becomes due by it; at most `most` actions at a time."""
        for _ in range(most):
            if not self._heap or self._heap[0][0] > until_ns:
                return
            at_ns, _order, planned = heapq.heappop(self._heap)
            if planned.action is not None:
                planned.action(at_ns)
