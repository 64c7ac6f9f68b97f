"""What the camera can be set to, and setting it: controls, zoom, use cases, settings."""

from __future__ import annotations

import shutil
from typing import Any

import click

from observatory_cli.arguments import assignments
from observatory_cli.cam import histogram as histograms
from observatory_cli.cam import text
from observatory_cli.cam.arguments import Number, NumberOrAuto
from observatory_cli.cam.group import completed, open_camera, patiently, print_if_json
from observatory_common.errors import InvalidArgument
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.terminal import common_options, options, print_json

_IN_EFFECT_WITHIN_S = 2.0
_USE_CASES = ("live", "photo", "raw", "video")
_KEYS = ("stream", "size", "format", "mode", "buffer_count", "controls")


def _complete_key(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    return [f"{key}=" for key in _KEYS if key.startswith(incomplete)]


def _control_names(camera: RemoteDaemon) -> list[str]:
    return sorted(camera.controls())


@click.command(options_metavar="")
@click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=completed(_control_names))
@common_options("config", "json", "timeout")
def controls(names: tuple[str, ...]) -> None:
    """The controls that this camera has: their ranges, their defaults, and what they are now."""
    with open_camera(options().timeout_s) as camera:
        known, seen = camera.controls(), camera.metadata()
    for name in names:
        if name not in known:
            raise InvalidArgument(f"this camera has no control {name!r}", value=name, allowed=", ".join(sorted(known)))
    chosen = {name: known[name] for name in names or sorted(known)}
    if options().json:
        print_json(chosen)
        return
    for name, info in chosen.items():
        click.echo(text.control(name, info, seen.get(name)))


@click.command("set", options_metavar="")
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="NAME=VALUE...",
    shell_complete=completed(lambda camera: [f"{name}=" for name in _control_names(camera)]),
)
@common_options("config", "json", "timeout")
@click.pass_context
def set_(context: click.Context, words: tuple[str, ...]) -> None:
    """Change controls, all of them or none: cam set ExposureTime=5000 AwbMode=Daylight ColourGains=1.5,2.

    Returns when a frame has them, at the latest after 2 seconds.
    """
    _set("set_controls", assignments(words, context))


@click.command(options_metavar="")
@click.argument("seconds", type=NumberOrAuto(0, 1e6, above=True), metavar="(SECONDS|auto)")
@common_options("config", "json", "timeout")
def exposure(seconds: float | None) -> None:
    """Fix the exposure, in seconds; auto exposure goes off.

    With `auto` the camera chooses exposure and gain again, both of them.
    """
    _set_or_auto("set_exposure", seconds)


@click.command(options_metavar="")
@click.argument("factor", type=NumberOrAuto(0, 1e6, above=True), metavar="(FACTOR|auto)")
@common_options("config", "json", "timeout")
def gain(factor: float | None) -> None:
    """Fix the analogue gain; auto exposure goes off.

    With `auto` the camera chooses exposure and gain again, both of them.
    """
    _set_or_auto("set_gain", factor)


def _set_or_auto(method: str, value: float | None) -> None:
    if value is None:
        _set("set_controls", {"AeEnable": True})
    else:
        _set(method, value)


def _set(method: str, value: Any) -> None:
    """The daemon waits until it is in effect: within the time that it is given itself."""
    timeout_s = options().timeout_s
    wait_s = _IN_EFFECT_WITHIN_S if timeout_s is None else min(_IN_EFFECT_WITHIN_S, timeout_s / 2)
    with open_camera(timeout_s) as camera:
        print_if_json(camera.invoke(method, value, wait_s, timeout_s=timeout_s))


@click.command()
@click.argument("factor", type=Number(1, 100), required=False)
@click.option("--centre", nargs=2, type=Number(0, 1), metavar="X Y", help="About this place, 0 to 1 each way.")
@click.option(
    "--crop", nargs=4, type=Number(0, 1e6, whole=True), metavar="X Y W H", help="To these pixels of the sensor instead."
)
@common_options("config", "json", "timeout")
@click.pass_context
def zoom(
    context: click.Context,
    factor: float | None,
    centre: tuple[float, float] | None,
    crop: tuple[int, int, int, int] | None,
) -> None:
    """Zoom in by a factor (1 shows all again), or to a part of the sensor."""
    if (factor is None) == (crop is None) or (crop is not None and centre is not None):
        raise click.UsageError("give a factor, or --crop alone", context)
    with open_camera(options().timeout_s) as camera:
        if crop is not None:
            print_if_json(patiently(camera, "set_crop", list(crop)))
        else:
            print_if_json(patiently(camera, "set_crop", None, factor, None if centre is None else list(centre)))


