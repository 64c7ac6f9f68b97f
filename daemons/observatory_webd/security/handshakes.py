"""TLS connections, counted from when they are accepted: uvicorn hears of a connection only when it has shaken hands."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from observatory_webd.security import protocol

log = logging.getLogger("webd")

WITHIN_S = 10.0
_OUT_OF_FILES_PAUSE_S = 0.1


class Handshakes:
    """Accepts connections on a listening socket and shakes hands; stands in for a loop's own server.

    As many may shake hands at a time, and of one address, as may be connected beside them.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make_protocol: Callable[[], asyncio.Protocol],
        listening: socket.socket,
        context: ssl.SSLContext,
    ) -> None:
        self._loop = loop
        self._make_protocol = make_protocol
        self._listening = listening
        self._context = context
        self._under_way: dict[asyncio.Task[Any], str] = {}
        self._accepting = loop.create_task(self._accept())

    def close(self) -> None:
        """Accept nothing more, and break off the handshakes."""
        for task in (self._accepting, *self._under_way):
            task.cancel()

    async def wait_closed(self) -> None:
        """Until all that was broken off has ended."""
        await asyncio.wait((self._accepting, *self._under_way))

    async def _accept(self) -> None:
        failing = False
        while True:
            try:
                connection, address = await self._loop.sock_accept(self._listening)
            except OSError as error:  # no file descriptor left: neither end nor spin
                if not failing:
                    log.error("cannot accept connections for now: %s", error)
                failing = True
                await asyncio.sleep(_OUT_OF_FILES_PAUSE_S)
                continue
            failing = False
            hosts = list(self._under_way.values())
            if len(hosts) >= protocol.CONNECTIONS or hosts.count(address[0]) >= protocol.CONNECTIONS_PER_ADDRESS:
                connection.close()
                continue
            task = self._loop.create_task(
                self._loop.connect_accepted_socket(
                    self._make_protocol, connection, ssl=self._context, ssl_handshake_timeout=WITHIN_S
                )
            )
            self._under_way[task] = address[0]
            task.add_done_callback(partial(self._is_over, connection))

    def _is_over(self, connection: socket.socket, task: asyncio.Task[Any]) -> None:
        del self._under_way[task]
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            connection.close()
        if error is not None and not isinstance(error, OSError):  # which everybody can bring about
            log.error("unexpected error in a TLS handshake", exc_info=error)
