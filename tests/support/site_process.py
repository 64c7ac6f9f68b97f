"""A daemon as a real process on a site of its own: what its kinds have in common."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitals import Vitals

from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon

#: What the suite, and the libraries below it, would read of the environment.
_SUITE = ("CAMERAD_", "FOCUSD_", "FTPD_", "GPIOD_", "WEBD_", "GPIOZERO_", "OBSERVATORY_", "PIGPIO_", "PYRO_")


class SiteProcess:
    """A daemon whose files stand under `folder`, which is its whole world; `env` is the environment on its site."""

    kind: str

    def __init__(self, folder: Path, state_home: Path | None = None) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        self.log_path = folder / f"{self.kind}.log"
        self.process: subprocess.Popen[Any] | None = None
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith(_SUITE)},
            "OBSERVATORY_ETC": str(self.etc),
            "OBSERVATORY_RUN": str(folder / "run"),
            "XDG_STATE_HOME": str(state_home or folder / "state"),
            "HOME": str(folder),
            "PYTHONFAULTHANDLER": "1",
        }

    @property
    def vitals(self) -> Vitals:
        """The process as the kernel sees it."""
        assert self.process is not None
        return Vitals(self.process.pid)

    def kill(self) -> None:
        """`kill -9` the daemon; its hardware goes on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout_s: float = 20) -> int:
        """Ask the daemon to end; its exit code. An AssertionError tells what it hangs at."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            tasks = self.vitals.tasks()
            self.process.send_signal(signal.SIGABRT)  # has Python write what each thread is at into the log
            self.process.wait(10)
            log = "\n".join(self.log_lines()[-200:])
            raise AssertionError(f"{self.kind} did not end within {timeout_s:g} s:\n{tasks}\n{log}") from None

    def end_well(self) -> None:
        """End the daemon, if it runs; it must end well."""
        try:
            if self.process is not None and self.process.poll() is None:
                assert self.terminate() == 0
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()

    def log_lines(self) -> list[str]:
        """What the daemon has logged so far."""
        return self.log_path.read_text().splitlines() if self.log_path.exists() else []

    def spawn(self, command: list[str]) -> None:
        """Start the daemon, with its output in the log."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def status_of(self, daemon: RemoteDaemon) -> dict[str, Any] | None:
        """The status, None while it does not answer; it must not have ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended with {self.process.returncode}:\n" + "\n".join(self.log_lines()))
        try:
            status: dict[str, Any] = daemon.report_status()
            return status
        except DaemonNotReachable:
            return None

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file of the site."""
        path = self.etc / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2))
