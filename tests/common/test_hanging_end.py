"""A daemon whose device does not end, or whose accepting thread: it is told what it hangs at, and nobody waits for ever."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fakedaemon
import observatory
import pytest
import waiting
from site_process import SiteProcess

from observatory_common import service
from observatory_common.access import Gate, Policy
from observatory_common.directory import Directory
from observatory_common.rpc.server import Server
from observatory_common.rpc.transport import Transport


class HangingDevice(fakedaemon.FakeDevice):
    """Its end takes for ever."""

    def close(self, deadline_s: float) -> None:
        """Do not return."""
        threading.Event().wait()


class Hanging(SiteProcess):
    """A daemon of such a device."""

    kind = "hangd"

    def start(self) -> None:
        """Start it and wait until it serves."""
        self.write("observatory/machines.json", {})
        self.write("observatory/daemons.json", {"hangd": {"machine": "LocalHost", "port": observatory.free_port()}})
        self.write("hangd/test.json", {})
        self.env["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
        self.spawn([sys.executable, __file__, str(self.etc / "hangd" / "test.json")])
        waiting.until(lambda: any("hangd serves" in line for line in self.log_lines()), 30, "it to serve")


def test_what_an_end_hangs_at_is_told(tmp_path: Path) -> None:
    daemon = Hanging(tmp_path)
    try:
        daemon.start()
        with pytest.raises(AssertionError, match="did not end within") as told:
            daemon.terminate(2)
        seen, aborted = str(told.value), str(told.value).rpartition("Fatal Python error: Aborted")[2]
        assert "comm: python" in seen and "State:" in seen
        assert "Timeout (0:00:00.5" in seen, "by the daemon itself"
        assert "in close" in aborted and "test_hanging_end.py" in aborted, "and by Python when it was aborted"
    finally:
        daemon.end_well()


def test_the_end_waits_for_no_accepting_thread(monkeypatch: pytest.MonkeyPatch, machine_lag: Any) -> None:
    accepts, may_go_on = threading.Event(), threading.Event()

    def events(*_: object) -> None:
        accepts.set()
        may_go_on.wait(30)

    monkeypatch.setattr(Transport, "events", events)
    server = Server(Gate(fakedaemon.FakeDevice()), Policy(["LocalHost"], None, [], Directory({}, {})), "thing", "127.0.0.1", 0)
    server.start()
    with socket.create_connection(server.address, 10):
        assert accepts.wait(10)
        began = time.monotonic()
        server.close(0.5)
        assert time.monotonic() - began < 5 + machine_lag.seconds
        may_go_on.set()


def main() -> None:
    """The daemon, whose end hangs after half a second."""
    service._HANGS_AFTER_S = 0.5

    def parse(*_: Any) -> Any:
        nobody: dict[str, Any] = {"view_machines": None, "gateway_machines": [], "state_path": None}
        return SimpleNamespace(daemon="hangd", log_name="hangd@test", control_machines=["LocalHost"], **nobody)

    kind = service.DaemonKind("hangd", {"type": "object"}, parse, lambda config, context: HangingDevice(context.boot_id))
    sys.exit(service.run(kind, sys.argv[1:]))


if __name__ == "__main__":
    main()
