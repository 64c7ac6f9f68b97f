"""All streams that somebody looks at."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from observatory_common.arguments import refused
from observatory_common.errors import DaemonNotReachable, UnknownDevice
from observatory_common.rpc.client import RemoteDaemon
from observatory_webd.places import MOST, MOST_OF_ONE, require_place
from observatory_webd.streams.relay import Client, Relay, Viewer
from observatory_webd.streams.sources import SOURCES

CODECS = tuple(SOURCES)
#: camerad's use cases and streams that can be looked at. An invented name must cost neither a thread nor a call.
STREAMS = ("live", "photo", "video", "main", "lores")


class Relays:
    """The relays of the configured cameras. `relay`, `end` and `viewers_to_wire` belong to the server's loop.

    `cameras` are the names that clients use; `connect(name)` makes a client of its camerad. At most `most_viewers` look at
    once, `most_of_one` of one user or address. `order` tells the names with the active camera first, then the second
    (default: as in `cameras`).
    """

    def __init__(
        self,
        cameras: Sequence[str],
        connect: Callable[[str], RemoteDaemon],
        most_viewers: int = MOST,
        most_of_one: int = MOST_OF_ONE,
        order: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.cameras = tuple(cameras)
        self.order = order or (lambda: self.cameras)
        self._most = (most_viewers, most_of_one)
        self._connect = connect
        self._relays: dict[tuple[str, str, str], Relay] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()

    def camera(self, position: int) -> str:
        """The name of the active (0) or second (1) camera. Raises UnknownDevice."""
        order = self.order()
        if position < len(order):
            return order[position]
        which = ("no", "no second")[min(position, 1)]
        raise UnknownDevice(f"{which} camera is configured", value=position, allowed=", ".join(self.cameras))

    def relay(self, camera: str, stream: str, codec: str = "jpeg") -> Relay:
        """The relay of a stream. Raises UnknownDevice, InvalidArgument, DaemonNotReachable at the end."""
        if camera not in self.cameras:
            raise UnknownDevice(f"there is no camera {camera!r}", value=camera, allowed=", ".join(self.cameras))
        if stream not in STREAMS:
            raise refused("stream", stream, "one of " + ", ".join(STREAMS))
        if codec not in SOURCES:
            raise refused("codec", codec, "one of " + ", ".join(SOURCES))
        if self._closed.is_set():
            raise DaemonNotReachable("the server is being stopped")
        self._loop = asyncio.get_running_loop()
        key = (camera, stream, codec)
        if key not in self._relays:
            self._relays[key] = Relay(*key, self._connect(camera), partial(SOURCES[codec], stream))
        return self._relays[key]

    def require_place(self, client: Client) -> None:
        """Raise Busy if too many look already for one more, or too many of this user or address."""
        taken = (viewer.client.party for relay in self._relays.values() for viewer in relay.viewers)
        require_place(taken, client.party, "viewers look", *self._most)

    def end(self, of: Callable[[Viewer], bool], reason: str) -> None:
        """End the streams of some viewers, as of a user who has logged out."""
        for relay in self._relays.values():
            for viewer in relay.viewers:
                if of(viewer):
                    viewer.end(reason)

    def to_wire(self) -> list[dict[str, Any]]:
        """What is being looked at: camera, stream, codec, items, viewers, skipped. May be called from any thread."""
        return [relay.to_wire() for relay in list(self._relays.values()) if not relay.idle]

    def viewers_to_wire(self) -> list[dict[str, Any]]:
        """Who looks, those first who came first.

        id, camera, stream, transport (mjpeg, ws-jpeg, ws-h264), user (None: not logged in), address, since, sent, skipped.
        """
        found = [viewer for relay in self._relays.values() for viewer in relay.viewers_to_wire()]
        return sorted(found, key=lambda viewer: viewer["since"])

    def close(self, deadline_s: float) -> bool:
        """End all streams and their threads; from another thread than the loop's. Whether all ended in time."""
        self._closed.set()
        until = time.monotonic() + deadline_s
        relays = list(self._relays.values())
        loop = self._loop
        for relay in relays:
            relay.stop()
            if loop is not None:
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(relay.end, "the server is being stopped")
        ended = [relay.join(max(until - time.monotonic(), 0.0)) for relay in relays]
        return all(ended)
