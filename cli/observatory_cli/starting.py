"""Ctrl-C while a command loads its libraries."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOPPED_BY_USER = 156  # as ExitCode.StoppedByUser, which is not loaded yet


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Within it Ctrl-C ends the process at once: an exception may get lost in a callback of an import."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # it is to be ignored
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(STOPPED_BY_USER))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
