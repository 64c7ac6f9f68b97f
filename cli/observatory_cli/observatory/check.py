"""`observatory check`: a file is checked by the program that will read it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from observatory_common import tls
from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig
from observatory_common.paths import KINDS

_LONGEST_CHECK_S = 60.0
_REGISTRY = ("machines.json", "daemons.json", tls.FILE_NAME)


def program_of(kind: str, *more: str) -> list[str]:
    """The command of a daemon, its simulator, or (`more`) another program of its package."""
    daemon, _, simulator = kind.partition("-simulator")
    module = f"observatory_{daemon}" + (".simulator" if kind != daemon else "") + simulator
    # -P: the folder in which somebody stands is no place for modules, all the less for root's.
    return [sys.executable, "-P", "-m", ".".join((module, *more))]


def check_file(file: Path, kind: str | None) -> bool:
    """Whether a file is fit for use; what is wrong with it has been printed on stderr."""
    kind = kind or file.absolute().parent.name
    if kind == "observatory":
        return _check_registry(file)
    if kind not in (*KINDS, *(f"{known}-simulator" for known in KINDS)):
        raise click.UsageError(
            f"{file} is in a folder {kind!r}, which is no kind of daemon ({', '.join(KINDS)}): name it with --kind",
            click.get_current_context(),
        )
    done = subprocess.run([*program_of(kind), "--check", str(file)], timeout=_LONGEST_CHECK_S, check=False)
    return done.returncode == 0


def _check_registry(file: Path) -> bool:
    """machines.json and daemons.json make sense together only, so both are read."""
    if file.name not in _REGISTRY or not file.is_file():
        click.echo(f"{file}: is no file of the registry ({', '.join(_REGISTRY)})", err=True)
        return False
    try:
        tls.load(file.absolute().parent)
        Directory.load(file.absolute().parent)
    except InvalidConfig as error:
        click.echo(str(error), err=True)
        return False
    return True
