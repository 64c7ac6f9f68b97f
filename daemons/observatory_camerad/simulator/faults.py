"""What goes wrong, on request: from the same process, or from outside by a file that outlives the daemon."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import arguments
from observatory_common.errors import CommandFailed, DeviceLost, InvalidArgument, NotConnected

log = logging.getLogger("camerad.simulator")

LOOK_EVERY_NS = 50_000_000
_LONGEST_FILE = 65536
_LONGEST_HANG_S = 3600.0


@dataclass
class Faults:
    """`stalled` until cleared, so many dropped frames, no opening, a vanished camera, a call that hangs, an error."""

    stalled: bool = False
    drop_frames: int = 0
    refuse_open: bool = False
    gone: bool = False
    hang_s: float = 0.0
    error: str | None = None


_CHECKS = {
    "stall": ("stalled", arguments.flag),
    "drop_frames": ("drop_frames", lambda name, value: arguments.whole_number(name, value, 0, 1_000_000)),
    "refuse_open": ("refuse_open", arguments.flag),
    "gone": ("gone", arguments.flag),
    "hang": ("hang_s", lambda name, value: arguments.number(name, value, 0, _LONGEST_HANG_S)),
    "error": ("error", lambda name, value: arguments.text(name, value, 1000)),
}
#: Keys of the faults file.
KNOWN = tuple(_CHECKS)


class FaultSource:
    """The faults in force: those of the process and those of the file together.

    `hang` and `drop_frames` happen once for each writing of the file. A file that was there before the camera was made
    counts as carried out for these two: a daemon that was restarted because of a hang does not hang again.
    """

    def __init__(self, inner: Faults, path: Path | None) -> None:
        self._inner = inner
        self._path = path
        self._outer = Faults()
        self._signature: tuple[int, int, int] | None = None
        self._look_at_ns = 0
        if path is not None:
            self._read()
            self._outer.drop_frames, self._outer.hang_s = 0, 0.0

    def look(self, now_ns: int, at_once: bool = False) -> None:
        """Read the file again if it has changed; asks at most every 50 ms, unless it must be known `at_once`."""
        if self._path is None or (now_ns < self._look_at_ns and not at_once):
            return
        self._look_at_ns = now_ns + LOOK_EVERY_NS
        self._read()

    @property
    def may_change(self) -> bool:
        """Whether somebody who waits must look again now and then."""
        return self._path is not None or self._inner.stalled

    @property
    def stalled(self) -> bool:
        """No frame comes."""
        return self._inner.stalled or self._outer.stalled

    def require(self) -> None:
        """Raises DeviceLost once the camera has gone."""
        if self._inner.gone or self._outer.gone:
            raise DeviceLost("the simulated camera has gone")

    def require_to_open(self) -> None:
        """Raises NotConnected if it cannot be opened."""
        if any(faults.refuse_open or faults.gone for faults in (self._inner, self._outer)):
            raise NotConnected("the simulated camera cannot be opened")

    def require_to_read(self) -> None:
        """Raises DeviceLost, or CommandFailed with the text that was asked for."""
        self.require()
        error = self._inner.error or self._outer.error
        if error:
            raise CommandFailed(error)

    def take_drop(self) -> bool:
        """Whether this frame is lost; counts it."""
        for faults in (self._inner, self._outer):
            if faults.drop_frames > 0:
                faults.drop_frames -= 1
                return True
        return False

    def take_hang_s(self) -> float:
        """For how long this call is stuck; only once."""
        hang_s = max(self._inner.hang_s, self._outer.hang_s)
        self._inner.hang_s = self._outer.hang_s = 0.0
        return hang_s

    def _read(self) -> None:
        assert self._path is not None
        try:
            found = self._path.stat()
            signature = (found.st_mtime_ns, found.st_size, found.st_ino)
            if signature == self._signature:
                return
            self._signature = signature
            self._outer = self._parse(self._path.open("rb"))
        except FileNotFoundError:
            self._signature, self._outer = None, Faults()
        except OSError as error:
            if self._signature is not None:
                self._ignore(str(error))
            self._outer = Faults()

    def _parse(self, file: Any) -> Faults:
        with file:
            content = file.read(_LONGEST_FILE)
        try:
            wanted = json.loads(content)
        except (ValueError, RecursionError) as error:
            self._ignore(f"it is no JSON ({error})")
            return Faults()
        if not isinstance(wanted, dict):
            self._ignore("it holds no object")
            return Faults()
        faults, wrong = Faults(), []
        for key, value in wanted.items():
            if key not in _CHECKS:
                wrong.append(f"{arguments.shown(key)} is not known")
                continue
            name, check = _CHECKS[key]
            try:
                setattr(faults, name, check(key, value))
            except InvalidArgument as error:
                wrong.append(str(error))
        if wrong:
            self._ignore("; ".join(wrong))
        return faults

    def _ignore(self, why: str) -> None:
        log.warning("faults file %s: ignored: %s; known are %s", self._path, why, ", ".join(KNOWN))
