"""Is an uploaded configuration whole, and what does it ask for? No control is looked at: that is the camera's business."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument
from observatory_ftpd.drop import LARGEST_CONFIG

_DEEPEST = 16
_LARGEST_NUMBER = 2**63
_NAMES_SHOWN = 5
_LARGEST_SECTION = 1 << 18  # so that it fits into a request


def section_of(raw: bytes, section: str) -> dict[str, Any]:
    """The section of a configuration file. Raises InvalidArgument, which says what is wrong with the file, and where."""
    if len(raw) > LARGEST_CONFIG:
        raise InvalidArgument(f"the file has {len(raw)} bytes, expected at most {LARGEST_CONFIG}")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidArgument(f"the file is not UTF-8 (line {line})") from None
    try:
        data = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_constant)
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        what = "it ends too early" if is_cut else error.msg
        raise InvalidArgument(f"the file is no JSON: {what} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise InvalidArgument("the file is nested too deeply") from None
    except InvalidArgument:
        raise
    except ValueError:  # a whole number of more than 4300 digits
        raise InvalidArgument("the file has a number that is too long") from None
    if not isinstance(data, dict):
        raise InvalidArgument("the file is no JSON object, in braces")
    if section not in data:
        others = ", ".join(shown(name) for name in list(data)[:_NAMES_SHOWN]) or "nothing"
        raise InvalidArgument(f"the file has no section {section!r}, but {others}")
    if not isinstance(data[section], dict):
        raise InvalidArgument(f"section {section!r} is {shown(data[section])}, expected an object, in braces")
    found: dict[str, Any] = data[section]
    _require_plain(found, section, 1)
    if len(json.dumps(found)) > _LARGEST_SECTION:
        raise InvalidArgument(f"section {section!r} is larger than {_LARGEST_SECTION} characters")
    return found


def _require_plain(value: Any, at: str, depth: int) -> None:
    """Numbers and texts that can be sent, and no deeper than any control is."""
    if depth > _DEEPEST:
        raise InvalidArgument(f"{at[:80]}... is nested more than {_DEEPEST} deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            _require_text(key, f"{at} has a key that")
            _require_plain(inner, f"{at}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            _require_plain(inner, f"{at}[{number}]", depth + 1)
    elif isinstance(value, str):
        _require_text(value, at)
    elif isinstance(value, (int, float)) and not (math.isfinite(value) and -_LARGEST_NUMBER <= value < _LARGEST_NUMBER):
        raise InvalidArgument(f"{at} is {shown(value)}, which is too large a number")


def _require_text(text: str, what: str) -> None:
    """JSON can write half of a character (\\ud800), which nothing can send or store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise InvalidArgument(f"{what} holds {half}, which is half of a character (a lone surrogate)") from None


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twin = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise InvalidArgument(f"the file has the key {shown(twin)} twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise InvalidArgument(f"the file has {name}, which is no number in JSON")
