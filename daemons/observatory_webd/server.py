"""The HTTP server in a thread of its own: its socket is bound before it is said to be ready, and its end is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import resource
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from observatory_common.errors import InvalidConfig

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from observatory_webd.config import TlsFiles

log = logging.getLogger("webd")

_BACKLOG = 512
_OPEN_FILES = 8192
_KEEP_ALIVE_S = 30
_LARGEST_MESSAGE_BYTES = 64 << 10
_STARTS_WITHIN_S = 20.0
_FINISHES_WITHIN_S = 1
_BEATS_EVERY_S = 0.5


class HttpServer:
    """uvicorn on a bound socket. `beat` is awaited on its loop every half second."""

    def __init__(self, host: str, port: int, tls: TlsFiles | None) -> None:
        self._tls = tls
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.loop: asyncio.AbstractEventLoop | None = None
        self._beaten_at = time.monotonic()
        self._started = threading.Event()
        self._stop: Callable[[], None] = lambda: None
        self._thread: threading.Thread | None = None
        self._failure: str | None = None

    def start(self, app: ASGIApp, beat: Callable[[], Awaitable[None]]) -> None:
        """Serve. Raises InvalidConfig if that does not begin."""
        _raise_limit_of_open_files()
        self._thread = threading.Thread(target=self._run, args=(app, beat), name="webd-http", daemon=True)
        self._thread.start()
        if not self._started.wait(_STARTS_WITHIN_S) or self._failure is not None:
            raise InvalidConfig(f"the HTTP server on port {self.port} does not start: {self._failure or 'no reason given'}")

    def last_progress(self) -> float:
        """When its loop last showed life, on the monotonic clock."""
        return self._beaten_at

    def close(self, deadline_s: float) -> bool:
        """End it, and what it is at, within `deadline_s` seconds; whether it has ended."""
        self._stop()
        if self._thread is None:
            self._socket.close()
            return True
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self, app: ASGIApp, beat: Callable[[], Awaitable[None]]) -> None:
        log.info("the HTTP server's loop runs", extra={"fields": {"thread": threading.get_native_id()}})
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self._serve(app, beat))
        except (OSError, InvalidConfig) as error:
            self._failure = str(error)
        finally:
            self.loop = None
            self._socket.close()
            self._started.set()

    async def _serve(self, app: ASGIApp, beat: Callable[[], Awaitable[None]]) -> None:
        import uvicorn

        from observatory_webd.security.protocol import GuardedHttp
        from observatory_webd.streams.sink import StreamingWebSocket

        config = uvicorn.Config(
            app,
            http=GuardedHttp,
            ws=StreamingWebSocket,
            ws_max_size=_LARGEST_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,  # the shield does that, for trusted proxies alone
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_FINISHES_WITHIN_S,
            backlog=_BACKLOG,
            ssl_certfile=None if self._tls is None else str(self._tls.certificate),
            ssl_keyfile=None if self._tls is None else str(self._tls.key),
        )
        server = uvicorn.Server(config)
        self.loop = asyncio.get_running_loop()

        def stop() -> None:
            server.should_exit = True

        self._stop = stop
        beating = asyncio.create_task(self._beat(server, beat))
        try:
            await server.serve(sockets=[self._socket])
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating

    async def _beat(self, server: object, beat: Callable[[], Awaitable[None]]) -> None:
        while True:
            self._beaten_at = time.monotonic()
            if getattr(server, "started", False):
                self._started.set()
            await beat()
            await asyncio.sleep(_BEATS_EVERY_S if self._started.is_set() else 0.01)


def _new_loop() -> asyncio.AbstractEventLoop:
    """A loop whose TLS servers count connections from the first, and give a handshake 10 s and not a minute."""
    from observatory_webd.security.handshakes import Handshakes

    base: Any = asyncio.SelectorEventLoop
    try:
        import uvloop
    except ImportError:  # newer Fedoras do not have it
        log.info("there is no uvloop, which would need less time")
    else:
        base = uvloop.Loop

    class Loop(base):  # type: ignore[misc]
        async def create_server(self, make_protocol: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("ssl") is not None:
                return Handshakes(self, make_protocol, kwargs["sock"], kwargs["ssl"])
            return await super().create_server(make_protocol, *args, **kwargs)

    loop: asyncio.AbstractEventLoop = Loop()
    return loop


def _bound(host: str, port: int) -> socket.socket:
    version = ipaddress.ip_address(host).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    try:
        bound = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=host == "::")
    except OSError as error:
        taken = "another program does already; `listen` names another port"
        reason = taken if error.errno == errno.EADDRINUSE else error.strerror
        raise InvalidConfig(f"webd cannot listen on {host} port {port}: {reason}", value=port) from error
    bound.setblocking(False)
    return bound


def _raise_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
