"""One stream, fetched once and handed to all who look at it. Everything here belongs to the server's loop.

What becomes of a stream whose camera fails: it is held for `HOLD_S` (3.5 s) without a sign of life, in which a daemon that
is started again goes on with it; then it is ended, for all, with a reason (the response ends; a WebSocket is closed with
1013), and who looks may ask again. A camera that exposes for long lives.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from observatory_common import timestamps
from observatory_common.errors import ObservatoryError, TimedOut
from observatory_common.rpc.client import RemoteDaemon
from observatory_webd.accounts.limits import network_of
from observatory_webd.streams.fetcher import Fetched, Fetcher
from observatory_webd.streams.items import Format, Item
from observatory_webd.streams.sink import Sink
from observatory_webd.streams.sources import Source

HOLD_S = 3.5
#: After the last who looked, fetching goes on for so long (and then for one fetch): a page that is loaded again finds it.
LINGER_S = 0.7
#: Who has taken neither so much of what was written, nor all of it, for so long is dropped.
STALLED_S = 10.0
LEAST_TAKEN_BYTES = 16 << 10
_LOOK_EVERY_S = 0.25
_SILENT = "the camera delivers nothing"
_GROUP_BYTES = 4 << 20
#: A video's viewer may be behind by so much before it is to wait for the next key frame.
_BEHIND_BYTES = 1 << 20

Encode = Callable[[Item], bytes]


@dataclass(frozen=True)
class Client:
    """Who looks: whom the stream was opened for (None: nobody is logged in), from which address, by which transport.

    `transport` is mjpeg, ws-jpeg or ws-h264.
    """

    user: object
    address: str | None
    transport: str

    @cached_property
    def name(self) -> str | None:
        """The user's."""
        return None if self.user is None else str(getattr(self.user, "name", self.user))

    @cached_property
    def party(self) -> tuple[str, str]:
        """As whom it is counted: the user, or the address from which nobody is logged in."""
        return ("user", self.name) if self.name is not None else ("address", network_of(self.address) if self.address else "")


class Viewer:
    """One who looks. `ended` is set, to the reason, when the stream ends for it; `since` is when it began (ISO 8601)."""

    # Hundreds are offered each picture, so what that takes is kept close together.
    __slots__ = (
        "_begin",
        "_closing",
        "_format",
        "_most_pending",
        "_needs_key",
        "_pending",
        "_pending_since",
        "_sink",
        "_taken_bytes",
        "_write",
        "_written_bytes",
        "client",
        "encode",
        "ended",
        "id",
        "offered_from",
        "since",
        "skipped",
    )

    def __init__(
        self, sink: Sink, encode: Encode, begin: Callable[[Format], bytes], most_pending: int, client: Client, offered_from: int
    ) -> None:
        """`offered_from` is how many items the relay had spread before the first that this one is offered."""
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.client = client
        self.id = secrets.token_hex(6)
        self.since = timestamps.utc_now()
        self.offered_from = offered_from
        self.skipped = 0
        self.encode = encode
        self._sink = sink
        self._pending, self._closing, self._write = sink.pending, sink.closing, sink.write
        self._begin = begin
        self._most_pending = most_pending
        self._format: Format | None = None
        self._needs_key = True
        self._pending_since: float | None = None
        self._written_bytes = 0
        self._taken_bytes = 0  # when that was last looked at

    @property
    def user(self) -> object:
        """Whom it was opened for."""
        return self.client.user

    def offer(self, item: Item, data: bytes) -> None:
        """Write it, or skip it (and what needs it to be decoded) if the client is behind."""
        pending = self._pending()
        if self._closing():  # its viewer is about to leave
            return
        if item.format is not self._format or self._needs_key or pending > self._most_pending:
            if pending or not item.key or not self._sink.open():
                self._needs_key = True
                self.skipped += 1
                return
            if item.format is not self._format:
                self._format = item.format
                self._write(self._begin(item.format))
            self._needs_key = False
        self._write(data)
        self._written_bytes += len(data)

    def end(self, reason: str) -> None:
        """The stream ends for it."""
        if not self.ended.done():
            self.ended.set_result(reason)

    def drop_if_stalled(self, now: float) -> None:
        """End the connection of a client that takes nothing any more; one that is only slow may be behind for ever."""
        pending = self._pending()
        taken_bytes = self._written_bytes - pending
        if not pending:
            self._pending_since = None
        elif self._pending_since is None or taken_bytes - self._taken_bytes >= LEAST_TAKEN_BYTES:
            self._pending_since, self._taken_bytes = now, taken_bytes
        elif now - self._pending_since > STALLED_S:
            self._sink.abort()
            self.end(f"hardly anything was taken for {STALLED_S:g} s")


