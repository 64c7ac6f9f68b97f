"""`snapshot`, `files`, `get`, `delete`."""

from __future__ import annotations

from pathlib import Path

import click

from observatory_cli.cam import text
from observatory_cli.cam.downloads import fetch, writing
from observatory_cli.cam.group import completed, open_camera, print_if_json
from observatory_common.errors import TimedOut
from observatory_common.terminal import common_options, options, print_json

_FIRST_FRAME_S = 10.0
_names = completed(lambda camera: [file["name"] for file in camera.files()])


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--stream", default="live", show_default=True, metavar="NAME", help="main, lores, or a use case.")
@common_options("config", "json", "timeout")
def snapshot(file: Path, stream: str) -> None:
    """Write the latest live frame to a file (JPEG); - is standard output. Nothing is kept by the daemon."""
    wait_s = min(options().timeout_s or _FIRST_FRAME_S, _FIRST_FRAME_S)
    with open_camera() as camera:
        frame = camera.frame(stream, None, 0, wait_s)
    if frame["number"] is None:
        raise TimedOut(f"no frame within {wait_s:g} s")
    with writing(file) as output:
        output.write(frame["data"])
    if str(file) != "-":
        size = len(frame["data"])
        print_if_json(
            {"file": str(file), "size": size, **{key: frame[key] for key in ("stream", "number", "date", "metadata")}}
        )


@click.command(options_metavar="")
@common_options("config", "json", "timeout")
def files() -> None:
    """The files that the daemon keeps: when they were written, their size in bytes, their name."""
    with open_camera(options().timeout_s) as camera:
        for file in camera.files():
            if options().json:
                print_json(file)
            else:
                click.echo(text.file(file))


@click.command(options_metavar="")
@click.argument("name", shell_complete=_names)
@click.argument("output", type=click.Path(path_type=Path, allow_dash=True), required=False)
@common_options("config", "json", "timeout")
def get(name: str, output: Path | None) -> None:
    """Fetch a file, checked against the daemon's SHA-256, to a file or folder; - is standard output."""
    with open_camera(options().timeout_s) as camera:
        fetched = fetch(camera, name, output or Path(Path(name).name))
    if str(output) != "-":
        print_if_json(fetched)


@click.command(options_metavar="")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=_names)
@common_options("config", "json", "timeout")
def delete(names: tuple[str, ...]) -> None:
    """Delete files of the daemon, all or none, each with its metadata and thumbnail."""
    with open_camera(options().timeout_s) as camera:
        print_if_json(camera.delete_files(list(names)))


COMMANDS: tuple[click.Command, ...] = (snapshot, files, get, delete)
