"""The observatory log: standard logging with structured fields, to stderr or the journal, never blocking a device."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from datetime import UTC, datetime
from typing import IO, Any

_LONGEST_QUEUE = 2000
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class LogHandle:
    """The running log; `close` it so that its last lines are written."""

    def __init__(self, handler: _DroppingHandler, listener: logging.handlers.QueueListener) -> None:
        self._handler = handler
        self._listener = listener

    def close(self) -> None:
        """Write what is left and end the log's thread."""
        logging.getLogger().removeHandler(self._handler)
        self._listener.stop()


def set_up(log_name: str, stream: IO[str] | None = None) -> LogHandle:
    """Send the log of this process, under `log_name`, to `stream` (default stderr), by a thread of its own."""
    stream = stream or sys.stderr
    output = logging.StreamHandler(stream)
    output.setFormatter(_Formatter(log_name, to_journal=_is_journal(stream)))
    records: queue.Queue[logging.LogRecord] = queue.Queue(_LONGEST_QUEUE)
    handler = _DroppingHandler(records)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.getLogger("Pyro5").setLevel(logging.WARNING)
    listener = logging.handlers.QueueListener(records, output)
    listener.start()
    return LogHandle(handler, listener)


class _DroppingHandler(logging.handlers.QueueHandler):
    """Puts records on the queue; when it is full they are dropped, counted, and the count is told later."""

    def __init__(self, records: queue.Queue[logging.LogRecord]) -> None:
        super().__init__(records)
        self._dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped:
                self.queue.put_nowait(_count_of(self._dropped))
                self._dropped = 0
            self.queue.put_nowait(record)
        except queue.Full:
            self._dropped += 1


class _Formatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO focusd@test audit: message key=value`, or with a priority for the journal."""

    def __init__(self, log_name: str, *, to_journal: bool) -> None:
        super().__init__()
        self._log_name = log_name
        self._to_journal = to_journal

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, "fields", {})
        tail = "".join(f" {key}={_shown(value)}" for key, value in fields.items())
        text = f"{record.levelname} {self._log_name} {record.name}: {record.getMessage()}{tail}"
        if record.exc_text:
            text += "\n" + record.exc_text
        if self._to_journal:
            priority = f"<{_PRIORITIES.get(record.levelno, 6)}>"
            return "\n".join(priority + line for line in text.splitlines())
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        return f"{when}Z {text}"


def _shown(value: Any) -> str:
    text = str(value)
    return repr(text) if " " in text or "\n" in text or not text else text


def _count_of(dropped: int) -> logging.LogRecord:
    message = "%d lines of the log were dropped because nobody read it"
    return logging.LogRecord("log", logging.WARNING, __file__, 0, message % dropped, None, None)


def _is_journal(stream: IO[str]) -> bool:
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{status.st_dev}:{status.st_ino}"
