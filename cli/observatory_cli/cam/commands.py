"""The commands of `cam`, in the words of the Warwick cameras where those have them."""

from __future__ import annotations

import click

from observatory_cli.cam import (
    adjust_commands,
    config_commands,
    controller_commands,
    file_commands,
    photo_commands,
    text,
)
from observatory_cli.cam.group import CameraFirst, cameras, open_camera, patiently, print_if_json
from observatory_common.config import read_client_config
from observatory_common.terminal import common_options, options, print_json


@click.group(
    cls=CameraFirst,
    invoke_without_command=True,
    subcommand_metavar="[CAMERA] COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options("config", "json", "timeout")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def cam(context: click.Context, version: bool) -> None:
    """Look through the cameras of camerads, and take pictures.

    Which one: its name first, else --config FILE, else $CAMERAD_CONFIG_PATH (a file or a folder), else the single file in
    /etc/camerad. A camera's name is its file's, without the .json.
    """
    if version:
        from observatory_common.version import software_version

        click.echo(f"cam {software_version()}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def status() -> None:
    """What the camera is doing."""
    with open_camera(options().timeout_s) as camera:
        seen = camera.report_status()
    if options().json:
        print_json(seen)
    else:
        click.echo(text.status(seen))


@cam.command("json", options_metavar="")
@common_options("config", "json", "timeout")
def json_status() -> None:
    """The whole status as JSON, on one line."""
    with open_camera(options().timeout_s) as camera:
        print_json(camera.report_status())


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def init() -> None:
    """Open the camera (camerad does so by itself, except after `cam kill`)."""
    with open_camera(options().timeout_s) as camera:
        print_if_json(patiently(camera, "initialize"))


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def kill() -> None:
    """Let go of the camera, until `cam init`."""
    with open_camera(options().timeout_s) as camera:
        print_if_json(patiently(camera, "shutdown"))


@cam.command("list-cameras", options_metavar="")
@common_options("json")
def list_cameras() -> None:
    """The names of the cameras that have a config here."""
    for name, path in cameras().items():
        if options().json:
            print_json({"camera": name, "config": str(path), "daemon": read_client_config(path)["daemon"]})
        else:
            click.echo(name)


@cam.command(options_metavar="")
@click.option("--follow", is_flag=True, help="Go on with those to come, until Ctrl-C.")
@common_options("config", "json", "timeout")
def events(follow: bool) -> None:
    """What has happened to the camera in this run of its daemon, the last 1024 events."""
    from observatory_cli import events as printed

    with open_camera(options().timeout_s) as camera:
        printed.show(camera, follow, text.event)


for _module in (adjust_commands, photo_commands, file_commands, config_commands, controller_commands):
    for _command in _module.COMMANDS:
        cam.add_command(_command)
