"""`focusd-simulator CONFIG`: the simulated controller as a program."""

from __future__ import annotations

import sys

from observatory_common import simulator
from observatory_focusd.simulator.client import SimulatorClient
from observatory_focusd.simulator.config import SCHEMA, parse
from observatory_focusd.simulator.server import Simulator

PROGRAM = simulator.SimulatorKind(
    name="focusd-simulator",
    about="Run a simulated focus controller in the foreground, behind a pseudo-terminal.",
    schema=SCHEMA,
    parse=parse,
    publishes=lambda config: config.link.parent,
    lock=lambda config, _: config.eeprom.parent,
    client=lambda config: SimulatorClient(config.link),
    run=lambda config: Simulator(config).run(),
)


def main() -> None:
    """Run the simulator with the arguments of the command line; ends the process."""
    sys.exit(simulator.run(PROGRAM, sys.argv[1:]))


if __name__ == "__main__":
    main()
