"""A command as a person runs it: on a terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import waiting


class Terminal:
    """A module of ours, run on a pseudo-terminal in an environment (and a folder)."""

    def __init__(
        self, module: str, arguments: Sequence[str], env: Mapping[str, str], folder: Path | None = None, **settings: str
    ) -> None:
        pid, self.master = pty.fork()
        if pid == 0:
            if folder is not None:
                os.chdir(folder)
            environment = {**env, "TERM": "xterm-256color", "COLUMNS": "100", **settings}
            os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environment)
        self._module = module
        self.pid = pid
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            if not data:
                return
            self.output += data.decode(errors="replace")

    def see(self, pattern: str, timeout_s: float = 20) -> re.Match[str]:
        """Wait for a pattern in the output."""
        return waiting.until(lambda: re.search(pattern, self.output), timeout_s, f"{pattern!r} on the terminal")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for the end; the exit code."""
        status: list[int] = []

        def ended() -> bool:
            pid, found = os.waitpid(self.pid, os.WNOHANG)
            status.append(found)
            return pid != 0

        waiting.until(ended, 30, f"{self._module} to end")
        self._reader.join(5)
        os.close(self.master)
        return os.waitstatus_to_exitcode(status[-1])
