"""`observatory`: all daemons of this machine at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run observatory with the arguments of the command line; ends the process."""
    try:
        from observatory_cli.observatory.commands import observatory
        from observatory_common.terminal import run

        sys.exit(run(observatory, sys.argv[1:], "observatory"))
    except KeyboardInterrupt:  # while it was starting
        sys.exit(156)
