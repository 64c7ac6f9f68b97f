"""SHA-256 of files that are read piece by piece, without reading them twice."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from io import BufferedReader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash

_Identity = tuple[int, int, int, int]
_MOST_KEPT = 64


class Digests:
    """Digests under way, and finished ones, of the files read last. A file is known by device, inode, size and mtime."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun: OrderedDict[tuple[_Identity, int], _Hash] = OrderedDict()
        self._finished: OrderedDict[_Identity, str] = OrderedDict()

    def after(self, file: BufferedReader, status: os.stat_result, offset: int, data: bytes, eof: bool) -> str | None:
        """To be told of each piece as it is read: at the end of the file the digest of all of it, else None.

        A reader who goes from piece to piece costs no second pass; one who begins at the end costs one, once.
        """
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if eof and identity in self._finished:
                return self._finished[identity]
            before = hashlib.sha256() if offset == 0 else self._begun.get((identity, offset))
        if before is not None:  # a copy: the reader may ask for the same piece again
            hasher = before.copy()
            hasher.update(data)
            if not eof:
                with self._lock:
                    self._begun[identity, offset + len(data)] = hasher
                    self._begun.move_to_end((identity, offset + len(data)))
                    if len(self._begun) > _MOST_KEPT:
                        self._begun.popitem(last=False)
                return None
        elif not eof:
            return None
        else:
            file.seek(0)
            hasher = hashlib.file_digest(file, "sha256")
        with self._lock:
            self._finished[identity] = hasher.hexdigest()
            if len(self._finished) > _MOST_KEPT:
                self._finished.popitem(last=False)
            return self._finished[identity]
