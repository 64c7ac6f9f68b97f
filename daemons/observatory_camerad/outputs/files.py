"""Files of pictures: names that never collide, written whole or not at all, listed, read and deleted."""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_camerad.outputs import disk
from observatory_camerad.outputs.answering import Answering
from observatory_camerad.outputs.digests import Digests
from observatory_camerad.outputs.metadata import strict_json
from observatory_camerad.outputs.names import FilePattern, checked_folder
from observatory_common.arguments import shown
from observatory_common.errors import CommandFailed, InvalidArgument, NoRoom
from observatory_common.framed import Framed
from observatory_common.storage import StateCorrupt, StateFile, sync_folder, write_atomic

__all__ = ["COMPANIONS", "FileStore", "Group", "NoRoom", "free_stem", "save", "tidy"]

log = logging.getLogger("camerad.files")

LONGEST_PIECE = 1 << 20
COMPANIONS = (".json", ".thumb.jpg")  # endings of what belongs to a picture or video, and goes with it
MOST_DELETED = 1000

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,149}")
_LEFT_OVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}")  # what write_atomic leaves of NAME when it is killed
_UNDER_WAY = re.compile(r"\.?(.+)\.part")  # what is being recorded, or waits to be recovered
_LATEST = 64  # so many numbers back, at most, a kill has left metadata without their picture

_Own = dict[tuple[int, str], list[str]]  # names by number and stem, pictures before what belongs to them


@dataclass(frozen=True)
class Group:
    """The files of one number that this camera wrote into its output folder: picture, metadata, thumbnail.

    `allocated` is what the disk gets back for them, in bytes; `under_way` says that something of it is still written.
    """

    count: int
    names: tuple[str, ...]
    size: int
    allocated: int
    modified_s: float
    under_way: bool


