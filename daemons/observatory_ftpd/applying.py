"""The newest configuration goes to the camera, a test photo comes back. A thread of its own, since a camera takes its time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from observatory_common.errors import CommandFailed, InvalidArgument, ObservatoryError
from observatory_ftpd.camera import AWAY, PhotoGone, RemoteCamera
from observatory_ftpd.config import FtpdConfig
from observatory_ftpd.drop import Drop
from observatory_ftpd.uploads import Ledger, Upload

log = logging.getLogger("ftpd")

_LOOK_EVERY_S = 5.0
_SHORTEST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


class Applier:
    """Applies uploads, the newest first and the others not at all; waits for a camera that is away, within bounds."""

    def __init__(
        self,
        config: FtpdConfig,
        boot_id: str,
        camera: RemoteCamera,
        drop: Drop,
        ledger: Ledger,
        event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.last_error: str | None = None
        self._config = config
        self._boot_id = boot_id
        self._camera = camera
        self._drop = drop
        self._ledger = ledger
        self._event = event
        self._changed = threading.Condition()
        self._next: Upload | None = None
        self._current: Upload | None = None
        self._ending = False
        self._known_boot_id: str | None = None
        self._contact_s: float | None = None
        self._wants_first_photo = config.photo.at_start
        self._thread = threading.Thread(target=self._run, name="ftpd-camera", daemon=True)

    @property
    def state(self) -> str:
        """`idle`, `applying`, or `waiting` (for the camera)."""
        current = self._current
        return "idle" if current is None or current.is_over else "waiting" if current.outcome == "waiting" else "applying"

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def contact_age_s(self) -> float | None:
        """How long ago the camera has answered last; None: not yet, or it is away."""
        contact_s = self._contact_s
        return None if contact_s is None else time.monotonic() - contact_s

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, deadline_s: float) -> None:
        """End the thread; what is still to be applied is applied after the next start."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._camera.close()
        if self._thread.is_alive():
            self._thread.join(deadline_s)

    def submit(self, upload: Upload) -> None:
        """Have it applied in place of those that wait."""
        with self._changed:
            before, self._next = self._next, upload
            self._changed.notify_all()
        if before is not None:
            self._supersede(before)

    def _run(self) -> None:
        while not self._ending:
            with self._changed:
                upload, self._next = self._next, None
                self._current = upload
            if upload is not None:
                self._carry_out(upload)
                self._current = None
                continue
            self._look()
            with self._changed:
                self._changed.wait_for(lambda: self._next is not None or self._ending, _LOOK_EVERY_S)

    # one upload

    def _carry_out(self, upload: Upload) -> None:
        until = time.monotonic() + self._config.retry_for_s
        pause_s = _SHORTEST_PAUSE_S
        while True:
            try:
                outcome = self._attempt(upload)
            except AWAY as error:
                self._contact_s = None
                if self._ending:
                    return  # it is kept for the next start
                if time.monotonic() + pause_s > until:
                    self._end(upload, "failed", error)
                    return
                if upload.outcome != "waiting":
                    self.last_error = str(error)
                    self._ledger.report(
                        upload, "waiting", f"{error}; tried again until {self._config.retry_for_s:g} s are over"
                    )
            except ObservatoryError as error:
                self._end(upload, "refused" if isinstance(error, InvalidArgument) else "failed", error)
                return
            else:
                self._end(upload, outcome)
                return
            with self._changed:
                self._changed.wait_for(lambda: self._next is not None or self._ending, pause_s)
                if self._ending:
                    return
            if self._next is not None:
                self._supersede(upload)
                return
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _attempt(self, upload: Upload) -> str:
        """The outcome. Raises ObservatoryErrors; those of AWAY mean: later again."""
        upload.camera_says = self._camera.apply(upload.section, self._config.strict)
        self._contact_s = time.monotonic()
        applied, refused = upload.camera_says["applied"], upload.camera_says["refused"]
        self._event("applied", {"upload": upload.number, "applied": applied, "refused": refused})
        if refused and not applied:
            return "refused"
        if self._next is not None:
            return "superseded"  # its photo would show what is about to be changed again
        photo = self._camera.take_photo(self._config.photo.format, f"ftpd-{self._boot_id}-{upload.number}")
        upload.exposure_s, upload.gain = photo.exposure_s, photo.gain
        upload.photo = self._drop.publish_photo(photo.data, self._config.photo.format)
        self._event(
            "photo", {"upload": upload.number, "name": upload.photo, "exposure_s": photo.exposure_s, "gain": photo.gain}
        )
        return "partly" if refused else "applied"

    def _end(self, upload: Upload, outcome: str, error: ObservatoryError | None = None) -> None:
        if outcome == "refused" and error is None:
            error = CommandFailed(f"nothing was applied: {_reasons(upload)}")
        self.last_error = None if error is None else str(error)  # who reads the report may look at the status next
        self._ledger.report(upload, outcome, error)
        self.last_error = upload.error  # or why there is no report
        self._finish(upload, error)

    def _supersede(self, upload: Upload) -> None:
        self._ledger.report(upload, "superseded")
        self._finish(upload, None)

    def _finish(self, upload: Upload, error: ObservatoryError | None) -> None:
        self._ledger.done(upload.kept)
        if upload.job is not None:
            ends = {"applied": "succeeded", "partly": "succeeded", "superseded": "stopped"}
            upload.job.finish(ends.get(upload.outcome, "failed"), upload.to_wire(), error)

    # the camera comes and goes

    def _look(self) -> None:
        """Whether the camera is there; what it can do is written when it comes."""
        try:
            boot_id = self._camera.boot_id()
            self._contact_s = time.monotonic()
            if boot_id != self._known_boot_id:
                self._drop.publish(self._drop.template_name, self._camera.template(self._config.section))
                self._known_boot_id = boot_id
            if self._wants_first_photo:
                format = self._config.photo.format
                photo = self._camera.take_photo(format, f"ftpd-{self._boot_id}-start")
                self._drop.publish(f"test.{format}", photo.data)
                self._wants_first_photo = False
        except AWAY:
            self._contact_s = None
        except ObservatoryError as error:
            if isinstance(error, PhotoGone):
                self._wants_first_photo = False  # asked again, the camera would name the same file
            if self.last_error != str(error):
                log.error("%s", error)
            self.last_error = str(error)


def _reasons(upload: Upload) -> str:
    refused = (upload.camera_says or {}).get("refused") or {}
    text = "; ".join(f"{name}: {reason}" for name, reason in refused.items())
    return text if len(text) <= 500 else text[:500] + "..."
