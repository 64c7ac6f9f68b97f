"""Recordings of video, as jobs: the configuration they need, the file's name, what is kept beside it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.use_cases import Transform, satisfied, standing
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.config import VideoConfig
from observatory_camerad.outputs import disk
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.metadata import strict_json
from observatory_camerad.outputs.retention import Retention
from observatory_camerad.settings import Settings
from observatory_camerad.video.audio import AudioSource
from observatory_camerad.video.library import require_library
from observatory_camerad.video.partfile import is_blank, keep_part, recover_parts
from observatory_camerad.video.recording import RESERVE_BYTES, Recording, RecordingLimits, RecordingResult
from observatory_camerad.video.stream import VideoStream
from observatory_common.errors import (
    Blocked,
    CameraNotAcquiring,
    CommandFailed,
    DeviceLost,
    NotConnected,
    ObservatoryError,
)
from observatory_common.jobs import Job, JobTable
from observatory_common.storage import StateCorrupt, StateFile, write_atomic

log = logging.getLogger("camerad.recordings")

FORMATS = ("mp4", "h264")
_RECONFIGURED_WITHIN_S = 10.0
_ENDED_WITHIN_S = 10.0


class Recordings:
    """At most one at a time. While it runs the camera's configuration is held."""

    def __init__(
        self,
        worker: Worker,
        settings: Settings,
        transform: Transform,
        files: FileStore,
        retention: Retention,
        config: VideoConfig,
        videos: Mapping[str, VideoStream],
        journal: StateFile,
        jobs: JobTable,
        on_event: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._transform = transform
        self._files = files
        self._retention = retention
        self._config = config
        self._videos = videos
        self._journal = journal
        self._jobs = jobs
        self._on_event = on_event
        self._lock = threading.Lock()
        self._running: Recording | None = None
        self._lost: DeviceLost | None = None

    @property
    def running(self) -> Recording | None:
        """The one that runs."""
        return self._running

    def recover(self, folder: Path) -> None:
        """Keep what a former run of the daemon could not finish, in a folder and where it recorded last."""
        for where in {folder, self._last_folder(folder)}:
            self._recover(where)

    def _last_folder(self, otherwise: Path) -> Path:
        try:
            return Path((self._journal.load() or {}).get("folder", otherwise))
        except (StateCorrupt, TypeError) as error:
            log.error("where the last recording was made is not known: %s", error)
            return otherwise

    def _recover(self, folder: Path) -> None:
        for part in recover_parts(folder):
            if not self._files.is_own(part.final_name):
                continue  # another camera may be recording it
            try:
                path = keep_part(part)
            except (CommandFailed, OSError) as error:
                log.error("%s, a recording that was cut off, cannot be kept: %s", part.path.name, error)
                continue
            log.warning("kept %s, a recording that was cut off (seconds: %s)", path.name, part.duration_s)
            self._on_event("recording_recovered", {"name": path.name, "duration_s": part.duration_s})
        self._remove_blank(folder)

    def _remove_blank(self, folder: Path) -> None:
        """What was cut off in its first moment would stand there for ever."""
        for path in folder.glob(".*.part"):
            try:
                if self._files.is_own(path.name[1:].removesuffix(".part")) and is_blank(path):
                    path.unlink()
                    log.warning("removed %s, a recording that was cut off before its first picture", path.name)
            except OSError as error:
                log.error("%s, a recording that was cut off: %s", path.name, error)

    def start(
        self,
        caller: str,
        duration_s: float | None,
        audio: bool,
        ending: str,
        folder: Path | None,
        request_id: str | None = None,
    ) -> Job:
        """Begin. Raises NotConnected, Blocked, CommandFailed (no room, no such use case, no microphone)."""
        require_library()
        with self._lock:
            self.require_none()
            case = self._settings.use_cases().get("video")
            if case is None or case.stream not in self._videos:
                raise CommandFailed("no use case video is configured", value="video", allowed=", ".join(self._videos))
            if audio and self._config.audio_device is None:
                raise CommandFailed("no microphone is configured", value=True, allowed="video.audio_device in the config")
            self._retention.apply(RESERVE_BYTES)
            self._files.require_room(RESERVE_BYTES, folder)
            try:
                self._hold(True)
                return self._begin(caller, case.stream, duration_s, audio, ending, folder, request_id)
            except Exception:
                self._hold(False)  # also of an order that is still to be carried out
                raise

    def stop(self) -> None:
        """End it; the job has the result. Raises CameraNotAcquiring without one."""
        running = self._running
        if running is None:
            raise CameraNotAcquiring("no recording runs")
        running.stop()

    def camera_lost(self, error: str) -> None:
        """End it: the camera is lost and will not be back soon."""
        running = self._running
        if running is not None:
            self._lost = DeviceLost(f"the camera was lost: {error}")
            running.stop()

    def close(self) -> None:
        """End it and wait for its file."""
        running = self._running
        if running is not None:
            running.stop()
            running.wait(_ENDED_WITHIN_S)

    def _begin(
        self,
        caller: str,
        stream: str,
        duration_s: float | None,
        audio: bool,
        ending: str,
        folder: Path | None,
        request_id: str | None,
    ) -> Job:
        target = self._files.folder() if folder is None else folder
        path = target / f"{self._files.next_stem('video', None, folder)}.{ending}"
        with disk.told(self._journal.path.parent):
            self._journal.save({"folder": str(target)})
        limits = RecordingLimits(duration_s, audio_sync_s=self._config.audio_sync_s)
        source = AudioSource(self._config.audio_device or "default") if audio else None
        metadata = dict(self._worker.metadata)
        self._lost = None
        job = self._jobs.start(
            "video", caller, cancel=lambda: self._cancel(path), expected_end_s=duration_s, request_id=request_id
        )
        try:
            self._running = self._videos[stream].record(
                path, limits, source, on_end=lambda result: self._ended(job, result, metadata)
            )
        except ObservatoryError as error:
            job.finish("failed", None, error)
            raise
        self._on_event("recording_started", {"name": path.name, "job": job.id})
        return job

    def _cancel(self, path: Path) -> None:
        running = self._running
        if running is not None and running.path == path:
            running.stop()

    def _ended(self, job: Job, result: RecordingResult, metadata: Mapping[str, Any]) -> None:
        """In the video's thread."""
        with self._lock:  # not before `start` has noted that it runs
            self._hold(False)
            self._running = None
        error = result.error or self._lost
        facts: dict[str, Any] = {
            "name": result.name if result.path is not None else None,
            "frames": result.frames,
            "dropped": result.dropped,
            "duration_s": result.duration_s,
            "size": result.size,
            "reason": result.reason if self._lost is None else str(self._lost),
            "audio_error": result.audio_error,
        }
        if result.path is not None:
            self._save_beside(result.path, result.thumbnail, {**metadata, "observatory": facts})
        self._on_event("recording_stopped", {**facts, "job": job.id})
        lost = isinstance(error, DeviceLost)
        job.finish("succeeded" if error is None else "lost_device" if lost else "failed", facts, error)

    def _save_beside(self, path: Path, thumbnail: bytes | None, metadata: Mapping[str, Any]) -> None:
        try:
            write_atomic(path.with_suffix(".json"), strict_json(metadata))
            if thumbnail is not None:
                write_atomic(path.with_suffix(".thumb.jpg"), thumbnail)
        except OSError as error:
            log.error("beside %s: %s", path.name, error)

    def _hold(self, held: bool) -> None:
        """Keep the camera in a configuration that has the video; or let it go back. Raises CommandFailed when it refuses."""
        cases = self._settings.use_cases()
        wanted = standing(cases, self._transform)
        if held and not satisfied(wanted, cases["video"]):
            wanted = standing(cases, self._transform, ["video"])
        try:
            order = self._worker.reconfigure(wanted, held)
            if held:
                order.done.result(_RECONFIGURED_WITHIN_S)
        except NotConnected:
            if held:
                raise
        except TimeoutError:
            raise CommandFailed(f"the camera was not configured for video within {_RECONFIGURED_WITHIN_S:g} s") from None

    def require_none(self) -> None:
        """Raise Blocked while a recording runs."""
        if self._running is not None:
            raise Blocked(f"a recording runs already: {self._running.path.name}", value=self._running.path.name)
