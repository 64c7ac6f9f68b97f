"""A stream as an HTTP response, and as messages on a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from observatory_common.errors import CommandFailed
from observatory_webd.streams.items import MJPEG_BEGIN, MJPEG_TYPE, format_message, mjpeg_part, socket_message
from observatory_webd.streams.relay import Client, Relay, Viewer
from observatory_webd.streams.sink import HttpSink, Sink, sink_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from starlette.websockets import WebSocket

#: `no`: a proxy (nginx) must not collect a stream before it passes it on.
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_TRY_AGAIN = 1013
_LAST_BYTES_S = 2.0
_CLOCK_EVERY_S = 0.5


class MjpegResponse(Response):
    """An endless multipart body: each part has a length, the boundary follows it at once. Ends with the connection."""

    media_type = MJPEG_TYPE.decode()

    def __init__(self, relay: Relay, client: Client) -> None:
        super().__init__(headers=STREAM_HEADERS)
        del self.headers["content-length"]
        self._relay = relay
        self._client = client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the stream ends."""
        sink = sink_of(scope)
        if not isinstance(sink, HttpSink):
            raise CommandFailed("an MJPEG stream is no WebSocket's")
        sink.without_frame()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        with self._relay.watched(sink, mjpeg_part, self._client, lambda _: MJPEG_BEGIN) as viewer:
            await _either(viewer, _left(receive))
        _end_soon(sink)
        await send({"type": "http.response.body", "body": b""})


async def serve_socket(socket: WebSocket, relay: Relay, client: Client) -> None:
    """Send the items of a relay as binary messages on an accepted WebSocket, until the client leaves or the stream ends."""
    sink = sink_of(socket.scope)
    with relay.watched(sink, socket_message, client, format_message) as viewer:
        await _either(viewer, _answer_clocks(socket))
    _end_soon(sink)
    if viewer.ended.done():
        await close_socket(socket, viewer.ended.result())


async def close_socket(socket: WebSocket, reason: str, code: int = _TRY_AGAIN) -> None:
    """Close a WebSocket with a reason, which is cut to what fits."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the client was faster
        await socket.close(code, reason.encode()[:120].decode(errors="ignore"))


async def _either(viewer: Viewer, left: Any) -> None:
    """Until the viewer's stream ends or `left` does."""
    leaving = asyncio.ensure_future(left)
    try:
        await asyncio.wait((leaving, viewer.ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer_clocks(socket: WebSocket, now: Callable[[], float] = time.time) -> None:
    """Answer `{"type": "clock", "sent": X}` with X and the server's time, from which a page learns how old a picture is.

    At most twice a second. Other messages are ignored. Ends when the client leaves.
    """
    answered_at = float("-inf")
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            sent = _clock_of(await socket.receive())
            if sent is None or time.monotonic() - answered_at < _CLOCK_EVERY_S:
                continue
            answered_at = time.monotonic()
            await socket.send_json({"type": "clock", "sent": sent, "now_us": round(now() * 1e6)})


def _clock_of(message: Any) -> float | None:
    """What the message says of the client's clock. Raises WebSocketDisconnect at the client's last one."""
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    try:
        value = json.loads(message.get("text") or "")
        sent = value.get("sent") if isinstance(value, dict) and value.get("type") == "clock" else None
        return float(sent) if isinstance(sent, int | float) else None
    except (ValueError, OverflowError, RecursionError):  # no JSON, a number beyond all floats, too deep
        return None


def _end_soon(sink: Sink) -> None:
    """A client that takes nothing any more must not keep the connection's end waiting."""
    asyncio.get_running_loop().call_later(_LAST_BYTES_S, sink.abort)
