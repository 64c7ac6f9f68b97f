"""A file of controls on removable media: applied when the camera is there, and whenever it changes or is plugged in."""

from __future__ import annotations

import json
import logging
import math
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from observatory_camerad.config import ControlsFileConfig
from observatory_camerad.controls import allowed_values
from observatory_camerad.drivers.base import ControlInfo
from observatory_camerad.fates import APPLIED, COMMENT
from observatory_camerad.outputs import disk
from observatory_camerad.scanner.template import ENDING, refresh, template
from observatory_camerad.scanner.test_photos import TestPhotos
from observatory_common import timestamps
from observatory_common.arguments import shown
from observatory_common.errors import (
    Blocked,
    CommandFailed,
    DeviceLost,
    InvalidArgument,
    InvalidConfig,
    NotConnected,
    ObservatoryError,
)
from observatory_common.json_file import read_document
from observatory_common.storage import write_atomic

log = logging.getLogger("camerad.controls_file")

REPORT_ENDING = ".report"
LARGEST_FILE = 1 << 16  # far more than a camera has controls
_AGAIN_AFTER_S = 10.0  # what could not be written is tried again
_RELOAD_EVERY_S = 1.0  # however often it is asked for
_HANGS_AFTER_S = 5.0
_Identity = tuple[int, ...]
_UNKNOWN: _Identity = ()  # unlike any, and unlike none