class Relay:
    """A stream of a camera in one codec."""

    def __init__(
        self,
        camera: str,
        stream: str,
        codec: str,
        daemon: RemoteDaemon,
        make_source: Callable[[], Source],
    ) -> None:
        """`daemon` is its own from now on. To be made in the server's loop."""
        self.camera, self.stream, self.codec = camera, stream, codec
        self.viewers: set[Viewer] = set()
        self.items = 0
        self._most_pending = 0 if codec == "jpeg" else _BEHIND_BYTES
        self._loop = asyncio.get_running_loop()
        self._fetcher = Fetcher(f"{camera}-{stream}-{codec}", daemon, make_source, self._deliver)
        self._interest = 0
        self._group: list[Item] = []  # from the last key frame on
        self._group_bytes = 0
        self._encoded_item: Item | None = None
        self._encodings: dict[Encode, bytes] = {}
        self._waiting: set[asyncio.Future[Item]] = set()
        self._lived_at = 0.0
        self._trouble = _SILENT
        self._fetching = False
        self._linger: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody looks and nothing is fetched."""
        return not self._interest and not self._fetcher.running

    async def latest(self, timeout_s: float) -> Item:
        """The newest item, if need be after it was fetched; to be awaited in `interest`.

        Raises TimedOut if there is none within `timeout_s`, and what camerad refuses with.
        """
        if self._group:
            return self._group[-1]
        arrived: asyncio.Future[Item] = self._loop.create_future()
        self._waiting.add(arrived)
        try:
            done, _ = await asyncio.wait((arrived,), timeout=timeout_s)
        finally:
            self._waiting.discard(arrived)
        if done:
            return arrived.result()
        raise TimedOut(
            f"{self.camera} has delivered nothing of its stream {self.stream} within {timeout_s:g} s", value=self.stream
        )

    @contextmanager
    def interest(self) -> Iterator[None]:
        """Have it fetched, as long as the context lasts and a little longer."""
        self._interest += 1
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if not self._fetching:
            self._begin()
        try:
            yield
        finally:
            self._interest -= 1
            if not self._interest:
                self._linger = self._loop.call_later(LINGER_S, self._finish)

    @contextmanager
    def watched(self, sink: Sink, encode: Encode, client: Client, begin: Callable[[Format], bytes]) -> Iterator[Viewer]:
        """Write each item to a client, as long as the context lasts; `begin(format)` stands before the first of a format."""
        sink.prefer_new()
        with self.interest():
            # a longer video begins at the next key frame
            group = self._group if self.codec == "jpeg" or self._group_bytes <= self._most_pending else []
            viewer = Viewer(sink, encode, begin, self._most_pending, client, self.items - len(group))
            self.viewers.add(viewer)
            for item in group:
                viewer.offer(item, self._encoded(item, encode))
            try:
                yield viewer
            finally:
                self.viewers.discard(viewer)

    def end(self, reason: str) -> None:
        """End it for all who look."""
        for viewer in self.viewers:
            viewer.end(reason)
        self._refuse(TimedOut(f"{self.camera}, stream {self.stream}: {reason}", value=self.stream))

    def stop(self) -> None:
        """Fetch no more. May be called from any thread."""
        self._fetcher.done()

    def join(self, timeout_s: float) -> bool:
        """Wait, in another thread, for the end of the fetcher; whether it has ended."""
        return self._fetcher.join(timeout_s)

    def to_wire(self) -> dict[str, Any]:
        """What it does, for the status. May be called from any thread."""
        return {
            "camera": self.camera,
            "stream": self.stream,
            "codec": self.codec,
            "items": self.items,
            "viewers": len(self.viewers),
            "skipped": sum(viewer.skipped for viewer in list(self.viewers)),
        }

    def viewers_to_wire(self) -> list[dict[str, Any]]:
        """Who looks, since when, by what, and how many items (pictures, or video packets) each was sent or missed."""
        return [
            {
                "id": viewer.id,
                "camera": self.camera,
                "stream": self.stream,
                "transport": viewer.client.transport,
                "user": viewer.client.name,
                "address": viewer.client.address,
                "since": viewer.since,
                "sent": self.items - viewer.offered_from - viewer.skipped,
                "skipped": viewer.skipped,
            }
            for viewer in self.viewers
        ]

    def _begin(self) -> None:
        self._fetching = True
        self._lived_at = self._loop.time()
        self._look()
        self._fetcher.want()

    def _finish(self) -> None:
        """Nobody has looked for a while."""
        self._fetching = False
        self._forget()
        self._linger = None
        if self._looking is not None:
            self._looking.cancel()
        self._fetcher.done()

    def _look(self) -> None:
        """Now and then: who is stalled, and whether the camera is."""
        now = self._loop.time()
        self._looking = self._loop.call_later(_LOOK_EVERY_S, self._look)
        for viewer in self.viewers:
            viewer.drop_if_stalled(now)
        if now - self._lived_at > HOLD_S:
            self._forget()
            self.end(self._trouble)

    def _forget(self) -> None:
        self._encoded_item = None
        self._encodings.clear()
        self._group.clear()
        self._group_bytes = 0

    def _deliver(self, fetched: Fetched) -> None:
        """From the fetcher's thread."""
        try:
            self._loop.call_soon_threadsafe(self._accept, fetched)
        except RuntimeError:  # the loop is closed
            self._fetcher.done()

    def _accept(self, fetched: Fetched) -> None:
        try:
            if self._fetching:
                self._deal_with(fetched)
        finally:
            # Not before what was written is on its way: the fetcher's thread and the server's would only hinder each other.
            self._loop.call_soon(fetched.taken)

    def _deal_with(self, fetched: Fetched) -> None:
        if fetched.lives:
            self._lived_at = self._loop.time()
            self._trouble = _SILENT
        if fetched.error is not None:
            self._trouble = str(fetched.error)
            self._refuse(fetched.error)
        for item in fetched.items:
            self._spread(item)

    def _spread(self, item: Item) -> None:
        self.items += 1
        if item.key:
            self._forget()
        if item.key or self._group:
            self._group.append(item)
            self._group_bytes += len(item.data)
        if self._group_bytes > _GROUP_BYTES and not item.key:  # who comes now begins at the next key frame
            self._forget()
        encode, data = None, b""
        for viewer in self.viewers:  # of whom all are offered the same, as a rule
            if viewer.encode is not encode:
                encode = viewer.encode
                data = self._encoded(item, encode)
            viewer.offer(item, data)
        for arrived in self._waiting:
            if not arrived.done():
                arrived.set_result(item)

    def _encoded(self, item: Item, encode: Encode) -> bytes:
        """What an item becomes, made once for all who look."""
        if item is not self._encoded_item:
            self._encoded_item = item
            self._encodings.clear()
        if encode not in self._encodings:
            self._encodings[encode] = encode(item)
        return self._encodings[encode]

    def _refuse(self, error: ObservatoryError) -> None:
        """Tell those who wait for a first item."""
        for arrived in self._waiting:
            if not arrived.done():
                arrived.set_exception(error)
