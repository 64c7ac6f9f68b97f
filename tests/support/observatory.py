"""A daemon with its simulated controller, as real processes on a site of their own."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import waiting
from site_process import SiteProcess

from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.tls import Tls
from observatory_focusd.simulator.client import SimulatorClient

NAME = "test_focuser"
SAMPLE: dict[str, Any] = {
    "daemon": NAME,
    "log_name": "focusd@test",
    "control_machines": ["LocalHost"],
    "serial_port": "",
    "serial_baud": 9600,
    "serial_timeout": 5,
    "idle_loop_delay": 5,
    "moving_loop_delay": 0.5,
    "move_timeout": 180,
}
_SIMULATED = ("firmware", "speed_factor", "simulated_channels", "simulated_probes")


_FIRST, _END = 20_000, 32_000  # below those that the kernel gives to connections: none of these may take it before its daemon
_ports = itertools.cycle(range(_FIRST, _END))
for _ in range(random.randrange(_END - _FIRST)):  # another run of tests may go on beside this one
    next(_ports)


def free_port(host: str = "127.0.0.1") -> int:
    """A port that is free now, and was not handed out lately."""
    while True:
        port = next(_ports)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((host, port))
            return port


class Daemon(SiteProcess):
    """focusd on a simulated controller. Files stand under `folder`, which is its whole world."""

    kind = "focusd"

    def __init__(
        self,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        machines: dict[str, Any] | None = None,
        eeprom_steps: tuple[int, int] = (0, 0),
        env: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(folder)
        self.host = host
        self.port = free_port(host)
        self.link = folder / "focuser"
        self.config_path = self.etc / "focusd" / "test.json"
        self.simulator_config_path = self.etc / "focusd-simulator" / "test.json"
        self.state_folder = folder / "state" / "observatory" / "focusd" / "test"
        self.env |= env or {}
        simulated = {key: settings.pop(key) for key in _SIMULATED if key in settings}
        config = {**SAMPLE, "serial_port": str(self.link), **settings}
        self.write("observatory/machines.json", machines or {})
        self.write("observatory/daemons.json", {NAME: {"machine": "LocalHost", "host": host, "port": self.port}})
        self.write("focusd/test.json", {key: value for key, value in config.items() if value is not None})
        simulator = {"link": str(self.link), "eeprom": str(folder / "eeprom.bin"), "firmware": "2022"}
        names = {"simulated_channels": "channels", "simulated_probes": "temperature_probes"}
        simulator.update({names.get(key, key): value for key, value in simulated.items()})
        self.write("focusd-simulator/test.json", simulator)
        per_step = 64 if simulator["firmware"] == "2022" else 16
        (folder / "eeprom.bin").write_bytes(
            b"".join((steps * per_step).to_bytes(4, "little", signed=True) for steps in eeprom_steps)
        )
        self.directory = Directory.load(self.etc / "observatory")
        self.tls: Tls | None = None
        self.simulator = SimulatorClient(self.link)
        self.simulator_process: subprocess.Popen[str] | None = None

    # its processes

    def start_simulator(self) -> None:
        """Start the controller and wait for its port."""
        self.simulator_process = self._start(
            "observatory_focusd.simulator", self.simulator_config_path, self.folder / "simulator.log"
        )
        waiting.until(self.link.exists, 20, "the simulator's port")
        waiting.until(lambda: _answers(self.simulator), 20, "the simulator to answer")

    def start(self, *, connected: bool = True) -> None:
        """Start focusd and wait until it serves, and if asked has its controller."""
        self.process = self._start("observatory_focusd", self.config_path, self.log_path)
        with self.connect() as focuser:
            waiting.until(lambda: self.status_of(focuser), 20, "focusd to serve")
            if connected:
                waiting.until(
                    lambda: (self.status_of(focuser) or {}).get("state") in ("idle", "moving"), 20, "focusd to connect"
                )

    def close(self) -> None:
        """End both processes."""
        for process in (self.process, self.simulator_process):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(10)
                    raise

    # its clients

    def connect(self, **options: Any) -> RemoteDaemon:
        """A client."""
        return connect(NAME, directory=self.directory, **{"tls": self.tls, **options})

    def focus(self, *arguments: str, timeout_s: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `focus` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "observatory_cli.focus", *arguments],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start_focus(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `focus`."""
        return subprocess.Popen(
            [sys.executable, "-m", "observatory_cli.focus", *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _start(self, module: str, config: Path, log: Path) -> subprocess.Popen[str]:
        with log.open("a") as output:
            return subprocess.Popen(
                [sys.executable, "-m", module, str(config)],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )


@contextmanager
def daemon(folder: Path, *, confirm: bool = True, start: bool = True, **settings: Any) -> Iterator[Daemon]:
    """A running focusd on a running simulator; both positions 0 and confirmed unless `confirm` is false."""
    folder.mkdir(parents=True, exist_ok=True)
    running = Daemon(folder, **settings)
    try:
        running.start_simulator()
        if start:
            running.start()
            if confirm:
                with running.connect() as focuser:
                    for channel in focuser.report_status()["channels"]:
                        focuser.confirm_position(channel)
        yield running
    finally:
        running.close()


def _answers(simulator: SimulatorClient) -> bool:
    try:
        return bool(simulator.state())
    except DaemonNotReachable:
        return False
