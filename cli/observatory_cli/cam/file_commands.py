"""`snapshot`, `files`, `get`, `delete`."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any

import click

from observatory_cli.cam import text
from observatory_cli.cam.downloads import fetch, require_place, writing
from observatory_cli.cam.group import completed, open_camera, print_if_json
from observatory_common.errors import NotConnected, TimedOut
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import common_options, options, print_json

_AT_ONCE_S = 10.0  # the longest that a daemon waits in one call
_BEYOND_EXPOSURE_S = 10.0
_names = completed(lambda camera: [file["name"] for file in camera.files()])


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--stream", default="live", show_default=True, metavar="NAME", help="main, lores, or a use case.")
@common_options("config", "json", "timeout")
def snapshot(file: Path, stream: str) -> None:
    """Write the latest live frame to a file (JPEG); - is standard output. Nothing is kept by the daemon.

    It waits for as long as a frame takes, and 10 seconds more.
    """
    require_place(file)
    with open_camera() as camera:
        frame = next_frame(camera, stream, options().timeout_s)
    with writing(file) as output:
        output.write(frame["data"])
    if str(file) != "-":
        size = len(frame["data"])
        print_if_json(
            {"file": str(file), "size": size, **{key: frame[key] for key in ("stream", "number", "date", "metadata")}}
        )


def next_frame(camera: RemoteDaemon, stream: str, timeout_s: float | None) -> dict[str, Any]:
    """The next frame of a stream. Raises NotConnected as soon as the camera is not there, TimedOut."""
    began = monotonic()
    while True:
        seen = camera.report_status()
        if seen["state"] in ("offline", "initializing"):
            raise NotConnected(f"the camera is {seen['state']}: {seen['last_error'] or 'it brings no frames'}")
        allowed_s = _longest_frame_s(camera, seen) + _BEYOND_EXPOSURE_S if timeout_s is None else timeout_s
        left_s = allowed_s - (monotonic() - began)
        frame: dict[str, Any] = camera.frame(stream, None, 0, min(max(left_s, 0.0), _AT_ONCE_S))
        if frame["number"] is not None:
            return frame
        if left_s <= _AT_ONCE_S:
            raise TimedOut(f"no frame within {allowed_s:g} s")


def _longest_frame_s(camera: RemoteDaemon, seen: dict[str, Any]) -> float:
    """The exposure of the status; before the first frame the one that is set."""
    if seen["exposure_time"] is not None:
        return float(seen["exposure_time"])
    return float(camera.controls().get("ExposureTime", {}).get("value") or 0) / 1e6


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
