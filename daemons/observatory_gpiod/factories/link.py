"""The connection to a simulated board: calls with a deadline, and a thread that hands out the events."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from observatory_common import control_socket
from observatory_common.errors import DeviceLost, NotConnected, ObservatoryError, all_errors

log = logging.getLogger("board-link")

#: pin, nanoseconds, level or None, number
Report = Sequence[Any]
_LONGEST_LINE = 1 << 24


class BoardLink:
    """A client of a board. Raises NotConnected if there is none at `path`.

    Once the board is lost, or a call has had no answer within `timeout_s`, every call raises DeviceLost at once.
    `when_lost` is told why, in whichever thread notices, once; it must be brief and touch no pin.
    """

    def __init__(self, path: Path, name: str, timeout_s: float, on_events: Callable[[list[Report]], None]) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._on_events = on_events
        self._lock = threading.Lock()
        self._received = b""
        self.lost: str | None = None
        self.when_lost: Callable[[str], None] | None = None
        self._calls = self._connect()
        try:
            number = self.call(hello=name)["client"]
            self._events = self._connect()
        except ObservatoryError:
            self._calls.close()
            raise
        try:
            self._begin_stream(number)
        except (OSError, ValueError, ObservatoryError) as error:
            self._calls.close()
            self._events.close()
            raise NotConnected(f"the simulated board at {path} gives no events: {error}", value=str(path)) from error
        self._thread = threading.Thread(target=self._hand_out, name="gpio-edges", daemon=True)
        self._thread.start()

    def call(self, **wanted: Any) -> dict[str, Any]:
        """Ask, and wait for the answer. Raises DeviceLost, or what the board refuses with."""
        if not self._lock.acquire(timeout=self._timeout_s):
            raise self._lose(f"no answer within {self._timeout_s:g} s")
        try:
            if self.lost is not None:
                raise self._error()
            try:
                answer = self._exchange(json.dumps(wanted).encode() + b"\n")
            except (OSError, ValueError) as error:
                raise self._lose(self._why(error)) from error
        finally:
            self._lock.release()
        if not answer.pop("ok"):
            error_class = all_errors()[answer["kind"]]
            raise error_class(answer["error"])
        return answer

    def close(self) -> None:
        """End the connection; the board frees the lines that are still claimed. Bounded by 5 s."""
        self.when_lost = None
        self._lose("it has been closed")
        if threading.current_thread() is not self._thread:
            self._thread.join(5)
        self._calls.close()
        self._events.close()

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self._timeout_s)
        try:
            with control_socket.short_name(self._path) as name:
                sock.connect(name)
        except OSError as error:
            sock.close()
            raise NotConnected(
                f"no simulated board at {self._path}: {error.strerror or error}", value=str(self._path)
            ) from error
        return sock

    def _exchange(self, request: bytes) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout_s
        self._calls.settimeout(self._timeout_s)
        self._calls.sendall(request)
        while b"\n" not in self._received:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no answer within {self._timeout_s:g} s")
            self._calls.settimeout(left_s)
            self._received += self._more(self._calls)
        line, _, self._received = self._received.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _more(self, sock: socket.socket) -> bytes:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the board has gone")
        return data

    def _begin_stream(self, number: int) -> None:
        self._events.sendall(json.dumps({"stream": number}).encode() + b"\n")
        self._stream = self._events.makefile("rb")
        answer = json.loads(self._stream.readline(_LONGEST_LINE))
        if not answer["ok"]:
            raise NotConnected(answer["error"])
        self._events.settimeout(None)  # from now on, silence means that nothing happens

    def _hand_out(self) -> None:
        reason = "the handing out of its events has failed"
        try:
            for line in iter(lambda: self._stream.readline(_LONGEST_LINE), b""):
                self._on_events(json.loads(line)["events"])
            reason = "the board has gone"
        except (OSError, ValueError) as error:
            reason = self._why(error)
        finally:  # deaf is as good as lost, whatever made it so
            self._stream.close()
            self._lose(reason)

    def _lose(self, reason: str) -> DeviceLost:
        if self.lost is None:
            self.lost = reason
            for sock in (self._calls, self._events):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # not connected any more
            if self.when_lost is not None:
                self.when_lost(reason)
        return self._error()

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout_s:g} s"
        return getattr(error, "strerror", None) or str(error) or type(error).__name__

    def _error(self) -> DeviceLost:
        return DeviceLost(f"the simulated board at {self._path} is lost: {self.lost}", value=str(self._path))
