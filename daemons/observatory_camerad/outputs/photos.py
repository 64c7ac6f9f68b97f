"""Photos: encoded and written by a thread of its own so that the camera never waits for a disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observatory_camerad.outputs import encoding
from observatory_camerad.outputs.files import FileStore, free_stem, save
from observatory_common.errors import CommandFailed, ObservatoryError

log = logging.getLogger("camerad.photos")

MOST_WAITING = 8


@dataclass(frozen=True)
class Taken:
    """What was taken of a frame: by ending how to make the bytes of each file, and the metadata that go beside them.

    All files of a shot have the same stem; the one named last is the picture, and appears last. `stem` is a name of one's
    own, for `folder`, in place of the next number.
    """

    kind: str
    start_ns: int
    encoders: Mapping[str, Callable[[], bytes]]
    metadata: Mapping[str, Any]
    folder: Path | None = None
    stem: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Who is told what became of a shot, in the writer's thread. `before` is told the picture's name ahead of its writing."""

    written: Callable[[dict[str, Any]], None]
    failed: Callable[[ObservatoryError], None]
    before: Callable[[str], None] = field(default=lambda name: None)


class PhotoWriter:
    """Encodes and writes what was taken, in turn."""

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self._taken: queue.Queue[tuple[Taken, Outcome] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="camerad-photos", daemon=True)

    @property
    def waiting(self) -> int:
        """How many are not written yet."""
        return self._taken.unfinished_tasks

    @property
    def has_room(self) -> bool:
        """Whether another can wait."""
        return self._taken.unfinished_tasks < MOST_WAITING

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
        if self._thread.is_alive():
            log.error("the disk does not answer: what waits to be written is lost")

    def add(self, taken: Taken, outcome: Outcome) -> None:
        """Called in the camera's thread: never waits."""
        try:
            self._taken.put_nowait((taken, outcome))
        except queue.Full:
            outcome.failed(CommandFailed(f"{MOST_WAITING} photos wait already to be written"))

    def _run(self) -> None:
        encoding.prepare()
        while (waiting := self._taken.get()) is not None:
            taken, outcome = waiting
            try:
                self._write(taken, outcome)
            except ObservatoryError as error:
                outcome.failed(error)
            except OSError as error:
                outcome.failed(CommandFailed(f"the photo could not be written: {error}"))
            except Exception as error:
                log.exception("unexpected error while a photo was written")
                outcome.failed(CommandFailed(f"the photo could not be written: {error}"))
            finally:
                self._taken.task_done()

    def _write(self, taken: Taken, outcome: Outcome) -> None:
        encoded = {ending: encode() for ending, encode in taken.encoders.items()}
        folder = taken.folder
        if taken.stem is not None and folder is not None:  # not by way of the other pictures: such a folder may hang
            stem = free_stem(folder, taken.stem, encoded)
        else:
            stem = self._files.next_stem(taken.kind, taken.start_ns, folder)
        names = [f"{stem}.{ending}" for ending in encoded]
        outcome.before(names[-1])
        for name, data in zip(names, encoded.values(), strict=True):
            if taken.stem is not None and folder is not None:
                save(folder, name, data, dict(taken.metadata))
            else:
                self._files.save(name, data, dict(taken.metadata), folder)
        size = sum(len(data) for data in encoded.values())
        where = None if folder is None else str(folder)
        outcome.written({"name": names[-1], "names": names, "folder": where, "size": size, "metadata": dict(taken.metadata)})
