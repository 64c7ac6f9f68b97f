"""A method of a device, called from a shell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from observatory_cli import jobs
from observatory_common import terminal
from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon


def call(
    gpio: RemoteDaemon, device: str, method: str, arguments: Mapping[str, Any], wait: bool = True, bar: bool = True
) -> dict[str, Any]:
    """Do a method of a device, and wait for its end unless it has none. Switches or moves what the method says.

    Returns its job. Raises how else it ended; click's Exit if Ctrl-C has stopped it. --timeout ends the waiting, not the
    job (TimedOut).
    """
    timeout_s = terminal.options().timeout_s
    request_id = os.urandom(16).hex()

    def start() -> dict[str, Any]:
        sent = ("call", device, method, dict(arguments))
        try:
            job: dict[str, Any] = gpio.invoke(*sent, request_id=request_id, timeout_s=timeout_s)
        except DaemonNotReachable:
            # Perhaps it was begun. With the same request id asking again cannot do it twice.
            job = gpio.invoke(*sent, request_id=request_id, timeout_s=timeout_s)
        return job

    def follow(job: Mapping[str, Any]) -> dict[str, Any]:
        if not wait or job["expected_end"] is None:
            return dict(job)
        return terminal.follow(gpio, job, f"{device} {method}", timeout_s) if bar else gpio.wait_for(job, None, timeout_s)

    return jobs.finished(gpio, start, follow, lambda job: _in_words(device, method, job), device)


def _in_words(device: str, method: str, job: Mapping[str, Any]) -> str:
    angle = (job["result"] or {}).get("angle")
    return f"{device} {method} {job['state']}" + ("" if angle is None else f" at {angle:g} degrees")
