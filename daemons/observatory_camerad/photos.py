"""Photos: one frame each, encoded and written by a thread of its own so that the camera never waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from observatory_camerad import encoding
from observatory_camerad.drivers.base import Request
from observatory_camerad.files import FileStore
from observatory_common.errors import CommandFailed, DeviceLost, ObservatoryError
from observatory_common.events import EventRing
from observatory_common.jobs import Job

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("camerad.photos")

MOST_WAITING = 8


@dataclass(frozen=True)
class _Taken:
    job: Job
    pixels: np.ndarray
    stream_format: str
    file_format: str
    metadata: dict[str, Any]


class PhotoWriter:
    """Encodes and writes what was taken, in turn."""

    def __init__(self, files: FileStore, events: EventRing) -> None:
        self._files = files
        self._events = events
        self._taken: queue.Queue[_Taken | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="camerad-photos", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, deadline_s: float) -> None:
        """Write what waits, and end."""
        try:
            self._taken.put(None, timeout=deadline_s)
        except queue.Full:
            log.error("photos still wait to be written")
        self._thread.join(deadline_s)

    def add(self, taken: _Taken) -> None:
        """Called in the camera's thread: never waits."""
        try:
            self._taken.put_nowait(taken)
        except queue.Full:
            taken.job.finish("failed", None, CommandFailed(f"{MOST_WAITING} photos wait already to be written"))

    def _run(self) -> None:
        while (taken := self._taken.get()) is not None:
            try:
                data = encoding.encode(taken.pixels, taken.stream_format, taken.file_format)
                name = f"{self._files.next_stem()}.{taken.file_format}"
                self._files.save(name, data, taken.metadata)
            except ObservatoryError as error:
                taken.job.finish("failed", None, error)
            except OSError as error:
                taken.job.finish("failed", None, CommandFailed(f"the photo could not be written: {error}"))
            else:
                self._events.publish("camerad", "photo_taken", {"name": name, "job": taken.job.id})
                taken.job.finish("succeeded", {"name": name, "size": len(data), "metadata": taken.metadata})


class Photo:
    """A photo that waits for its frame."""

    def __init__(self, job: Job, writer: PhotoWriter, stream: str, stream_format: str, file_format: str) -> None:
        self._job = job
        self._writer = writer
        self._stream = stream
        self._stream_format = stream_format
        self._file_format = file_format

    def frame(self, request: Request) -> None:
        """Keep its pixels and metadata, which belong together."""
        pixels = request.array(self._stream).copy()
        self._writer.add(_Taken(self._job, pixels, self._stream_format, self._file_format, dict(request.metadata)))

    def lost(self, error: ObservatoryError) -> None:
        """The camera went first."""
        self._job.finish("lost_device", None, DeviceLost(str(error)))
