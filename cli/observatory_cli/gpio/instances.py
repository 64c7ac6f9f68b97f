"""The gpiods that have a config here, and what they say of their devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from observatory_cli.instances import Instances
from observatory_common.errors import UnknownMethod
from observatory_common.rpc.client import RemoteDaemon

GPIOD = Instances("gpiod", "gpiod")


def ids(gpio: RemoteDaemon) -> list[str]:
    """The ids of all devices."""
    found: list[str] = gpio.report_status()["devices"]
    return found


def described(gpio: RemoteDaemon, device: str) -> dict[str, Any]:
    """What a device is and can. Raises UnknownDevice."""
    found: dict[str, Any] = gpio.describe(device)[0]
    return found


def methods_of(device: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The methods of a described device by their names."""
    return {method["name"]: method for method in device["methods"]}


def method_of(device: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A method of a described device. Raises UnknownMethod, naming those that there are."""
    known = methods_of(device)
    if name not in known:
        allowed = ", ".join(known) or "none: it is an input"
        raise UnknownMethod(f"{device['id']} has no method {name!r}, expected {allowed}", value=name, allowed=allowed)
    return known[name]
