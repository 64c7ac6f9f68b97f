"""Child processes: started in order, restarted with back-off, ended in the opposite order, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from observatory_common.errors import ExitCode

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_STEADY_AFTER_S = 30.0
_READY_WITHIN_S = 20.0
_ENDS_WITHIN_S = 8.0
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """A process to keep running, and how it fares. `start_at` is on the monotonic clock; None: not to be started."""

    name: str
    command: Sequence[str]
    config: Path
    process: subprocess.Popen[bytes] | None = None
    start_at: float | None = 0.0
    started_at: float = 0.0
    pause_s: float = _FIRST_PAUSE_S
    ready: bool = False

    @property
    def running(self) -> bool:
        """Whether there is a process that has not been seen to end."""
        return self.process is not None


class Supervisor:
    """Keeps groups of children running. Must live in the main thread of a process that has no other children."""

    def __init__(self, groups: Sequence[Sequence[Child]], environment: Mapping[str, str], notify_path: Path) -> None:
        self._groups = groups
        self._children = [child for group in groups for child in group]
        self._environment = {**environment, "NOTIFY_SOCKET": str(notify_path)}
        self._notify_path = notify_path
        self._asked = 0

    def asked_to_end(self, *_: object) -> None:
        """A signal handler: the first call asks the children to end, a second one kills them."""
        self._asked += 1

    def run(self, when_ready: Callable[[], None]) -> int:
        """Run until asked to end (0) or nothing is left to run (78); calls `when_ready` once the last group serves."""
        wake_read, wake_write = socket.socketpair()
        notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        old_handler = signal.signal(signal.SIGCHLD, lambda *_: None)
        with wake_read, wake_write, notified, selectors.DefaultSelector() as selector:
            for sock in (wake_read, wake_write, notified):
                sock.setblocking(False)
            notified.bind(str(self._notify_path))
            notified.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            selector.register(wake_read, selectors.EVENT_READ, lambda: wake_read.recv(4096))
            selector.register(notified, selectors.EVENT_READ, lambda: self._notification(notified))
            old_fd = signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
            try:
                return self._supervise(selector, when_ready)
            finally:
                self._end_all(selector)
                signal.set_wakeup_fd(old_fd)
                signal.signal(signal.SIGCHLD, old_handler)

    def _supervise(self, selector: selectors.BaseSelector, when_ready: Callable[[], None]) -> int:
        introduce_by: float | None = time.monotonic() + _READY_WITHIN_S
        while not self._asked:
            now = time.monotonic()
            for child in self._children:
                if child.start_at is not None and child.start_at <= now:
                    self._start(child, now)
            awaited = [child for child in self._groups[-1] if not child.ready and (child.running or child.start_at)]
            if introduce_by is not None and (not awaited or now >= introduce_by):
                introduce_by = None
                if any(child.ready for child in self._groups[-1]):
                    when_ready()
            if not any(child.running or child.start_at is not None for child in self._groups[-1]):
                return ExitCode.BadConfig
            due = [child.start_at for child in self._children if child.start_at is not None]
            self._wait(selector, min([*due, *([introduce_by] if introduce_by else [])], default=None))
        return 0

    def _start(self, child: Child, now: float) -> None:
        child.process = subprocess.Popen(
            child.command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=partial(_die_with, os.getpid()),
        )
        child.start_at, child.started_at, child.ready = None, now, False

    def _wait(self, selector: selectors.BaseSelector, until: float | None) -> None:
        for key, _ in selector.select(None if until is None else max(until - time.monotonic(), 0)):
            with contextlib.suppress(BlockingIOError):
                key.data()
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process.returncode)

    def _notification(self, notified: socket.socket) -> None:
        message, ancillary, _, _ = notified.recvmsg(4096, socket.CMSG_SPACE(12))
        senders = [int.from_bytes(data[:4], "little") for _, kind, data in ancillary if kind == socket.SCM_CREDENTIALS]
        for child in self._children:
            if b"READY=1" in message.split(b"\n") and child.process is not None and child.process.pid in senders:
                child.ready = True

    def _ended(self, child: Child, code: int) -> None:
        now = time.monotonic()
        child.process, child.ready = None, False
        if self._asked:
            return
        if code in (0, ExitCode.BadConfig):
            click.echo(f"{child.name} has ended (exit code {code}) and is not started again", err=True)
            return
        if now - child.started_at > _STEADY_AFTER_S:
            child.pause_s = _FIRST_PAUSE_S
        click.echo(f"{child.name} has died (exit code {code}); starting it again in {child.pause_s:g} s", err=True)
        child.start_at = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, _LONGEST_PAUSE_S)

    def _end_all(self, selector: selectors.BaseSelector) -> None:
        """The last group first: a daemon still has its hardware while it brings it to rest."""
        self._asked = max(self._asked, 1)
        for group in reversed(self._groups):
            until = time.monotonic() + _ENDS_WITHIN_S
            for child in group:
                if child.process is not None:
                    child.process.terminate()
            while any(child.running for child in group):
                if time.monotonic() >= until or self._asked > 1:
                    for child in group:
                        if child.process is not None:
                            click.echo(f"{child.name} does not end and is killed", err=True)
                            child.process.kill()
                            child.process.wait()
                self._wait(selector, until)


def _die_with(parent: int) -> None:
    """In the child, before its program: whatever kills the supervisor ends the children too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
