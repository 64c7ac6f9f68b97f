"""`camerad FILE`: the daemon as a program."""

from __future__ import annotations

import sys

from observatory_camerad import config
from observatory_camerad.camera import Camera
from observatory_common.service import DaemonKind, run

KIND = DaemonKind(name="camerad", schema=config.SCHEMA, parse=config.parse, build=Camera)


def main() -> None:
    """Run camerad with the arguments of the command line; ends the process."""
    sys.exit(run(KIND, sys.argv[1:]))


if __name__ == "__main__":
    main()
