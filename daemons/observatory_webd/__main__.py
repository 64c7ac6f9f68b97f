"""`webd FILE`: the gateway of browsers and scripts as a program."""

from __future__ import annotations

import sys

from observatory_common.remote import RemoteDevice
from observatory_common.service import Context, DaemonKind, run
from observatory_webd import config


def _build(checked: config.WebdConfig, context: Context) -> RemoteDevice:
    from observatory_webd.web import Web  # here, so that a check of a config does not wait for the HTTP server's modules

    return Web(checked, context)


KIND = DaemonKind(name="webd", schema=config.SCHEMA, parse=config.parse, build=_build, also_on=lambda found: (found.host,))


def main() -> None:
    """Run webd with the arguments of the command line; ends the process."""
    sys.exit(run(KIND, sys.argv[1:]))


if __name__ == "__main__":
    main()
