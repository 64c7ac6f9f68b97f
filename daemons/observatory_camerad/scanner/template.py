"""The template of a controls file: every control of the camera with its default, and notes on what it can be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from observatory_camerad.controls import settled_values, without_conflicts
from observatory_camerad.drivers.base import ControlInfo
from observatory_camerad.fates import described
from observatory_camerad.outputs import disk
from observatory_camerad.outputs.metadata import plain
from observatory_camerad.settings import MOMENTARY
from observatory_common.errors import CommandFailed
from observatory_common.storage import write_atomic

ENDING = ".default"
_MARK = "_template"
_SUM = "_sha256"
_SAYS = "written by camerad, and written anew for another camera; copy it, this file is not read"
_LARGEST = 1 << 20
_LEFT_OUT = "not in the section: it begins something, needs another control, or has no default"


def template(section: str, known: Mapping[str, ControlInfo]) -> dict[str, Any]:
    """Section `section` can be applied as it is: exposure and gain are 0, which is automatic; the notes have all controls."""
    names = [name for name in known if name not in MOMENTARY]
    defaults, _ = without_conflicts(settled_values(names, {}, known), {}, known)
    notes = {name: plain(_note(info, name in defaults)) for name, info in known.items()}
    return {section: plain(defaults), f"{section}_notes": notes}


def _note(info: ControlInfo, in_section: bool) -> dict[str, Any]:
    found = described(info)
    note = {
        "min": found["minimum"],
        "max": found["maximum"],
        "default": found["default"],
        "type": found["type"],
        "unit": found["unit"],
        "description": info.description,
    }
    if info.count > 1 or info.repeated:
        note["type"] = (
            f"list of {info.count}, each {info.type}" if not info.repeated else f"lists of {info.count} of {info.type}"
        )
    if info.values:
        note["values"] = dict(info.values)
    return note if in_section else {**note, "remark": _LEFT_OUT}


def refresh(path: Path, content: Mapping[str, Any]) -> bool:
    """Write a template where there is none, or one for other controls that nobody has edited; whether it was written.

    Raises NoRoom, and CommandFailed if it cannot be written, or is a file of somebody's own.
    """
    wanted = {_MARK: _SAYS, _SUM: _sum(content), **content}
    found = _found(path)
    if found == wanted:
        return False
    if found is not None and not _is_ours(found):
        raise CommandFailed(
            f"{path} is not the template that was written there, and is left as it is", value=str(path), allowed="no such file"
        )
    data = json.dumps(wanted, indent=2, allow_nan=False).encode() + b"\n"
    with disk.told(path.parent, len(data)):
        write_atomic(path, data)
    return True


def _found(path: Path) -> dict[str, Any] | None:
    """What is there: None for nothing, an empty object for what no template is."""
    with disk.told(path.parent, doing="read"):
        if not path.exists():
            return {} if path.is_symlink() else None
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        data = path.read_bytes()
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_ours(found: Mapping[str, Any]) -> bool:
    """Whether it is as it was written, by this or an earlier version."""
    content = {key: value for key, value in found.items() if key not in (_MARK, _SUM)}
    return _MARK in found and found.get(_SUM) == _sum(content)


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
