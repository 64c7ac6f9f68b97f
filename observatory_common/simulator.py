"""A simulator as a program: its config, a lock, its log, and requests to one that runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from observatory_common import log, terminal
from observatory_common.config import load
from observatory_common.control_socket import ControlClient
from observatory_common.directory import Directory
from observatory_common.errors import Blocked, ExitCode, InvalidConfig, ObservatoryError
from observatory_common.json_file import Document
from observatory_common.storage import FolderLock
from observatory_common.version import software_version


@dataclass(frozen=True)
class SimulatorKind:
    """A kind of simulator: its name, what it is, and how its config is checked and read.

    `publishes` is the folder in which others find it, `lock` the one of which it is the sole owner (with the config's
    file), `client` asks one that runs, `run` is one until SIGTERM.
    """

    name: str
    about: str
    schema: Mapping[str, Any]
    parse: Callable[[Document, Directory], Any]
    publishes: Callable[[Any], Path]
    lock: Callable[[Any, Path], Path]
    client: Callable[[Any], ControlClient]
    run: Callable[[Any], None]


def run(kind: SimulatorKind, arguments: Sequence[str]) -> int:
    """The program `<kind> CONFIG`: returns its exit code (0 asked to end, 64 usage, 78 bad config)."""

    @click.command(context_settings={"help_option_names": ["-h", "--help"]}, help=kind.about)
    @click.argument("file", metavar="CONFIG", type=click.Path(path_type=Path))
    @click.option("--check", is_flag=True, help="Check the file, say what is wrong with it, and end.")
    @click.option("--request", metavar="JSON", help="Send a request to the simulator that runs with this config.")
    @click.version_option(software_version(), message="%(prog)s %(version)s")
    def program(file: Path, check: bool, request: str | None) -> int:
        try:
            directory = Directory.load()
            config = kind.parse(load(file, kind.schema, directory), directory)
            if check:
                return 0
            if request is not None:
                return _ask(kind.client(config), request)
            kind.publishes(config).mkdir(parents=True, exist_ok=True)
            lock = FolderLock(kind.lock(config, file))
            lock.acquire()
        except (InvalidConfig, Blocked) as error:
            print(error, file=sys.stderr)
            return ExitCode.BadConfig
        except ObservatoryError:
            raise
        except OSError as error:
            print(f"{file}: a folder cannot be used: {error}", file=sys.stderr)
            return ExitCode.BadConfig
        handle = log.set_up(f"{kind.name}@{file.stem}")
        try:
            kind.run(config)
        finally:
            handle.close()
            lock.release()
        return 0

    return terminal.run(program, arguments, kind.name)


def _ask(client: ControlClient, request: str) -> int:
    try:
        wanted = json.loads(request)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--request is no JSON: {error}", click.get_current_context()) from None
    if not isinstance(wanted, dict):
        raise click.UsageError("--request is no JSON object", click.get_current_context())
    terminal.print_json(client.ask(wanted))
    return 0
