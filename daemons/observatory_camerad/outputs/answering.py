"""Whether disks answer: a dying stick or a lost server makes a call wait without an end, which nothing can cut short."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from observatory_common.errors import CommandFailed

SILENT_AFTER_S = 10.0  # a slow stick takes seconds for a large file

T = TypeVar("T")


class DiskSilent(CommandFailed):
    """A disk has not answered in time; it may do so later."""


class Answering:
    """Notes what is asked of disks, and since when. Thread safe."""

    def __init__(self) -> None:
        self._asked: dict[object, tuple[Path, float]] = {}

    @contextmanager
    def asked(self, folder: Path) -> Iterator[None]:
        """Around calls that may wait for the disk of a folder."""
        key = object()
        self._asked[key] = (folder, time.monotonic())
        try:
            yield
        finally:
            del self._asked[key]

    def silent_s(self, folder: Path | None = None) -> float | None:
        """For how long a disk (None: any) has kept somebody waiting; None if that is not long."""
        since = [at for where, at in list(self._asked.values()) if folder in (None, where)]
        silent_s = time.monotonic() - min(since, default=time.monotonic())
        return silent_s if silent_s > SILENT_AFTER_S else None

    def ask(self, folder: Path, question: Callable[[], T], within_s: float | None = None) -> T:
        """What `question` answers. Raises what it raises, and DiskSilent: at once where the disk is known to be silent.

        It is asked in a thread of its own; one that waits for a silent disk ends when that answers.
        """
        if (silent_s := self.silent_s(folder)) is not None:
            raise _silent(folder, silent_s)
        within_s = SILENT_AFTER_S if within_s is None else within_s

        def asking() -> T:
            with self.asked(folder):
                return question()

        pool = ThreadPoolExecutor(1, thread_name_prefix="camerad-disk")
        answer = pool.submit(asking)
        try:
            return answer.result(within_s)
        except TimeoutError:
            raise _silent(folder, within_s) from None
        finally:
            pool.shutdown(wait=answer.done())


def _silent(folder: Path, silent_s: float) -> DiskSilent:
    return DiskSilent(f"the disk of {folder} has not answered for {silent_s:.0f} s", value=str(folder))
