"""Following what goes on in any daemon: its jobs and its events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from observatory_common.rpc.client import RemoteDaemon


def finished(daemon: RemoteDaemon, job: Mapping[str, Any], within_s: float = 30) -> dict[str, Any]:
    """The job once it has ended."""
    until = time.monotonic() + within_s
    seen = dict(job)
    while seen["state"] == "running" and time.monotonic() < until:
        seen = daemon.wait(seen["id"], 5)
    assert seen["state"] != "running", seen
    return seen


def done(daemon: RemoteDaemon, job: Mapping[str, Any], within_s: float = 30) -> dict[str, Any]:
    """The result of a job that succeeds."""
    seen = finished(daemon, job, within_s)
    assert seen["state"] == "succeeded", seen
    result: dict[str, Any] = seen["result"]
    return result


def events_named(daemon: RemoteDaemon, *names: str, after: int = 0) -> list[dict[str, Any]]:
    """All events of these names (none: all) after a number that the daemon still has, oldest first."""
    found: list[dict[str, Any]] = []
    boot_id = daemon.hello["boot_id"]
    while (answer := daemon.events(boot_id, after, 0))["events"]:
        after = answer["next"]
        found += answer["events"]
    return [event for event in found if not names or event["name"] in names]


def last_event(daemon: RemoteDaemon) -> int:
    """The number of the newest event."""
    events = events_named(daemon)
    return int(events[-1]["seq"]) if events else 0