class ControlsFile:
    """Looks at the file every `poll_s` seconds, in a thread of its own. What it knows is read without waiting.

    `apply` is told a section and whether it is strict, and answers with every key's fate; `controls` gives those of the
    camera, None while there is none.
    """

    def __init__(
        self,
        config: ControlsFileConfig,
        controls: Callable[[], Mapping[str, ControlInfo] | None],
        apply: Callable[[dict[str, Any], bool], dict[str, Any]],
        photos: TestPhotos,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.report: dict[str, Any] | None = None
        self._config = config
        self._path = config.path
        self._controls = controls
        self._apply = apply
        self._photos = photos
        self._on_event = on_event
        self._state = "waiting"
        self._error: str | None = None
        self._looked_at: float | None = None
        self._done: _Identity | None = None  # the file that was applied, or refused
        self._broken: _Identity | None = None  # seen once, and no JSON: it may still be being written
        self._applied_to: Mapping[str, ControlInfo] | None = None
        self._writings = {
            "report": _Writing(self._path.with_name(self._path.name + REPORT_ENDING)),
            "template": _Writing(self._path.with_name(self._path.name + ENDING)),
        }
        self._wants_first_photo = config.test_photo
        self._medium: _Identity | None = None  # the folder, when it was last looked at
        self._reload = threading.Event()
        self._reloaded_at = -math.inf
        self._woken = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camerad-controls-file", daemon=True)

    # from any thread

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def reload(self) -> None:
        """Read and apply it, changed or not, and take a test photo: now, or when the last time is a second ago."""
        self._reload.set()
        self._woken.set()

    def close(self, deadline_s: float) -> None:
        """End; a stick that hangs is not waited for longer."""
        self._closing.set()
        self._woken.set()
        if self._thread.ident is not None:
            self._thread.join(deadline_s)
            if self._thread.is_alive():
                log.error("%s hangs: its thread did not end within %g s", self._path, deadline_s)

    def status(self) -> dict[str, Any]:
        """`file`, `state`, `error`, what was applied and refused, when, the report, what could not be written."""
        report = self.report
        looked_at = self._looked_at
        hangs = looked_at is not None and time.monotonic() - looked_at > _HANGS_AFTER_S + self._config.poll_s
        return {
            "file": str(self._path),
            "section": self._config.section,
            "strict": self._config.strict,
            "state": "hanging" if hangs else self._state,
            "error": self._error,
            "report": report,
            "report_error": self._writings["report"].error,
            "template_error": self._writings["template"].error,
            "test_photo": self._photos.last,
            "test_photo_error": self._photos.error,
        }

    # in its own thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._looked_at = time.monotonic()
            self._woken.clear()
            try:
                self._look()
            except ObservatoryError as error:
                self._fail(str(error))
            except Exception as error:  # the thread must outlive whatever is on the stick
                message = f"unexpected error: {error}"
                if message != self._error:
                    log.exception("unexpected error of the controls file")
                self._error = message
            self._woken.wait(self._pause_s())

    def _pause_s(self) -> float:
        again_s = self._reloaded_at + _RELOAD_EVERY_S - time.monotonic()
        return min(self._config.poll_s, again_s) if self._reload.is_set() and again_s > 0 else self._config.poll_s

    def _look(self) -> None:
        known = self._controls()
        if known is None:
            self._state = "waiting"
            return
        try:
            identity, medium = _identity(self._path), _medium(self._path.parent)
        except CommandFailed:
            self._state, self._done, self._medium = "unreadable", None, _UNKNOWN
            self._reload.clear()
            raise
        if medium != self._medium:
            self._medium = medium
            self._photos.error = None  # it was the other medium's
            for writing in self._writings.values():
                writing.forget()
        if self._config.template and medium is not None:
            self._writings["template"].do(known, lambda path: refresh(path, template(self._config.section, known)))
        reload = self._reload.is_set() and time.monotonic() >= self._reloaded_at + _RELOAD_EVERY_S
        if reload:
            self._reload.clear()  # before the file is read: who asks again from here on is heard again
            self._reloaded_at = time.monotonic()  # at once, that it is not applied without end if it cannot be told
        if identity is None:
            self._gone(reload)
        elif reload or identity != self._done or known != self._applied_to:
            self._read(identity, known, reload)
        elif self.report is not None:
            self._writings["report"].do(self.report, self._write_report)
        if self._wants_first_photo and medium is not None:
            self._wants_first_photo = False
            self._photos.take(numbered=False)

    def _gone(self, reload: bool) -> None:
        if self._state != "absent":
            log.info("there is no controls file %s", self._path)
        self._state, self._error, self._done = "absent", None, None
        if reload:
            self._photos_error(f"there is no file {self._path} to be read again")

    def _read(self, identity: _Identity, known: Mapping[str, ControlInfo], reload: bool) -> None:
        try:
            section = self._section()
        except ObservatoryError as error:
            if identity != self._broken and not reload:  # looked at once more before anything is said
                self._broken = identity
                return
            says = str(error).encode(errors="backslashreplace").decode()  # a name in it may hold half a character
            self._settle(identity, known, self._refusal(says))
            return
        if _identity(self._path) != identity:  # it was changed meanwhile, and is read again
            self._again(reload)
            return
        try:
            report = self._apply(section, self._config.strict)
        except (Blocked, DeviceLost, NotConnected) as error:  # tried again
            self._fail(str(error))
            self._again(reload)
            return
        except (CommandFailed, InvalidArgument) as error:
            report = self._refusal(str(error))
        self._settle(identity, known, {**self._refusal(None), **report})
        if reload:
            self._photos.take(numbered=True)

    def _again(self, reload: bool) -> None:
        """What was asked for is still to be done."""
        if reload:
            self._reload.set()

    def _section(self) -> dict[str, Any]:
        """Raises InvalidConfig, naming file, line and column."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise InvalidConfig(f"{self._path}: cannot be read: {error.strerror}", value=str(self._path)) from error
        if not stat.S_ISREG(found.st_mode):
            raise InvalidConfig(f"{self._path}: is no file", value=str(self._path))
        if found.st_size > LARGEST_FILE:
            raise InvalidConfig(f"{self._path}: is larger than {LARGEST_FILE} bytes", value=found.st_size)
        document = read_document(self._path)
        section = document.data.get(self._config.section)
        if not isinstance(section, dict):
            has = ", ".join(map(shown, list(document.data)[:10])) or "nothing"
            raise InvalidConfig(
                f"{self._path}: has no object {self._config.section}, only: {has}",
                value=has,
                allowed=f"controls in the object {self._config.section}",
            )
        return section

    def _refusal(self, error: str | None) -> dict[str, Any]:
        """A report that says only what was read, and why it was not applied."""
        return {
            "file": str(self._path),
            "section": self._config.section,
            "date": timestamps.utc_now(),
            "strict": self._config.strict,
            "error": error,
            "applied": {},
            "refused": {},
            "keys": [],
            "in_effect": None,
            "complete": False,
        }

    def _settle(self, identity: _Identity, known: Mapping[str, ControlInfo], report: dict[str, Any]) -> None:
        """It is dealt with until it changes."""
        self._done, self._broken, self._applied_to = identity, None, known
        self.report = report
        self._error = report["error"]
        applied, refused = report["applied"], report["refused"]
        self._state = "refused" if report["error"] or (refused and not applied) else "partly_applied" if refused else "applied"
        _tell(report, known)
        self._on_event(
            "controls_applied",
            {"file": str(self._path), "applied": sorted(applied), "refused": dict(refused), "error": report["error"]},
        )
        self._writings["report"].do(report, self._write_report)

    def _write_report(self, path: Path) -> None:
        data = json.dumps(self.report, indent=2, allow_nan=False).encode() + b"\n"
        with disk.told(path.parent, len(data)):
            write_atomic(path, data)
        self._photos.error = None  # whatever it was, the medium can be written

    def _fail(self, message: str) -> None:
        """Told once as long as it stays the same."""
        if message != self._error:
            log.error("%s: %s", self._path, message)
        self._error = message

    def _photos_error(self, message: str) -> None:
        self._photos.error = message
        log.error("no test photo: %s", message)


class _Writing:
    """A file beside the controls file: what cannot be written is told once, and tried again after a while."""

    def __init__(self, path: Path) -> None:
        self.error: str | None = None
        self._path = path
        self._done: tuple[object, _Identity | None] | None = None
        self._failed: object = None
        self._not_before = 0.0

    def do(self, content: object, write: Callable[[Path], object]) -> None:
        """Have it written if the content is another than the last one, or the file has changed or gone since."""
        if self._done is not None and self._done == (content, self._seen()):
            return
        if self._failed == content and time.monotonic() < self._not_before:
            return
        try:
            write(self._path)
        except CommandFailed as error:
            if str(error) != self.error:
                log.error("%s is not written: %s", self._path, error)
            self.error, self._failed = str(error), content
            self._not_before = time.monotonic() + _AGAIN_AFTER_S
            return
        self.error, self._failed, self._done = None, None, (content, self._seen())

    def forget(self) -> None:
        """What went wrong was another medium's: no error is left, and the next writing does not wait."""
        self.error, self._failed, self._not_before = None, None, 0.0

    def _seen(self) -> _Identity | None:
        try:
            return _identity(self._path)
        except CommandFailed:  # what is wrong is told when it is written
            return None


def _identity(path: Path) -> _Identity | None:
    """What changes when the file does, or the disk that it is on; None if there is none. Raises CommandFailed."""
    found = _found(path)
    return None if found is None else (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _medium(folder: Path) -> _Identity | None:
    """What changes when another medium is plugged in; None if there is no such folder. Raises CommandFailed."""
    found = _found(folder)
    return None if found is None or not stat.S_ISDIR(found.st_mode) else (found.st_dev, found.st_ino)


def _found(path: Path) -> os.stat_result | None:
    with disk.told(path.parent, doing="read"):
        try:
            return os.stat(path)  # noqa: PTH116 - for its errors
        except (FileNotFoundError, NotADirectoryError):
            return None


def _tell(report: Mapping[str, Any], known: Mapping[str, ControlInfo]) -> None:
    """In the log: a line for each key."""
    if report["error"] is not None:
        log.error("no control is applied: %s", report["error"])
        return
    if not report["keys"]:
        log.info("%s names no control", report["file"])
    for key in report["keys"]:
        level = logging.INFO if key["fate"] in (APPLIED, COMMENT) else logging.WARNING
        log.log(level, "control %s of %s %s", key["key"], report["file"], _fate(key, known.get(key["key"])))


def _fate(key: Mapping[str, Any], info: ControlInfo | None) -> str:
    """A key's fate with the value or the reason, and what the control takes."""
    if key["fate"] == COMMENT:
        return COMMENT
    says = f"{key['fate']}: {shown(key['value']) if key['reason'] is None else key['reason']}"
    if info is None or (allowed := allowed_values(info)) in says:
        return says
    return f"{says} (takes {allowed})"
