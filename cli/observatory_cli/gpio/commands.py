"""The commands of `gpio`; what else is said to it is a device."""

from __future__ import annotations

import click

from observatory_cli.gpio import calibration, calls, text
from observatory_cli.gpio.group import DeviceFirst
from observatory_cli.gpio.instances import GPIOD, ids
from observatory_cli.instances import patiently, print_if_json
from observatory_common.terminal import common_options, options, print_json, print_table


@click.group(
    cls=DeviceFirst,
    invoke_without_command=True,
    subcommand_metavar="[GPIOD] (COMMAND | DEVICE [METHOD [ARGUMENT=VALUE...]])",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@common_options("config", "json", "timeout")
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def gpio(context: click.Context, version: bool) -> None:
    """Switch, move and watch the GPIO devices of a gpiod.

    gpio lamp shows a device, gpio lamp --help its methods; gpio lamp blink on_time=0.2 n=3 does one and waits until it is
    done. What has no end, as gpio lamp blink, goes on, and is not waited for: gpio lamp stop ends it.

    Which gpiod: its name first, else --config FILE, else $GPIOD_CONFIG_PATH (a file or a folder), else the single file in
    /etc/gpiod. A gpiod's name is its file's, without the .json.
    """
    if version:
        from observatory_common.version import software_version

        click.echo(f"gpio {software_version()}")
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


@gpio.command(options_metavar="")
@common_options("config", "json", "timeout")
def status() -> None:
    """What each device is doing."""
    with GPIOD.open(options().timeout_s) as gpiod:
        seen = gpiod.report_status()
    if options().json:
        print_json(seen)
        return
    click.echo(text.status(seen))
    if seen["devices"]:
        print_table(text.table(seen))


@gpio.command("json", options_metavar="")
@common_options("config", "json", "timeout")
def json_status() -> None:
    """The whole status as JSON, on one line."""
    with GPIOD.open(options().timeout_s) as gpiod:
        print_json(gpiod.report_status())


@gpio.command("list", options_metavar="")
@common_options("config", "json", "timeout")
def list_() -> None:
    """The devices, and what they are."""
    with GPIOD.open(options().timeout_s) as gpiod:
        devices = gpiod.describe()
    if options().json:
        for device in devices:
            print_json({key: device[key] for key in ("id", "type", "direction", "label")})
    elif devices:
        click.echo(text.listed(devices))


@gpio.command(options_metavar="")
@click.argument("device", required=False, metavar="[DEVICE]", shell_complete=GPIOD.completed(ids))
@common_options("config", "json", "timeout")
def describe(device: str | None) -> None:
    """What a device, or each, can do and tell.

    Its methods and their arguments with units, ranges and defaults, and its events.
    """
    with GPIOD.open(options().timeout_s) as gpiod:
        found = gpiod.describe(device)
    for one in found:
        if options().json:
            print_json(one)
        else:
            click.echo(text.description(one))


@gpio.command(options_metavar="")
@click.option("--follow", is_flag=True, help="Go on with those to come, until Ctrl-C.")
@common_options("config", "json", "timeout")
def events(follow: bool) -> None:
    """What has happened to the devices.

    In this run of their daemon, the last 8192 events.
    """
    from observatory_cli import events as printed

    with GPIOD.open(options().timeout_s) as gpiod:
        printed.show(gpiod, follow, text.event)


@gpio.command(options_metavar="")
@click.argument("device", metavar="DEVICE", shell_complete=GPIOD.completed(calibration.turnable))
@click.option("--by", "degrees", type=float, metavar="DEGREES", help="Turn by so much, instead of by keys.")
@click.option("--zero", is_flag=True, help="Call the angle (after --by) zero, instead of by keys.")
@common_options("config", "json", "timeout")
@click.pass_context
def calibrate(context: click.Context, device: str, degrees: float | None, zero: bool) -> None:
    """Turn a servo or a stepper to its zero, by keys.

    Arrows or + and - turn by 1 degree, PgUp and PgDn or ] and [ by 10, z calls the angle zero, q ends.
    """
    once = degrees is not None or zero
    if not once and not calibration.has_keys():
        raise click.UsageError("there is no terminal with keys: give --by DEGREES, --zero, or both", context)
    with GPIOD.open() as gpiod:
        calibration.require_turnable(gpiod, device)
        if degrees is not None:
            print_if_json(calls.call(gpiod, device, calibration.TURN, {"angle": degrees}))
        if zero:
            print_if_json(calls.call(gpiod, device, "zero", {}))
        if not once:
            calibration.by_keys(gpiod, device)


@gpio.command("all-off", options_metavar="")
@common_options("config", "json", "timeout")
def all_off() -> None:
    """Switch every output off, whatever it does.

    Servos get no pulses then, steppers no current.
    """
    with GPIOD.open() as gpiod:
        print_if_json(patiently(gpiod, "all_off"))


@gpio.command(options_metavar="")
@click.argument("job", metavar="JOB")
@common_options("config", "json", "timeout")
def cancel(job: str) -> None:
    """End what a device does, by the id of its job.

    As --json shows it. gpio DEVICE stop needs none.
    """
    with GPIOD.open(options().timeout_s) as gpiod:
        print_if_json(gpiod.cancel(job))


@gpio.command(options_metavar="")
@common_options("config", "json", "timeout")
def init() -> None:
    """Claim the pins, after `gpio kill`.

    Else gpiod does so by itself.
    """
    with GPIOD.open() as gpiod:
        print_if_json(patiently(gpiod, "initialize"))


@gpio.command(options_metavar="")
@common_options("config", "json", "timeout")
def kill() -> None:
    """Let go of the pins, until `gpio init`.

    Each output is brought to its state at the stop first.
    """
    with GPIOD.open() as gpiod:
        print_if_json(patiently(gpiod, "shutdown"))