class FileStore:
    """The folder of one camera's pictures, and the number in their names. Thread safe.

    `prefix` is that of the default pattern, or a FilePattern. Captures may also go into folders inside `roots`.
    """

    def __init__(self, folder: Path, prefix: str | FilePattern, counter: StateFile, roots: Sequence[Path] = ()) -> None:
        self._folder = folder
        self._pattern = FilePattern(prefix=prefix) if isinstance(prefix, str) else prefix
        self._counter = counter
        self._roots = tuple(roots)
        self._lock = threading.Lock()
        self._answering = Answering()
        self._digests = Digests()
        self._seen: set[Path] = set()
        self._count = self._loaded()
        try:
            with self._lock:
                self._prepare(folder)
        except CommandFailed as error:  # it may come back, as a disk that is mounted late
            log.error("%s; captures are refused until it can be used", error)

    # writing

    def folder(self, wanted: Any = None) -> Path:
        """The folder of a capture: an absolute name inside one of the roots, or None for the output folder.

        Raises InvalidArgument, naming what is allowed.
        """
        return self._folder if wanted is None else checked_folder(wanted, self._roots)

    def next_stem(self, kind: str = "photo", start_ns: int | None = None, folder: Path | None = None) -> str:
        """The next name, without its ending; its number is kept over restarts and never given twice. Raises CommandFailed."""
        with self._lock:
            self._prepare(folder or self._folder)
            stem = self._pattern.stem(self._count + 1, kind, start_ns)
            with disk.told(self._counter.path.parent):
                self._counter.save({"count": self._count + 1})
            self._count += 1
            return stem

    def require_room(self, size: int, folder: Path | None = None) -> None:
        """Raise NoRoom before anything is written if `size` bytes would not fit, CommandFailed if nothing can be written.

        DiskSilent if the disk does not answer.
        """
        where = folder or self._folder

        def check() -> None:
            with self._lock:
                self._prepare(where)
            disk.require_room(where, size)

        self._answering.ask(where, check)

    def save(self, name: str, data: bytes, metadata: Mapping[str, Any] | None, folder: Path | None = None) -> None:
        """Write a file, and the JSON of its metadata beside it (None: no JSON); both whole or not at all.

        Raises NoRoom, and CommandFailed if the folder cannot be written or the file exists.
        """
        folder = folder or self._folder
        if not _listed(name):
            raise CommandFailed(f"{shown(name)} is no name for a file", value=shown(name), allowed="letters, digits, _ . and -")
        with self._answering.asked(folder):
            with self._lock:
                self._prepare(folder)
            save(folder, name, data, metadata)

    def is_own(self, name: str) -> bool:
        """Whether a file of this name would be one of this camera's."""
        return self._pattern.match(name) is not None

    def has(self, name: str) -> bool:
        """Whether the output folder holds a file of this name."""
        return os.path.lexists(self._folder / name)

    # reading

    def list(self) -> list[dict[str, Any]]:
        """All files of the output folder, by name: name, size, modified_s (seconds since 1970). Raises CommandFailed."""
        return [
            {"name": name, "size": status.st_size, "modified_s": status.st_mtime}
            for name, status in sorted(_entries(self._folder).items())
            if _listed(name)
        ]

    def groups(self) -> tuple[Group, ...]:
        """What this camera wrote into its output folder, in the order of the numbers. Raises CommandFailed."""
        entries = _entries(self._folder)
        under_way = self._under_way(entries)
        return tuple(
            Group(
                count,
                tuple(names),
                sum(entries[name].st_size for name in names),
                sum(entries[name].st_blocks * 512 for name in names if entries[name].st_nlink == 1),
                max(entries[name].st_mtime for name in names),
                stem in under_way,
            )
            for (count, stem), names in sorted(self._own(entries).items())
        )

    def read(self, name: Any, offset: int) -> Framed:
        """Up to 1 MiB of a file, with its size, and at its end the SHA-256 of all of it. Raises InvalidArgument."""
        missing = _missing(name)
        if type(name) is not str or not _listed(name):
            raise missing
        try:  # a link must not lead outside, and a pipe must not block
            descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            raise missing from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise missing
        with os.fdopen(descriptor, "rb") as file:
            with disk.told(self._folder, doing="read"):
                file.seek(min(offset, status.st_size))
                data = file.read(LONGEST_PIECE)
                eof = offset + len(data) >= status.st_size
                sha256 = self._digests.after(file, status, offset, data, eof)
        return Framed({"name": name, "size": status.st_size, "offset": offset, "eof": eof, "sha256": sha256}, data)

    def free_bytes(self, within_s: float | None = None) -> int:
        """What can still be written into the output folder. Raises CommandFailed; DiskSilent after `within_s` (None: 10) s."""
        return self._answering.ask(self._folder, lambda: disk.free_bytes(self._folder), within_s)

    @property
    def silent_s(self) -> float | None:
        """For how long a disk has kept a picture or a question waiting; None if it answers."""
        return self._answering.silent_s()

    # deleting

    def delete(self, names: Any) -> dict[str, Any]:
        """Delete files that `list` lists, and metadata and thumbnail of each of the camera's own that goes: deleted, bytes.

        Raises InvalidArgument before anything is deleted if one of the names is not such a file; CommandFailed.
        """
        if type(names) is not list or not 1 <= len(names) <= MOST_DELETED:
            allowed = f"a list of 1 to {MOST_DELETED} names that files() lists"
            raise InvalidArgument(f"names is {shown(names)}, expected {allowed}", value=shown(names), allowed=allowed)
        entries = _entries(self._folder)
        for name in names:
            if type(name) is not str or not _listed(name) or name not in entries:
                raise _missing(name)
        wanted = dict.fromkeys(names)
        for group in self._own(entries).values():
            pictures = [name for name in group if not name.endswith(COMPANIONS)]
            if pictures and all(name in wanted for name in pictures):
                wanted.update(dict.fromkeys(group))
        return self.remove(wanted)

    def remove(self, names: Iterable[str]) -> dict[str, Any]:
        """Delete files of the output folder by names that are known to be good: deleted, bytes. Raises CommandFailed."""
        deleted: list[str] = []
        freed = 0
        with disk.told(self._folder, doing="changed"):
            for name in names:
                path = self._folder / name
                try:
                    size = path.lstat().st_size
                    path.unlink()
                except FileNotFoundError:
                    continue
                deleted.append(name)
                freed += size
            sync_folder(self._folder)
        return {"deleted": deleted, "bytes": freed}

    # the number, and what a crash left

    def _loaded(self) -> int:
        """The number given last, as far as the counter knows."""
        try:
            state = self._counter.load()
            count = 0 if state is None else state.get("count")
            if type(count) is not int or not 0 <= count < 10**12:
                raise StateCorrupt(f"{self._counter.path} holds the count {shown(count)}", value=shown(count))
        except StateCorrupt as error:
            log.error("%s; numbers go on after the highest among the files", error)
            return 0
        return count

    def _prepare(self, folder: Path) -> None:
        """Before a folder is first used: numbers go on after the highest in it, and what a crash left there goes."""
        if folder in self._seen:
            return
        if folder == self._folder:
            with disk.told(folder, doing="made"):
                folder.mkdir(parents=True, exist_ok=True)
        entries = _entries(folder)
        own = self._own(entries)
        self._count = max([self._count, *(count for count, _ in own)])
        left_over = [name for name in entries if (found := _LEFT_OVER.fullmatch(name)) and self._pattern.match(found[1])]
        under_way = self._under_way(entries)
        for (count, stem), names in own.items():
            if names == [f"{stem}.json"] and count > self._count - _LATEST and stem not in under_way:
                left_over += names
        for name in left_over:
            log.warning("removed %s, which was never finished", folder / name)
            with disk.told(folder):
                (folder / name).unlink(missing_ok=True)
        self._seen.add(folder)

    def _own(self, entries: Iterable[str]) -> _Own:
        """The camera's own files by number and stem."""
        found: _Own = {}
        for name in sorted(entries, key=lambda name: (name.endswith(COMPANIONS), name)):
            if _listed(name) and (own := self._pattern.match(name)) is not None:
                found.setdefault((own[1], own[0]), []).append(name)
        return found

    def _under_way(self, entries: Iterable[str]) -> set[str]:
        """The stems of what is being recorded."""
        parts = (part[1] for name in entries if (part := _UNDER_WAY.fullmatch(name)))
        return {own[0] for part in parts if (own := self._pattern.match(part)) is not None}


