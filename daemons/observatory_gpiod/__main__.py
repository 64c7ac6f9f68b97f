"""`gpiod FILE`: the daemon as a program."""

from __future__ import annotations

import sys

from observatory_common.service import DaemonKind, run
from observatory_gpiod import config
from observatory_gpiod.gpio import Gpio

KIND = DaemonKind(name="gpiod", schema=config.SCHEMA, parse=config.parse, build=Gpio)


def main() -> None:
    """Run gpiod with the arguments of the command line; ends the process."""
    sys.exit(run(KIND, sys.argv[1:]))


if __name__ == "__main__":
    main()
