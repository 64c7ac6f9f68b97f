"""What the scanner's controller says, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.captures import Captures
from observatory_camerad.acquisition.timing import Clocks
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.config import ControllerConfig
from observatory_camerad.scanner.clock import ControllerClock
from observatory_camerad.scanner.listener import Listener
from observatory_camerad.scanner.messages import CONTINUOUS, SCANNING
from observatory_camerad.scanner.scan import Order, Scan
from observatory_common import timestamps

OnEvent = Callable[[str, dict[str, Any]], None]


class Controller:
    """Hears the controller, and takes photos while it scans. `on_command` is told its commands."""

    def __init__(
        self,
        config: ControllerConfig,
        roots: Sequence[Path],
        captures: Captures,
        worker: Worker,
        on_command: Callable[[str], None],
        on_event: OnEvent,
    ) -> None:
        self._config = config
        self._on_command = on_command
        self._command: dict[str, Any] | None = None
        self._clock = ControllerClock()
        self._listener = Listener(
            config.endpoints, config.silent_s, self._clock, lambda: self._scan.wake(), self._obey, on_event
        )
        self._scan = Scan(self._order, self._clock, captures, worker, roots, config.interval_s, config.format, on_event)

    def start(self) -> None:
        """Begin."""
        self._scan.start()
        self._listener.start()

    def close(self, deadline_s: float) -> None:
        """End: first who asks for frames."""
        self._scan.close(deadline_s / 2)
        self._listener.close(deadline_s / 2)

    @property
    def state(self) -> str:
        """`waiting`, `no_clock`, `listening`, `scanning`, `blocked`, `stale`."""
        listener = self._listener
        if listener.age_s is None:
            return "waiting"
        if listener.is_stale:
            return "stale"
        if listener.state.mode == SCANNING:
            return "blocked" if self._trouble is not None else "scanning"
        return "listening" if self._clock.is_known else "no_clock"

    @property
    def reason(self) -> str | None:
        """Why nothing is taken although the controller scans, or nothing can be, or what is amiss; None: all is well."""
        trouble = self._trouble
        if trouble is None and self._listener.state.time_ns == 0:
            return "the controller tells no time any more (0): photos are named by its clock as it was, carried on"
        return trouble

    @property
    def _trouble(self) -> str | None:
        listener = self._listener
        if listener.error is not None:
            return listener.error
        if listener.age_s is None:
            return f"nothing was heard at {', '.join(self._config.endpoints)}"
        if listener.is_stale:
            return f"the controller has been silent for more than {self._config.silent_s:g} s"
        if not self._clock.is_known:
            return "the controller tells no time: its lidar is missing or not ready"
        if listener.state.mode == SCANNING and not listener.state.continuous_folder:
            why = listener.state.folder_error
            return f"the controller scans, and {'names no ' + CONTINUOUS if why is None else why}"
        return self._scan.trouble if listener.state.mode == SCANNING else None

    def status(self) -> dict[str, Any]:
        """`state`, `reason`, the last message, its age, what was done."""
        listener, scan = self._listener, self._scan
        said, age_s = listener.state, listener.age_s
        now = self._clock.at(Clocks.now().boot_ns)
        return {
            "endpoints": list(self._config.endpoints),
            "interval_s": self._config.interval_s,
            "state": self.state,
            "reason": self.reason,
            "message": {
                "time_us": None if said.time_ns is None else said.time_ns // 1000,
                "dur_us": None if said.dur_ns is None else said.dur_ns // 1000,
                "mode": said.mode,
                "continousScanDirectory": said.continuous_folder,
                "stopScanDirectory": said.stop_folder,
            },
            "age_s": None if age_s is None else round(age_s, 3),
            "time_us": None if now is None else now.time_ns // 1000,
            "messages": listener.messages,
            "dropped": listener.dropped,
            "restarts": listener.restarts,
            "clock_jumps": listener.jumps,
            "folder": scan.folder,
            "photos": scan.counts.taken,
            "failed": scan.counts.failed,
            "missed": scan.counts.missed,
            "last_photo": scan.last_photo,
            "last_error": scan.last_error,
            "last_error_at": scan.last_error_at,
            "command": self._command,
        }

    def _obey(self, command: str) -> None:
        self._command = {"command": command, "date": timestamps.utc_now()}
        self._on_command(command)

    def _order(self) -> Order | None:
        """What is to be done now."""
        listener = self._listener
        said = listener.state
        wanted = said.mode == SCANNING and listener.age_s is not None and not listener.is_stale and self._clock.is_known
        return Order(said.continuous_folder, SCANNING) if wanted and said.continuous_folder else None
