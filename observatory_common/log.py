"""The observatory log: standard logging with structured fields, to stderr or the journal, never blocking a device."""

from __future__ import annotations

import logging
import logging.handlers
import math
import os
import queue
import select
import threading
import time
from datetime import UTC, datetime
from typing import Any

_LONGEST_QUEUE = 2000
_PATIENCE_S = 0.2  # with somebody who does not read
_LAST_LINES_S = 0.4
_MACHINE_S = 5.0  # more than a busy machine needs for what takes no time
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class LogHandle:
    """The running log; `close` it so that its last lines are written."""

    def __init__(self, handler: _DroppingHandler, listener: _Listener, output: _Output) -> None:
        self._handler = handler
        self._listener = listener
        self._output = output

    def close(self) -> None:
        """Write what is left, for less than a second, and end the log's thread, unless a write does not return."""
        logging.getLogger().removeHandler(self._handler)
        self._output.deadline_at = time.monotonic() + _LAST_LINES_S
        if self._listener.end():
            self._output.tell_lost()


def set_up(log_name: str, descriptor: int = 2) -> LogHandle:
    """Send the log of this process, under `log_name`, to a file descriptor (default stderr), by a thread of its own."""
    lost = _Lost()
    output = _Output(descriptor, lost)
    output.setFormatter(_Formatter(log_name, to_journal=_is_journal(descriptor)))
    records: queue.Queue[logging.LogRecord] = queue.Queue(_LONGEST_QUEUE)
    handler = _DroppingHandler(records, lost)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("Pyro5").setLevel(logging.WARNING)
    listener = _Listener(records, output)
    listener.start()
    return LogHandle(handler, listener, output)


class _Lost:
    """How many lines nobody will read."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    def add(self, count: int = 1) -> None:
        with self._lock:
            self._count += count

    def take(self) -> int:
        with self._lock:
            count, self._count = self._count, 0
            return count


class _Output(logging.Handler):
    """Writes lines to a descriptor, and gives one up that cannot be written: nobody reads, or has gone.

    In pieces that a pipe takes whole or not at all, each only when there is room, since a blocked write has no end.
    """

    def __init__(self, descriptor: int, lost: _Lost) -> None:
        super().__init__()
        self.deadline_at = math.inf
        self._descriptor = descriptor
        self._lost = lost
        self._in_mid_line = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a value's own text may raise anything; the log goes on
            where = f"{record.pathname}:{record.lineno}"
            text = self.format(_warning(f"a record of {where} cannot be shown: {type(error).__name__}"))
        self.tell_lost()
        if not self._write(text):
            self._lost.add()

    def tell_lost(self) -> None:
        """Tell how many lines were lost, if any and if somebody listens again."""
        count = self._lost.take()
        if count and not self._write(self.format(_warning(f"{count} lines of the log were dropped because nobody read it"))):
            self._lost.add(count)

    def _write(self, text: str) -> bool:
        data = memoryview(("\n" * self._in_mid_line + text + "\n").encode("utf-8", "backslashreplace"))
        try:
            while data:
                patience_s = min(_PATIENCE_S, max(self.deadline_at - time.monotonic(), 0.0))
                if not any(events & select.POLLOUT for _, events in self._poll.poll(patience_s * 1000)):
                    return False
                data = data[os.write(self._descriptor, data[: select.PIPE_BUF]) :]
                self._in_mid_line = bool(data)
        except OSError:
            return False
        return True


class _Listener(logging.handlers.QueueListener):
    """The log's thread."""

    def __init__(self, records: queue.Queue[Any], output: _Output) -> None:
        super().__init__(records, output)
        self._records = records

    def end(self) -> bool:
        """End its thread, within bounds; whether it has ended now."""
        thread, self._thread = self._thread, None
        if thread is None:
            return False
        until = time.monotonic() + _PATIENCE_S + _LAST_LINES_S + _MACHINE_S
        try:  # the queue may be full; its reader, which gives lines up by now, soon makes room
            self._records.put(None, timeout=max(until - time.monotonic(), 0.0))
        except queue.Full:
            return False
        thread.join(max(until - time.monotonic(), 0.0))
        return not thread.is_alive()


class _DroppingHandler(logging.handlers.QueueHandler):
    """Puts records on the queue; when it is full they are dropped and counted."""

    def __init__(self, records: queue.Queue[logging.LogRecord], lost: _Lost) -> None:
        super().__init__(records)
        self._lost = lost

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._lost.add()


class _Formatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO focusd@test audit: message key=value`, or with a priority for the journal."""

    def __init__(self, log_name: str, *, to_journal: bool) -> None:
        super().__init__()
        self._log_name = log_name
        self._to_journal = to_journal

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        tail = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
        message = record.getMessage()
        if not message.isprintable():  # one record, one line
            message = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
        text = f"{record.levelname} {self._log_name} {record.name}: {message}{tail}"
        if record.exc_text:
            text += "\n" + record.exc_text
        if self._to_journal:
            priority = f"<{_PRIORITIES.get(record.levelno, 6)}>"
            return "\n".join(priority + line for line in text.splitlines())
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        return f"{when}Z {text}"


def _shown(value: Any) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)


def _warning(text: str) -> logging.LogRecord:
    return logging.LogRecord("log", logging.WARNING, __file__, 0, text, None, None)


def _is_journal(descriptor: int) -> bool:
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
