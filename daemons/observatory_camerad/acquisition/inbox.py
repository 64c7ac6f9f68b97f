"""What waits for the camera's thread."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from observatory_camerad.acquisition.shots import Change, Reconfiguration, Shot
from observatory_camerad.drivers.base import Configuration
from observatory_common.errors import Blocked, ObservatoryError

MOST_SHOTS = 64  # besides those for a later time
_MOST_IN_ALL = 1024
_SOON_NS = 5_000_000_000


class Inbox:
    """Shots, changes and reconfigurations in the order in which they came. Thread safe; nobody waits in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shots: list[Shot] = []
        self._orders: list[Change | Reconfiguration] = []
        self._changes = 0

    def add_shot(self, shot: Shot) -> None:
        """Have a frame taken. Raises Blocked if too many wait."""
        with self._lock:
            if sum(other.ahead_ns < _SOON_NS for other in self._shots) >= MOST_SHOTS or len(self._shots) >= _MOST_IN_ALL:
                raise Blocked(f"{MOST_SHOTS} shots wait already", value=MOST_SHOTS, allowed=f"at most {MOST_SHOTS}")
            shot.after_change = self._changes
            self._shots.append(shot)

    def add_change(self, values: Mapping[str, Any]) -> Change:
        """Have controls changed."""
        with self._lock:
            change = self._new_change(values)
            self._orders.append(change)
            return change

    def new_change(self, values: Mapping[str, Any]) -> Change:
        """A change with a number of its own, which is not queued."""
        with self._lock:
            return self._new_change(values)

    def _new_change(self, values: Mapping[str, Any]) -> Change:
        self._changes += 1
        return Change(values, self._changes)

    def add_reconfiguration(self, wanted: Configuration, held: bool) -> Reconfiguration:
        """Have the configuration changed."""
        order = Reconfiguration(wanted, held)
        with self._lock:
            self._orders.append(order)
        return order

    def orders(self) -> list[Change | Reconfiguration]:
        """Take all orders."""
        with self._lock:
            taken, self._orders = self._orders, []
            return taken

    def unsent_changes(self) -> list[int]:
        """The numbers of the changes among the orders that wait."""
        with self._lock:
            return [order.number for order in self._orders if isinstance(order, Change)]

    def shots(self) -> list[Shot]:
        """Those that wait."""
        with self._lock:
            return list(self._shots)

    def has(self, shot: Shot) -> bool:
        """Whether it still waits."""
        with self._lock:
            return shot in self._shots

    def remove(self, shot: Shot) -> bool:
        """Take a shot out; False if it is not in there any more."""
        with self._lock:
            if shot not in self._shots:
                return False
            self._shots.remove(shot)
            return True

    def wait_for(self, older: int, newer: int) -> None:
        """A change has taken the place of another: who waits for that one waits for this."""
        with self._lock:
            for shot in self._shots:
                if shot.after_change >= older:
                    shot.after_change = max(shot.after_change, newer)

    def fail(self, error: ObservatoryError, all_shots: bool) -> None:
        """The camera has gone: what waits ends with an error; unless `all_shots`, not shots at a time that is still to come."""
        with self._lock:
            lost = [shot for shot in self._shots if all_shots or shot.ahead_ns == 0]
            self._shots = [shot for shot in self._shots if shot not in lost]
            orders, self._orders = self._orders, []
        for shot in lost:
            shot.lost(error)
        for order in orders:
            order.done.set_exception(error)
