"""A daemon with a device that does nothing, as a process of its own: the server under test in its real surroundings.

`running(tmp_path, **settings)` starts one. Settings: machines {name: address or addresses or entry}, control, view,
gateway (machine names), host, port, tls {ca, certificate, key}, open_files (its limit), boot_id.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitals import Vitals

from observatory_common.access import Caller, Gate, Policy, control, view
from observatory_common.directory import DaemonEntry, Directory
from observatory_common.errors import Blocked
from observatory_common.remote import RemoteDevice
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.rpc.server import Server
from observatory_common.tls import Tls

OBJECT = "device"
ROOT = Path(__file__).resolve().parents[2]


class FakeDevice(RemoteDevice):
    """Counts, echoes and misbehaves on request."""

    def __init__(self, boot_id: str = "boot-1") -> None:
        super().__init__("faked", "test", boot_id, "1.2.3")
        self._count = 0
        self._value = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Nothing to start."""

    def last_progress(self) -> float:
        """Always in good shape."""
        return time.monotonic()

    def close(self, deadline_s: float) -> None:
        """Wake those who sleep."""
        self._stopped.set()
        super().close(deadline_s)

    @view
    def report_status(self) -> dict[str, Any]:
        """About 40 keys."""
        status = self.common_status()
        status.update({f"steps_{n}": n for n in range(15)}, count=self._count, value=self._value)
        status.update({f"temperature_{n}_C": n + 0.5 for n in range(15)}, limits=[-1, 1], moving=False, nothing=None)
        return status

    @view
    def echo(self, value: Any) -> Any:
        """What it got."""
        return value

    @view
    def sleep(self, seconds: float) -> str:
        """Take a while."""
        self._stopped.wait(seconds)
        return "slept"

    @view
    def large(self, size: int) -> bytes:
        """Many bytes."""
        return bytes(size)

    @view
    def odd(self, kind: str) -> Any:
        """Something that must not cross the wire, or an unexpected end."""
        results: dict[str, Any] = {
            "object": object(),
            "generator": iter([1, 2, 3]),
            "huge": 1 << 70,
            "keys": {1: 2},
            "class": {"__class__": "Pyro5.client.Proxy", "state": []},
            "self": self,
        }
        if kind == "raise":
            raise ZeroDivisionError("secret detail")
        if kind == "exit":
            sys.exit(3)
        if kind == "annotate":
            from Pyro5.api import current_context

            current_context.response_annotations = {"FRAM": b"stale"}
            raise ZeroDivisionError("after setting annotations")
        return results[kind]

    @control
    def add(self, caller: Caller, amount: int = 1) -> dict[str, Any]:
        """Count; what a repeated call would betray."""
        with self._lock:
            self._count += amount
            return {"count": self._count, "caller": str(caller)}

    @control
    def set_focus(self, caller: Caller, channel: int, steps: int, *, request_id: str | None = None) -> dict[str, Any]:
        """Start a job that lasts until `finish`."""
        return self.jobs.start("move", str(caller), cancel=lambda: None, request_id=request_id).to_wire()

    @control
    def finish(self, caller: Caller, id: str, after_s: float = 0.0) -> None:
        """End a job."""
        job = self.jobs.get(id)
        timer = threading.Timer(after_s, lambda: job.finish("succeeded", {"channel": 1}))
        timer.daemon = True
        timer.start()

    @control
    def blocked(self, caller: Caller) -> None:
        """Refuse."""
        raise Blocked("somebody else moves until 12:00", value="them", allowed="nobody")

    @control
    def add_then_die(self, caller: Caller) -> None:
        """Count, in a file, and end the process before the answer is sent."""
        with open(os.environ["FAKE_COUNT_FILE"], "a", encoding="utf-8") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Running:
    """A fake daemon's process."""

    host: str
    port: int
    process: subprocess.Popen[str]
    log: Path

    @property
    def vitals(self) -> Vitals:
        """Its threads, files, memory and processor time."""
        return Vitals(self.process.pid)

    def client(self, **options: Any) -> RemoteDaemon:
        """A client of the library under test."""
        return RemoteDaemon(self.entry, options.pop("timeout_s", 5.0), options.pop("tls", None))

    @property
    def entry(self) -> DaemonEntry:
        """How the registry would describe it."""
        return DaemonEntry("fake", OBJECT, "LocalHost", self.host, self.port)

    def audit(self) -> list[dict[str, Any]]:
        """The audit lines so far: `message` and the fields."""
        lines = (json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["logger"] == "audit"]

    def errors(self) -> list[dict[str, Any]]:
        """Log lines of level ERROR and above."""
        lines = (json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["level"] in ("ERROR", "CRITICAL")]


@contextmanager
def running(tmp_path: Path, prefix: Sequence[str] = (), **settings: Any) -> Iterator[Running]:
    """A fake daemon for as long as the context lasts; it must end by itself when asked to."""
    log = tmp_path / f"daemon-{time.monotonic_ns()}.log"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/tests/support", "FAKE_COUNT_FILE": str(tmp_path / "count")}
    process = subprocess.Popen(
        [*prefix, sys.executable, __file__, json.dumps({**settings, "log": str(log)})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the daemon did not start: {process.wait(10)}"
        host, port = json.loads(line)
        yield Running(host, port, process, log)
        if process.poll() is None:
            process.stdin.close()
            assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def directory_of(machines: dict[str, Any], folder: Path) -> Directory:
    """A directory with these machines, read from files as the daemons read them."""
    folder.mkdir(exist_ok=True)
    (folder / "machines.json").write_text(json.dumps(machines), encoding="utf-8")
    (folder / "daemons.json").write_text("{}", encoding="utf-8")
    return Directory.load(folder)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {"logger": record.name, "level": record.levelname, "message": record.getMessage()}
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main() -> None:
    """Serve until standard input ends."""
    settings = json.loads(sys.argv[1])
    if "open_files" in settings:
        resource.setrlimit(resource.RLIMIT_NOFILE, (settings["open_files"], settings["open_files"]))
    handler = logging.FileHandler(settings["log"])
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    directory = directory_of(settings.get("machines", {}), Path(settings["log"] + ".registry"))
    policy = Policy(settings.get("control", ["LocalHost"]), settings.get("view"), settings.get("gateway", []), directory)
    device = FakeDevice(settings.get("boot_id", "boot-1"))
    tls = Tls(**settings["tls"]) if "tls" in settings else None
    server = Server(Gate(device), policy, OBJECT, settings.get("host", "127.0.0.1"), settings.get("port", 0), tls)
    server.start()
    print(json.dumps(server.address), flush=True)
    sys.stdin.read()
    device.close(1.0)
    server.close(3.0)
    left = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    sys.exit(f"threads are left: {left}" if any(not name.startswith("Thread-") for name in left) else 0)


if __name__ == "__main__":
    main()
