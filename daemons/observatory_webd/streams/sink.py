"""A client's connection below ASGI: written to without a copy per client, never queued on, and dropped when it stalls.

ASGI's `send` cannot say how much waits for a slow client, cannot end a connection to which nothing can be written any more,
and wraps each piece of an endless HTTP body into a chunk, which is a copy for each client (and no HTTP/1.0 client can read).
The two protocol classes hand the connection to the application as an ASGI extension; uvicorn is to be given them as
`Config(http=StreamingHttp, ws=StreamingWebSocket)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from observatory_common.errors import CommandFailed

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

EXTENSION = "observatory.sink"
# What the kernel may hold that has not been sent: without a limit, megabytes of old pictures wait for a slow client.
_UNSENT_BYTES = 16 << 10


def limit_unsent(transport: asyncio.Transport, size: int) -> None:
    """Let the kernel hold about `size` bytes that it has not sent: what is beyond is pending."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError, ValueError):  # not TCP, or gone, which uvloop says by a ValueError
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)


class Sink:
    """One client's connection. Belongs to the server's loop.

    `open()` says whether bytes may be written now: the response has begun and not ended, and the client is there;
    `closing()` that nothing may be written any more. `pending()` is how many bytes the kernel has not taken yet.
    `write(data)` sends without waiting: what the kernel does not take is pending, and `data` must not change any more.
    """

    def __init__(self, transport: asyncio.Transport, is_open: Callable[[], bool]) -> None:
        self._transport = transport
        self.open = is_open
        self.closing: Callable[[], bool] = transport.is_closing
        self.pending: Callable[[], int] = transport.get_write_buffer_size
        self.write: Callable[[bytes], None] = transport.write

    def prefer_new(self) -> None:
        """Let the kernel hold little, so that what is written next is not old when it is sent."""
        limit_unsent(self._transport, _UNSENT_BYTES)

    def abort(self) -> None:
        """End the connection at once; what is pending is lost."""
        self._transport.abort()


class HttpSink(Sink):
    """The connection below an HTTP response."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        super().__init__(cycle.transport, self._begun)
        self._cycle = cycle

    def without_frame(self) -> None:
        """Have the body end with the connection: no chunks, no length. To be called before the response begins."""
        self._cycle.chunked_encoding = False
        self._cycle.keep_alive = False

    def _begun(self) -> bool:
        cycle = self._cycle
        return cycle.response_started and not (cycle.response_complete or cycle.disconnected)


class StreamingHttp(HttpToolsProtocol):
    """uvicorn's HTTP, whose requests carry an `HttpSink`."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        scope = cast("MutableMapping[str, Any]", cycle.scope)
        scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: HttpSink(cycle)}
        super()._start_asgi_task(cycle, app)


class StreamingWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which carries a `Sink`."""

    async def run_asgi(self) -> None:
        """Run the application."""
        scope = cast("MutableMapping[str, Any]", self.scope)
        scope["extensions"] = {**scope.get("extensions", {}), EXTENSION: Sink(self.transport, self._greeted)}
        await super().run_asgi()

    def _greeted(self) -> bool:
        return self.handshake_complete and not self.close_sent and not self.disconnected


def sink_of(scope: MutableMapping[str, Any]) -> Sink:
    """The connection of an ASGI scope. Raises CommandFailed under a server that hands out none."""
    sink = scope.get("extensions", {}).get(EXTENSION)
    if not isinstance(sink, Sink):
        raise CommandFailed("this HTTP server cannot stream: it was not given observatory_webd.streams.sink's protocols")
    return sink
