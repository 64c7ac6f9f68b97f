"""A move from a shell: started once, watched to its end, stopped by Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from observatory_cli.focus.status_text import steps as shown
from observatory_common.errors import DaemonNotReachable, ExitCode, ObservatoryError
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import as_error, follow, options, print_json


def move(focuser: RemoteDaemon, channel: int, steps: int, offset: bool, wait: bool, accept_uncertain: bool) -> int:
    """Start a move and, if asked, wait for its end. Moves. Returns the exit code, raises how the move ended."""
    focuser.hello  # noqa: B018 - contact first: what fails up to here was not sent
    try:
        job = _start(focuser, channel, steps, offset, accept_uncertain)
        if wait:
            job = follow(focuser, job, f"Channel {channel}", options().timeout_s)
    except KeyboardInterrupt:
        return _stop(focuser, channel)
    error = as_error(job) if wait else None
    if error is not None:
        raise error
    if options().json:
        print_json(job)
    return 0


def _start(focuser: RemoteDaemon, channel: int, steps: int, offset: bool, accept_uncertain: bool) -> dict[str, Any]:
    request: dict[str, Any] = {"request_id": os.urandom(16).hex(), "accept_uncertain": accept_uncertain}
    try:
        job: dict[str, Any] = focuser.set_focus(channel, steps, offset, **request)
    except DaemonNotReachable:
        # Perhaps it was begun. With the same request id asking again cannot move twice.
        job = focuser.set_focus(channel, steps, offset, **request)
    return job


def _stop(focuser: RemoteDaemon, channel: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # what follows takes seconds at most, and must be told to its end
    try:
        stopped = focuser.stop_channel(channel)["stopped"][0]["position_steps"]
    except ObservatoryError as error:
        print(f"\nerror: channel {channel} may still be moving: {error}", file=sys.stderr)
        return ExitCode.StoppedByUser
    print(f"\nchannel {channel} stopped at {shown(stopped)}", file=sys.stderr)
    if options().json:
        print_json({"stopped": [{"channel": channel, "position_steps": stopped}]})
    return ExitCode.StoppedByUser
