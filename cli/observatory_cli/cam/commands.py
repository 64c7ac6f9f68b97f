"""The commands of `cam`. With several cameras the name of one stands first: `cam east photo`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from observatory_cli.cam import pictures
from observatory_common.config import read_client_config
from observatory_common.errors import InvalidConfig
from observatory_common.paths import find_config, instance_of, list_configs
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_common.terminal import common_options, options, print_json


class _CameraFirst(click.Group):
    """A group whose first word may be the name of a camera."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Take the camera's name away, if one stands there."""
        first = next((n for n, word in enumerate(arguments) if not word.startswith("-")), None)
        before = arguments[first - 1] if first else ""
        if first is not None and before not in ("--config", "--timeout") and arguments[first] not in self.commands:
            if arguments[first] in _cameras():
                context.meta["camera"] = arguments.pop(first)
            elif len(arguments) > first + 1 and arguments[first + 1] in self.commands:
                known = ", ".join(_cameras()) or "none"
                raise click.UsageError(f"there is no camera {arguments[first]!r} here, only: {known}", context)
        return super().parse_args(context, arguments)


def _cameras() -> dict[str, Path]:
    return {instance_of(path): path for path in list_configs("camerad")}


def _camera(timeout_s: float | None = None) -> RemoteDaemon:
    named = click.get_current_context().find_root().meta.get("camera")
    if named is not None:
        path = _cameras()[named]
    else:
        try:
            path = find_config("camerad", options().config)
        except InvalidConfig as error:
            names = ", ".join(_cameras())
            raise InvalidConfig(f"{error}; or say which camera: {names}" if names else str(error)) from None
    return connect(read_client_config(path)["daemon"], timeout_s=timeout_s)


@click.group(
    cls=_CameraFirst,
    invoke_without_command=True,
    subcommand_metavar="[CAMERA] COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options("config", "json", "timeout")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def cam(context: click.Context, version: bool) -> None:
    """Look through the cameras of camerads, and take pictures.

    Which one: its name first, else --config FILE, else $CAMERAD_CONFIG_PATH, else the single file in /etc/camerad.
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
    with _camera(options().timeout_s) as camera:
        seen = camera.report_status()
        if options().json:
            print_json(seen)
        else:
            click.echo(pictures.status_text(seen))


@cam.command("json", options_metavar="")
@common_options("config", "json", "timeout")
def json_status() -> None:
    """The whole status as JSON, on one line."""
    with _camera(options().timeout_s) as camera:
        print_json(camera.report_status())


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def controls() -> None:
    """The controls that this camera has, and their ranges."""
    with _camera(options().timeout_s) as camera:
        known = camera.controls()
        if options().json:
            print_json(known)
            return
        for name, info in sorted(known.items()):
            click.echo(pictures.control_text(name, info))


@cam.command("set", options_metavar="")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@common_options("config", "json", "timeout")
def set_(assignments: tuple[str, ...]) -> None:
    """Change controls, all of them or none: cam set ExposureTime=5000 AwbMode=Daylight ColourGains=[1.5,2]."""
    values = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise click.UsageError(f"{assignment!r} is no NAME=VALUE", click.get_current_context())
        values[name] = _value(text)
    with _camera(options().timeout_s) as camera:
        _print_if_json(camera.set_controls(values))


@cam.command(options_metavar="")
@click.argument("seconds", type=click.FloatRange(0, 1e6, min_open=True))
@common_options("config", "json", "timeout")
def exposure(seconds: float) -> None:
    """Set the exposure, in seconds; switches auto exposure off."""
    with _camera(options().timeout_s) as camera:
        _print_if_json(camera.set_controls({"AeEnable": False, "ExposureTime": round(seconds * 1e6)}))


@cam.command(options_metavar="")
@click.argument("gain", type=click.FloatRange(0, 1e6, min_open=True))
@common_options("config", "json", "timeout")
def gain(gain: float) -> None:
    """Set the analogue gain; switches auto exposure off."""
    with _camera(options().timeout_s) as camera:
        _print_if_json(camera.set_controls({"AeEnable": False, "AnalogueGain": gain}))


@cam.command()
@click.option("--format", type=click.Choice(["jpg", "png", "tiff", "bmp"]), default="jpg", show_default=True)
@click.option("--raw", is_flag=True, help="The raw frame instead, as FITS.")
@click.option("--output", type=click.Path(path_type=Path), help="Fetch the picture to this file too.")
@common_options("config", "json", "timeout")
def photo(format: str, raw: bool, output: Path | None) -> None:
    """Take a photo; prints the name that the daemon gave it."""
    with _camera() as camera:
        started = camera.take_raw() if raw else camera.take_photo(format)
        job = pictures.finished(camera, started, options().timeout_s)
        if output is not None:
            pictures.fetch(camera, job["result"]["name"], output)
        if options().json:
            print_json(job)
        else:
            click.echo(job["result"]["name"])


@cam.command(options_metavar="")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stream", default="main", show_default=True)
@common_options("config", "json", "timeout")
def snapshot(file: Path, stream: str) -> None:
    """Write the latest live frame to a file (JPEG); - is standard output. Nothing is kept by the daemon."""
    with _camera(options().timeout_s) as camera:
        data = pictures.live_frame(camera, stream)
    if str(file) == "-":
        sys.stdout.buffer.write(data)
    else:
        pictures.write(file, data)


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def files() -> None:
    """The pictures that the daemon keeps."""
    with _camera(options().timeout_s) as camera:
        for file in camera.files():
            if options().json:
                print_json(file)
            else:
                click.echo(f"{file['name']:<40} {file['size']:>12}")


@cam.command(options_metavar="")
@click.argument("name")
@click.argument("output", type=click.Path(path_type=Path), required=False)
@common_options("config", "json", "timeout")
def get(name: str, output: Path | None) -> None:
    """Fetch a picture, checked against the daemon's SHA-256."""
    with _camera(options().timeout_s) as camera:
        pictures.fetch(camera, name, output or Path(Path(name).name))


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def init() -> None:
    """Open the camera (camerad does so by itself, except after `cam kill`)."""
    with _camera(options().timeout_s) as camera:
        _print_if_json(camera.initialize())


@cam.command(options_metavar="")
@common_options("config", "json", "timeout")
def kill() -> None:
    """Let go of the camera, until `cam init`."""
    with _camera(options().timeout_s) as camera:
        _print_if_json(camera.shutdown())


def _value(text: str) -> Any:
    """A number, list, true or false as JSON has them; a word is the name of a value."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_if_json(answer: Any) -> None:
    if options().json:
        print_json(answer)
