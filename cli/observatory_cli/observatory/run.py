"""`observatory run`: a site's simulators and daemons as children of one process, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

from observatory_cli.observatory.check import program_of
from observatory_cli.observatory.children import Child, Supervisor
from observatory_common.config import read_client_config
from observatory_common.directory import Directory
from observatory_common.errors import ExitCode, ObservatoryError
from observatory_common.paths import KINDS, configs_in, instance_of, kind_folder, packaged_site
from observatory_common.rpc.client import connect

_HARDWARE_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05
#: What is shown of each kind: its command, and words for it ({} stands for the first instance).
_TO_BE_TRIED = (
    ("focusd", "focus", ("status", "confirm 1 --yes", "set 1 300")),
    ("camerad", "cam", ("{} snapshot sky.jpg",)),
    ("gpiod", "gpio", ("status", "events --follow")),
)


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
        Child(f"{kind}@{instance_of(config)}", [*program_of(kind), str(config)], config)
        for kind in kinds
        for config in configs_in(site / kind)
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
    """Say what runs where, and commands for a second terminal: at once, for the daemons write there too."""
    directory = Directory.load(site / "observatory")
    _await_hardware(directory, daemons)
    click.echo("\n".join(_introduction(site, directory, simulators, daemons, same_site)))


def _introduction(
    site: Path, directory: Directory, simulators: list[Child], daemons: list[Child], same_site: bool
) -> Iterator[str]:
    yield f"\nThe observatory of {site}:\n"
    for child in daemons:
        yield f"  {child.name:<24} {_where(child.config, directory)}"
    for child in simulators:
        yield f"  {child.name:<24} simulated hardware"
    for child in daemons:
        if child.name.startswith("webd@"):
            yield "\nIn a browser:\n"
            yield from _introduction_of_web(child, directory, site)
    yield "\nIn a second terminal:\n"
    first = {kind: instance for child in reversed(daemons) for kind, _, instance in [child.name.partition("@")]}
    for kind, command, commands in _TO_BE_TRIED:
        for words in commands if kind in first else ():
            yield f"  {_command(command, site, same_site)} {words.format(first[kind])}"
    yield "\nCtrl-C ends it.\n"


def _introduction_of_web(child: Child, directory: Directory, site: Path) -> Iterator[str]:
    """Where the pages are, with the link for the first administrator as long as there is none."""
    found = _address_of_web(child.config, directory)
    if found is not None:
        address, link = found
        yield f"  {link or address}"
        if link:
            yield "  makes the first administrator: it works once, for a day; until one is used each start makes another."
            yield f"  After that: {address}"
    elif child.running:
        yield f"  {child.name} is still starting; it says its link by itself"
    else:
        yield f"  there are no pages: {child.name} does not serve, why stands above. Its config is {child.config}"
        if site == packaged_site():
            folder = shlex.quote(str(site))
            yield f"  With another port: cp -r {folder} FOLDER, change FOLDER/webd/{child.config.name}, and"
            yield "  observatory run --site FOLDER"


def _address_of_web(config: Path, directory: Directory) -> tuple[str, str | None] | None:
    """The address of a webd's pages, and its link for the first administrator if there is none; None if it does not serve."""
    try:
        with connect(read_client_config(config)["daemon"], directory=directory) as web:
            status = web.report_status()
        wanted = status["needs_first_administrator"]
        link = Path(status["first_administrator_file"]).read_text().strip() if wanted else None
    except (ObservatoryError, OSError):
        return None
    return (status["address"], link) if status["state"] == "serving" else None


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
