"""`ftpd FILE`: the daemon as a program."""

from __future__ import annotations

import sys

from observatory_common.service import DaemonKind, run
from observatory_ftpd import config
from observatory_ftpd.ftpd import Ftpd

KIND = DaemonKind(
    name="ftpd",
    schema=config.SCHEMA,
    parse=config.parse,
    build=Ftpd,
    also_on=lambda found: (found.host,) if found.host else (),
)


def main() -> None:
    """Run ftpd with the arguments of the command line; ends the process."""
    sys.exit(run(KIND, sys.argv[1:]))


if __name__ == "__main__":
    main()
