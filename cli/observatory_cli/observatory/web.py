"""`observatory web`: what is done to webd on its host alone. webd's own program does it, as for `observatory check`."""

from __future__ import annotations

import subprocess

from observatory_cli.observatory.check import program_of
from observatory_common.paths import find_config
from observatory_common.terminal import options

_LONGEST_RESET_S = 60.0


def reset_admin(user: str | None) -> int:
    """Have webd's program give an administrator a new password, which it prints; its exit code.

    Raises InvalidConfig where it is not clear which webd is meant.
    """
    file = find_config("webd", options().config)
    command = [*program_of("webd", "accounts", "reset"), str(file)]
    command += ["--user", user] if user is not None else []
    command += ["--json"] if options().json else []
    return subprocess.run(command, timeout=_LONGEST_RESET_S, check=False).returncode
