"""What a scanner's controller says: short messages with its time, long ones with its mode and folders too, and commands."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from observatory_common.arguments import shown

LARGEST_MESSAGE = 1 << 16
SCANNING = "SCANNING"
CONTINUOUS, STOP = "continousScanDirectory", "stopScanDirectory"  # as the controller spells them
RELOAD = "RELOAD_CONFIG_TEST_PHOTO"
_LARGEST_TIME = 2**64
_LONGEST_MODE = 60
_NO_TEXT = ("Cc", "Cs")  # control characters, halves of characters
_LONGEST_FOLDER = 4096


@dataclass(frozen=True)
class State:
    """What the messages say, all of them together; None for what none has said. Times are nanoseconds of its own clock."""

    time_ns: int | None = None
    dur_ns: int | None = None
    mode: str | None = None
    continuous_folder: str | None = None
    stop_folder: str | None = None
    #: Why the continuous folder that was said cannot be one; None: it can, or none was said.
    folder_error: str | None = None

    def after(self, message: Message) -> State:
        """With what a message says, and for the rest what was said before."""
        return replace(self, **message.said)


@dataclass(frozen=True)
class Message:
    """One that was understood: what it says of the state, or a command."""

    said: dict[str, Any]
    command: str | None = None


def parse(data: bytes) -> Message:
    """Raises ValueError for what is not understood, saying why."""
    if len(data) > LARGEST_MESSAGE:
        raise ValueError(f"{len(data)} bytes are too many")
    try:
        found = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    if "command" in found:
        if found["command"] != RELOAD:
            raise ValueError("its command is unknown")
        return Message({}, RELOAD)
    said: dict[str, Any] = {}
    for name, key in (("time_ns", "time"), ("dur_ns", "dur")):
        if key in found:
            said[name] = _nanoseconds(key, found[key])
    if "mode" in found:
        said["mode"] = _text("mode", found["mode"], _LONGEST_MODE)
    if CONTINUOUS in found:
        said["continuous_folder"], said["folder_error"] = _folder(CONTINUOUS, found[CONTINUOUS])
    if STOP in found:
        said["stop_folder"], _ = _folder(STOP, found[STOP])
    if "time_ns" not in said:
        raise ValueError("it has neither time nor command")
    return Message(said)


def _nanoseconds(key: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST_TIME:
        raise ValueError(f"its {key} is no whole number from 0 to 2^64")
    return value


def _text(key: str, value: Any, longest: int) -> str:
    if type(value) is not str or len(value) > longest or any(unicodedata.category(letter) in _NO_TEXT for letter in value):
        raise ValueError(
            f"its {key} is {shown(value)}, expected at most {longest} characters, none of them a control character"
        )
    return value


def _folder(key: str, value: Any) -> tuple[str | None, str | None]:
    """A folder, or why it can be none: the mode beside it is heard all the same."""
    try:
        return _text(key, value, _LONGEST_FOLDER), None
    except ValueError as error:
        return None, str(error)
