"""The serial line: opened exclusively, drained before every command, and never waited for without an end."""

from __future__ import annotations

import logging
import select
import termios
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import serial

from observatory_common.errors import DeviceLost
from observatory_focusd.protocol import LONGEST_LINE, TERMINATOR

T = TypeVar("T")
log = logging.getLogger("focusd.link")

#: A read returns at least this often, so that a stop can overtake whatever is being waited for.
_SLICE_S = 0.05
#: When an earlier reply was late, replies are read until the line has been quiet for this long, and the last one counts.
_QUIET_S = 0.05
_WRITE_TIMEOUT_S = 1.0
_LINE_FAILURES = (serial.SerialException, OSError, termios.error)


class Silence(Exception):
    """No acceptable reply came within the time of the exchange."""


class Overtaken(Exception):
    """Something more urgent arrived while a reply was awaited; the reply was given up."""


def never() -> bool:
    """The `interrupted` of an exchange that nothing may overtake."""
    return False


class SerialLink:
    """An open port. Every method raises DeviceLost when the port fails; it is then of no more use.

    `unanswered` counts commands that no line has come for; late and garbled lines count as answers.
    `name` is the port's; `heard_at` is when it last brought a reply that made sense (or was opened), on the monotonic clock.
    """

    def __init__(self, port: serial.Serial, name: str, tick: Callable[[], None]) -> None:
        self._port = port
        self.name = name
        self._tick = tick
        self._received = b""
        self._reply_owed = False
        self.unanswered = 0
        self.heard_at = time.monotonic()

    def exchange(
        self,
        command: bytes,
        parse: Callable[[bytes], T | None],
        timeout_s: float,
        interrupted: Callable[[], bool] = never,
    ) -> T:
        """Send one command and return the first reply that `parse` accepts (the last one, if a reply was owed).

        Whatever arrived before the command is thrown away first. Raises Silence after `timeout_s` seconds, Overtaken
        within 0.05 s of `interrupted()` turning true.
        """
        self._drain()
        self._write(command + TERMINATOR)
        self.unanswered += 1
        deadline = time.monotonic() + timeout_s
        latest = deadline + timeout_s
        accepted: T | None = None
        while True:
            for line in self._read_lines():
                self.unanswered = max(self.unanswered - 1, 0)
                parsed = parse(line)
                if parsed is not None:
                    accepted = parsed
                    self.heard_at = time.monotonic()
                    if not self._reply_owed:
                        return accepted
                    deadline = min(time.monotonic() + _QUIET_S, latest)
                else:
                    log.debug("%s: ignored %r after %r", self.name, line, command)
            if time.monotonic() >= deadline:
                if accepted is not None:
                    self._reply_owed = False
                    return accepted
                self._reply_owed = True
                if self._received:  # half a line came from somebody who was there
                    self.unanswered = max(self.unanswered - 1, 0)
                raise Silence(f"no reply to {command.decode('ascii')} within {timeout_s:g} s")
            if accepted is None and interrupted():
                self._reply_owed = True
                raise Overtaken
            self._tick()

    def hung_up(self) -> bool:
        """Whether the other end has gone, as far as the operating system knows; costs a few microseconds."""
        try:
            poll = select.poll()
            poll.register(self._port.fileno(), select.POLLRDHUP)
            return bool(poll.poll(0))
        except (OSError, ValueError):  # closed, or a port without a file descriptor: the next exchange will tell
            return False

    def close(self) -> None:
        """Close the port; a port that fails even at that is forgotten."""
        try:
            self._port.close()
        except _LINE_FAILURES as error:
            log.warning("%s: closing failed: %s", self.name, error)

    def _drain(self) -> None:
        try:
            waiting = self._port.in_waiting
            if waiting:
                late = self._received + self._port.read(waiting)
                self.unanswered = max(self.unanswered - late.count(b"\n"), 0)
            self._port.reset_input_buffer()
        except _LINE_FAILURES as error:
            raise self._lost(error) from error
        self._received = b""

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except _LINE_FAILURES as error:
            raise self._lost(error) from error

    def _read_lines(self) -> list[bytes]:
        try:
            data = self._port.read(1)
            if data:
                data += self._port.read(self._port.in_waiting)
        except _LINE_FAILURES as error:
            raise self._lost(error) from error
        *lines, rest = (self._received + data).split(b"\n")
        self._received = rest[-LONGEST_LINE:]
        return [line.rstrip(b"\r") for line in lines]

    def _lost(self, error: BaseException) -> DeviceLost:
        return DeviceLost(f"lost {self.name}: {error}", value=self.name)


class Opener:
    """Opens a port in a thread of its own, since a network port may take seconds to refuse."""

    def __init__(self, name: str, baud: int, tick: Callable[[], None]) -> None:
        self._name = name
        self._baud = baud
        self._tick = tick
        self._lock = threading.Lock()
        self._port: serial.Serial | None = None
        self._error: Exception | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._open, name="focusd-opener", daemon=True)
        self._thread.start()

    def wait(self, up_to_s: float) -> SerialLink | None:
        """The open link, or None if it is not open after `up_to_s` seconds. Raises DeviceLost if it cannot be opened."""
        self._thread.join(up_to_s)
        with self._lock:
            if self._error is not None:
                raise DeviceLost(f"cannot open {self._name}: {self._error}", value=self._name) from self._error
            return SerialLink(self._port, self._name, self._tick) if self._port is not None else None

    def abandon(self) -> None:
        """Give up: a port that opens after all is closed again at once."""
        with self._lock:
            self._abandoned = True
            if self._port is not None:
                self._port.close()

    def _open(self) -> None:
        try:
            port = serial.serial_for_url(
                self._name, baudrate=self._baud, timeout=_SLICE_S, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
            )
        except Exception as error:  # noqa: BLE001 - pyserial's handlers of URLs raise what they like; it is told and retried
            with self._lock:
                self._error = error
            return
        with self._lock:
            if self._abandoned:
                port.close()
            else:
                self._port = port
