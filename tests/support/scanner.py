"""A stand-in for a scanner's controller: a real ZeroMQ publisher that says what the real one says, when it says it."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import waiting
import zmq
from small_disk import SmallDisk

from observatory_camerad.acquisition.timing import Clocks

MODES = (
    "WAIT_FOR_RESOURCES",
    "IDLE",
    "STARTING_SCAN",
    "SCANNING",
    "STOPPING",
    "STOPPING_STAGE_1",
    "STOPPING_STAGE_2",
    "STOPPED",
    "STARTING_STOP_SCAN",
    "STOP_SCAN_IN_PROGRESS",
    "STOP_SCAN_IN_INITIAL_PROGRESS",
    "STOPING_STOP_SCAN",
    "LIDAR_ERROR",
    "USB_IO_ERROR",
)
_EVERY_S = 0.125
_LONG_EVERY_NS = 1_000_000_000
_NEAR_NS = 250_000_000


class Publisher:
    """A socket on a port of its own, which anybody may be told things through."""

    def __init__(self, port: int = 0) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.port = self._socket.bind_to_random_port("tcp://127.0.0.1") if port == 0 else port
        if port:
            waiting.until(self._bound, 10, "the port to be free")

    def _bound(self) -> bool:
        try:
            self._socket.bind(f"tcp://127.0.0.1:{self.port}")
        except zmq.ZMQError:
            return False
        return True

    @property
    def endpoint(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def send(self, message: bytes | dict[str, Any]) -> None:
        self._socket.send(message if isinstance(message, bytes) else json.dumps(message).encode())

    def close(self) -> None:
        self._socket.close(0)
        self._context.term()


class Scanner:
    """Speaks every 125 ms until it is closed; its clock is this machine's since the boot, and an offset.

    That is two hours: set back by one, its time stays above zero on a machine that has just been booted.
    """

    def __init__(self, port: int = 0, offset_ns: int = 7_200_000_000_000, lidar: bool = True) -> None:
        self._publisher = Publisher(port)
        self._said: dict[str, str] = {"mode": "IDLE", "continousScanDirectory": "", "stopScanDirectory": ""}
        self._offset_ns = offset_ns
        self._lidar = lidar
        #: When its clock began to be so much ahead, as it has told: (since the boot, offset), in nanoseconds.
        self.clock: list[tuple[int, int]] = []
        #: When it told which mode and folder.
        self.told: list[tuple[int, str, str]] = []
        self._began = time.monotonic_ns()
        self._long_at = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._muted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scanner")
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return self._publisher.endpoint

    @property
    def port(self) -> int:
        return self._publisher.port

    def say(self, mode: str, folder: object = "") -> int:
        """From the next long message on; returns when that was sent (ns since the boot)."""
        with self._lock:
            self._said = {"mode": mode, "continousScanDirectory": str(folder), "stopScanDirectory": ""}
            before = len(self.told)
        waiting.until(lambda: len(self.told) > before, 10, "a long message")
        return self.told[-1][0]

    def send(self, message: dict[str, Any]) -> None:
        """Say something else, in between."""
        with self._lock:
            self._publisher.send(message)

    def jump(self, by_ns: int) -> None:
        """Set its clock."""
        with self._lock:
            self._offset_ns += by_ns

    def lidar(self, there: bool) -> None:
        """Without one it tells no time."""
        self._lidar = there

    def mute(self, muted: bool) -> None:
        """Say nothing, although it is there."""
        (self._muted.set if muted else self._muted.clear)()

    def time_at(self, boot_ns: int) -> set[int]:
        """What its clock showed at a moment: two times close to a jump, between its last word before and the first after."""
        found = [offset for at, offset in self.clock if at <= boot_ns] or [self.clock[0][1]]
        near = [offset for at, offset in self.clock if abs(at - boot_ns) < _NEAR_NS]
        return {boot_ns + offset for offset in {found[-1], *near}}

    def folders_at(self, boot_ns: int) -> set[str]:
        """Where it wanted photos at a moment, give or take what it takes to be heard: of two close to a change, both."""
        before = [folder for at, _, folder in self.told if at < boot_ns - _NEAR_NS]
        return {*before[-1:], *(folder for at, _, folder in self.told if abs(at - boot_ns) <= _NEAR_NS)}

    def close(self) -> None:
        """End; may be called twice."""
        if not self._closing.is_set():
            self._closing.set()
            self._thread.join()
            self._publisher.close()

    def __enter__(self) -> Scanner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._closing.wait(_EVERY_S):
            if not self._muted.is_set():
                self._speak()

    def _speak(self) -> None:
        with self._lock:
            boot_ns = Clocks.now().boot_ns
            message: dict[str, Any] = {"time": 0, "dur": time.monotonic_ns() - self._began}
            if self._lidar:
                message["time"] = boot_ns + self._offset_ns
                if not self.clock or self.clock[-1][1] != self._offset_ns:
                    self.clock.append((boot_ns, self._offset_ns))
                if boot_ns - self._long_at >= _LONG_EVERY_NS:
                    self._long_at = boot_ns
                    message |= self._said
            self._publisher.send(message)
            if "mode" in message:
                self.told.append((boot_ns, message["mode"], message["continousScanDirectory"]))


class Stick(SmallDisk):
    """A USB stick: what is on it is kept while it is pulled. `path` is where it is plugged in, as the test sees it."""

    def __init__(self, mount_point: Path, size_mib: int = 100) -> None:
        mount_point.mkdir(parents=True)
        super().__init__(mount_point, size_mib)
        self.root = self.path
        self.mounted_at = mount_point / "usb"
        for name in ("store", "usb"):
            (self.root / name).mkdir()
        self.path = self.root / "usb"
        self.store = self.root / "store"

    def plug(self, *options: str) -> None:
        """Plug it in; `-o ro`: write-protected."""
        self._mount("--bind", *options, str(self.mounted_at.parent / "store"), str(self.mounted_at))

    def pull(self) -> None:
        """As by hand: in the midst of it all."""
        command = ["nsenter", "--mount", "-t", self.root.parts[2], "umount", "--lazy", str(self.mounted_at)]
        subprocess.run(command, check=True)
