"""Uploads of the configuration: what became of each, in memory, on disk (the one under way), and in the report file."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from observatory_common import timestamps
from observatory_common.errors import CommandFailed, ObservatoryError
from observatory_common.jobs import Job
from observatory_common.storage import StateFile
from observatory_ftpd.drop import Drop

log = logging.getLogger("ftpd")

#: How an upload can end; `waiting` is for the camera, and no end.
OUTCOMES = ("applied", "partly", "refused", "failed", "superseded")
_KEPT = 100


@dataclass
class Upload:
    """One configuration. `section` is what it asks for; `camera_says` what the camera made of that."""

    number: int
    sender: str
    size: int
    section: Mapping[str, Any] = field(default_factory=dict)
    received: str = field(default_factory=timestamps.utc_now)
    outcome: str = "received"
    error: str | None = None
    camera_says: dict[str, Any] | None = None
    photo: str | None = None
    exposure_s: float | None = None
    gain: float | None = None
    ended: str | None = None
    job: Job | None = None
    kept: int = 0  # its note, see Ledger.keep

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.outcome in OUTCOMES

    def to_wire(self) -> dict[str, Any]:
        """What a client of the daemon, and a reader of the report, sees of it."""
        return {
            "number": self.number,
            "sender": self.sender,
            "received": self.received,
            "ended": self.ended,
            "size": self.size,
            "outcome": self.outcome,
            "error": self.error,
            "photo": self.photo,
            "exposure_s": self.exposure_s,
            "gain": self.gain,
            "camera": self.camera_says,
            "job": None if self.job is None else self.job.id,
        }


class Ledger:
    """The last uploads, and the report about the newest. Thread safe."""

    def __init__(self, drop: Drop, state: StateFile) -> None:
        self._drop = drop
        self._state = state
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._noting = threading.Lock()
        self._uploads: deque[Upload] = deque(maxlen=_KEPT)
        self._count = 0
        self._reported = 0
        self._notes = 0
        self._outstanding: set[int] = set()

    def enter(self, sender: str, size: int, section: Mapping[str, Any] | None = None) -> Upload:
        """A new one."""
        with self._lock:
            self._count += 1
            upload = Upload(self._count, sender, size, section or {})
            self._uploads.append(upload)
            return upload

    def last(self, count: int) -> list[Upload]:
        """The newest ones, oldest first."""
        with self._lock:
            return list(self._uploads)[-count:]

    def report(self, upload: Upload, outcome: str, error: ObservatoryError | str | None = None) -> None:
        """Note how it stands with an upload, and write it into the report file, unless that is about a newer one already.

        A report that cannot be written is in the log and in the error.
        """
        with self._writing:
            upload.outcome, upload.error = outcome, None if error is None else str(error)
            if upload.is_over:
                upload.ended = timestamps.utc_now()
            if upload.number < self._reported or outcome == "superseded":
                return
            self._reported = upload.number
            text = json.dumps({"file": self._drop.file_name, **upload.to_wire()}, indent=2, ensure_ascii=False) + "\n"
            try:
                self._drop.publish(self._drop.report_name, text.encode())
            except CommandFailed as failure:
                log.error("the report cannot be written: %s", failure)
                upload.error = upload.error or str(failure)

    # what a restart must not lose

    def keep(self, sender: str) -> int:
        """Note on disk, before its file is there, that an upload is still to be applied; the note's number, for `done`."""
        with self._noting:
            self._notes += 1
            self._outstanding.add(self._notes)
            self._save({"sender": sender})
            return self._notes

    def done(self, note: int) -> None:
        """This one is not to be applied any more. The file goes when no other one is."""
        with self._noting:
            self._outstanding.discard(note)
            if self._outstanding:
                return
            try:
                self._state.path.unlink(missing_ok=True)
            except OSError as error:
                log.error("%s cannot be deleted: %s", self._state.path, error.strerror)

    def kept(self) -> str | None:
        """Who sent what was not applied before the last end; None if all was."""
        try:
            state = self._state.load()
        except CommandFailed as error:
            log.error("%s", error)
            return None
        return None if state is None else str(state.get("sender"))

    def _save(self, state: dict[str, Any]) -> None:
        try:
            self._state.save(state)
        except OSError as error:
            log.error("%s cannot be written: %s", self._state.path, error.strerror)
