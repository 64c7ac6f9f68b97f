"""State on disk: written whole or not at all, and owned by one daemon at a time."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from observatory_common.errors import Blocked, CommandFailed


class StateCorrupt(CommandFailed):
    """A state file does not hold what was once written to it."""


def write_atomic(path: Path, data: bytes) -> None:
    """Replace a file's content: after a crash at any moment it holds the old or the new one. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            with suppress(PermissionError):  # a stick with a file system of DOS, mounted for somebody else
                os.fchmod(file.fileno(), 0o644 & ~_umask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """The process's, read where setting it for a moment, as os.umask does, would show in other threads."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


class StateFile:
    """A JSON object that outlives the daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any] | None:
        """What was saved last; None if nothing was. Raises StateCorrupt if it cannot be read."""
        try:
            state = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise StateCorrupt(f"{self.path} cannot be read: {error}", value=str(self.path)) from error
        if not isinstance(state, dict):
            raise StateCorrupt(f"{self.path} holds no object", value=str(self.path))
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Save an object atomically. Raises OSError."""
        write_atomic(self.path, json.dumps(state, indent=1).encode())


class FolderLock:
    """Sole ownership of a state folder, as long as the process lives."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Make the folder if need be, and take it. Raises Blocked, naming the process that has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise Blocked(
                f"the state folder {self._path.parent} belongs to a running daemon (process {owner})", value=owner
            ) from None
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except OSError:
            self.release()
            raise

    def release(self) -> None:
        """Give it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
