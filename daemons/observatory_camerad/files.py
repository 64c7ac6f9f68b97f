"""Files of pictures: names that never collide, written whole or not at all, listed and read."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any

from observatory_common.errors import CommandFailed, InvalidArgument
from observatory_common.framed import Framed
from observatory_common.storage import StateFile, write_atomic

LONGEST_PIECE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,120}")
_SPARE_BYTES = 16 << 20


class FileStore:
    """The folder of one camera's pictures. Thread safe."""

    def __init__(self, folder: Path, prefix: str, counter: StateFile) -> None:
        self._folder = folder
        self._prefix = prefix
        self._counter = counter
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        state = counter.load() or {}
        self._count = max(int(state.get("count", 0)), self._highest())

    def next_stem(self) -> str:
        """The next name, without its ending; the number is kept over restarts and never given twice."""
        with self._lock:
            self._count += 1
            self._counter.save({"count": self._count})
            return f"{self._prefix}-{self._count:08d}"

    def require_room(self, size: int) -> None:
        """Raise CommandFailed before anything is written, if it would not fit."""
        free = shutil.disk_usage(self._folder).free
        if free < size + _SPARE_BYTES:
            raise CommandFailed(
                f"no room in {self._folder}: needs {size + _SPARE_BYTES} bytes, has {free}", value=free, allowed=str(size)
            )

    def save(self, name: str, data: bytes, metadata: dict[str, Any]) -> None:
        """Write a picture and the JSON of its metadata beside it; the picture appears last, whole."""
        self.require_room(len(data))
        stem = name.partition(".")[0]
        write_atomic(self._folder / f"{stem}.json", json.dumps(metadata, indent=1).encode())
        write_atomic(self._folder / name, data)

    def list(self) -> list[dict[str, Any]]:
        """All files, oldest name first: name, size, modified (seconds since 1970)."""
        found = []
        for entry in sorted(os.scandir(self._folder), key=lambda entry: entry.name):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                status = entry.stat()
                found.append({"name": entry.name, "size": status.st_size, "modified_s": status.st_mtime})
        return found

    def read(self, name: Any, offset: int) -> Framed:
        """Up to 1 MiB of a file, with its size, and at its end the SHA-256 of all of it."""
        path = self._path(name)
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(LONGEST_PIECE)
            answer: dict[str, Any] = {"name": name, "size": size, "offset": offset, "eof": offset + len(data) >= size}
            answer["sha256"] = None
            if answer["eof"]:
                file.seek(0)
                answer["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
        return Framed(answer, data)

    def _path(self, name: Any) -> Path:
        if type(name) is not str or not _NAME.fullmatch(name) or not (self._folder / name).is_file():
            raise InvalidArgument(f"there is no file {name!r:.100}", value=str(name)[:100], allowed="a name that files() lists")
        return self._folder / name

    def _highest(self) -> int:
        """The largest number among the files, in case the counter was lost."""
        pattern = re.compile(rf"{re.escape(self._prefix)}-(\d{{8}})\.")
        return max((int(found[1]) for entry in os.scandir(self._folder) if (found := pattern.match(entry.name))), default=0)
