"""Photos: one frame each, encoded and written by a thread of its own so that the camera never waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from observatory_camerad.drivers.base import Request
from observatory_camerad.files import FileStore
from observatory_common.errors import CommandFailed, DeviceLost, ObservatoryError
from observatory_common.events import EventRing
from observatory_common.jobs import Job

log = logging.getLogger("camerad.photos")

MOST_WAITING = 8


@dataclass(frozen=True)
class Taken:
    """What was taken of a frame: how to make a file of it, with which ending, and what goes beside it."""

    ending: str
    encode: Callable[[], bytes]
    metadata: dict[str, Any]


class PhotoWriter:
    """Encodes and writes what was taken, in turn."""

    def __init__(self, files: FileStore, events: EventRing) -> None:
        self._files = files
        self._events = events
        self._taken: queue.Queue[tuple[Job, Taken] | None] = queue.Queue(MOST_WAITING)
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

    def add(self, job: Job, taken: Taken) -> None:
        """Called in the camera's thread: never waits."""
        try:
            self._taken.put_nowait((job, taken))
        except queue.Full:
            job.finish("failed", None, CommandFailed(f"{MOST_WAITING} photos wait already to be written"))

    def _run(self) -> None:
        while (waiting := self._taken.get()) is not None:
            job, taken = waiting
            try:
                data = taken.encode()
                name = f"{self._files.next_stem()}.{taken.ending}"
                self._files.save(name, data, taken.metadata)
            except ObservatoryError as error:
                job.finish("failed", None, error)
            except OSError as error:
                job.finish("failed", None, CommandFailed(f"the photo could not be written: {error}"))
            else:
                self._events.publish("camerad", "photo_taken", {"name": name, "job": job.id})
                job.finish("succeeded", {"name": name, "size": len(data), "metadata": taken.metadata})


class Shot:
    """A capture that waits for its frame; `take` copies what it needs of it, in the camera's thread."""

    def __init__(self, job: Job, writer: PhotoWriter, take: Callable[[Request], Taken]) -> None:
        self._job = job
        self._writer = writer
        self._take = take

    def frame(self, request: Request) -> None:
        """Pixels and metadata of one request, which belong together."""
        self._writer.add(self._job, self._take(request))

    def lost(self, error: ObservatoryError) -> None:
        """The camera went first."""
        self._job.finish("lost_device", None, DeviceLost(str(error)))
