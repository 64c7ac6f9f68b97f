"""The parts of a running camera daemon, how they are joined, and in which order they start and end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from observatory_camerad import wire
from observatory_camerad.acquisition.autofocus import Autofocus
from observatory_camerad.acquisition.captures import Captures, Wish
from observatory_camerad.acquisition.failures import Failures
from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.sequence import Sequences
from observatory_camerad.acquisition.sequence_journal import SequenceJournal
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.adjusting import Adjuster
from observatory_camerad.config import CameradConfig
from observatory_camerad.drivers.base import CameraDriver, Capabilities
from observatory_camerad.live.hub import FrameHub
from observatory_camerad.outputs import encoding
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.names import FilePattern
from observatory_camerad.outputs.photos import Outcome, PhotoWriter
from observatory_camerad.outputs.retention import Retention
from observatory_camerad.scanner.service import Scanner
from observatory_camerad.settings import Settings
from observatory_camerad.simulator.focuser import Focuser
from observatory_camerad.video.encoder import EncoderSettings
from observatory_camerad.video.recordings import Recordings
from observatory_camerad.video.stream import VideoStream
from observatory_common import timestamps
from observatory_common.errors import Blocked, CommandFailed, DeviceLost, NotConnected, ObservatoryError, TimedOut
from observatory_common.jobs import JobTable
from observatory_common.service import Context
from observatory_common.storage import StateFile

log = logging.getLogger("camerad")

_EXCLUSIVE_WITHIN_S = 10.0
_APPLIED_WITHIN_S = 0.5
_LOOK_EVERY_S = 1.0
_DISK_ANSWERS_WITHIN_S = 2.0
_FRESH_S = 10.0
_KEPT_EVERY_S = 60.0
_OF_THE_LENS = frozenset({"LensPosition", "AfMode", "AfTrigger"})
STREAMS = ("main", "lores")  # those that can be looked at
_STATE_FILES = ("counter.json", "failures.json", "recording.json", "sequence.json", "settings.json")

OnEvent = Callable[[str, dict[str, Any]], None]


class Parts:
    """Everything behind the remote object."""

    def __init__(self, config: CameradConfig, context: Context, jobs: JobTable, on_event: OnEvent) -> None:
        self.config = config
        self._on_event = on_event
        self._jobs = jobs
        self._changing = threading.Lock()
        folder = context.state_folder
        _tidy(folder)
        self.output = Path(config.output_path) if config.output_path else folder / "pictures"
        pattern = FilePattern(config.output_pattern, config.output_prefix, context.instance)
        self.files = FileStore(self.output, pattern, StateFile(folder / "counter.json"), config.roots)
        self.settings = Settings(config.use_cases, config.controls, StateFile(folder / "settings.json"))
        self.hubs = {name: FrameHub(name, encoding.encode, timestamps.utc_now, self._event) for name in STREAMS}
        encoder = EncoderSettings(codec=config.video.codec, bitrate=config.video.bitrate, keyframe_s=config.video.keyframe_s)
        self.videos = {name: VideoStream(name, context.boot_id, encoder) for name in STREAMS}
        self._focuser = _focuser(config)
        consumers = [hub.offer for hub in self.hubs.values()]
        self.worker = Worker(
            _driver(config, context, self._focuser),
            self.settings,
            config.transform,
            Failures(StateFile(folder / "failures.json")),
            [*consumers, self._offer_video, self._offer_autofocus],
            self._event,
            self._closed,
        )
        self.autofocus = Autofocus(self.worker, self.settings, jobs)
        self.writer = PhotoWriter(self.files)
        self.retention = Retention(self.files, config.retention.keep_free_bytes, config.retention.max_age_s)
        self._keeper = _Keeper(self.retention, self.files)
        self.captures = self._captures(self.writer, context)
        journal = SequenceJournal(StateFile(folder / "sequence.json"), self.output)
        self.sequences = Sequences(self.worker, self.captures, journal, jobs, self._event)
        self.recordings = Recordings(
            self.worker,
            self.settings,
            config.transform,
            self.files,
            self.retention,
            config.video,
            self.videos,
            StateFile(folder / "recording.json"),
            jobs,
            self._event,
        )
        self.adjust = Adjuster(self.worker, self.settings, config.transform, self.sequences, self.files)
        onto_stick = PhotoWriter(self.files)
        captures = self._captures(onto_stick, context)
        self.scanner = Scanner(config, self.worker, captures, onto_stick, self.apply_controls, self._event)

    def start(self) -> None:
        """Start every thread; the camera's last."""
        self.recordings.recover(self.output)
        if self._focuser is not None:
            self._focuser.start()
        for hub in self.hubs.values():
            hub.start()
        for video in self.videos.values():
            video.start()
        self.writer.start()
        self._keeper.start()
        self.worker.start()
        self.sequences.resume()
        self.scanner.start()

    def close(self, deadline_s: float) -> None:
        """End every thread: first who asks for frames, then the camera, then who writes them."""
        until = time.monotonic() + deadline_s
        self.scanner.close(max(until - time.monotonic(), 0.1) / 4)
        self.sequences.close(max(until - time.monotonic(), 0.1) / 4)
        for video in self.videos.values():
            video.close(max(until - time.monotonic(), 0.1) / 2)
        for hub in self.hubs.values():
            hub.close()
        self.worker.close(max(until - time.monotonic(), 0.1) / 2)
        self.writer.close(max(until - time.monotonic(), 0.1))
        self.scanner.close_writer(max(until - time.monotonic(), 0.1))
        self._keeper.close(max(until - time.monotonic(), 0.1))
        if self._focuser is not None:
            self._focuser.close()

    def shoot(self, wish: Wish, caller: str, request_id: str | None) -> dict[str, Any]:
        """A single shot as a job. Raises NotConnected, NoRoom, CommandFailed, Blocked."""
        self.worker.require()
        self.captures.require_room(wish)
        shots: list[Shot] = []
        job = self._jobs.start(wish.kind, caller, cancel=lambda: cancel(), request_id=request_id)

        def cancel() -> None:
            if shots and self.worker.cancel(shots[0]):  # else it is being written, and will be told of
                job.finish("stopped")

        def written(result: dict[str, Any]) -> None:
            self._event("photo_taken", {"name": result["name"], "names": result["names"], "job": job.id})
            job.finish("succeeded", {**result, "metadata": wire.metadata(result["metadata"])})

        def failed(error: ObservatoryError) -> None:
            lost, late = isinstance(error, (DeviceLost, NotConnected)), isinstance(error, TimedOut)
            job.finish("lost_device" if lost else "timed_out" if late else "failed", None, error)

        try:
            shots.append(self.captures.shoot(wish, Outcome(written, failed)))
        except ObservatoryError as error:
            failed(error)
            raise
        return job.to_wire()

    def found(self) -> Capabilities:
        """What the camera is and can do. Raises NotConnected."""
        found = self.worker.capabilities
        if found is None:
            raise NotConnected(f"the camera is not there: {self.worker.last_error or self.worker.state}")
        return found

    @property
    def free_bytes(self) -> int | None:
        """What can still be written into the output folder, as of a second ago; None if that is not known."""
        return self._keeper.free_bytes

    def apply_controls(self, values: Any, strict: bool) -> dict[str, Any]:
        """Set those that fit, and tell every key's fate, see `Adjuster.apply_fitting`. Raises also Blocked."""
        self.require_lens_free(values)
        return self.adjust.apply_fitting(values, strict, _APPLIED_WITHIN_S)

    def require_lens_free(self, values: Any) -> None:
        """Raise Blocked if these controls would disturb an autofocus that is under way."""
        if type(values) is dict and values.keys() & _OF_THE_LENS:
            self.autofocus.require_idle()

    def _captures(self, writer: PhotoWriter, context: Context) -> Captures:
        config = self.config
        return Captures(
            self.worker,
            self.settings,
            self.files,
            self.retention,
            writer,
            context.instance,
            context.software_version,
            config.site,
        )

    def _event(self, name: str, data: dict[str, Any]) -> None:
        self._on_event(name, data)
        if name == "camera_alert" or (name == "camera_lost" and self.worker.alert):  # else it is back soon, or we restart
            self.recordings.camera_lost(str(data["error"]))

    def _closed(self, why: str) -> None:
        """No frames come any more."""
        self.autofocus.lost(why)
        for hub in self.hubs.values():
            hub.forget()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Around what must not change while it is done: use cases, recordings, sequences, shutdown. Raises Blocked."""
        if not self._changing.acquire(timeout=_EXCLUSIVE_WITHIN_S):
            raise Blocked("another change of the camera is under way")
        try:
            yield
        finally:
            self._changing.release()

    def _offer_video(self, frame: Frame) -> None:
        for name, video in self.videos.items():
            stream = frame.configuration.streams.get(name)
            if stream is not None and video.wanted:
                video.offer(frame.array(name), stream.format, frame.timestamp_us)

    def _offer_autofocus(self, frame: Frame) -> None:
        self.autofocus.offer(frame)


class _Keeper:
    """Applies the rules of retention once a minute, and each second looks at the disk, for who must not wait for that."""

    def __init__(self, retention: Retention, files: FileStore) -> None:
        self._retention = retention
        self._files = files
        self._silent = False
        self._seen: tuple[int, float] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camerad-retention", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._look()
        self._thread.start()

    @property
    def free_bytes(self) -> int | None:
        """What could still be written a moment ago; None if the disk did not say."""
        seen = self._seen
        return None if seen is None or time.monotonic() - seen[1] > _FRESH_S else seen[0]

    def close(self, deadline_s: float) -> None:
        """End."""
        self._closing.set()
        self._thread.join(deadline_s)

    def _run(self) -> None:
        apply_at = time.monotonic() + _KEPT_EVERY_S
        while not self._closing.wait(_LOOK_EVERY_S):
            self._look()
            if time.monotonic() < apply_at or self._silent:
                continue
            apply_at = time.monotonic() + _KEPT_EVERY_S
            try:
                self._retention.apply()
            except CommandFailed as error:
                log.error("retention: %s", error)

    def _look(self) -> None:
        try:
            self._seen = (self._files.free_bytes(_DISK_ANSWERS_WITHIN_S), time.monotonic())
        except CommandFailed:
            self._seen = None
        silent_s = self._files.silent_s
        if silent_s is not None and not self._silent:
            log.error("the disk of the pictures has not answered for %.0f s: it is waited for", silent_s)
        elif silent_s is None and self._silent:
            log.info("the disk of the pictures answers again")
        self._silent = silent_s is not None


def _tidy(folder: Path) -> None:
    """Remove what a kill has left of state files that were being written."""
    for name in _STATE_FILES:
        for left_over in folder.glob(f".{name}.????????"):
            try:
                left_over.unlink()
            except OSError as error:
                log.warning("%s, which was never finished, cannot be removed: %s", left_over, error)


def _focuser(config: CameradConfig) -> Focuser | None:
    focuser = config.simulator.focuser
    return None if focuser is None or config.driver != "simulator" else Focuser(focuser)


def _driver(config: CameradConfig, context: Context, focuser: Focuser | None) -> CameraDriver:
    if config.driver == "picamera2":
        from observatory_camerad.drivers.picamera2 import Picamera2Driver

        assert isinstance(config.device, int)
        return Picamera2Driver(config.device, config.tuning_file)
    if config.driver == "v4l2":
        from observatory_camerad.drivers.v4l2 import V4l2Driver

        return V4l2Driver(config.device)
    from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics

    optics = SimulatedOptics(config.simulator.scene.seeing_sigma_pixels)
    if focuser is not None:
        optics.focuser_defocus = focuser.defocus_pixels
    faults = config.simulator.faults or context.state_folder / "simulator-faults.json"
    return SimulatedCamera(config.simulator.scene, config.simulator.sensor, optics, faults_path=faults)
