"""Work that would hold up the one thread of the server is done beside it; its result comes back into that thread."""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pyftpdlib.ioloop import IOLoop

log = logging.getLogger("ftpd")

T = TypeVar("T")


class Mailbox:
    """Has things called in the server's thread; anybody may post. An entry of the loop's socket map."""

    def __init__(self, loop: IOLoop) -> None:
        self._loop = loop
        self._calls: deque[Callable[[], None]] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._fileno = self._reader.fileno()  # the loop's name for it
        loop.register(self._fileno, self, loop.READ)

    def post(self, call: Callable[[], None]) -> None:
        """Have it called soon; never, if the server ends before."""
        self._calls.append(call)
        with self._lock:
            try:
                self._writer.send(b".")
            except BlockingIOError:
                pass  # it has enough to wake up for
            except OSError:
                self._calls.clear()  # the server has ended

    # called by the loop

    def readable(self) -> bool:
        """Always."""
        return True

    def writable(self) -> bool:
        """Never."""
        return False

    def handle_read_event(self) -> None:
        """Call what has been posted."""
        self._reader.recv(4096)
        while self._calls:
            self._calls.popleft()()

    def handle_error(self) -> None:
        """Something that was posted went wrong; the server goes on."""
        log.exception("unexpected error in the FTP server")
        if self._calls:
            self.post(lambda: None)

    def close(self) -> None:
        """No more."""
        with self._lock:
            self._loop.unregister(self._fileno)
            self._reader.close()
            self._writer.close()


class Aside:
    """A thread for work of one sort, one piece at a time, of which at most `most` wait."""

    def __init__(self, name: str, mailbox: Mailbox, most: int) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._mailbox = mailbox
        self._most = most
        self._waiting = 0  # changed in the server's thread only

    @property
    def has_room(self) -> bool:
        """Whether another piece may wait."""
        return self._waiting < self._most

    def do(self, work: Callable[[], T], done: Callable[[T | None], None]) -> None:
        """Call `work` in the other thread, then `done` with its result in the server's; None if it failed unexpectedly."""
        self._waiting += 1

        def told(future: Future[T]) -> None:
            self._waiting -= 1
            error = future.exception()
            if error is not None:
                log.error("unexpected error beside the FTP server", exc_info=error)
            done(None if error is not None else future.result())

        def ended(future: Future[T]) -> None:
            if not future.cancelled():
                self._mailbox.post(lambda: told(future))

        self._pool.submit(work).add_done_callback(ended)

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
