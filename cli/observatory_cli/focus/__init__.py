"""`focus`: the focusers, from a shell."""

from __future__ import annotations

import sys

from observatory_cli.starting import STOPPED_BY_USER, ended_by_ctrl_c


def main() -> None:
    """Run focus with the arguments of the command line; ends the process."""
    try:
        with ended_by_ctrl_c():
            from observatory_cli.focus.commands import focus
            from observatory_common.errors import ExitCode
            from observatory_common.terminal import run

        sys.exit(run(focus, sys.argv[1:], "focus", {ExitCode.NotReachable: "is its focusd running?"}))
    except KeyboardInterrupt:  # while it was starting
        sys.exit(STOPPED_BY_USER)
