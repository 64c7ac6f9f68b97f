"""Photos while the scanner scans: one each interval, by absolute deadlines, named by the controller's clock."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.captures import Captures, Wish
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.acquisition.timing import Clocks, Exposure
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.outputs.files import tidy
from observatory_camerad.outputs.names import checked_folder
from observatory_camerad.outputs.photos import Outcome
from observatory_camerad.scanner.clock import ControllerClock
from observatory_common import timestamps
from observatory_common.errors import CommandFailed, NoRoom, ObservatoryError

log = logging.getLogger("camerad.scan")

_LOOK_EVERY_S = 0.2
_BEYOND_ITS_FRAME_S = 2.0  # within which a frame that was asked for is there, or lost
_AHEAD_NS = 500_000_000  # a photo is asked for so long before its time
_AHEAD_NS_TO_CHANGE = 2_000_000_000  # of a camera that must be configured or told controls for it
_STEP_NS = 100_000_000  # within this time it is noticed that the order has changed
_LATE_NS = 40_000_000  # a deadline that is over by less can still be kept
_PICTURE = re.compile(r"photo_[0-9]{1,20}(_[0-9]+)?\.(jpg|png)")


@dataclass(frozen=True)
class Order:
    """What the controller wants: photos into a folder, as it names it; `mode` is its word for that."""

    folder: str
    mode: str


@dataclass
class Counts:
    """Of the photos of this run of the daemon: taken, failed (shot, and not written), missed (not even shot)."""

    taken: int = 0
    failed: int = 0
    missed: int = 0


class Scan:
    """Takes photos as long as `order` gives an order. What it knows is read from other threads without waiting."""

    def __init__(
        self,
        order: Callable[[], Order | None],
        clock: ControllerClock,
        captures: Captures,
        worker: Worker,
        roots: Sequence[Path],
        interval_s: float,
        format: str,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.counts = Counts()
        self.last_photo: str | None = None
        self.last_error: str | None = None
        self.last_error_at: str | None = None
        self.trouble: str | None = None  # why nothing is written now
        self.folder: str | None = None
        self._order = order
        self._clock = clock
        self._captures = captures
        self._worker = worker
        self._roots = tuple(roots)
        self._interval_ns = round(interval_s * 1e9)
        self._format = format
        self._on_event = on_event
        self._lock = threading.Lock()
        self._unwritten = 0
        self._kind_of_trouble = ""
        self._seen: tuple[Path, int, int] | None = None
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camerad-scan", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """The order may have changed."""
        self._woken.set()

    def close(self, deadline_s: float) -> None:
        """End; a folder that hangs is not waited for longer."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                log.error("the scan's thread did not end within %g s", deadline_s)

    # in its own thread

    def _run(self) -> None:
        while not self._closing.is_set():
            order = self._order()
            if order is None:
                self.folder = self.trouble = None
                self._pause(_LOOK_EVERY_S)
                continue
            self._scan()

    def _scan(self) -> None:
        """From the first order to the end of orders; the folder may change meanwhile."""
        before = Counts(**vars(self.counts))
        begun_ns: int | None = None
        slot = 0
        self._on_event("scan_started", {"interval_s": self._interval_ns / 1e9})
        while not self._closing.is_set() and (order := self._order()) is not None:
            if begun_ns is None:
                begun_ns = self._first(order)
                slot = 1
                continue
            due_ns = begun_ns + slot * self._interval_ns
            late_ns = Clocks.now().boot_ns - due_ns
            if late_ns > _LATE_NS:
                skipped = late_ns // self._interval_ns + 1
                slot += skipped
                self._count(missed=skipped)
                continue
            if -late_ns > self._ahead_ns():
                self._closing.wait(min(-late_ns - self._ahead_ns(), _STEP_NS) / 1e9)
                continue
            if self._one(order, slot, due_ns):
                slot += 1
        until = time.monotonic() + _BEYOND_ITS_FRAME_S
        while self._unwritten and time.monotonic() < until and not self._closing.wait(0.01):
            pass
        counts = {name: value - getattr(before, name) for name, value in vars(self.counts).items()}
        self._on_event("scan_ended", counts)

    def _first(self, order: Order) -> int | None:
        """The first photo, as soon as it can be had; all others are reckoned from its exposure (ns since the boot)."""
        starts: list[int] = []
        try:
            self._shoot(order, 0, None, starts.append)
        except ObservatoryError as error:
            self._fail(error)
            self._closing.wait(_LOOK_EVERY_S)
        return starts[0] if starts else None

    def _one(self, order: Order, slot: int, due_ns: int) -> bool:
        """The photo of one deadline, or its failure; False if the order has changed before its frame was there."""
        try:
            return self._shoot(order, slot, due_ns)
        except ObservatoryError as error:
            self._fail(error)
        if Clocks.now().boot_ns < due_ns:  # there is time to try again
            self._closing.wait(_STEP_NS / 1e9)
            return False
        self._count(missed=1)
        return True

    def _ahead_ns(self) -> int:
        """How long before its time a photo is asked for."""
        try:
            ready = self._captures.is_ready_for(Wish("photo", self._format))
        except CommandFailed:  # it will be told when the photo is asked for
            ready = False
        return min(self._interval_ns, _AHEAD_NS if ready else _AHEAD_NS_TO_CHANGE)

    def _shoot(self, order: Order, slot: int, due_ns: int | None, began: Callable[[int], None] = lambda _: None) -> bool:
        """Have a photo taken, and wait until its frame is there; False if nobody wants it any more.

        Raises what keeps it from being taken.
        """
        folder = self._checked(order)
        captured = threading.Event()

        def named(exposure: Exposure) -> tuple[str, Mapping[str, Any]]:
            boot_ns = exposure.start_boot_ns
            moment = self._clock.at(boot_ns)
            if moment is None:
                raise CommandFailed("the controller tells no time by which a photo could be named")
            began(boot_ns)
            notes = {"time_ns": moment.time_ns, "boot_ns": boot_ns, "clock_run": moment.run, "slot": slot, "mode": order.mode}
            if due_ns is not None:
                notes["after_due_us"] = (boot_ns - due_ns) // 1000
            return f"photo_{moment.time_ns}", {"controller": notes}

        wish = Wish("photo", self._format, folder=folder, named=named, at_boot_ns=due_ns)
        self._captures.require_room(wish)
        lost: list[ObservatoryError] = []
        telling = threading.Lock()  # the camera's thread and the writer's may come at the same time

        def failed(error: ObservatoryError) -> None:
            with telling:
                was_captured = captured.is_set()
                if not was_captured:
                    lost.append(error)
                    captured.set()
            if was_captured:
                self._fail(error)
                self._count(failed=1, unwritten=-1)

        def taken() -> None:
            with telling:
                if not captured.is_set():  # else it was lost just now
                    self._count(unwritten=1)
                    captured.set()

        shot = self._captures.shoot(wish, Outcome(self._written, failed), taken)
        wanted = self._wait_for_frame(shot, captured, due_ns, order)
        if lost:
            raise lost[0]
        return wanted

    def _wait_for_frame(self, shot: Shot, captured: threading.Event, due_ns: int | None, order: Order) -> bool:
        """Until it is there or lost; False if nobody wants it any more."""
        now_ns = Clocks.now().boot_ns
        longest_s = max((due_ns or now_ns) - now_ns, 0) / 1e9 + 2 * self._worker.frame_s
        until = time.monotonic() + longest_s + (_BEYOND_ITS_FRAME_S if due_ns is not None else 10 * _BEYOND_ITS_FRAME_S)
        while not captured.wait(0.02):
            wanted = self._order()
            unwanted = self._closing.is_set() or wanted is None or wanted.folder != order.folder
            if (unwanted or time.monotonic() > until) and self._worker.cancel(shot):
                if not unwanted:
                    raise CommandFailed("the camera brought no frame for it in time")
                return False
        return True

    def _checked(self, order: Order) -> Path:
        """The folder, made by the controller. Raises InvalidArgument, CommandFailed."""
        folder = checked_folder(order.folder, self._roots)
        try:
            status = folder.stat()
        except OSError as error:
            raise CommandFailed(f"{folder} cannot be read: {error.strerror}", value=str(folder)) from error
        seen = (folder, status.st_dev, status.st_ino)
        if seen != self._seen and tidy(folder, lambda name: _PICTURE.fullmatch(name) is not None):  # nobody writes there now
            self._seen = seen
            log.info("photos of the scan go to %s", folder)
        self.folder = str(folder)
        return folder

    def _written(self, result: dict[str, Any]) -> None:
        self._count(taken=1, unwritten=-1)
        self.last_photo = os.path.join(str(result["folder"]), result["name"])  # noqa: PTH118 - it is told, not used
        if self.trouble is not None:
            log.info("photos of the scan are written again")
            self._on_event("scan_recovered", {"name": result["name"]})
        self.trouble = None

    def _fail(self, error: ObservatoryError) -> None:
        """Told once as long as it stays the same."""
        self._seen = None  # it is looked at anew
        message = str(error)
        self.last_error, self.last_error_at = message, timestamps.utc_now()
        kind = type(error).__name__ if isinstance(error, NoRoom) else message  # how much room there is changes all the time
        was, self._kind_of_trouble = self._kind_of_trouble, kind
        if self.trouble is None or kind != was:
            log.error("no photo of the scan: %s", message)
            self._on_event("scan_failed", {"error": message})
        self.trouble = message

    def _count(self, taken: int = 0, failed: int = 0, missed: int = 0, unwritten: int = 0) -> None:
        with self._lock:
            self._unwritten += unwritten
            self.counts.taken += taken
            self.counts.failed += failed
            self.counts.missed += missed

    def _pause(self, pause_s: float) -> None:
        self._woken.wait(pause_s)
        self._woken.clear()
