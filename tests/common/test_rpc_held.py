"""How long a client waits for the answer of a method that the daemon may hold on purpose."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fakedaemon
import pytest
import waiting

from observatory_common.directory import DaemonEntry
from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon


class _Connection:
    """Answers at once with the time that it was given."""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {"members": {}, "boot_id": "1"}

    def call(self, method: str, args: Any, kwargs: Any, timeout_s: float, annotations: Any) -> float:
        return timeout_s


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> RemoteDaemon:
    monkeypatch.setattr(RemoteDaemon, "_connection", lambda self, until: _Connection())
    return RemoteDaemon(DaemonEntry("fake", "device", "LocalHost", "127.0.0.1", 1), 5.0, None)


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "held_s"),
    [
        ("report_status", (), {}, 0),
        ("set_controls", ({},), {}, 2),
        ("set_controls", ({}, 0), {}, 0),
        ("set_controls", ({}, 10), {}, 10),
        ("set_controls", ({},), {"timeout_s": 7.5}, 7.5),
        ("set_exposure", (3,), {"timeout_s": 10}, 10),
        ("set_exposure", (3, 10.0), {}, 10),
        ("set_exposure", (3, -1), {}, 0),
        ("set_exposure", (3, 1e9), {}, 10),  # which the daemon refuses
        ("set_exposure", (3, "soon"), {}, 0),
        ("set_gain", (2,), {}, 2),
        ("set_crop", ([0, 0, 2, 2],), {}, 2),
        ("histogram", (), {}, 10),
        ("configure", ({},), {}, 10),
        ("set_use_case", ("live", {}), {}, 20),
        ("load_settings", ("x",), {}, 20),
        ("reset_settings", (), {}, 20),
        ("start_video", (), {}, 10),
        ("call", ("lamp", "on"), {}, 6),
        ("all_off", (), {}, 7),
        ("initialize", (), {}, 15),
        ("shutdown", (), {}, 15),
        ("wait", (1,), {}, 10),
        ("wait", (1, 3), {}, 3),
        ("events", (None, 0), {"timeout_s": 0}, 0),
        ("frame", (), {}, 10),
        ("packets", ("live", None, 0, 4), {}, 4),
    ],
)
def test_the_answer_is_waited_for_as_long_as_the_daemon_may_hold_the_call(
    daemon: RemoteDaemon, method: str, args: Any, kwargs: Any, held_s: float
) -> None:
    assert getattr(daemon, method)(*args, **kwargs) == pytest.approx(5 + held_s, abs=0.5)


def test_what_is_said_for_a_call_counts(daemon: RemoteDaemon) -> None:
    assert daemon.invoke("histogram", timeout_s=1.0) == pytest.approx(1, abs=0.5)


def test_close_ends_a_call_under_way(tmp_path: Path, machine_lag: Any) -> None:
    """Although one that only reads is tried again when its connection breaks."""
    with fakedaemon.running(tmp_path) as running, running.client() as daemon, ThreadPoolExecutor(1) as pool:
        held = pool.submit(daemon.invoke, "sleep", 20.0, timeout_s=30.0)
        waiting.until(lambda: daemon._connections, 10, "its connection")  # one that `close` knows
        with running.client() as other:
            other.report_status()  # the first call is under way by now
        began = time.monotonic()
        daemon.close()
        with pytest.raises(DaemonNotReachable):
            held.result(25)
        assert time.monotonic() - began < 1 + machine_lag.seconds
