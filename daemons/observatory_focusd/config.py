"""focusd's configuration: multifocusd's keys, all of them enforced, and a few of our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.config import COMMON_PROPERTIES, DaemonConfig, Document, common_fields
from observatory_common.directory import Directory
from observatory_focusd.protocol import FIRMWARE_LIMIT_STEPS

_STEPS = {"type": "integer", "minimum": -FIRMWARE_LIMIT_STEPS, "maximum": FIRMWARE_LIMIT_STEPS}
_BAUDS = [1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600]


def _seconds(minimum: float, maximum: float) -> dict[str, Any]:
    return {"type": "number", "minimum": minimum, "maximum": maximum}


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "serial_port": {"type": "string", "minLength": 1, "maxLength": 500},
        "serial_baud": {"type": "integer", "enum": _BAUDS},
        "serial_timeout": _seconds(0.05, 60),
        "idle_loop_delay": _seconds(0.1, 3600),
        "moving_loop_delay": _seconds(0.02, 2),
        "move_timeout": _seconds(1, 86400),
        "steps_per_s": {"type": "number", "minimum": 1, "maximum": 1_000_000},
        "channels": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {
                "type": "object",
                "properties": {
                    "limits": {"type": "array", "items": _STEPS, "minItems": 2, "maxItems": 2},
                    "backlash": {"type": "integer", "minimum": -100_000, "maximum": 100_000},
                },
                "additionalProperties": False,
            },
        },
        "temperature_probes": {
            "type": "object",
            "maxProperties": 4,
            "propertyNames": {"pattern": r"^[a-z][a-z0-9_]{0,30}\Z", "description": "a name of small letters, digits and _"},
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "label": {"type": "string", "minLength": 1, "maxLength": 80},
                    "address": {"type": "string", "pattern": r"^[0-9A-Fa-f]{16}\Z", "description": "16 hexadecimal digits"},
                },
                "required": ["label", "address"],
                "additionalProperties": False,
            },
        },
    },
    "required": [
        "daemon",
        "log_name",
        "control_machines",
        "serial_port",
        "serial_baud",
        "serial_timeout",
        "idle_loop_delay",
        "moving_loop_delay",
        "move_timeout",
    ],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class ChannelConfig:
    """One channel. Positive backlash: the final approach is upward; negative: downward; 0: none."""

    limits: tuple[int, int] = (-FIRMWARE_LIMIT_STEPS, FIRMWARE_LIMIT_STEPS)
    backlash: int = 0


@dataclass(frozen=True)
class ProbeConfig:
    """A temperature probe of the 2023 firmware by its 16 hexadecimal digits."""

    label: str
    address: str


@dataclass(frozen=True)
class FocusdConfig(DaemonConfig):
    """A checked config. Times are seconds; `steps_per_s` None means the firmware's own speed."""

    serial_port: str
    serial_baud: int
    serial_timeout: float
    idle_loop_delay: float
    moving_loop_delay: float
    move_timeout: float
    steps_per_s: float | None
    channels: tuple[ChannelConfig, ...]
    temperature_probes: Mapping[str, ProbeConfig]


def parse(document: Document, directory: Directory) -> FocusdConfig:
    """The config in a document that fits SCHEMA. Raises ConfigProblems for what a schema cannot say."""
    data = document.data
    for number, channel in enumerate(data.get("channels", [])):
        low, high = channel.get("limits", (0, 1))
        if low >= high:
            raise document.problem(("channels", number, "limits"), "are not limits: the first must be below the second")
    speed = data.get("steps_per_s")
    return FocusdConfig(
        **common_fields(data),
        serial_port=_resolved(data["serial_port"]),
        serial_baud=int(data["serial_baud"]),
        serial_timeout=float(data["serial_timeout"]),
        idle_loop_delay=float(data["idle_loop_delay"]),
        moving_loop_delay=float(data["moving_loop_delay"]),
        move_timeout=float(data["move_timeout"]),
        steps_per_s=None if speed is None else float(speed),
        channels=tuple(_channel(channel) for channel in data.get("channels", [{}, {}])),
        temperature_probes={n: ProbeConfig(**probe) for n, probe in data.get("temperature_probes", {}).items()},
    )


def _channel(data: dict[str, Any]) -> ChannelConfig:
    default = ChannelConfig()
    low, high = data.get("limits", default.limits)
    return ChannelConfig((int(low), int(high)), int(data.get("backlash", default.backlash)))


def _resolved(port: str) -> str:
    """A URL or an absolute path as it is, anything else under the runtime folder."""
    return port if "://" in port or Path(port).is_absolute() else str(paths.runtime_folder() / port)
