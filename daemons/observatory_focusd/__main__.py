"""`focusd FILE`: the daemon as a program."""

from __future__ import annotations

import sys

from observatory_common.service import DaemonKind, run
from observatory_focusd import config
from observatory_focusd.focuser import Focuser

KIND = DaemonKind(name="focusd", schema=config.SCHEMA, parse=config.parse, build=Focuser)


def main() -> None:
    """Run focusd with the arguments of the command line; ends the process."""
    sys.exit(run(KIND, sys.argv[1:]))


if __name__ == "__main__":
    main()
