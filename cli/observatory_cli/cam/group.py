"""Which camera is meant, and how it is reached."""

from __future__ import annotations

import socket

import click

from observatory_cli.instances import InstanceFirst, Instances
from observatory_cli.instances import patiently as patiently
from observatory_cli.instances import print_if_json as print_if_json

CAMERAS = Instances("camerad", "camera")
cameras = CAMERAS.configs
open_camera = CAMERAS.open
completed = CAMERAS.completed


class CameraFirst(InstanceFirst):
    """A group whose first word may be the name of a camera."""

    instances = CAMERAS


def place_elsewhere() -> str | None:
    """`MACHINE (ADDRESS)` of a daemon whose address is not one of this machine's; None for one that runs here."""
    from observatory_common.directory import Directory

    entry = Directory.load().daemon(CAMERAS.daemon_of(click.get_current_context()))
    return None if is_here(entry.host) else f"{entry.machine} ({entry.host})"


def is_here(host: str) -> bool:
    """Whether an address or name is one of this machine's own: only those can be listened on."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as sock:
                sock.bind(address)
                return True
        except OSError:
            continue
    return False
