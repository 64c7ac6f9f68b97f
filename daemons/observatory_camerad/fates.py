"""Controls of which some may be wrong, as a person writes them into a file: those that fit are set, each one's fate is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from observatory_camerad.controls import automatic_controls, fitting, without_conflicts
from observatory_camerad.drivers.base import ControlInfo
from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument

MOST_KEYS = 200
APPLIED, REFUSED, COMMENT, VALID = "applied", "refused", "comment", "valid, not applied"
_LONGEST_SHOWN = 200
_LARGEST_WHOLE = 2**63  # what the wire can carry
_STRICT = "another key is refused, and all or none were asked for"


@dataclass(frozen=True)
class Fates:
    """What becomes of the keys of an object: `values` are to be set, all at once; `refused` says why not, by name."""

    values: dict[str, Any]
    refused: dict[str, str]
    keys: tuple[dict[str, Any], ...]
    #: What goes with `values` that nobody has written: AeEnable true takes back what was fixed.
    implied: dict[str, Any] = field(default_factory=dict)


def sorted_out(
    wanted: Any, known: Mapping[str, ControlInfo], in_force: Mapping[str, Any], base: Mapping[str, Any], strict: bool
) -> Fates:
    """Check every key of `wanted` against the camera's controls; those that begin with _ are comments.

    `strict`: none is to be set if one is refused. Raises InvalidArgument for what is no object, or has too many keys.
    """
    if type(wanted) is not dict:
        raise InvalidArgument(f"controls are {shown(wanted)}, expected names and values", value=shown(wanted))
    if len(wanted) > MOST_KEYS:
        raise InvalidArgument(f"there are {len(wanted)} controls", value=len(wanted), allowed=f"at most {MOST_KEYS}")
    written = {name: value for name, value in wanted.items() if not str(name).startswith("_")}
    fit, wrong = fitting(written, known)
    implied = automatic_controls(base, known) if fit.get("AeEnable") is True else {}
    good, conflicts = without_conflicts(fit, {**in_force, **implied}, known)
    why = {name: wrong.get(name) or str(conflicts[name]) for name in written if name not in good}
    kept_back = strict and bool(why)
    keys = tuple(_key(name, value, why.get(name), kept_back, known.get(name)) for name, value in wanted.items())
    refused = {_shown_name(name): reason for name, reason in why.items()}
    if kept_back:
        return Fates({}, refused, keys)
    return Fates(
        good, refused, keys, {name: value for name, value in implied.items() if "AeEnable" in good and name not in good}
    )


def _key(name: str, value: Any, reason: str | None, kept_back: bool, info: ControlInfo | None) -> dict[str, Any]:
    if name.startswith("_"):
        fate = COMMENT
    elif reason is not None:
        fate = REFUSED
    else:
        fate, reason = (VALID, _STRICT) if kept_back else (APPLIED, None)
    return {"key": _shown_name(name), "value": _told(value), "fate": fate, "reason": reason, **described(info)}


def described(info: ControlInfo | None) -> dict[str, Any]:
    """A control's minimum, maximum, default, type, unit and names of values; all None of one that the camera does not have."""
    if info is None:
        return dict.fromkeys(("minimum", "maximum", "default", "type", "count", "unit", "values"))
    return {
        "minimum": info.minimum,
        "maximum": info.maximum,
        "default": info.default,
        "type": info.type,
        "count": info.count,
        "unit": info.unit,
        "values": dict(info.values),
    }


def _shown_name(name: str) -> str:
    return name if len(name) <= _LONGEST_SHOWN and _fits_the_wire(name) else shown(name)


def _told(value: Any) -> Any:
    """As it was written, if it is short and can cross the wire."""
    return value if _fits_the_wire(value) and len(json.dumps(value)) <= _LONGEST_SHOWN else shown(value)


def _fits_the_wire(value: Any) -> bool:
    if isinstance(value, str):  # JSON can say half a character, which is no text in UTF-8
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, dict):
        return len(value) <= MOST_KEYS and all(map(_fits_the_wire, (*value, *value.values())))
    if isinstance(value, (list, tuple)):
        return len(value) <= MOST_KEYS and all(map(_fits_the_wire, value))
    return not isinstance(value, int) or abs(value) < _LARGEST_WHOLE
