"""Every way a command can be refused or fail: one hierarchy, one table of codes.

The numbers are part of the interface: they are the CLI's exit codes and the `code` of every error that crosses the
wire. 0 to 8 are multifocusd's; 10 to 39 belong to cameras, 40 to 49 to the suite, 70 to 89 to GPIO.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class CommandStatus(IntEnum):
    """Outcome of a command. The number is the CLI's exit code, the text what a person reads."""

    text: str

    def __new__(cls, number: int, text: str) -> CommandStatus:
        member = int.__new__(cls, number)
        member._value_ = number
        member.text = text
        return member

    Succeeded = 0, "succeeded"
    Failed = 1, "command failed"
    Blocked = 2, "another command is already running"
    InvalidControlIP = 3, "command not accepted from this machine"
    InvalidChannel = 4, "no such channel"
    PositionOutsideLimits = 6, "position outside the limits"
    NotConnected = 7, "the device is not connected"
    NotDisconnected = 8, "the device is already connected"
    Stopped = 9, "stopped before it was finished"
    CameraNotIdle = 11, "the camera is busy"
    CameraNotAcquiring = 15, "the camera is not taking a sequence"
    NoRoom = 16, "no room for what would be written"
    WindowOutsideSensor = 32, "the window is not inside the sensor"
    TimedOut = 40, "did not finish in its time"
    DeviceLost = 41, "the device was lost"
    Uncertain = 42, "the position is uncertain"
    UnknownJob = 43, "no such job"
    Stale = 44, "the data asked for are no longer kept"
    InvalidArgument = 45, "an argument is missing, of the wrong type or out of range"
    InvalidConfig = 46, "the configuration is not valid"
    UnknownMethod = 47, "the daemon has no such method"
    UnknownDevice = 70, "no such device"


class ExitCode(IntEnum):
    """Exit codes of programs that no command status covers (sysexits.h where it has one)."""

    Usage = 64
    DeviceStuck = 75
    BadConfig = 78
    NotReachable = 155
    StoppedByUser = 156


class ObservatoryError(Exception):
    """The root. `code` says what happened, `value` what was offered, `allowed` what would have been accepted.

    Every concrete error also inherits the built-in exception a Python user would catch.
    """

    code: int = CommandStatus.Failed

    def __init__(self, message: str, *, value: Any = None, allowed: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.value = value
        self.allowed = allowed

    def __str__(self) -> str:
        return self.message


class CommandFailed(ObservatoryError, RuntimeError):
    """The device or the daemon could not do it; the message says why."""

    code = CommandStatus.Failed


class Blocked(ObservatoryError, RuntimeError):
    """Something else is using the device; the message says who and until when."""

    code = CommandStatus.Blocked


class InvalidControlIP(ObservatoryError, PermissionError):
    """The calling machine may not do this."""

    code = CommandStatus.InvalidControlIP


class InvalidChannel(ObservatoryError, LookupError):
    """The controller has no such channel."""

    code = CommandStatus.InvalidChannel


class PositionOutsideLimits(ObservatoryError, ValueError):
    """The position asked for, or the overshoot on the way to it, is outside the limits."""

    code = CommandStatus.PositionOutsideLimits


class NotConnected(ObservatoryError, ConnectionError):
    """The daemon has no connection to its device."""

    code = CommandStatus.NotConnected


class NotDisconnected(ObservatoryError, ConnectionError):
    """The daemon is connected to its device already."""

    code = CommandStatus.NotDisconnected


class Stopped(ObservatoryError, RuntimeError):
    """Somebody stopped it before it was finished."""

    code = CommandStatus.Stopped


class CameraNotIdle(ObservatoryError, RuntimeError):
    """Not while the camera does something else."""

    code = CommandStatus.CameraNotIdle


class CameraNotAcquiring(ObservatoryError, RuntimeError):
    """There is nothing to be stopped."""

    code = CommandStatus.CameraNotAcquiring


class NoRoom(CommandFailed):
    """It would not fit onto the disk."""

    code = CommandStatus.NoRoom


class WindowOutsideSensor(ObservatoryError, ValueError):
    """A crop that does not lie on the sensor."""

    code = CommandStatus.WindowOutsideSensor


class TimedOut(ObservatoryError, TimeoutError):
    """It did not finish in its declared time."""

    code = CommandStatus.TimedOut


class DeviceLost(ObservatoryError, ConnectionError):
    """The device vanished or fell silent under the command."""

    code = CommandStatus.DeviceLost


class Uncertain(ObservatoryError, RuntimeError):
    """The position is unproven, so moving from it is refused."""

    code = CommandStatus.Uncertain


class UnknownJob(ObservatoryError, LookupError):
    """The daemon keeps no job of this id (it keeps the last 256 of this run)."""

    code = CommandStatus.UnknownJob


class Stale(ObservatoryError, LookupError):
    """The data asked for are no longer kept."""

    code = CommandStatus.Stale


class InvalidArgument(ObservatoryError, ValueError, TypeError):
    """An argument is missing, surplus, of the wrong type or out of range."""

    code = CommandStatus.InvalidArgument


class InvalidConfig(ObservatoryError, ValueError):
    """A configuration or registry file is not valid; the message names file, line and JSON path."""

    code = CommandStatus.InvalidConfig


class UnknownMethod(ObservatoryError, AttributeError):
    """The daemon has no such method."""

    code = CommandStatus.UnknownMethod


class UnknownDevice(ObservatoryError, LookupError):
    """The config declares no device of this id."""

    code = CommandStatus.UnknownDevice


class DaemonNotReachable(ObservatoryError, ConnectionError):
    """No contact with the daemon, or no answer in time. Raised by clients only, never by a daemon."""

    code = ExitCode.NotReachable


def all_errors() -> dict[str, type[ObservatoryError]]:
    """Every error class by its name, leaves and branches."""
    found: dict[str, type[ObservatoryError]] = {}
    pending: list[type[ObservatoryError]] = [ObservatoryError]
    while pending:
        error = pending.pop()
        found[error.__name__] = error
        pending.extend(error.__subclasses__())
    return found


def builtin_of(error: type[ObservatoryError]) -> type[Exception]:
    """The built-in exception that `error` inherits: what a client without this package can catch."""
    for base in error.__mro__:
        if base.__module__ == "builtins" and issubclass(base, Exception):
            return base
    raise TypeError(f"{error.__name__} inherits no built-in exception")
