"""camerad's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.use_cases import USE_CASES, Transform, UseCase
from observatory_camerad.config_checks import problems
from observatory_camerad.outputs.names import DEFAULT_PATTERN
from observatory_camerad.settings import use_case_from
from observatory_camerad.simulator.focuser import FocuserConfig
from observatory_camerad.simulator.scene import Mover, SceneConfig
from observatory_camerad.simulator.sensor import SensorConfig
from observatory_common.config import COMMON_PROPERTIES, DaemonConfig, Document, common_fields
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems

_NUMBER = {"type": "number", "minimum": 0, "maximum": 1e12}
_ANY_NUMBER = {"type": "number", "minimum": -1e12, "maximum": 1e12}
_SIZE = {"type": "array", "items": {"type": "integer", "minimum": 2, "maximum": 20000}, "minItems": 2, "maxItems": 2}
_CONTROLS = {"type": "object", "maxProperties": 100, "description": "controls by libcamera's names; `cam controls` lists them"}
_USE_CASE = {
    "type": "object",
    "properties": {
        "stream": {"enum": ["main", "lores", "raw"]},
        "size": _SIZE,
        "format": {"type": "string", "minLength": 1, "maxLength": 30},
        "mode": {"type": "integer", "minimum": 0, "maximum": 100},
        "buffer_count": {"type": "integer", "minimum": 1, "maximum": 12},
        "controls": _CONTROLS,
    },
    "required": ["stream", "size", "format"],
    "additionalProperties": False,
}


def _numbers(
    kind: type, whole: tuple[str, ...], numbers: Mapping[str, Any] = _NUMBER, **limits: tuple[float, float]
) -> dict[str, Any]:
    """A schema for a dataclass of numbers; those without a default are required, `limits` are of some of them."""
    count = {"type": "integer", "minimum": 0, "maximum": 2**31}
    return {
        "type": "object",
        "properties": {f.name: {**(count if f.name in whole else numbers), **_range(limits.get(f.name))} for f in fields(kind)},
        "required": [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING],
        "additionalProperties": False,
    }


def _range(limits: tuple[float, float] | None) -> dict[str, float]:
    return {} if limits is None else {"minimum": limits[0], "maximum": limits[1]}


_SCENE = _numbers(
    SceneConfig,
    ("seed", "stars"),
    stars=(0, 100_000),
    brightest_photons_per_s=(1, 1e12),
    colour_temperature_k=(1000, 40_000),
    seeing_sigma_pixels=(0, 100),
)
_MOVER = _numbers(Mover, (), _ANY_NUMBER, size_pixels=(0, 10_000), photons_per_s=(0, 1e12))
_SCENE["properties"]["movers"] = {"type": "array", "items": _MOVER, "maxItems": 100}
_SENSOR = _numbers(SensorConfig, ("black_level", "bit_depth"), bit_depth=(8, 16), black_level=(0, 65_535))

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "driver": {"enum": ["simulator", "picamera2", "v4l2"]},
        "device": {
            "type": ["integer", "string"],
            "minimum": 0,
            "maximum": 100,
            "minLength": 1,
            "maxLength": 500,
            "description": "picamera2: libcamera's number; v4l2: a device, its number, a video file or a network stream",
        },
        "tuning_file": {"type": "string", "minLength": 1, "maxLength": 500},
        "transform": {
            "type": "object",
            "properties": {"hflip": {"type": "boolean"}, "vflip": {"type": "boolean"}},
            "additionalProperties": False,
        },
        "use_cases": {
            "type": "object",
            "properties": dict.fromkeys(USE_CASES, _USE_CASE),
            "additionalProperties": False,
        },
        "controls": _CONTROLS,
        "output_path": {"type": "string", "format": "directory"},
        "output_prefix": {"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,40}\Z", "description": "letters, digits, _ . and -"},
        "output_pattern": {"type": "string", "minLength": 1, "maxLength": 200},
        "roots": {"type": "array", "items": {"type": "string", "pattern": "^/", "maxLength": 500}, "maxItems": 20},
        "controls_file": {
            "type": "object",
            "properties": {
                "path": {
                    "type": "string",
                    "pattern": r"^/.*[^/\n]\Z",
                    "maxLength": 500,
                    "description": "the absolute path of a file",
                },
                "section": {"type": "string", "pattern": r"^[A-Za-z0-9-][A-Za-z0-9_-]{0,59}\Z", "description": "a word"},
                "poll_s": {"type": "number", "minimum": 0.1, "maximum": 3600},
                "strict": {"type": "boolean"},
                "template": {"type": "boolean"},
                "test_photo": {"type": "boolean"},
            },
            "required": ["path"],
            "additionalProperties": False,
        },
        "controller": {
            "type": "object",
            "properties": {
                "endpoints": {
                    "type": "array",
                    "items": {
                        "type": "string",
                        "pattern": r"^tcp://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}\Z",
                        "description": "tcp://HOST:PORT",
                    },
                    "minItems": 1,
                    "maxItems": 10,
                    "uniqueItems": True,
                },
                "interval_s": {"type": "number", "minimum": 0.1, "maximum": 86400},
                "silent_s": {"type": "number", "minimum": 1, "maximum": 3600},
                "format": {"enum": ["jpg", "png"]},
            },
            "required": ["endpoints"],
            "additionalProperties": False,
        },
        "retention": {
            "type": "object",
            "properties": {
                "keep_free_mb": {"type": "number", "minimum": 0, "maximum": 1e9},
                "max_age_days": {"type": "number", "exclusiveMinimum": 0, "maximum": 36500},
            },
            "additionalProperties": False,
        },
        "video": {
            "type": "object",
            "properties": {
                "codec": {"enum": ["auto", "libx264", "h264_v4l2m2m"]},
                "bitrate": {"type": "integer"},
                "keyframe_s": {"type": "number", "minimum": 0.1, "maximum": 60},
                "audio_device": {"type": "string", "minLength": 1, "maxLength": 200},
                "audio_sync_s": {"type": "number", "minimum": -2, "maximum": 2},
            },
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
                "scene": _SCENE,
                "sensor": _SENSOR,
                "faults": {"type": "string", "minLength": 1, "maxLength": 500},
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
class VideoConfig:
    """How video is encoded (bitrate None: by quality); `audio_device` is ALSA's name of a microphone, None for no sound."""

    codec: str = "auto"
    bitrate: int | None = None
    keyframe_s: float = 1.0
    audio_device: str | None = None
    audio_sync_s: float = 0.3


