"""A daemon's events, printed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import click

from observatory_common.errors import DaemonNotReachable
from observatory_common.events import LONGEST_WAIT_S
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import options, print_json

_AGAIN_AFTER_S = 0.5


def last(daemon: RemoteDaemon) -> tuple[str, int]:
    """The run of the daemon, and the number of its latest event."""
    boot_id, after = None, 0
    while True:
        answer = daemon.events(boot_id, after, 0)
        boot_id, after = answer["boot_id"], answer["next"]
        if not answer["events"]:
            return boot_id, after


def show(daemon: RemoteDaemon, follow: bool, text: Callable[[Mapping[str, Any]], str]) -> None:
    """Print those that are kept, as JSON or by `text`; with `follow` also what comes, until Ctrl-C.

    A daemon that goes away is waited for.
    """
    boot_id, after, complaint = None, 0, ""
    while True:
        try:
            answer = daemon.events(boot_id, after, LONGEST_WAIT_S if follow else 0)
        except DaemonNotReachable as error:
            if boot_id is None:
                raise
            if str(error) != complaint:
                complaint = str(error)
                print(f"error: {complaint}", file=sys.stderr)
            time.sleep(_AGAIN_AFTER_S)
            continue
        complaint = ""
        boot_id, after = answer["boot_id"], answer["next"]
        if answer["lost"]:
            print(f"{answer['lost']} events before these are no longer kept", file=sys.stderr)
        for event in answer["events"]:
            if options().json:
                print_json(event)
            else:
                click.echo(text(event))
        sys.stdout.flush()
        if not (answer["events"] or follow):
            return


def words(data: Mapping[str, Any]) -> str:
    """The data of an event: `name=value` for each."""
    return " ".join(f"{key}={value}" for key, value in data.items())
