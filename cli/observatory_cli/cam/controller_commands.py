"""The scanner's controller that the camera obeys."""

from __future__ import annotations

import click

from observatory_cli.cam import scanner_text
from observatory_cli.cam.group import open_camera
from observatory_common.terminal import common_options, options, print_json


@click.group("controller", options_metavar="", subcommand_metavar="COMMAND [ARGS]...")
def controller() -> None:
    """The scanner's controller that the camera obeys."""


@controller.command("status", options_metavar="")
@common_options("config", "json", "timeout")
def status() -> None:
    """Its last message, how old that is, and what was done."""
    with open_camera(options().timeout_s) as camera:
        found = camera.controller_status()
    if options().json:
        print_json(found)
    else:
        click.echo(scanner_text.controller(found))


COMMANDS: tuple[click.Command, ...] = (controller,)
