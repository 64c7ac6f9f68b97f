"""A focuser daemon as one would write it in an hour: a bare Pyro5 server and pyserial, nothing checked. The baseline.

`python plain_daemon.py SERIAL_PORT` prints its port and serves until it is killed.
"""

from __future__ import annotations

import sys
import threading

import Pyro5.api
import serial


@Pyro5.api.expose
class Focuser:
    """Polls the controller every 5 s, as multifocusd does."""

    def __init__(self, name: str) -> None:
        self._port = serial.Serial(name, 9600, timeout=5)
        self._lock = threading.Lock()
        self._status = ""
        threading.Thread(target=self._poll, daemon=True).start()

    def report_status(self) -> str:
        """The last status line."""
        return self._status

    def move(self, steps: int) -> str:
        """Start a move of channel 1."""
        return self._exchange(b"1%+d\n" % steps)

    def stop(self) -> str:
        """Stop channel 1."""
        return self._exchange(b"1S\n")

    def _exchange(self, command: bytes) -> str:
        with self._lock:
            self._port.write(command)
            return self._port.readline().decode()

    def _poll(self) -> None:
        while True:
            self._status = self._exchange(b"?\n")
            threading.Event().wait(5)


if __name__ == "__main__":
    Pyro5.api.config.SERIALIZER = "msgpack"
    daemon = Pyro5.api.Daemon(host="127.0.0.1", port=0)
    print(daemon.register(Focuser(sys.argv[1]), "plain"), flush=True)
    daemon.requestLoop()
