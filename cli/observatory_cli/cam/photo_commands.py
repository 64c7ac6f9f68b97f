"""`photo`, `start`, `stop`, `video`, `focus`: what takes time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from observatory_cli.cam import taking, waiting
from observatory_cli.cam.arguments import FrameCount, Number
from observatory_cli.cam.downloads import fetch, require_place
from observatory_cli.cam.group import open_camera, patiently, place_elsewhere, print_if_json
from observatory_cli.cam.waiting import Bar
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import common_options, options

_RAW = ("fits", "dng")
_PICTURES = ("jpg", "png", "tiff", "bmp")
_OUTPUT = click.Path(path_type=Path)
_ENDINGS = {"jpeg": "jpg", "tif": "tiff", "fit": "fits"} | {name: name for name in (*_PICTURES, *_RAW, "mp4", "h264")}


@click.command()
@click.option("--format", type=click.Choice([*_PICTURES, *_RAW]), help="Default: jpg; with --raw fits.")
@click.option("--raw", is_flag=True, help="The raw frame instead of a picture: fits, dng; tiff of a camera without raw.")
@click.option("--with-raw", type=click.Choice(_RAW), help="The raw frame of the same exposure as well.")
@click.option("--at", metavar="TIME", help="When its exposure starts, UTC: 2026-01-02T03:04:05.678Z, within a day.")
@click.option("--count", type=Number(1, 10_000_000, whole=True), help="So many, as fast as they come.")
@click.option("--interval", "interval_s", type=Number(0, 604_800), metavar="SECONDS", help="With --count: one each so often.")
@click.option("--output", type=_OUTPUT, metavar="FILE", help="Fetch it to this file or folder too; - is standard output.")
@common_options("config", "json", "timeout")
@click.pass_context
def photo(
    context: click.Context,
    format: str | None,
    raw: bool,
    with_raw: str | None,
    at: str | None,
    count: int | None,
    interval_s: float | None,
    output: Path | None,
) -> None:
    """Take a photo, or several; prints the names that the daemon gives them. Ctrl-C ends it.

    A photo in the format fits is the picture's luma; with --raw it is what the sensor gave.
    """
    _check(context, format, raw, with_raw, at, count, interval_s, output)
    _check_output(context, output, format or ("fits" if raw else "jpg"))
    with open_camera() as camera:
        if count is None:
            job = taking.photo(camera, format, raw, with_raw, at)
        else:
            job = taking.sequence(camera, count, interval_s or 0, format or ("fits" if raw else "jpg"))
        _deliver(camera, job, job["result"]["names"], output)


def _deliver(camera: RemoteDaemon, answer: dict[str, Any], names: list[str], output: Path | None) -> None:
    """Print what was taken, and fetch it if that is wanted: the picture to the file named, a raw frame beside it."""
    printed = str(output) != "-"
    if printed and not options().json:
        click.echo("\n".join(names))  # first, since it is there even if it cannot be fetched
        sys.stdout.flush()
    if output is None:
        taking.say_where(camera, names[-1], place_elsewhere())
    else:
        answer["fetched"] = [fetch(camera, name, _target(output, name, names)) for name in names]
    if printed:
        print_if_json(answer)


def _check(
    context: click.Context,
    format: str | None,
    raw: bool,
    with_raw: str | None,
    at: str | None,
    count: int | None,
    interval_s: float | None,
    output: Path | None,
) -> None:
    """Raise UsageError for options that do not go together."""
    wrong = None
    if raw and with_raw is not None:
        wrong = "--raw is the raw frame alone, --with-raw both: give one of them"
    elif raw and format in _PICTURES and format != "tiff":
        wrong = f"a raw frame cannot be written as {format}, only as fits or dng"
    elif format == "dng" and not raw:
        wrong = "only raw frames are written as dng: add --raw, or take --with-raw dng"
    elif with_raw is not None and with_raw == format:
        wrong = f"picture and raw frame cannot both be {format}"
    elif count is None and interval_s is not None:
        wrong = "--interval needs --count"
    elif count is not None and (with_raw is not None or at is not None):
        wrong = "--count goes neither with --with-raw nor with --at"
    elif count is not None and raw and format == "tiff":
        wrong = "a sequence of raw frames is fits or dng"
    elif count is not None and format == "fits" and not raw:
        wrong = "a sequence of fits is one of raw frames: add --raw"
    elif output is not None and count is not None and not output.is_dir():
        wrong = f"--output must be a folder for several photos, and {output} is none"
    elif str(output) == "-" and with_raw is not None:
        wrong = "two files cannot both go to standard output"
    if wrong is not None:
        raise click.UsageError(wrong, context)


def _check_output(context: click.Context, output: Path | None, format: str | None) -> None:
    """Before anything is taken: raise UsageError if the ending says something else, CommandFailed if there is no place."""
    if output is None:
        return
    meant = _ENDINGS.get(output.suffix[1:].lower())
    if format is not None and meant not in (None, format) and not output.is_dir():
        raise click.UsageError(f"{output} would be {format}, not {meant}: give --format, or another ending", context)
    require_place(output)


def _target(output: Path, name: str, names: list[str]) -> Path:
    if name == names[-1] or output.is_dir():
        return output
    return output.with_suffix(Path(name).suffix)


@click.command(options_metavar="")
@click.argument("count", type=FrameCount(), metavar="(continuous|N)")
@click.option("--interval", "interval_s", type=Number(0, 604_800), metavar="SECONDS", help="One each so often.")
@click.option(
    "--format", type=click.Choice([*_RAW, *_PICTURES]), help="fits and dng are raw frames. Default: fits, or as configured."
)
@common_options("config", "json", "timeout")
def start(count: int, interval_s: float | None, format: str | None) -> None:
    """Start a sequence, and return at once."""
    with open_camera(options().timeout_s) as camera:
        print_if_json(camera.start_sequence(count, interval_s, format))


@click.command(options_metavar="")
@common_options("config", "json", "timeout")
def stop() -> None:
    """End the sequence; the frame under way is not kept."""
    with open_camera(options().timeout_s) as camera:
        print_if_json(camera.stop_sequence())


@click.command()
@click.option("--duration", "duration_s", type=Number(0.1, 604_800), metavar="SECONDS", help="So long, and wait for it.")
@click.option("--audio", is_flag=True, help="With the sound of the configured microphone.")
@click.option("--format", type=click.Choice(["mp4", "h264"]), default="mp4", show_default=True)
@click.option("--stop", "end", is_flag=True, help="End the recording that runs.")
@click.option("--output", type=_OUTPUT, metavar="FILE", help="Fetch it to this file or folder too.")
@common_options("config", "json", "timeout")
@click.pass_context
def video(context: click.Context, duration_s: float | None, audio: bool, format: str, end: bool, output: Path | None) -> None:
    """Record video: for so long, or from now until `cam video --stop`. Prints the file's name once it is complete.

    Ctrl-C ends a recording of --duration; what was recorded is kept.
    """
    if end and (duration_s is not None or audio):
        raise click.UsageError("--stop goes neither with --duration nor with --audio", context)
    if output is not None and duration_s is None and not end:
        raise click.UsageError("--output needs --duration or --stop, since the recording goes on", context)
    _check_output(context, output, None if end else format)
    with open_camera() as camera:
        answer: dict[str, Any]
        if end:
            answer = taking.stop_video(camera)
            name = answer["name"]
        elif duration_s is None:
            print_if_json(patiently(camera, "start_video", None, audio, format))
            return
        else:
            answer = taking.video(camera, duration_s, audio, format)
            name = answer["result"]["name"]
        _deliver(camera, answer, [name], output)


@click.command(options_metavar="")
@common_options("config", "json", "timeout")
def focus() -> None:
    """Have the lens find its focus, and wait until it has. Ctrl-C ends it."""
    with open_camera() as camera:
        job = waiting.finished(
            camera,
            lambda: dict(camera.autofocus()),
            lambda seen, job: [Bar("Focusing", 0, None)],
            lambda job: "the lens stands where the autofocus was stopped",
        )
        print_if_json(job)


COMMANDS: tuple[click.Command, ...] = (photo, start, stop, video, focus)
