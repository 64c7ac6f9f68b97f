"""What the commands share."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from observatory_common.errors import ExitCode, ObservatoryError


def run(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """Run a click command and return its exit code."""
    try:
        result = command.main(list(arguments), prog_name=name, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        error.show()
        return ExitCode.Usage
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.StoppedByUser
    except ObservatoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.code)
