"""What a sequence has done, on disk, so that it goes on after a restart with nothing lost and nothing taken twice."""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from observatory_camerad.outputs import disk
from observatory_common.errors import CommandFailed
from observatory_common.storage import StateCorrupt, StateFile

log = logging.getLogger("camerad.sequence")


@dataclass(frozen=True)
class SequenceState:
    """A sequence: `limit` frames (0: until stopped) of which `taken` are written, and the name being written now."""

    id: str
    limit: int
    interval_s: float
    kind: str
    format: str
    started_by: str
    started: str
    folder: str | None = None
    taken: int = 0
    writing: str | None = None
    first: str | None = None
    last: str | None = None


class SequenceJournal:
    """The sequence under way. Thread safe; what a call says is on disk when it returns, else it raises CommandFailed."""

    def __init__(self, file: StateFile, output: Path) -> None:
        self._file = file
        self._output = output
        self._lock = threading.Lock()
        self._state: SequenceState | None = None

    @property
    def state(self) -> SequenceState | None:
        """None when no sequence is under way."""
        return self._state

    def load(self) -> SequenceState | None:
        """What the last run of the daemon left. A name that was being written counts if its file is there, whole."""
        try:
            plain = (self._file.load() or {}).get("sequence")
            state = None if plain is None else SequenceState(**plain)
        except (StateCorrupt, TypeError) as error:
            log.error("the journal of sequences cannot be read, nothing is resumed: %s", error)
            return None
        if state is not None and state.writing is not None:
            folder = self._output if state.folder is None else Path(state.folder)
            state = _with_written(state, state.writing) if (folder / state.writing).is_file() else replace(state, writing=None)
        self._state = state
        return state

    def begin(self, state: SequenceState) -> None:
        """A new one."""
        self._save(state)

    def writing(self, id: str, name: str) -> None:
        """Before a file of the sequence `id` is written. Of one that is over, nothing is noted."""
        with self._lock:
            if self._state is not None and self._state.id == id:
                self._save(replace(self._state, writing=name))

    def written(self, id: str, name: str) -> SequenceState | None:
        """A file of the sequence `id` is there. (On disk with the next name, or the end: until then `writing` says it.)

        None of one that is over.
        """
        with self._lock:
            if self._state is None or self._state.id != id:
                return None
            self._state = _with_written(self._state, name)
            return self._state

    def end(self) -> None:
        """It is over, even if the disk is full."""
        with self._lock:
            try:
                self._save(None)
            except CommandFailed as error:
                log.error("the journal of sequences is removed, since it cannot be written: %s", error)
                self._remove()
                self._state = None

    def _save(self, state: SequenceState | None) -> None:
        plain: dict[str, Any] | None = None if state is None else asdict(state)
        with disk.told(self._file.path.parent):
            self._file.save({"sequence": plain})
        self._state = state

    def _remove(self) -> None:
        try:
            self._file.path.unlink(missing_ok=True)
        except OSError as error:
            log.error("it cannot be removed: the next run of the daemon will resume the sequence: %s", error)


def _with_written(state: SequenceState, name: str) -> SequenceState:
    still_writing = None if state.writing == name else state.writing
    return replace(state, taken=state.taken + 1, writing=still_writing, first=state.first or name, last=name)