@click.command(options_metavar="")
@common_options("config", "json", "timeout")
def modes() -> None:
    """The modes in which the sensor can be read out."""
    with open_camera(options().timeout_s) as camera:
        found = camera.capabilities()["modes"]
    for number, mode in enumerate(found):
        if options().json:
            print_json({"mode": number, **mode})
        else:
            click.echo(text.mode(number, mode))


@click.command(options_metavar="")
@common_options("config", "json", "timeout")
def properties() -> None:
    """What this camera is."""
    with open_camera(options().timeout_s) as camera:
        found = camera.capabilities()
    if options().json:
        print_json(found)
    else:
        click.echo(text.properties(found))


@click.command()
@click.option("--stream", default="live", show_default=True, metavar="NAME", help="main, lores, raw, or a use case.")
@common_options("config", "json", "timeout")
def histogram(stream: str) -> None:
    """How the tones of the next frame are spread; the heights are logarithms."""
    with open_camera(options().timeout_s) as camera:
        found = patiently(camera, "histogram", stream)
    if options().json:
        print_json(found)
    else:
        click.echo(histograms.drawn(found, shutil.get_terminal_size((80, 24)).columns))


@click.command("use-case", options_metavar="")
@click.argument("name", type=click.Choice(_USE_CASES), required=False, metavar="[live|photo|raw|video]")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE...]", shell_complete=_complete_key)
@common_options("config", "json", "timeout")
@click.pass_context
def use_case(context: click.Context, name: str | None, words: tuple[str, ...]) -> None:
    """What the camera's uses are, or change one: cam use-case photo size=1280x720 format=RGB888.

    Keys: stream, size, format, mode, buffer_count, controls.
    """
    changes = assignments(words, context)
    with open_camera(options().timeout_s) as camera:
        if changes:
            print_if_json(patiently(camera, "set_use_case", name, changes))
            return
        cases = camera.use_cases()
    if name is not None and name not in cases:
        raise InvalidArgument(f"this camera has no use case {name}", value=name, allowed=", ".join(cases))
    chosen = {key: case for key, case in cases.items() if name in (None, key)}
    if options().json:
        print_json(chosen)
        return
    for key, case in chosen.items():
        click.echo(text.use_case(key, case))


@click.group("settings", invoke_without_command=True, options_metavar="", subcommand_metavar="[COMMAND]")
@common_options("config", "json", "timeout")
@click.pass_context
def settings(context: click.Context) -> None:
    """What differs from the configuration; keep it under a name, go back to it."""
    if context.invoked_subcommand is not None:
        return
    with open_camera(options().timeout_s) as camera:
        found = camera.settings()
    if options().json:
        print_json(found)
    else:
        click.echo(text.settings(found))


_saved = completed(lambda camera: list(camera.settings()["saved"]))


@settings.command(options_metavar="")
@click.argument("name", shell_complete=_saved)
@common_options("config", "json", "timeout")
def save(name: str) -> None:
    """Keep use cases and controls as they are now under a name."""
    _settings("save_settings", name)


@settings.command(options_metavar="")
@click.argument("name", shell_complete=_saved)
@common_options("config", "json", "timeout")
def load(name: str) -> None:
    """Set what was kept under a name."""
    _settings("load_settings", name)


@settings.command("delete", options_metavar="")
@click.argument("name", shell_complete=_saved)
@common_options("config", "json", "timeout")
def delete_settings(name: str) -> None:
    """Forget what was kept under a name."""
    _settings("delete_settings", name)


@settings.command(options_metavar="")
@common_options("config", "json", "timeout")
def reset() -> None:
    """Everything as the configuration says; what was saved stays."""
    _settings("reset_settings")


def _settings(method: str, *arguments: str) -> None:
    with open_camera(options().timeout_s) as camera:
        print_if_json(patiently(camera, method, *arguments))


COMMANDS: tuple[click.Command, ...] = (
    controls,
    set_,
    exposure,
    gain,
    zoom,
    modes,
    properties,
    histogram,
    use_case,
    settings,
)
