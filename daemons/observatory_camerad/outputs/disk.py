"""A folder's disk: room on it, and errors of it in plain words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from observatory_common.errors import CommandFailed, NoRoom

SPARE_BYTES = 16 << 20  # always left free by pictures, so that state files and logs can still be written
_INODES = 4
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM)
#: They keep no owners: whose everything is, is said when they are mounted.
_WITHOUT_OWNERS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk"})


def require_room(folder: Path, size: int) -> None:
    """Raise NoRoom if `size` bytes and the spare would not fit into a folder, CommandFailed if it cannot be written."""
    with told(folder):
        found = os.statvfs(folder)
        if found.f_flag & os.ST_RDONLY:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    free = found.f_bavail * found.f_frsize
    if free < size + SPARE_BYTES:
        raise no_room(folder, size + SPARE_BYTES, free)
    if found.f_files and found.f_favail < _INODES:
        raise NoRoom(
            f"no room in {folder}: needs {_INODES} inodes, has {found.f_favail}", value=found.f_favail, allowed=str(_INODES)
        )


def free_bytes(folder: Path) -> int:
    """What can still be written into a folder. Raises CommandFailed."""
    with told(folder, doing="read"):
        found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


@contextmanager
def told(folder: Path, size: int = 0, doing: str = "written") -> Iterator[None]:
    """Turn an OSError into NoRoom or CommandFailed, which name the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise no_room(folder, size + SPARE_BYTES, _free_or_none(folder)) from error
        why = f"{error.strerror or error}{_hint(folder) if error.errno in _FORBIDDEN else ''}"
        raise CommandFailed(f"{folder} cannot be {doing}: {why}", value=str(folder)) from error


def _hint(folder: Path) -> str:
    """What a person may do about a folder that is not ours."""
    if _kind_of(folder) not in _WITHOUT_OWNERS:
        return f" (for user {os.geteuid()}, group {os.getegid()})"
    return f" (mount it with the options uid={os.geteuid()},gid={os.getegid()},umask=0002, so that it is ours)"


def _kind_of(folder: Path) -> str | None:
    """The kind of the file system on which a folder is, or what of its path can be seen; None if that is not known."""
    try:
        device = _device(folder)
        lines = Path("/proc/self/mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return None
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split()[2] == number and after:
            return after.split()[0]
    return None


def _device(folder: Path) -> int:
    try:
        return folder.stat().st_dev
    except PermissionError:  # it lies in one that may not be entered
        if folder == folder.parent:
            raise
        return _device(folder.parent)


def human(size: int) -> str:
    """12345678 -> '12345678 bytes (11.8 MiB)'."""
    number, unit = float(size), "bytes"
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{size} bytes" if unit == "bytes" else f"{size} bytes ({number:.1f} {unit})"


def no_room(folder: Path, needed: int, free: int | None) -> NoRoom:
    """The error that says how many bytes are needed in a folder, and how many are free (None: not known)."""
    has = "an unknown number of bytes" if free is None else human(free)
    return NoRoom(f"no room in {folder}: needs {human(needed)}, has {has}", value=free, allowed=f"at least {needed} bytes free")


def _free_or_none(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except CommandFailed:
        return None
