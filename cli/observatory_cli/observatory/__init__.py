"""`observatory`: all daemons of this machine at once."""

from __future__ import annotations

import sys

from observatory_cli.starting import STOPPED_BY_USER, ended_by_ctrl_c


def main() -> None:
    """Run observatory with the arguments of the command line; ends the process."""
    try:
        with ended_by_ctrl_c():
            from observatory_cli.observatory.commands import observatory
            from observatory_common.terminal import run

        sys.exit(run(observatory, sys.argv[1:], "observatory"))
    except KeyboardInterrupt:  # while it was starting
        sys.exit(STOPPED_BY_USER)
