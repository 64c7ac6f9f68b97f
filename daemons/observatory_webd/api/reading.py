"""Files of a camera's daemon, read piece by piece while they are sent on."""

from __future__ import annotations

import asyncio
import logging
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, cast

from starlette.responses import StreamingResponse

from observatory_common.errors import ObservatoryError
from observatory_webd.lanes import Busy
from observatory_webd.links.link import Link
from observatory_webd.streams.sink import sink_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger("webd")

_ROOM_WITHIN_S = 30.0
_AGAIN_S = 0.2


class BrokenOff(ConnectionError):
    """What was begun cannot be sent to its end."""


class FilesResponse(StreamingResponse):
    """Whose body may end with BrokenOff: the connection is ended, so that the client sees that the answer is not whole."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        except BrokenOff as error:
            log.warning("%s is not sent to its end: %s", scope["path"], error)
            sink_of(scope).abort()
            while (await receive())["type"] != "http.disconnect":
                pass


class Reader:
    """Reads files of one daemon for somebody, as long as `may_go_on` says that they may be read."""

    def __init__(self, link: Link, may_go_on: Callable[[], bool]) -> None:
        self._link = link
        self._may_go_on = may_go_on

    async def pieces(self, name: str, start: int, length: int, first: dict[str, Any]) -> AsyncIterator[bytes]:
        """`length` bytes of a file from `start` on, of which `first` is what was read already.

        Raises BrokenOff if the file changes, the daemon goes away, or the reader may read no more meanwhile.
        """
        size, piece, offset = first["size"], first, start
        while True:
            data = piece["data"][: start + length - offset]
            if data:
                yield data
            offset += len(data)
            if offset >= start + length:
                return
            piece = await self._read(name, offset)
            if piece["size"] != size or not piece["data"]:
                raise BrokenOff(f"{name} has changed")

    async def zipped(self, files: Sequence[tuple[str, datetime]]) -> AsyncIterator[bytes]:
        """A zip of files, stored as they are: pictures do not become smaller. Raises BrokenOff as `pieces` does."""
        output = _Output()
        with zipfile.ZipFile(cast("IO[bytes]", output), "w", zipfile.ZIP_STORED) as archive:
            for name, moment in files:
                entry = zipfile.ZipInfo(name, moment.timetuple()[:6] if moment.year >= 1980 else (1980, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                first = await self._read(name, 0)
                with archive.open(entry, "w", force_zip64=True) as target:
                    async for piece in self.pieces(name, 0, first["size"], first):
                        target.write(piece)
                        yield output.take()
        yield output.take()

    async def _read(self, name: str, offset: int) -> dict[str, Any]:
        """The piece of a file from `offset` on; where too many read already it waits. Raises BrokenOff."""
        until = time.monotonic() + _ROOM_WITHIN_S
        while True:
            if not self._may_go_on():
                raise BrokenOff("the login has ended")
            try:
                piece: dict[str, Any] = await self._link.call("read_file", name, offset)
                return piece
            except Busy as error:
                if time.monotonic() > until:
                    raise BrokenOff(str(error)) from None
            except ObservatoryError as error:
                raise BrokenOff(f"{name}: {error}") from None
            await asyncio.sleep(_AGAIN_S)


class _Output:
    """A file that is only written, from which what was written is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
