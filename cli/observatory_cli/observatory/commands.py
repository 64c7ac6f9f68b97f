"""The commands of `observatory`."""

from __future__ import annotations

from pathlib import Path

import click

from observatory_common.paths import KINDS, packaged_site
from observatory_common.terminal import common_options, options


@click.group(
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def observatory(context: click.Context, version: bool) -> None:
    """Run, check and watch the daemons of this machine."""
    if version:
        from observatory_common.version import software_version

        click.echo(f"observatory {software_version()}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


@observatory.command()
@click.option(
    "--site",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    default=None,
    help="A folder like /etc: observatory/, focusd/, focusd-simulator/. Default: the simulated observatory.",
)
def run(site: Path | None) -> int:
    """Run all of a site's simulators and daemons in the foreground, until Ctrl-C."""
    from observatory_cli.observatory.run import run_site

    return run_site(site or packaged_site())


@observatory.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--kind",
    type=click.Choice([*KINDS, *(f"{kind}-simulator" for kind in KINDS), "observatory"]),
    help="Which daemon the files are for. Default: the name of the folder that they are in.",
)
def check(files: tuple[Path, ...], kind: str | None) -> int:
    """Check configuration files, each by the daemon that it is for; says what is wrong on which line."""
    from observatory_cli.observatory.check import check_file
    from observatory_common.errors import ExitCode

    sound = [check_file(file, kind) for file in files]
    return 0 if all(sound) else ExitCode.BadConfig


@observatory.command()
@common_options("json", "timeout")
def status() -> int:
    """Every daemon that has a config here, in one table."""
    from observatory_cli.observatory.status import show

    return show(options().json, options().timeout_s)


@observatory.group()
def web() -> None:
    """What is done to webd on its own host alone."""


@web.command("reset-admin")
@common_options("config", "json")
@click.option("--user", metavar="NAME", help="Who; made if there is no such user. Default: the first administrator.")
def reset_admin(user: str | None) -> int:
    """Give an administrator a new password, which is printed and has to be changed at the next login.

    As webd's user or root. webd may go on meanwhile; all logins and tokens of that user end.
    """
    from observatory_cli.observatory import web as web_commands

    return web_commands.reset_admin(user)
