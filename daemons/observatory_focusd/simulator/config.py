"""The simulator's config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.config import Document
from observatory_common.directory import Directory

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "link": {"type": "string", "minLength": 1},
        "eeprom": {"type": "string", "minLength": 1},
        "firmware": {"enum": ["2022", "2023"]},
        "channels": {"type": "integer", "minimum": 1, "maximum": 2},
        "speed_factor": {"type": "number", "minimum": 0.1, "maximum": 10000},
        "temperature_probes": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
    },
    "additionalProperties": False,
}


@dataclass(frozen=True)
class SimulatorConfig:
    """Where the port and the EEPROM are, and which controller it is."""

    link: Path
    eeprom: Path
    firmware: str
    channels: int
    speed_factor: float
    temperatures_c: dict[str, float | None]


def parse(document: Document, _directory: Directory) -> SimulatorConfig:
    """The config in a document that fits SCHEMA. Relative paths: `link` under the runtime folder, `eeprom` under the state."""
    data, instance = document.data, paths.instance_of(document.path)
    firmware = data.get("firmware", "2022")
    channels = data.get("channels", 2)
    if firmware == "2022" and channels != 2:
        raise document.problem(("channels",), "is not 2, the number of channels of the 2022 firmware")
    return SimulatorConfig(
        link=paths.runtime_folder() / data.get("link", f"focusd-simulator/{instance}"),
        eeprom=paths.state_folder("focusd-simulator", instance, None) / data.get("eeprom", "eeprom.bin"),
        firmware=firmware,
        channels=channels,
        speed_factor=float(data.get("speed_factor", 1)),
        temperatures_c={address.upper(): value for address, value in data.get("temperature_probes", {}).items()},
    )
