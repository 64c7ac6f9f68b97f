"""The simulator at work: one loop over the serial port, the control socket and the clock."""

from __future__ import annotations

import json
import logging
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observatory_common import arguments, control_socket
from observatory_common.errors import InvalidArgument, ObservatoryError
from observatory_common.storage import write_atomic
from observatory_focusd.simulator.config import SimulatorConfig
from observatory_focusd.simulator.faults import Faults
from observatory_focusd.simulator.firmware import MODEL_2022, MODEL_2023, Firmware
from observatory_focusd.simulator.port import Port

log = logging.getLogger("simulator")

_BLANK_EEPROM = b"\xff" * 512
_LINES_KEPT = 10_000
_LONGEST_SHOWN = 64


class Simulator:
    """The controller, its port, and the socket `<link>.control` through which faults are asked for."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._eeprom_path = config.eeprom
        self._control_path = Path(f"{config.link}.control")
        self._port = Port(config.link)
        self._faults = Faults()
        self._lines: deque[tuple[float, str]] = deque(maxlen=_LINES_KEPT)
        self._partial = b""
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._busy_until = 0.0
        self._running = True
        model = MODEL_2022 if config.firmware == "2022" else MODEL_2023
        self._firmware = Firmware(model, config.channels, config.speed_factor, self._save, temperatures_c=config.temperatures_c)
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; leaves no symlink and no socket behind."""
        wake_read, wake_write = socket.socketpair()
        wake_write.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda: wake_read.recv(64))
        self._eeprom_path.parent.mkdir(parents=True, exist_ok=True)
        self._firmware.power_on(self._load(), time.monotonic())
        self._plug_in()
        listener = self._listen()
        try:
            while self._running:
                self._turn()
        finally:
            signal.set_wakeup_fd(-1)
            self._unplug()
            for key in list(self._selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
            listener.close()
            wake_write.close()
            self._control_path.unlink(missing_ok=True)
            self._selector.close()

    def _turn(self) -> None:
        now = time.monotonic()
        next_at = min((at for at, _ in self._later), default=None)
        for key, _ in self._selector.select(None if next_at is None else max(next_at - now, 0)):
            key.data()
        now = time.monotonic()
        due = [entry for entry in self._later if entry[0] <= now]
        self._later = [entry for entry in self._later if entry[0] > now]
        for _, action in due:
            action()

    def _end(self, *_: Any) -> None:
        self._running = False

    # the serial line

    def _plug_in(self) -> None:
        if self._port.master is None:
            self._port.plug_in()
            self._selector.register(self._port.master, selectors.EVENT_READ, self._serve_line)  # type: ignore[arg-type]
            log.info("plugged in as %s", self._port.name)

    def _unplug(self) -> None:
        if self._port.master is not None:
            self._selector.unregister(self._port.master)
            self._port.unplug()
            self._later = [entry for entry in self._later if entry[1].__name__ != "send"]
            self._busy_until = 0.0
            log.info("unplugged")

    def _serve_line(self) -> None:
        data, now = self._port.read(), time.monotonic()
        for n in range(len(data)):
            byte = data[n : n + 1]
            self._partial = (self._partial + byte)[:_LONGEST_SHOWN]
            deaf = self._faults.active(now) == "silence"
            for reply in self._replies(byte, now):
                delay_s, sent = self._faults.apply(self._partial.strip(), reply, now)
                self._send(sent, now, delay_s)
            if byte in b"\r\n" and (deaf or self._firmware.between_commands):
                self._lines.append((now, self._partial.decode("latin-1")))
                self._partial = b""

    def _replies(self, byte: bytes, now: float) -> list[bytes]:
        fault = self._faults.active(now)
        if fault == "silence":
            if byte == b"\n" and self._faults.until is None:
                self._faults.apply(b"", b"", now)
            return []
        replies = self._firmware.receive(byte, now)
        if fault == "torn" and replies and replies[0].startswith(b"T1="):
            raw = int(self._firmware.motor_state(1, now)["current_raw"] or 0)
            return [self._firmware.status(now, {1: raw ^ 0x4000}) + b"\r\n"]
        if replies and self._partial.startswith(b"@") and len(self._partial) > 2:
            self._busy_until = now + 1.0 / self._firmware.speed_factor  # a probe takes a second to measure
        return replies

    def _send(self, data: bytes, now: float, delay_s: float) -> None:
        """Send now, or later; replies keep their order."""
        self._busy_until = max(self._busy_until, now) + delay_s
        if self._busy_until <= now:
            self._port.write(data)
            return

        def send() -> None:
            self._port.write(data)

        self._later.append((self._busy_until, send))

    # the EEPROM

    def _load(self) -> bytes:
        try:
            content = self._eeprom_path.read_bytes()
        except FileNotFoundError:
            return _BLANK_EEPROM
        return (content + _BLANK_EEPROM)[: len(_BLANK_EEPROM)]

    def _save(self, content: bytes) -> None:
        write_atomic(self._eeprom_path, content)

    # the control socket

    def _listen(self) -> socket.socket:
        listener = control_socket.listen(self._control_path, 8)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        return listener

    def _accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(1.0)
        pending = b""

        def serve() -> None:
            nonlocal pending
            try:
                data = connection.recv(1 << 16)
                pending += data
                while b"\n" in pending:
                    line, pending = pending.split(b"\n", 1)
                    connection.sendall(json.dumps(self._answer(line)).encode() + b"\n")
            except OSError:
                data = b""
            if not data or len(pending) > 1 << 16:
                self._selector.unregister(connection)
                connection.close()

        self._selector.register(connection, selectors.EVENT_READ, serve)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            wanted = json.loads(line)
            if not isinstance(wanted, dict):
                raise InvalidArgument("a request is one JSON object on one line")
            return {"ok": True, **self._do(wanted)}
        except (ValueError, RecursionError, ObservatoryError) as error:
            return {"ok": False, "error": str(error)}

    def _do(self, wanted: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        if wanted.get("query") == "state":
            return self._state(now)
        if wanted.get("query") == "lines":
            last = arguments.whole_number("last", wanted.get("last", _LINES_KEPT), 1, _LINES_KEPT)
            return {"lines": list(self._lines)[-last:]}
        fault = wanted.get("fault")
        if fault == "unplug":
            self._unplug()
        elif fault == "replug":
            self._plug_in()
        elif fault == "power_cut":
            seconds = arguments.number("seconds", wanted.get("seconds", 0.5), 0, 3600)
            self._unplug()
            self._firmware.power_on(self._load(), now)
            self._later.append((now + seconds, self._plug_in))
        elif fault == "clear":
            self._faults.clear()
        else:
            self._faults.request(wanted, now)
        return {}

    def _state(self, now: float) -> dict[str, Any]:
        channels = {str(n): self._firmware.motor_state(n, now) for n in range(1, self._firmware.channels + 1)}
        return {
            "channels": channels,
            "commands_received": dict(self._firmware.received),
            "fans_on": self._firmware.fans_on,
            "port": self._port.name,
        }
