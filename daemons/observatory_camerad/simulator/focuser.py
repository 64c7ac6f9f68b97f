"""A simulated telescope's focuser: reads the position of a focusd channel now and then, never in the way of a frame."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from observatory_common.errors import ObservatoryError
from observatory_common.rpc.client import connect

_EVERY_S = 0.2


@dataclass(frozen=True)
class FocuserConfig:
    """Which channel of which daemon, where it is sharp, and how fast stars widen beside it (standard deviation)."""

    daemon: str
    channel: int
    best_steps: float
    pixels_per_1000_steps: float


class Focuser:
    """Follows a channel; while it cannot be read, the last position stands, at first the sharp one."""

    def __init__(self, config: FocuserConfig) -> None:
        self._config = config
        self._defocus_pixels = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="camerad-focuser", daemon=True)

    def defocus_pixels(self) -> float:
        """How wide a point becomes by it."""
        return self._defocus_pixels

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def close(self) -> None:
        """End; a call under way is given up within its second."""
        self._closing.set()
        self._thread.join(2.0)

    def _follow(self) -> None:
        with connect(self._config.daemon, timeout_s=1.0) as focuser:
            while not self._closing.wait(_EVERY_S):
                try:
                    steps = focuser.report_status()[f"current_steps_{self._config.channel}"]
                except (ObservatoryError, KeyError):
                    continue
                if steps is not None:
                    away = abs(steps - self._config.best_steps)
                    self._defocus_pixels = away / 1000 * self._config.pixels_per_1000_steps
