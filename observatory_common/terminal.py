"""What the commands share: common options, exit codes, error lines, --json, and waiting for a job."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from observatory_common.errors import CommandFailed, CommandStatus, ExitCode, ObservatoryError, all_errors

if TYPE_CHECKING:
    from observatory_common.rpc.client import RemoteDaemon

Command = TypeVar("Command", bound=Callable[..., Any])

#: For commands that take numbers: -300 is a position, not an option.
TAKES_NEGATIVE_NUMBERS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@dataclass
class Options:
    """The options that may stand before or after the name of a subcommand."""

    config: str | None = None
    json: bool = False
    timeout_s: float | None = None


def options() -> Options:
    """The common options of the command that runs."""
    return click.get_current_context().find_root().ensure_object(Options)


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value not in (None, False):
        setattr(context.find_root().ensure_object(Options), str(parameter.name), value)


def common_options(*names: str) -> Callable[[Command], Command]:
    """Give a command some of the common options: `config`, `json`, `timeout`."""
    known: dict[str, Callable[[Any], Any]] = {
        "config": click.option(
            "--config",
            type=click.Path(),
            metavar="FILE",
            expose_value=False,
            callback=_remember,
            help="The daemon's configuration file.",
        ),
        "json": click.option(
            "--json", is_flag=True, expose_value=False, callback=_remember, help="Print JSON, one object per line."
        ),
        "timeout": click.option(
            "--timeout",
            "timeout_s",
            metavar="SECONDS",
            type=Seconds(),
            expose_value=False,
            callback=_remember,
            help="Longest wait.",
        ),
    }

    def add(command: Command) -> Command:
        for name in reversed(names):
            command = known[name](command)
        return command

    return add


class Seconds(click.ParamType):  # type: ignore[type-arg]  # older click has it without an argument
    """A time of more than 0 s, at most a million."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> float:
        """The number, or a usage error; not a number is none."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= 1e6:
            self.fail(f"{value!r} is not a number of seconds above 0", parameter, context)
        return seconds


class WholeNumber(click.ParamType):  # type: ignore[type-arg]  # as above
    """A whole number in plain digits. A typo like 12O0 or 1_0 is refused, so that it never moves a motor."""

    name = "whole number"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The number, or a usage error."""
        if isinstance(value, int):
            return value
        digits = value[1:] if value[:1] in ("+", "-") else value
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 30):
            self.fail(f"{value!r} is not a whole number", parameter, context)
        return int(value)


def run(command: click.Command, arguments: Sequence[str], name: str, hints: Mapping[int, str] | None = None) -> int:
    """Run a click command and return its exit code; whatever went wrong is said on stderr, never by a traceback.

    `hints` are what a person may do about a code. Only a fault of the program itself is a traceback; a KeyError or TypeError is
    none if a daemon of another version was asked.
    """
    wants_json = "--json" in arguments
    if sys.stdout is None or sys.stderr is None:  # closed before the start, as by `>&-`
        nowhere = open(os.devnull, "w")  # noqa: SIM115, PTH123 - for the rest of the process
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    try:
        colours = False if os.environ.get("NO_COLOR") else None
        result = command.main(list(arguments), prog_name=name, standalone_mode=False, color=colours)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        _complain("usage", ExitCode.Usage, error.format_message(), wants_json)
        if error.ctx is not None:
            print(error.ctx.get_usage().replace("Usage:", "usage:", 1), file=sys.stderr)
        return ExitCode.Usage
    except click.ClickException as error:
        _complain("failed", error.exit_code, error.format_message(), wants_json)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.StoppedByUser
    except ObservatoryError as error:
        hint = (hints or {}).get(error.code)
        _complain(type(error).__name__, int(error.code), f"{error}{f' ({hint})' if hint else ''}", wants_json)
        return int(error.code)
    except OSError as error:  # all others have become ObservatoryErrors
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what could not be written would else be tried again at the exit
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        return CommandStatus.Failed
    except (KeyError, TypeError) as error:
        if not (versions := " ".join(getattr(error, "__notes__", []))):  # RemoteDaemon's, where versions differ
            raise
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is of another form than expected ({error})"
        _complain(CommandFailed.__name__, CommandFailed.code, f"the daemon's answer {what}: {versions}", wants_json)
        return CommandFailed.code


def _complain(kind: str, code: int, message: str, wants_json: bool) -> None:
    print(f"error: {message}", file=sys.stderr)
    if wants_json:
        print_json({"error": kind, "code": int(code), "message": message})


def print_json(value: Any) -> None:
    """One object on one line."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(table: Any) -> None:
    """A table of rich on stdout; without a terminal as wide as it is, since whoever reads a pipe wants whole lines."""
    from rich.console import Console

    # for rich bold is no colour; under NO_COLOR we print none either
    plain = "NO_COLOR" in os.environ
    Console(width=None if sys.stdout.isatty() else 400, color_system=None if plain else "auto").print(table)


def follow(daemon: RemoteDaemon, job: Mapping[str, Any], label: str, timeout_s: float | None) -> dict[str, Any]:
    """Wait for a job's end, with a progress bar and the remaining time if stderr is a terminal.

    Returns the ended job. Raises what `RemoteDaemon.wait_for` raises.
    """
    if job["state"] != "running":
        return dict(job)
    if not sys.stderr.isatty():
        return daemon.wait_for(job, timeout_s=timeout_s)
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=1.0, left="")

        def show(seen: Mapping[str, Any]) -> None:
            progress.update(task, completed=seen["progress"], left=_time_left(seen))

        show(job)
        return daemon.wait_for(job, show, timeout_s)


def _time_left(job: Mapping[str, Any]) -> str:
    """By the daemon's own clock alone, since this machine's may differ."""
    from datetime import datetime, timedelta

    if job["expected_end"] is None:
        return ""
    whole = datetime.fromisoformat(job["expected_end"]) - datetime.fromisoformat(job["started"])
    left = max(whole * (1 - job["progress"]), timedelta())
    return f"{timedelta(seconds=round(left.total_seconds()))} left"


def as_error(job: Mapping[str, Any]) -> ObservatoryError | None:
    """The error with which a job ended; None if it succeeded."""
    error = job["error"]
    if error is None:
        return None
    kind = all_errors().get(error["error"], ObservatoryError)
    return kind(error["message"])


def ask(question: Callable[[], str], yes: bool) -> None:
    """Ask on the terminal, and abort unless the answer is yes; `yes` answers beforehand.

    Without a terminal to ask on that is a usage error.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        context = click.get_current_context()
        raise click.UsageError("there is no terminal to ask on: add --yes to do it without asking", context)
    click.confirm(question(), abort=True, err=True)
