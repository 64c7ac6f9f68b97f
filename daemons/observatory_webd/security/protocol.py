"""uvicorn's HTTP, with bounds that it lacks: how many connections, how slowly headers may come, how long they may be, and how
slowly an answer may be taken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from observatory_webd.streams.sink import StreamingHttp, limit_unsent

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.config import Config
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

#: More than 200 who look from behind one address, and what their pages ask for beside it.
CONNECTIONS = 1000
CONNECTIONS_PER_ADDRESS = 600
HEADERS_WITHIN_S = 10.0
TAKEN_WITHIN_S = 30.0
LEAST_TAKEN_BYTES = 64 << 10  # or all that waits
_UNSENT_BYTES = 256 << 10  # in the kernel: it would take megabytes, then nothing for long, which looks like a client's pause
#: At the end of webd; a little before uvicorn would break off the tasks themselves.
_LAST_ANSWERS_S = 0.8
HEADER_BYTES = 64 << 10  # beside those that come in one piece; the shield counts them all
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GuardedHttp(StreamingHttp):
    """A connection that is closed when it is one too many, when the headers of a request do not come within 10 s, or when of
    what waits to be sent too little is taken within 30 s, whatever wrote it.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_headers = True
        self._header_bytes = 0
        self._taking: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self._running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        others = self.connections
        if len(others) > CONNECTIONS or self._of_same_address() > CONNECTIONS_PER_ADDRESS:
            transport.abort()
            return
        transport.set_write_buffer_limits(1)  # so that we are told of whatever is not taken; with 0 uvloop's TLS goes wrong
        limit_unsent(transport, _UNSENT_BYTES)
        self._wait_for_headers()

    def pause_writing(self) -> None:
        """The kernel does not take all that was written."""
        super().pause_writing()
        self._wait_for_taking()

    def resume_writing(self) -> None:
        """It has taken it."""
        self._all_is_taken()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._in_headers:
            self._header_bytes += len(data)
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_headers()  # at the latest from the first byte of the next request on
        super().data_received(data)
        if self._in_headers and self._header_bytes > HEADER_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers = True
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_headers = False
        self._header_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._stop_waiting()
        self._all_is_taken()
        running = self._running
        if running is not None and not running.response_complete:  # uvicorn tells the last request alone, which may wait yet
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """webd ends: finish what is being answered, soon."""
        super().shutdown()
        self.loop.call_later(_LAST_ANSWERS_S, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """From now on it is a WebSocket's connection, unless an answer is under way, which would never hear of its end."""
        if self._running is not None and not self._running.response_complete:
            self.transport.abort()
            return
        self._all_is_taken()
        super().handle_websocket_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _wait_for_taking(self) -> None:
        self._left_bytes = self.transport.get_write_buffer_size()
        self._taking = self.loop.call_later(TAKEN_WITHIN_S, self._look_what_was_taken)

    def _look_what_was_taken(self) -> None:
        if self._left_bytes - self.transport.get_write_buffer_size() < LEAST_TAKEN_BYTES:
            self.transport.abort()
        else:
            self._wait_for_taking()

    def _all_is_taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _of_same_address(self) -> int:
        if self.client is None:
            return 0
        address = self.client[0]
        clients = (getattr(other, "client", None) for other in self.connections)
        return sum(client is not None and client[0] == address for client in clients)

    def _wait_for_headers(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADERS_WITHIN_S, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.transport.abort()