@dataclass(frozen=True)
class RetentionConfig:
    """Which pictures may be deleted: to keep so many bytes free, and what is older; None for never."""

    keep_free_bytes: int | None = None
    max_age_s: float | None = None


@dataclass(frozen=True)
class ControlsFileConfig:
    """A file of controls on removable media, and what is done with it."""

    path: Path
    section: str = "picamera"
    poll_s: float = 0.5
    strict: bool = False
    template: bool = True
    test_photo: bool = False


@dataclass(frozen=True)
class ControllerConfig:
    """A scanner's controller: where it speaks, how often it wants photos, after how long a silence it is stale."""

    endpoints: tuple[str, ...]
    interval_s: float = 2.0
    silent_s: float = 5.0
    format: str = "jpg"


@dataclass(frozen=True)
class SimulatorConfig:
    """The simulated camera's."""

    scene: SceneConfig
    sensor: SensorConfig
    focuser: FocuserConfig | None
    faults: Path | None


@dataclass(frozen=True)
class CameradConfig(DaemonConfig):
    """A checked config."""

    driver: str
    device: int | str
    tuning_file: str | None
    transform: Transform
    use_cases: Mapping[str, UseCase]
    controls: Mapping[str, Any]
    output_path: str | None
    output_pattern: str
    output_prefix: str
    roots: tuple[Path, ...]
    controls_file: ControlsFileConfig | None
    controller: ControllerConfig | None
    retention: RetentionConfig
    video: VideoConfig
    site: Mapping[str, float]
    simulator: SimulatorConfig


def parse(document: Document, directory: Directory) -> CameradConfig:
    """The config in a document that fits SCHEMA. Pictures are private: by default those may view who may control.

    Raises ConfigProblems with all that would be refused later.
    """
    found = list(problems(document))
    if found:
        raise ConfigProblems(found)
    data = document.data
    retention = data.get("retention", {})
    keep_free_mb, max_age_days = retention.get("keep_free_mb"), retention.get("max_age_days")
    return CameradConfig(
        **common_fields({"view_machines": data["control_machines"], **data}),
        driver=data["driver"],
        device=data.get("device", 0),
        tuning_file=data.get("tuning_file"),
        transform=Transform(**data.get("transform", {})),
        use_cases={name: _use_case(case) for name, case in data.get("use_cases", {}).items()},
        controls=use_case_from(UseCase("main", (2, 2), "", controls=data.get("controls", {}))).controls,
        output_path=data.get("output_path"),
        output_pattern=data.get("output_pattern", DEFAULT_PATTERN),
        output_prefix=data.get("output_prefix", "camera"),
        roots=tuple(Path(root) for root in data.get("roots", ())),
        controls_file=_controls_file(data.get("controls_file")),
        controller=_controller(data.get("controller")),
        retention=RetentionConfig(
            None if keep_free_mb is None else round(keep_free_mb * 1e6),
            None if max_age_days is None else max_age_days * 86400.0,
        ),
        video=VideoConfig(**data.get("video", {})),
        site={name: float(value) for name, value in data.get("site", {}).items()},
        simulator=_simulator(data.get("simulator", {})),
    )


def _use_case(data: Mapping[str, Any]) -> UseCase:
    return use_case_from(UseCase(**{**data, "size": tuple(data["size"])}))


def _controls_file(data: Mapping[str, Any] | None) -> ControlsFileConfig | None:
    return None if data is None else ControlsFileConfig(**{**data, "path": Path(data["path"])})


def _controller(data: Mapping[str, Any] | None) -> ControllerConfig | None:
    return None if data is None else ControllerConfig(**{**data, "endpoints": tuple(data["endpoints"])})


def _simulator(data: Mapping[str, Any]) -> SimulatorConfig:
    scene = dict(data.get("scene", {}))
    scene["movers"] = tuple(Mover(**mover) for mover in scene.get("movers", ()))
    return SimulatorConfig(
        SceneConfig(**scene),
        SensorConfig(**data.get("sensor", {})),
        FocuserConfig(**data["focuser"]) if "focuser" in data else None,
        Path(data["faults"]) if "faults" in data else None,
    )
