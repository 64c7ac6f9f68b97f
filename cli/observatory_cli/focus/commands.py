"""The commands of `focus`, in multifocusd's words, and what they print."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from observatory_cli.focus import moves, status_text
from observatory_cli.instances import print_if_json
from observatory_common import terminal
from observatory_common.config import read_client_config
from observatory_common.errors import ObservatoryError
from observatory_common.paths import find_config
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.terminal import WholeNumber, common_options, options, print_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST_CHANNELS = 2


def _complete_channel(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    try:
        config = read_client_config(find_config("focusd", context.find_root().ensure_object(terminal.Options).config))
    except ObservatoryError:
        return []
    channels = config.get("channels")
    count = len(channels) if isinstance(channels, list) else _MOST_CHANNELS
    return [CompletionItem(str(n)) for n in range(1, count + 1) if str(n).startswith(incomplete)]


def _channel(required: bool = True) -> Callable[[Any], Any]:
    metavar = "(1|2)" if required else "[1|2]"
    return click.argument("channel", type=WholeNumber(), metavar=metavar, required=required, shell_complete=_complete_channel)


def _focuser(timeout_s: float | None = None) -> RemoteDaemon:
    config = read_client_config(find_config("focusd", options().config))
    return connect(config["daemon"], timeout_s=timeout_s)


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options("config", "json", "timeout")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def focus(context: click.Context, version: bool) -> None:
    """Move and watch the focusers of a focusd.

    Which one: --config FILE, else $FOCUSD_CONFIG_PATH (a file or a folder), else the single file in /etc/focusd.
    """
    if version:
        from observatory_common.version import software_version

        click.echo(f"focus {software_version()}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


@focus.command(options_metavar="")
@click.option("--watch", is_flag=True, help="Show it again whenever it changes, until Ctrl-C.")
@common_options("config", "json", "timeout")
def status(watch: bool) -> None:
    """Where each channel is."""
    with _focuser(options().timeout_s) as focuser:
        if watch:
            status_text.watch(focuser, options().json)
        else:
            seen = focuser.report_status()
            if options().json:
                print_json(seen)
            else:
                click.echo(status_text.text(seen))


@focus.command("json", options_metavar="")
@common_options("config", "json", "timeout")
def json_status() -> None:
    """The whole status as JSON, on one line."""
    with _focuser(options().timeout_s) as focuser:
        print_json(focuser.report_status())


def _move_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--no-wait", is_flag=True, help="Return as soon as the move is accepted."),
        click.option("--accept-uncertain", is_flag=True, help="Move although the position is not proven."),
        common_options("config", "json", "timeout"),
    ):
        command = option(command)
    return command


@focus.command("set", options_metavar="", context_settings=terminal.TAKES_NEGATIVE_NUMBERS)
@_channel()
@click.argument("steps", type=WholeNumber(), metavar="<step position>")
@_move_options
def set_(channel: int, steps: int, no_wait: bool, accept_uncertain: bool) -> int:
    """Move a channel to a position, and wait until it is there.

    Ctrl-C stops the motor. --timeout ends the waiting (exit 40), not the move.
    """
    with _focuser() as focuser:
        return moves.move(focuser, channel, steps, False, not no_wait, accept_uncertain)


@focus.command(options_metavar="", context_settings=terminal.TAKES_NEGATIVE_NUMBERS)
@_channel()
@click.argument("steps", type=WholeNumber(), metavar="<step offset>")
@_move_options
def offset(channel: int, steps: int, no_wait: bool, accept_uncertain: bool) -> int:
    """Move a channel by so many steps from its target, and wait until it is there."""
    with _focuser() as focuser:
        return moves.move(focuser, channel, steps, True, not no_wait, accept_uncertain)


@focus.command(options_metavar="")
@_channel(required=False)
@common_options("config", "json", "timeout")
def stop(channel: int | None) -> None:
    """Stop a channel, or all of them."""
    with _focuser(options().timeout_s) as focuser:
        print_if_json(focuser.stop_channel(channel))


@focus.command(options_metavar="")
@_channel()
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options("config", "json", "timeout")
def zero(channel: int, yes: bool) -> None:
    """Call the present position of a channel zero. Moves nothing, but all positions change their meaning."""
    with _focuser(options().timeout_s) as focuser:
        terminal.ask(lambda: f"Call the present position of channel {channel} zero?", yes)
        print_if_json(focuser.reset_home_position(channel))


@focus.command(options_metavar="")
@_channel()
@click.option("--yes", is_flag=True, help="Do not ask.")
@common_options("config", "json", "timeout")
def confirm(channel: int, yes: bool) -> None:
    """Take the position that the controller shows for proven. Moves nothing."""
    with _focuser(options().timeout_s) as focuser:

        def question() -> str:
            shown = status_text.steps(focuser.report_status().get(f"current_steps_{channel}"))
            return f"The controller shows channel {channel} at {shown}. Is it there?"

        terminal.ask(question, yes)
        print_if_json(focuser.confirm_position(channel))


@focus.command(options_metavar="")
@common_options("config", "json", "timeout")
def init() -> None:
    """Connect to the controller now (focusd does so by itself, except after `focus kill`)."""
    with _focuser(options().timeout_s) as focuser:
        print_if_json(focuser.initialize())


@focus.command(options_metavar="")
@common_options("config", "json", "timeout")
def kill() -> None:
    """Stop all motors and let go of the controller, until `focus init`."""
    with _focuser(options().timeout_s) as focuser:
        print_if_json(focuser.shutdown())


@focus.command(options_metavar="")
@click.argument("wanted", type=click.Choice(["enable", "disable"]), metavar="(enable|disable)")
@common_options("config", "json", "timeout")
def fans(wanted: str) -> None:
    """Switch the fans of a controller that has some (firmware of 2023)."""
    with _focuser(options().timeout_s) as focuser:
        print_if_json(focuser.set_fans(wanted == "enable"))
