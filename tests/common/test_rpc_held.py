"""How long a client waits for the answer of a method that the daemon may hold on purpose."""

from __future__ import annotations

from typing import Any

import pytest

from observatory_common.directory import DaemonEntry
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
        ("initialize", (), {}, 4),
        ("shutdown", (), {}, 4),
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
    assert daemon.call("histogram", timeout_s=1.0) == pytest.approx(1, abs=0.5)
