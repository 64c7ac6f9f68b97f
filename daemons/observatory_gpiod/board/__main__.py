"""`gpiod-simulator CONFIG`: the simulated board as a program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from observatory_common import log, paths, terminal
from observatory_common.config import load
from observatory_common.directory import Directory
from observatory_common.errors import Blocked, ExitCode, InvalidConfig, ObservatoryError
from observatory_common.storage import FolderLock
from observatory_common.terminal import print_json
from observatory_common.version import software_version
from observatory_gpiod.board.client import BoardClient
from observatory_gpiod.board.config import KIND, SCHEMA, parse
from observatory_gpiod.board.server import BoardServer


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Check the file, say what is wrong with it, and end.")
@click.option("--request", metavar="JSON", help="Send a request to the simulator that runs with this config.")
@click.version_option(software_version(), message="%(prog)s %(version)s")
def program(file: Path, check: bool, request: str | None) -> int:
    """Run a simulated GPIO board in the foreground, on a Unix socket."""
    try:
        directory = Directory.load()
        config = parse(load(file, SCHEMA, directory), directory)
        if check:
            return 0
        if request is not None:
            return _ask(config.socket, request)
        config.socket.parent.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(paths.state_folder(KIND, paths.instance_of(file), None))
        lock.acquire()
    except (InvalidConfig, Blocked) as error:
        print(error, file=sys.stderr)
        return ExitCode.BadConfig
    except ObservatoryError:
        raise
    except OSError as error:
        print(f"{file}: a folder cannot be used: {error}", file=sys.stderr)
        return ExitCode.BadConfig
    handle = log.set_up(f"gpiod-simulator@{file.stem}")
    try:
        BoardServer(config).run()
    finally:
        handle.close()
        lock.release()
    return 0


def _ask(path: Path, request: str) -> int:
    try:
        wanted = json.loads(request)
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--request is no JSON: {error}", click.get_current_context()) from None
    if not isinstance(wanted, dict):
        raise click.UsageError("--request is no JSON object", click.get_current_context())
    print_json(BoardClient(path).request(**wanted))
    return 0


def main() -> None:
    """Run the simulator with the arguments of the command line; ends the process."""
    sys.exit(terminal.run(program, sys.argv[1:], "gpiod-simulator"))


if __name__ == "__main__":
    main()
