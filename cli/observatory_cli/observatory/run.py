"""`observatory run`: a site's simulators and daemons as children of one process, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from observatory_cli.observatory.check import module_of
from observatory_cli.observatory.children import Child, Supervisor
from observatory_common.config import read_client_config
from observatory_common.directory import Directory
from observatory_common.errors import ExitCode, ObservatoryError
from observatory_common.paths import KINDS, instance_of, kind_folder
from observatory_common.rpc.client import connect

_HARDWARE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05


def run_site(site: Path) -> int:
    """Start everything, restart what dies, and end all of it at SIGINT, SIGTERM or SIGHUP.

    Returns 0, or 78 when nothing is left to run.
    """
    same_site = all(kind_folder(kind) == site / kind for kind in KINDS)
    environment = {**os.environ, "OBSERVATORY_ETC": str(site), "PYTHONUNBUFFERED": "1"}
    simulators = _children(site, [f"{kind}-simulator" for kind in KINDS])
    daemons = _children(site, KINDS)
    if not daemons:
        click.echo(f"error: there is no daemon's config in {site}", err=True)
        return ExitCode.BadConfig
    with tempfile.TemporaryDirectory(prefix="observatory-") as folder:
        supervisor = Supervisor([simulators, daemons], environment, Path(folder) / "notify")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, supervisor.asked_to_end)
        return supervisor.run(lambda: _introduce(site, simulators, daemons, same_site=same_site))


def _children(site: Path, kinds: list[str] | tuple[str, ...]) -> list[Child]:
    return [
        Child(f"{kind}@{instance_of(config)}", [sys.executable, "-m", module_of(kind), str(config)], config)
        for kind in kinds
        for config in sorted((site / kind).glob("*.json"))
    ]


def _await_hardware(directory: Directory, daemons: list[Child]) -> None:
    """Give daemons that serve already a moment to find their hardware, so that the commands shown work at once."""
    until = time.monotonic() + _HARDWARE_WITHIN_S
    for child in daemons:
        try:
            with connect(read_client_config(child.config)["daemon"], directory=directory, timeout_s=1) as daemon:
                while daemon.report_status()["state"] == "connecting" and time.monotonic() < until:
                    time.sleep(_LOOK_EVERY_S)
        except ObservatoryError:
            continue  # it has no such config, or died: the table says so


def _introduce(site: Path, simulators: list[Child], daemons: list[Child], same_site: bool) -> None:
    """Say what runs where, and three commands for a second terminal."""
    directory = Directory.load(site / "observatory")
    _await_hardware(directory, daemons)
    click.echo(f"\nThe observatory of {site}:\n")
    for child in daemons:
        click.echo(f"  {child.name:<24} {_where(child.config, directory)}")
    for child in simulators:
        click.echo(f"  {child.name:<24} simulated hardware")
    focus = _command("focus", site, same_site)
    click.echo("\nIn a second terminal:\n")
    for arguments in ("status", "confirm 1 --yes", "set 1 300"):
        click.echo(f"  {focus} {arguments}")
    if any(child.name.startswith("camerad@") for child in daemons):
        camera = next(child.name.partition("@")[2] for child in daemons if child.name.startswith("camerad@"))
        click.echo(f"\nAnd: {_command('cam', site, same_site)} {camera} snapshot sky.jpg")
    click.echo("\nCtrl-C ends it.\n")


def _where(config: Path, directory: Directory) -> str:
    try:
        entry = directory.daemon(read_client_config(config)["daemon"])
    except ObservatoryError as error:
        return f"not running: {error}"
    return f"serves {entry.object} on {entry.host}:{entry.port}"


def _command(name: str, site: Path, same_site: bool) -> str:
    """How a plain shell, anywhere, runs a command of this installation on this site."""
    script = Path(sys.argv[0]).absolute().with_name(name)
    if not script.exists():
        script = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    command = name if found and Path(found).resolve() == script.resolve() else shlex.quote(str(script))
    return command if same_site else f"OBSERVATORY_ETC={shlex.quote(str(site))} {command}"
