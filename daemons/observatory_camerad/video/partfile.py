"""A file that grows under a hidden name and gets its own at the end, and what to do with one that was left behind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from observatory_common.errors import CommandFailed
from observatory_common.storage import sync_folder

_SYNC_EVERY_BYTES = 4 << 20
_LONGEST_BOX_HEADER = 16


@dataclass(frozen=True)
class Part:
    """A part file that can be played: where it is, what it was to be called, how long it plays (None: not known)."""

    path: Path
    final_name: str
    duration_s: float | None


class PartFile:
    """The open part file of `final`. Writable and seekable, as FFmpeg wants it; after a failed write nothing more is written.

    Its data are sent to the disk while it grows, by a thread of its own, so that a power cut costs seconds. Raises
    CommandFailed if there is a file of either name already, OSError.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.part")
        self.failure: OSError | None = None
        if final.exists():
            raise CommandFailed(f"there is a file {final.name} already", value=final.name)
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise CommandFailed(f"there is a file {self.path.name} already", value=self.path.name) from None
        self._position = 0
        self._unsynced = 0
        self._syncing: Future[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="camerad-sync")

    @property
    def free_bytes(self) -> int:
        """Room left on its disk."""
        return shutil.disk_usage(self.path.parent).free

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._descriptor).st_size

    def write(self, data: bytes) -> int:
        """Write all of it. Raises OSError, and again at every later call."""
        if self.failure is not None:
            raise self.failure
        try:
            rest = memoryview(data)
            while rest:
                done = os.pwrite(self._descriptor, rest, self._position)
                self._position += done
                rest = rest[done:]
            self._sync(len(data))
        except OSError as error:
            self.failure = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As that of any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = offset + (self.size if base is None else base)
        return self._position

    def tell(self) -> int:
        """Where the next write goes."""
        return self._position

    def freeze(self, why: OSError) -> None:
        """Write nothing more."""
        self.failure = self.failure or why

    def keep(self) -> int:
        """Close it, safe on the disk and under its own name; answers with its size. Raises OSError."""
        try:
            self._pool.shutdown()
            if self._syncing is not None:
                self._syncing.result(0)
            size = self.size
            os.fsync(self._descriptor)
        finally:
            self._close()
        _rename(self.path, self.final)
        return size

    def close(self) -> None:
        """Close it and leave it as it is. May be called twice."""
        with suppress(OSError):
            self._close()

    def discard(self) -> None:
        """Close and remove it, if that can be. May be called twice."""
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def _close(self) -> None:
        self._pool.shutdown()
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _sync(self, written: int) -> None:
        self._unsynced += written
        if self._unsynced < _SYNC_EVERY_BYTES or (self._syncing is not None and not self._syncing.done()):
            return
        if self._syncing is not None:
            self._syncing.result(0)
        self._unsynced = 0
        self._syncing = self._pool.submit(os.fdatasync, self._descriptor)


def recover(path: Path) -> Part | None:
    """What a left-over part file holds, if it can be played; None if it is none, or holds no whole picture."""
    import av

    if not (path.name.startswith(".") and path.name.endswith(".part")):
        return None
    final_name = path.name[1:].removesuffix(".part")
    format = {".mp4": "mp4", ".h264": "h264"}.get(Path(final_name).suffix)
    if format is None:
        return None
    try:
        whole = _whole_bytes(path) if format == "mp4" else path.stat().st_size
        with av.open(f"subfile,,start,0,end,{whole},,:{path}", format=format) as container:
            stream = container.streams.video[0]
            duration = None if container.duration is None or format == "h264" else container.duration / av.time_base
            playable = next(container.decode(stream), None) is not None
    except (av.FFmpegError, OSError, IndexError):
        return None
    return Part(path, final_name, duration) if playable else None


def recover_parts(folder: Path) -> list[Part]:
    """The part files in a folder that can be played, by name. Changes nothing."""
    found = (recover(path) for path in sorted(folder.glob(".*.part")))
    return [part for part in found if part is not None]


def keep_part(part: Part) -> Path:
    """Cut what is not whole off the end, and give the file its own name; answers with its path.

    Raises CommandFailed if there is a file of that name, OSError.
    """
    final = part.path.with_name(part.final_name)
    if final.exists():
        raise CommandFailed(f"there is a file {final.name} already", value=final.name)
    descriptor = os.open(part.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if final.suffix == ".mp4":
            os.truncate(descriptor, _whole_bytes(part.path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _rename(part.path, final)
    return final


def is_blank(part: Path) -> bool:
    """Whether a part file was cut off before any picture of it was on the disk. Raises OSError."""
    if part.name.endswith(".mp4.part"):
        return all(kind != b"mdat" for kind, _ in _boxes(part))
    return part.stat().st_size == 0


def _whole_bytes(path: Path) -> int:
    """Where the last whole fragment, a `moof` and its `mdat`, of an MP4 file ends."""
    whole = 0
    for kind, end in _boxes(path):
        if kind != b"moof":  # its mdat must be there too
            whole = end
    return whole


def _boxes(path: Path) -> Iterator[tuple[bytes, int]]:
    """The kind of each whole box of an MP4 file, and where it ends."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            header = file.read(_LONGEST_BOX_HEADER)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8 or at + length > size:
                return
            at += length
            yield kind, at


def _rename(path: Path, final: Path) -> None:
    os.replace(path, final)
    sync_folder(final.parent)
