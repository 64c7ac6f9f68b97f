"""`gpiod-simulator CONFIG`: the simulated board as a program."""

from __future__ import annotations

import sys

from observatory_common import paths, simulator
from observatory_gpiod.simulator.client import BoardClient
from observatory_gpiod.simulator.config import KIND, SCHEMA, parse
from observatory_gpiod.simulator.server import BoardServer

PROGRAM = simulator.SimulatorKind(
    name=KIND,
    about="Run a simulated GPIO board in the foreground, on a Unix socket.",
    schema=SCHEMA,
    parse=parse,
    publishes=lambda config: config.socket.parent,
    lock=lambda _, file: paths.state_folder(KIND, paths.instance_of(file), None),
    client=lambda config: BoardClient(config.socket),
    run=lambda config: BoardServer(config).run(),
)


def main() -> None:
    """Run the simulator with the arguments of the command line; ends the process."""
    sys.exit(simulator.run(PROGRAM, sys.argv[1:]))


if __name__ == "__main__":
    main()
