"""The board at work: one loop over its socket and the clock."""

from __future__ import annotations

import json
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from observatory_common import arguments, control_socket
from observatory_common.errors import InvalidArgument, ObservatoryError
from observatory_gpiod.simulator.board import Board
from observatory_gpiod.simulator.clients import Clients
from observatory_gpiod.simulator.config import BoardConfig
from observatory_gpiod.simulator.connection import Connection, Gone

log = logging.getLogger("board")


class BoardServer:
    """Serves the board on its socket: requests from outside, and clients with their events."""

    def __init__(self, config: BoardConfig) -> None:
        self._path = config.socket
        self._board = Board(config)
        self._clients = Clients(self._board, config.queue)
        self._connections: set[Connection] = set()
        self._selector = selectors.SelectSelector()  # epoll waits in whole milliseconds
        self._running = True

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; leaves no socket behind."""
        wake_read, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        self._board.start(time.monotonic_ns())
        listener = self._listen()
        try:
            while self._running:
                self._turn(listener)
        finally:
            signal.set_wakeup_fd(-1)
            for connection in self._connections:
                connection.sock.close()
            for sock in (listener, wake_read, wake_write):
                sock.close()
            self._path.unlink(missing_ok=True)
            self._selector.close()

    def _end(self, *_: Any) -> None:
        self._running = False

    def _listen(self) -> socket.socket:
        listener = control_socket.listen(self._path, 16)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, None)
        return listener

    def _turn(self, listener: socket.socket) -> None:
        next_ns = self._board.timeline.next_ns()
        wait_s = None if next_ns is None else max((next_ns - time.monotonic_ns()) / 1e9, 0)
        ready = self._selector.select(wait_s)
        self._now()
        for key, events in ready:
            if isinstance(key.data, Connection):
                self._attend(key.data, events)
            elif key.fileobj is listener:
                self._accept(listener)
        for connection in [c for c in self._connections if c.streams]:
            self._guarded(connection, connection.stream)

    def _now(self) -> int:
        """The time, after all that was due before it has happened."""
        now_ns = time.monotonic_ns()
        self._board.timeline.run(now_ns)
        return now_ns

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        connection = Connection(sock)
        self._connections.add(connection)
        self._selector.register(sock, selectors.EVENT_READ, connection)

    def _attend(self, connection: Connection, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._guarded(connection, connection.flush)
        if events & selectors.EVENT_READ and connection in self._connections:
            self._guarded(connection, lambda: self._serve(connection))

    def _guarded(self, connection: Connection, action: Callable[[], None]) -> None:
        """Do something with a connection, and see to what follows for its place in the loop."""
        try:
            action()
        except Gone:
            self._drop(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.wants_to_send else 0)
        if connection in self._connections and self._selector.get_key(connection.sock).events != wanted:
            self._selector.modify(connection.sock, wanted, connection)

    def _drop(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()
        client = connection.client
        if client is not None and not connection.streams:
            self._clients.leave(client, self._now())
            log.info("%s is gone", client.label)
            for other in [c for c in self._connections if c.client is client]:
                self._drop(other)

    def _serve(self, connection: Connection) -> None:
        connection.receive()
        self._answer_all(connection)

    def _answer_all(self, connection: Connection) -> None:
        """Answer what has been asked; in a silence, later."""
        while True:
            silent_until_ns = self._clients.faults.silent_until_ns
            if connection.client is not None and time.monotonic_ns() < silent_until_ns:
                self._board.timeline.at(silent_until_ns, lambda _: self._resume(connection))
                return
            line = connection.next_request()
            if line is None:
                return
            connection.send(self._answer(connection, line))

    def _resume(self, connection: Connection) -> None:
        if connection in self._connections:
            self._guarded(connection, lambda: self._answer_all(connection))

    def _answer(self, connection: Connection, line: bytes) -> dict[str, Any]:
        try:
            wanted = json.loads(line)
            if not isinstance(wanted, dict):
                raise InvalidArgument("a request is one JSON object on one line")
            return {"ok": True, **self._do(connection, wanted)}
        except ObservatoryError as error:
            return {"ok": False, "error": str(error), "kind": type(error).__name__}
        except (ValueError, RecursionError) as error:
            return {"ok": False, "error": f"no JSON: {error}", "kind": "InvalidArgument"}

    def _do(self, connection: Connection, wanted: dict[str, Any]) -> dict[str, Any]:
        now_ns = self._now()
        if "hello" in wanted:
            if connection.client is not None:
                raise InvalidArgument("this connection has said hello already")
            connection.client = self._clients.join(arguments.text("hello", wanted["hello"], 80), connection.pid)
            log.info("%s is here", connection.client.label)
            return {"client": connection.client.number}
        if "stream" in wanted:
            number = arguments.integer("stream", wanted["stream"], "the number of a client")
            if connection.client is not None or number not in self._clients.clients:
                raise InvalidArgument(f"there is no client {number}, or this connection is one", value=number)
            connection.client, connection.streams = self._clients.clients[number], True
            return {}
        if connection.client is not None and not connection.streams:
            return self._clients.operate(connection.client, wanted, now_ns)
        if "fault" in wanted:
            self._clients.fault(wanted, now_ns)
            return {}
        answer = self._board.request(wanted, now_ns)
        if wanted.get("query") == "state":
            answer["clients"] = [
                {"client": c.label, "watches": sorted(c.watches), "waiting": len(c.events), "dropped": c.dropped}
                for c in self._clients.clients.values()
            ]
        return answer
