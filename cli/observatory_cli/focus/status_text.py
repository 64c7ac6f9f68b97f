"""The status as people read it, in multifocusd's words."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from observatory_common.errors import DaemonNotReachable
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import print_json

_WATCH_EVERY_S = 0.5


def steps(position_steps: int | None) -> str:
    """`+000300 steps`, with a seventh digit where needed."""
    return "an unknown position" if position_steps is None else f"{position_steps:+07d} steps"


def text(status: dict[str, Any]) -> str:
    """The whole status, with colours (which `click.echo` removes where there is no terminal)."""
    return "\n".join(_lines(status))


def _lines(status: dict[str, Any]) -> Iterator[str]:
    read = status["reading_date"]
    yield "No data received yet:" if read is None else f"Data received {click.style(read, bold=True)}:"
    for number in status["channels"]:
        yield f"Channel {number}: {_channel(status, number)}"
    if status["fans_enabled"] is not None:
        yield f"OTA Fans: {click.style('ENABLED' if status['fans_enabled'] else 'DISABLED', bold=True)}"
    probes = {key[len("temperature_") : -len("_C")]: key for key in status if key.startswith("temperature_")}
    if probes:
        yield "Temperature Probes:"
        width = max(map(len, probes))
        for name, key in probes.items():
            value = click.style("UNKNOWN", fg="red", bold=True) if status[key] is None else f"{status[key]:.1f} °C"
            yield f"  {name:>{width}}: {value}"
    if status["last_error"] is not None:
        yield f"Last error: {status['last_error']}"


def _channel(status: dict[str, Any], number: int) -> str:
    current, target = status[f"current_steps_{number}"], status[f"target_steps_{number}"]
    if current is None:
        last = status[f"last_confirmed_steps_{number}"]
        was = "" if last is None else f" (last at {steps(last)})"
        return click.style("OFFLINE", fg="red", bold=True) + was
    moving = status[f"moving_{number}"]
    line = click.style(f"{current:+07d}", bold=True, fg="yellow" if moving else None) + " steps"
    if moving:
        line += f" (moving to {click.style(f'{target:+07d}', bold=True)} steps)"
    if status[f"position_state_{number}"] != "confirmed":
        line += click.style(f" UNCERTAIN: see `focus confirm {number}`", fg="red")
    return line


def watch(focuser: RemoteDaemon, as_json: bool) -> None:
    """Show the status whenever it has changed, until Ctrl-C; a daemon that goes away is waited for."""
    shown: dict[str, Any] | None = None
    on_terminal = sys.stdout.isatty() and not as_json
    last_complaint = ""
    while True:
        try:
            status = focuser.report_status()
        except DaemonNotReachable as error:
            if shown is None:
                raise
            if str(error) != last_complaint:
                last_complaint = str(error)
                print(f"error: {last_complaint}", file=sys.stderr)
        else:
            last_complaint = ""
            if on_terminal:
                click.clear()
                click.echo(text(status))
            elif _substance(status) != _substance(shown):
                if as_json:
                    print_json(status)
                else:
                    click.echo(text(status))
                    sys.stdout.flush()
            shown = status
        time.sleep(_WATCH_EVERY_S)


def _substance(status: dict[str, Any] | None) -> dict[str, Any] | None:
    """What makes a status worth showing again."""
    clocks = ("date", "reading_age_s", "reading_date")
    return None if status is None else {key: value for key, value in status.items() if key not in clocks}
