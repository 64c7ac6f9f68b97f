"""Which gpiod is meant, and which of its devices."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from observatory_cli.gpio.devices import device_command
from observatory_cli.gpio.instances import GPIOD, ids
from observatory_cli.instances import InstanceFirst
from observatory_common.config import read_client_config
from observatory_common.errors import InvalidConfig, UnknownDevice
from observatory_common.json_file import nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MAY_BE_AN_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


class DeviceFirst(InstanceFirst):
    """A group of commands; every other word is the id of a device. The name of a gpiod may stand before both."""

    instances = GPIOD

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, else the device."""
        found = super().get_command(ctx, cmd_name)
        if found is None and _MAY_BE_AN_ID.fullmatch(cmd_name):
            return device_command(cmd_name)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Do it; a word that is no device may have been meant for a command."""
        try:
            return super().invoke(ctx)
        except UnknownDevice as error:
            word = ctx.invoked_subcommand
            if word in self.commands or "did you mean" in str(error):
                raise
            raise UnknownDevice(f"{error}{nearest(word, self.commands)}", value=word) from None

    def is_instance(self, context: click.Context, arguments: list[str], at: int) -> bool:
        """False if it might as well be a device of the only gpiod, unless what follows decides it. Raises UsageError."""
        known, word = self.instances.configs(), arguments[at]
        devices = _devices(known[word]) if len(known) == 1 else set()
        following = arguments[at + 1] if len(arguments) > at + 1 else None
        if word not in devices or following in self.commands or following in devices or context.resilient_parsing:
            return True
        raise click.UsageError(
            f"{word} is the name of a gpiod and of a device on it: say `gpio {word} {word}` for the device, "
            f"`gpio {word} COMMAND` for the gpiod",
            context,
        )

    def refuse_instance(self, context: click.Context, word: str, known: str) -> None:
        """Raise UsageError, unless the word is a device: the daemon says then which methods it has."""
        if not any(word in _devices(path) for path in self.instances.configs().values()):
            super().refuse_instance(context, word, known)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The devices, if the daemon answers soon, and what else may stand here."""
        devices = [] if incomplete.startswith("-") else self.instances.asked(ctx, ids, incomplete)
        return [*devices, *super().shell_complete(ctx, incomplete)]


def _devices(config: Path) -> set[str]:
    """The ids in a config, as far as they can be read."""
    try:
        devices = read_client_config(config).get("devices")
    except InvalidConfig:
        return set()
    return {device["id"] for device in devices if _has_id(device)} if isinstance(devices, list) else set()


def _has_id(device: object) -> bool:
    return isinstance(device, dict) and isinstance(device.get("id"), str)
