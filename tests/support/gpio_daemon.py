"""gpiod on a simulated board, as real processes on a site of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boards
import observatory
import waiting
from rawclient import RawClient
from site_process import SiteProcess
from small_disk import SmallDisk

from observatory_common.directory import Directory
from observatory_common.rpc.client import RemoteDaemon, connect

NAME = "test_gpio"
SERVING = ("connecting", "ready", "partial", "closed")


class Gpiod(SiteProcess):
    """A gpiod for `devices`, on a board with `wiring`. Files stand under `folder`, which is its whole world.

    `config` is added to its config, None takes a key away; `on_board` goes to the board's. `inside` runs the daemon where
    a small disk is mounted; `state_home` is where its state goes (default: in `folder`).
    """

    kind = "gpiod"

    def __init__(
        self,
        folder: Path,
        devices: Sequence[Mapping[str, Any]] = (),
        wiring: Sequence[Mapping[str, Any]] = (),
        *,
        machines: Mapping[str, Any] | None = None,
        on_board: Mapping[str, Any] | None = None,
        inside: SmallDisk | None = None,
        state_home: Path | None = None,
        **config: Any,
    ) -> None:
        super().__init__(folder, state_home)
        self.host = "127.0.0.1"
        self.port = observatory.free_port()
        self.config_path = self.etc / "gpiod" / "test.json"
        self._state_home = state_home or folder / "state"
        self._inside = inside
        self._on_board: dict[str, Any] = {"wiring": list(wiring), **(on_board or {})}
        self._board: boards.BoardProcess | None = None
        self.config: dict[str, Any] = {
            "daemon": NAME,
            "log_name": "gpiod@test",
            "control_machines": ["LocalHost"],
            "pin_factory": "simulated",
            "simulator": {"socket": str(folder / "board")},
            "devices": [dict(device) for device in devices],
            **config,
        }
        self.write("observatory/machines.json", machines or {})
        self.write("observatory/daemons.json", {NAME: {"machine": "LocalHost", "port": self.port}})
        self.configure()
        self.directory = Directory.load(self.etc / "observatory")

    # its processes

    @property
    def board(self) -> boards.BoardProcess:
        """The board that runs, or ran last."""
        assert self._board is not None, "no board has been started"
        return self._board

    @property
    def state_folder(self) -> Path:
        """Where the daemon keeps its state, as it sees it."""
        return self._state_home / "observatory" / "gpiod" / "test"

    def configure(self, **changes: Any) -> None:
        """Write the config, changed so; it counts from the next start on."""
        self.config |= changes
        self.write("gpiod/test.json", {key: value for key, value in self.config.items() if value is not None})

    def start_board(self) -> None:
        """Start a board; the one before must have ended."""
        self._board = boards.BoardProcess(self.folder, **self._on_board)

    def start(self, state: str | None = "ready") -> None:
        """Start gpiod and wait until it serves, and is in that state (None: in any)."""
        # The program itself takes nsenter's place, so that signals reach it.
        prefix = [] if self._inside is None else ["nsenter", "--mount", "-t", self._inside.path.parts[2], "--"]
        command = [*prefix, sys.executable, "-m", "observatory_gpiod", str(self.config_path)]
        self.spawn(command)
        self.until_state(*([state] if state else SERVING), timeout_s=20)

    def until_state(self, *states: str, timeout_s: float = 10) -> dict[str, Any]:
        """The status, once its state is one of these."""
        with self.connect() as gpio:

            def found() -> dict[str, Any] | None:
                status = self.status_of(gpio)
                return status if status is not None and status["state"] in states else None

            return waiting.until(found, timeout_s, f"gpiod to be {' or '.join(states)}") or {}

    def close(self) -> None:
        """End both processes; gpiod must end well, and have logged no trace of a bug."""
        try:
            self.end_well()
        finally:
            if self._board is not None:
                self._board.close()
        bugs = [n for n, line in enumerate(self.log_lines()) if "Traceback" in line or "internal error" in line]
        assert not bugs, "\n".join(self.log_lines()[bugs[0] - 1 : bugs[0] + 40])

    # its clients

    def connect(self, **options: Any) -> RemoteDaemon:
        """A client."""
        return connect(NAME, directory=self.directory, **options)

    def raw_client(self, source: str | None = None) -> RawClient:
        """A connection, from an address of this machine, on which nothing has been said."""
        return RawClient(self.host, self.port, source=source)

    def gpio(self, *arguments: str, timeout_s: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `gpio` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "observatory_cli.gpio", *arguments],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )


@contextmanager
def daemon(
    folder: Path,
    devices: Sequence[Mapping[str, Any]] = (),
    wiring: Sequence[Mapping[str, Any]] = (),
    *,
    start: bool = True,
    **config: Any,
) -> Iterator[Gpiod]:
    """A running gpiod on a running board; with `start` false only the board."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Gpiod(folder, devices, wiring, **config)
    try:
        running.start_board()
        if start:
            running.start()
        yield running
    finally:
        running.close()
