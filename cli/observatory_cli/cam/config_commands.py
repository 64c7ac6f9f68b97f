"""Controls from a file: a template of one, applying one, what became of the one on removable media."""

from __future__ import annotations

import json
from pathlib import Path

import click

from observatory_cli.cam import scanner_text
from observatory_cli.cam.group import open_camera, patiently
from observatory_common.errors import InvalidArgument
from observatory_common.json_file import read_document
from observatory_common.terminal import common_options, options, print_json

_section = click.option(
    "--section", default="picamera", show_default=True, metavar="NAME", help="The object that has the controls."
)


@click.group("config", options_metavar="", subcommand_metavar="COMMAND [ARGS]...")
def config() -> None:
    """Controls as a scanner's users keep them in a file: its template, applying one, what became of it."""


@config.command("template", options_metavar="")
@common_options("config", "json", "timeout")
def template() -> None:
    """Print a file with every control's default, and notes on what it can be; it can be applied as it is."""
    with open_camera(options().timeout_s) as camera:
        found = camera.controls_template()
    if options().json:
        print_json(found)
    else:
        click.echo(json.dumps(found["template"], indent=2, ensure_ascii=False))


@config.command("apply", options_metavar="[OPTIONS]")
@click.argument("file", type=click.Path(path_type=Path))
@_section
@click.option("--strict", is_flag=True, help="Apply none if one is refused.")
@common_options("config", "json", "timeout")
def apply(file: Path, section: str, strict: bool) -> None:
    """Set the controls of a file: those that fit the camera together, the others are refused, each with its reason."""
    document = read_document(file)
    if section not in document.data:
        has = ", ".join(list(document.data)[:10]) or "nothing"
        raise InvalidArgument(f"{file} has no object {section}, only: {has}", value=section, allowed=has)
    with open_camera(options().timeout_s) as camera:
        found = patiently(camera, "apply_controls", document.data[section], strict)
    if options().json:
        print_json(found)
    elif found["keys"]:
        click.echo(scanner_text.report(found))
    refused = found["refused"]
    if refused:
        left = "none is applied" if strict else f"{len(found['applied'])} applied"
        names = ", ".join(refused)
        raise InvalidArgument(f"{file}: refused: {names}; {left}", value=names, allowed="what `cam controls` lists")


@config.command("show", options_metavar="")
@common_options("config", "json", "timeout")
def show() -> None:
    """What became of the controls file on removable media, key by key."""
    with open_camera(options().timeout_s) as camera:
        found = camera.controls_file()
    if options().json:
        print_json(found)
    else:
        click.echo(scanner_text.controls_file(found))


COMMANDS: tuple[click.Command, ...] = (config,)
