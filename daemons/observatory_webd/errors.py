"""Refusals that only a gateway knows; all others are those of `observatory_common.errors`."""

from __future__ import annotations

from observatory_common.errors import CommandStatus, ObservatoryError


class NotLoggedIn(ObservatoryError, PermissionError):
    """Nobody is logged in here, or no longer; or name or password are wrong."""

    code = CommandStatus.InvalidControlIP


class TokenRefused(NotLoggedIn):
    """A signed token that is no good, in the words of raspiCamSrv's API; `status` (401 or 422) is what it answers then."""

    def __init__(self, message: str, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class Forbidden(ObservatoryError, PermissionError):
    """Whoever is logged in may not do this, or not from here."""

    code = CommandStatus.InvalidControlIP


class PasswordChangeRequired(Forbidden):
    """The password was given by an administrator and must be changed first."""


class TooManyTries(ObservatoryError, PermissionError):
    """Too many wrong passwords; `retry_after_s` says when the next try counts."""

    code = CommandStatus.InvalidControlIP

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message, allowed=f"again in {retry_after_s:.0f} s")
        self.retry_after_s = retry_after_s


class AlreadyThere(ObservatoryError, ValueError):
    """What was to be made exists."""

    code = CommandStatus.InvalidArgument


class NotThere(ObservatoryError, LookupError):
    """There is no such thing."""

    code = CommandStatus.UnknownDevice
