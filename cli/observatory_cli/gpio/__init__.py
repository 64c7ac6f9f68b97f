"""`gpio`: the GPIO devices, from a shell."""

from __future__ import annotations

import sys


def main() -> None:
    """Run gpio with the arguments of the command line; ends the process."""
    try:
        from observatory_cli.gpio.commands import gpio
        from observatory_common.errors import ExitCode
        from observatory_common.terminal import run

        sys.exit(run(gpio, sys.argv[1:], "gpio", {ExitCode.NotReachable: "is its gpiod running?"}))
    except KeyboardInterrupt:  # while it was starting
        sys.exit(156)
