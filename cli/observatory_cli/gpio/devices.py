"""`gpio DEVICE [METHOD [ARGUMENT=VALUE...]]`: commands that are made of what the daemon says of the device."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from observatory_cli.arguments import assignments
from observatory_cli.gpio import calls, text
from observatory_cli.gpio.instances import GPIOD, described, method_of, methods_of
from observatory_cli.instances import print_if_json
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import common_options, options, print_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_WAITS = (
    "Waits for the end; Ctrl-C stops it, --timeout ends the waiting alone (exit 40). What has no end goes on, and is not "
    "waited for: `stop` ends it."
)


class DeviceCommand(click.Group):
    """The state of a device, and its methods as commands."""

    @cached_property
    def described(self) -> dict[str, Any]:
        """What the daemon says of it. Asks. Raises UnknownDevice, DaemonNotReachable."""
        with GPIOD.open(options().timeout_s) as gpio:
            return described(gpio, str(self.name))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Its methods. Asks."""
        return list(methods_of(self.described))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A method, whether there is one or not: the daemon says."""
        return None if cmd_name.startswith("-") else _method_command(self, cmd_name)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What it is. Asks."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text.title(self.described))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its methods. Asks."""
        rows = [(name, method["description"]) for name, method in methods_of(self.described).items()]
        if rows:
            with formatter.section("Methods"):
                formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Its methods, if the daemon answers soon, and the options."""

        def methods(gpio: RemoteDaemon) -> list[str]:
            return list(methods_of(described(gpio, str(self.name))))

        found = [] if incomplete.startswith("-") else GPIOD.asked(ctx, methods, incomplete)
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


class MethodCommand(click.Command):
    """A method of a device; its help is what the daemon says."""

    device: DeviceCommand

    @property
    def described(self) -> dict[str, Any]:
        """What the daemon says of it. Asks. Raises UnknownMethod, UnknownDevice, DaemonNotReachable."""
        return method_of(self.device.described, str(self.name))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its effect. Asks."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self.described["description"] + ".")
            if self.described["long"]:
                formatter.write_paragraph()
                formatter.write_text(_WAITS)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Its arguments with units, ranges and defaults, then the options. Asks."""
        rows = [(text.argument(parameter), text.range_of(parameter)) for parameter in self.described["parameters"]]
        if rows:
            with formatter.section("Arguments"):
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)


def device_command(device: str) -> click.Command:
    """`gpio DEVICE`, with its methods below."""

    @click.group(
        device,
        cls=DeviceCommand,
        invoke_without_command=True,
        options_metavar="",
        subcommand_metavar="[METHOD [ARGUMENT=VALUE...]]",
    )
    @common_options("config", "json", "timeout")
    @click.pass_context
    def command(context: click.Context) -> None:
        if context.invoked_subcommand is not None:
            return
        with GPIOD.open(options().timeout_s) as gpio:
            state = gpio.state(device)
        if options().json:
            print_json({"id": device, **state})
        else:
            click.echo(text.state(device, state))

    return command


def _method_command(device: DeviceCommand, method: str) -> click.Command:
    name = str(device.name)

    @click.command(method, cls=MethodCommand, options_metavar="")
    @click.argument("words", nargs=-1, metavar="[ARGUMENT=VALUE...]", shell_complete=_complete_argument(name, method))
    @click.option("--no-wait", is_flag=True, help="Return as soon as it is accepted.")
    @common_options("config", "json", "timeout")
    @click.pass_context
    def command(context: click.Context, words: tuple[str, ...], no_wait: bool) -> None:
        arguments = assignments(words, context)
        with GPIOD.open() as gpio:
            print_if_json(calls.call(gpio, name, method, arguments, not no_wait))

    command.device = device
    return command


def _complete_argument(device: str, method: str) -> Any:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        given = {word.partition("=")[0] for word in context.params.get("words") or ()}

        def names(gpio: RemoteDaemon) -> list[str]:
            parameters = method_of(described(gpio, device), method)["parameters"]
            return [f"{parameter['name']}=" for parameter in parameters if parameter["name"] not in given]

        return GPIOD.asked(context, names, incomplete)

    return complete
