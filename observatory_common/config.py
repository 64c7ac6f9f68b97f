"""A daemon's config: read, checked against its schema, and every complaint with file, line, path and value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig
from observatory_common.json_file import (
    ConfigProblems,
    Document,
    JsonPath,
    Problem,
    as_json,
    as_json_path,
    nearest,
    read_document,
)

__all__ = [
    "COMMON_PROPERTIES",
    "ConfigProblems",
    "DaemonConfig",
    "Document",
    "Problem",
    "common_fields",
    "load",
    "read_client_config",
    "read_document",
]

_MACHINES = {"type": "array", "items": {"type": "string", "format": "machine_name"}, "uniqueItems": True}

#: What the config of every daemon has.
COMMON_PROPERTIES: dict[str, Any] = {
    "daemon": {"type": "string", "format": "daemon_name"},
    "log_name": {"type": "string", "minLength": 1, "maxLength": 80},
    "control_machines": _MACHINES,
    "view_machines": _MACHINES,
    "gateway_machines": _MACHINES,
    "state_path": {"type": "string", "format": "directory"},
}


@dataclass(frozen=True)
class DaemonConfig:
    """What the checked config of every daemon has. `view_machines` None lets everybody view."""

    daemon: str
    log_name: str
    control_machines: tuple[str, ...]
    view_machines: tuple[str, ...] | None
    gateway_machines: tuple[str, ...]
    state_path: str | None


def common_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of DaemonConfig, from a config that fits COMMON_PROPERTIES."""
    view_machines = data.get("view_machines")
    return {
        "daemon": data["daemon"],
        "log_name": data["log_name"],
        "control_machines": tuple(data["control_machines"]),
        "view_machines": None if view_machines is None else tuple(view_machines),
        "gateway_machines": tuple(data.get("gateway_machines", ())),
        "state_path": data.get("state_path"),
    }


_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "minItems": "with at least this many items:",
    "maxItems": "with at most this many items:",
    "minLength": "with at least this many characters:",
    "maxLength": "with at most this many characters:",
    "maxProperties": "with at most this many entries:",
}
_FORMATS = {
    "daemon_name": "the name of a daemon in the registry",
    "machine_name": "the name of a machine in the registry",
    "directory": "the absolute path of a folder",
}


def load(path: Path, schema: Mapping[str, Any], directory: Directory) -> Document:
    """The config in a file, checked against a JSON schema and the registry. Raises ConfigProblems with all that is wrong."""
    from jsonschema import Draft202012Validator, FormatChecker

    document = read_document(path)
    checker = FormatChecker(formats=())
    checker.checks("daemon_name")(lambda name: not isinstance(name, str) or name in directory.daemons)
    checker.checks("machine_name")(lambda name: not isinstance(name, str) or name in directory.machines)
    checker.checks("directory")(lambda name: not isinstance(name, str) or (name.startswith("/") and "\0" not in name))
    validator = Draft202012Validator(dict(schema), format_checker=checker)
    problems = [problem for error in validator.iter_errors(document.data) for problem in _problems(document, error, directory)]
    if problems:
        raise ConfigProblems(problems)
    return document


def read_client_config(path: Path) -> dict[str, Any]:
    """A daemon's config as a client needs it: an object that names its daemon; nothing else is checked."""
    document = read_document(path)
    if not isinstance(document.data.get("daemon"), str):
        raise InvalidConfig(f"{path}: $.daemon: is missing, or no text", value=str(path))
    return document.data


def _problems(document: Document, error: Any, directory: Directory) -> Iterator[Problem]:
    path: JsonPath = tuple(error.absolute_path)
    keyword, expected = error.validator, error.validator_value
    if keyword == "required":
        missing = next(key for key in expected if key not in error.instance and f"'{key}'" in error.message)
        yield Problem(document.path, document.line(path), as_json_path((*path, missing)), None, "is missing")
    elif keyword == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in error.instance.keys() - known.keys():
            hint = nearest(key, known.keys() - error.instance.keys())
            at = (*path, key)
            yield Problem(document.path, document.line(at), as_json_path(at), error.instance[key], f"unknown key{hint}")
    elif "propertyNames" in error.absolute_schema_path:  # what does not fit is the name of an entry
        yield document.as_problem((*path, error.instance), _message(keyword, expected, error, directory))
    else:
        yield document.as_problem(path, _message(keyword, expected, error, directory))


def _message(keyword: str, expected: Any, error: Any, directory: Directory) -> str:
    if keyword == "type":
        kinds = [expected] if isinstance(expected, str) else expected
        return f"is not {' or '.join(_TYPES[kind] for kind in kinds)}{_range_of(error.schema)}"
    if keyword == "enum":
        return f"is not one of {', '.join(as_json(value) for value in expected)}"
    if keyword == "format":
        names: dict[str, Iterable[str]] = {"daemon_name": directory.daemons, "machine_name": directory.machines}
        return f"is not {_FORMATS[expected]}{nearest(error.instance, names.get(expected, ()))}"
    if keyword == "uniqueItems":
        return "has an item twice"
    if keyword in ("pattern", "propertyNames"):
        return f"does not fit {error.schema.get('description', expected)}"
    if keyword in _BOUNDS:
        return f"is not {_BOUNDS[keyword]} {expected}{_range_of(error.schema)}"
    return str(error.message)  # a keyword of a schema that has no wording here is still reported


def _range_of(schema: Any) -> str:
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None and high is not None:
        return f" (expected {low} to {high})"
    return f" (expected {schema['description']})" if "description" in schema else ""
