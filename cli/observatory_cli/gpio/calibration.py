"""Turning a servo or a stepper to its mark, by keys, and calling that zero."""

from __future__ import annotations

import re
import sys

import click

from observatory_cli.gpio import calls, text
from observatory_cli.gpio.instances import described, methods_of
from observatory_common.errors import DaemonNotReachable, InvalidArgument, ObservatoryError
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import options, print_json

TURN = "rotate_by"
_KEYS = "arrows or + and -: 1 degree   PgUp and PgDn or ] and [: 10 degrees   z: call it zero   q: end"
_KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|\x1bO[A-Za-z]|.", re.DOTALL)
_DEGREES = {
    **dict.fromkeys(("\x1b[C", "\x1b[A", "\x1bOC", "\x1bOA", "+", "="), 1),
    **dict.fromkeys(("\x1b[D", "\x1b[B", "\x1bOD", "\x1bOB", "-"), -1),
    **dict.fromkeys(("\x1b[5~", "]"), 10),
    **dict.fromkeys(("\x1b[6~", "["), -10),
}
_ENDS = ("q", "Q", "\x1b")
_CLEAR = "\r\x1b[K"


def turnable(gpio: RemoteDaemon) -> list[str]:
    """The ids of the devices that can be calibrated."""
    return [device["id"] for device in gpio.describe() if TURN in methods_of(device)]


def require_turnable(gpio: RemoteDaemon, device: str) -> None:
    """Raise InvalidArgument for a device that turns by no angle, naming those that do; UnknownDevice."""
    found = described(gpio, device)
    if TURN not in methods_of(found):
        allowed = ", ".join(turnable(gpio)) or "none here"
        message = f"{device} is no device that turns by an angle ({found['type']}), expected {allowed}"
        raise InvalidArgument(message, value=device, allowed=allowed)


def by_keys(gpio: RemoteDaemon, device: str) -> None:
    """Turn by keys until `q`. Moves. What the daemon refuses is shown; DaemonNotReachable is raised."""
    click.echo(_KEYS, err=True)
    try:
        _show(gpio, device)
        while True:
            # What is typed during a move does not count: the terminal drops it when the next key is asked for.
            for key in _KEY.findall(click.getchar()):
                if key in _ENDS:
                    return
                _do(gpio, device, key)
                _show(gpio, device)
    except EOFError:  # Ctrl-D, or the terminal is gone
        return
    finally:
        if not options().json:
            click.echo(err=True)


def _do(gpio: RemoteDaemon, device: str, key: str) -> None:
    try:
        if key in _DEGREES:
            calls.call(gpio, device, TURN, {"angle": _DEGREES[key]}, bar=False)
        elif key in ("z", "Z"):
            calls.call(gpio, device, "zero", {}, bar=False)
    except DaemonNotReachable:
        raise
    except ObservatoryError as error:
        click.echo(f"{_CLEAR}error: {error}", err=True)


def _show(gpio: RemoteDaemon, device: str) -> None:
    seen = gpio.state(device)
    if options().json:
        print_json({"id": device, **seen})
    else:
        click.echo(_CLEAR + text.angle(device, seen), nl=False, err=True)


def has_keys() -> bool:
    """Whether there is a terminal with keys, and somebody who sees."""
    return sys.stdin.isatty() and sys.stderr.isatty()
