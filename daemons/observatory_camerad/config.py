"""camerad's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from observatory_camerad.drivers.base import Configuration, Stream
from observatory_camerad.simulator.focuser import FocuserConfig
from observatory_camerad.simulator.scene import SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.config import COMMON_PROPERTIES, Document
from observatory_common.directory import Directory

_NUMBER = {"type": "number", "minimum": 0, "maximum": 1e12}
_SIZE = {"type": "array", "items": {"type": "integer", "minimum": 2, "maximum": 20000}, "minItems": 2, "maxItems": 2}
_STREAM = {
    "type": "object",
    "properties": {"size": _SIZE, "format": {"type": "string", "minLength": 1, "maxLength": 30}},
    "required": ["size", "format"],
    "additionalProperties": False,
}


def _numbers(kind: type, whole: tuple[str, ...]) -> dict[str, Any]:
    """A schema for a dataclass of numbers."""
    count = {"type": "integer", "minimum": 0, "maximum": 2**31}
    return {
        "type": "object",
        "properties": {f.name: count if f.name in whole else _NUMBER for f in fields(kind)},
        "additionalProperties": False,
    }


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "driver": {"enum": ["simulator", "picamera2"]},
        "device": {"type": "integer", "minimum": 0, "maximum": 100},
        "tuning_file": {"type": "string", "minLength": 1, "maxLength": 500},
        "output_path": {"type": "string", "format": "directory"},
        "output_prefix": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,40}$", "description": "letters, digits, _ . and -"},
        "configuration": {
            "type": "object",
            "properties": {
                "streams": {
                    "type": "object",
                    "properties": {"main": _STREAM, "lores": _STREAM, "raw": _STREAM},
                    "required": ["main"],
                    "additionalProperties": False,
                },
                "mode": {"type": "integer", "minimum": 0, "maximum": 100},
                "hflip": {"type": "boolean"},
                "vflip": {"type": "boolean"},
            },
            "required": ["streams"],
            "additionalProperties": False,
        },
        "site": {
            "type": "object",
            "properties": {
                "latitude": {"type": "number", "minimum": -90, "maximum": 90},
                "longitude": {"type": "number", "minimum": -180, "maximum": 180},
                "elevation": {"type": "number", "minimum": -500, "maximum": 9000},
            },
            "required": ["latitude", "longitude"],
            "additionalProperties": False,
        },
        "simulator": {
            "type": "object",
            "properties": {
                "scene": _numbers(SceneConfig, ("seed", "stars")),
                "sensor": _numbers(SensorConfig, ("black_level", "bit_depth")),
                "focuser": {
                    "type": "object",
                    "properties": {
                        "daemon": {"type": "string", "format": "daemon_name"},
                        "channel": {"type": "integer", "minimum": 1, "maximum": 2},
                        "best_steps": {"type": "number", "minimum": -1e7, "maximum": 1e7},
                        "pixels_per_1000_steps": {"type": "number", "minimum": 0, "maximum": 1e4},
                    },
                    "required": ["daemon", "channel", "best_steps", "pixels_per_1000_steps"],
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
    },
    "required": ["daemon", "log_name", "control_machines", "driver"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class CameradConfig:
    """A checked config."""

    daemon: str
    log_name: str
    control_machines: tuple[str, ...]
    view_machines: tuple[str, ...] | None
    gateway_machines: tuple[str, ...]
    state_path: str | None
    driver: str
    device: int
    tuning_file: str | None
    output_path: str | None
    output_prefix: str
    configuration: Configuration
    site: Mapping[str, float]
    scene: SceneConfig
    sensor: SensorConfig
    focuser: FocuserConfig | None


def parse(document: Document, directory: Directory) -> CameradConfig:
    """The config in a document that fits SCHEMA. Pictures are private: by default those may view who may control."""
    data = document.data
    simulator = data.get("simulator", {})
    control_machines = tuple(data["control_machines"])
    return CameradConfig(
        daemon=data["daemon"],
        log_name=data["log_name"],
        control_machines=control_machines,
        view_machines=tuple(data.get("view_machines", control_machines)),
        gateway_machines=tuple(data.get("gateway_machines", ())),
        state_path=data.get("state_path"),
        driver=data["driver"],
        device=data.get("device", 0),
        tuning_file=data.get("tuning_file"),
        output_path=data.get("output_path"),
        output_prefix=data.get("output_prefix", "camera"),
        configuration=_configuration(data.get("configuration", {})),
        site={name: float(value) for name, value in data.get("site", {}).items()},
        scene=SceneConfig(**simulator.get("scene", {})),
        sensor=SensorConfig(**simulator.get("sensor", {})),
        focuser=FocuserConfig(**simulator["focuser"]) if "focuser" in simulator else None,
    )


def _configuration(data: Mapping[str, Any]) -> Configuration:
    streams = {name: Stream(tuple(stream["size"]), stream["format"]) for name, stream in data.get("streams", {}).items()}
    return Configuration(
        streams or {"main": Stream((1280, 720), "RGB888")},
        mode=data.get("mode", 0),
        hflip=data.get("hflip", False),
        vflip=data.get("vflip", False),
    )
