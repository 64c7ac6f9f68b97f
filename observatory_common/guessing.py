"""Guessing slowed down: so many wrong passwords within a while, by address, by user, or by what else is counted."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable


class Failures:
    """The last failures by key, of at most `kept` keys. Thread safe.

    After `allowed` within `within_s` seconds, a key waits until the first of them is that old.
    """

    def __init__(self, allowed: int, within_s: float, kept: int = 4096) -> None:
        self.allowed = allowed
        self._within_s = within_s
        self._kept = kept
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> float:
        """For how many seconds a key may not try again; 0: it may."""
        with self._lock:
            failed = self._failed.get(key)
            if failed is None or len(failed) < self.allowed:
                return 0.0
            return max(failed[0] + self._within_s - time.monotonic(), 0.0)

    def recent(self, key: str) -> int:
        """How many of a key count now."""
        since_s = time.monotonic() - self._within_s
        with self._lock:
            return sum(failed_s > since_s for failed_s in self._failed.get(key, ()))

    def note(self, key: str) -> None:
        """One more."""
        with self._lock:
            self._failed.setdefault(key, deque(maxlen=self.allowed)).append(time.monotonic())
            self._failed.move_to_end(key)
            while len(self._failed) > self._kept:
                self._failed.popitem(last=False)


class Tries:
    """Tries under way and failed, by key.

    Tries whose end is not known yet count as if they failed, but they refuse nobody: the next try waits for one to end.
    Used in one thread only.
    """

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._under_way: Counter[str] = Counter()
        self._waiting: dict[str, deque[Callable[[float], bool]]] = {}

    def ask(self, key: str, answer: Callable[[float], bool]) -> None:
        """Call `answer`, now or when other tries have ended: with 0 if it may try, else with the seconds to stay away.

        It answers whether it tries; if so, `ended` must follow.
        """
        self._waiting.setdefault(key, deque()).append(answer)
        self._admit(key)

    def ended(self, key: str, is_good: bool) -> None:
        """A try has ended."""
        self._under_way[key] -= 1
        if not is_good:
            self._failures.note(key)
        self._admit(key)

    def _admit(self, key: str) -> None:
        waiting = self._waiting.get(key)
        while waiting:
            wait_s = self._failures.wait_s(key)
            if not wait_s and self._failures.recent(key) + self._under_way[key] >= self._failures.allowed:
                return
            if waiting.popleft()(wait_s) and not wait_s:
                self._under_way[key] += 1
        self._waiting.pop(key, None)
        self._under_way += Counter()  # forgets those that are 0