def save(folder: Path, name: str, data: bytes, metadata: Mapping[str, Any] | None) -> None:
    """Write a file, and the JSON of its metadata beside it (None: no JSON); both whole or not at all.

    Raises NoRoom, and CommandFailed if the folder cannot be written or the file exists.
    """
    target = folder / name
    if os.path.lexists(target):
        raise CommandFailed(f"{target} exists already", value=name)
    text = None if metadata is None else strict_json(metadata)
    disk.require_room(folder, len(data) + len(text or b""))
    with disk.told(folder, len(data)), _locked(folder, fcntl.LOCK_SH), _beside(target, text):
        write_atomic(target, data)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """A lock on a folder: shared by all daemons of the machine that write into it, held alone by one that tidies it.

    A kill ends it. Raises OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _beside(target: Path, text: bytes | None) -> Iterator[None]:
    """The JSON is there before its picture; it goes again if the picture fails, unless it was there already."""
    beside = target.with_name(target.stem.removesuffix(".thumb") + ".json")
    new = text is not None and not beside.exists()
    if text is not None:
        write_atomic(beside, text)
    try:
        yield
    except BaseException:
        if new:
            beside.unlink(missing_ok=True)
        raise


def free_stem(folder: Path, stem: str, endings: Iterable[str]) -> str:
    """`stem`, or with _1, _2... behind it: no file of that name has one of the endings, or json. Raises CommandFailed."""
    taken = [*endings, "json"]
    with disk.told(folder, doing="read"):
        folder.stat()
        for number in itertools.count():
            name = stem if number == 0 else f"{stem}_{number}"
            if not any(os.path.lexists(folder / f"{name}.{ending}") for ending in taken):
                return name
    raise AssertionError("there is always a next number")


def tidy(folder: Path, is_picture: Callable[[str], bool]) -> bool:
    """Remove what a kill or a pulled stick has left of pictures: halves, and metadata without theirs. Raises CommandFailed.

    `is_picture` says of a name whether it is one of those. False if somebody writes there now: nothing is removed.
    """
    with disk.told(folder, doing="changed"), suppress(BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        names = {path.name for path in folder.iterdir()}
        pictures = {Path(name).stem for name in names if is_picture(name)}
        for name in names:
            half = _LEFT_OVER.fullmatch(name)
            base = half[1] if half is not None else name
            alone = base.endswith(".json") and is_picture(base.removesuffix(".json") + ".jpg")
            if (half is not None and (alone or is_picture(base))) or (alone and Path(base).stem not in pictures):
                log.warning("removed %s, which was never finished", folder / name)
                (folder / name).unlink(missing_ok=True)
        return True
    return False


def _entries(folder: Path) -> dict[str, os.stat_result]:
    """All regular files of a folder, hidden ones too, links not followed. Raises CommandFailed."""
    found = {}
    with disk.told(folder, doing="read"), os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:  # it went meanwhile
                continue
    return found


def _listed(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and not name.endswith(".part")


def _missing(name: Any) -> InvalidArgument:
    return InvalidArgument(f"there is no file {shown(name)}", value=shown(name), allowed="a name that files() lists")
