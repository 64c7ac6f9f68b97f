"""`gpio`: the GPIO devices, from a shell."""

from __future__ import annotations

import sys

from observatory_cli.starting import STOPPED_BY_USER, ended_by_ctrl_c


def main() -> None:
    """Run gpio with the arguments of the command line; ends the process."""
    try:
        with ended_by_ctrl_c():
            from observatory_cli.gpio.commands import gpio
            from observatory_common.errors import ExitCode
            from observatory_common.terminal import run

        sys.exit(run(gpio, sys.argv[1:], "gpio", {ExitCode.NotReachable: "is its gpiod running?"}))
    except KeyboardInterrupt:  # while it was starting
        sys.exit(STOPPED_BY_USER)
