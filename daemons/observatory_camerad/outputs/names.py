"""Names of files, made from a pattern and recognised again; folders that a client may choose."""

from __future__ import annotations

import os
import re
import string
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from observatory_common.arguments import shown
from observatory_common.errors import InvalidArgument, InvalidConfig

DEFAULT_PATTERN = "{prefix}-{count:08d}"
LONGEST_STEM = 120
ALLOWED = "text of A-Z a-z 0-9 _ . - with {count} or {count:06d}, and {prefix}, {camera}, {kind}, {date:%Y%m%d_%H%M%S}"

_PLAIN = re.compile(r"[A-Za-z0-9_.-]*")
_COUNT_FORMAT = re.compile(r"(0([1-9]|1[0-2]))?d?")
_DIRECTIVES = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "f": 6, "j": 3, "y": 2}  # and how many digits each gives
_ENDINGS = r"(?:\.thumb)?\.[A-Za-z0-9]{1,8}"
_LARGEST_COUNT = 10**12


class FilePattern:
    """How the files of one camera are named, without their endings.

    The text may hold the fields prefix, camera (the instance), kind (photo, raw, video), date (start of exposure, UTC, with a
    format of strftime's numbers) and count, which it must hold once. Raises InvalidConfig.
    """

    def __init__(self, text: str = DEFAULT_PATTERN, prefix: str = "camera", camera: str = "camera") -> None:
        self.text = text
        self._fixed = {"prefix": prefix, "camera": camera}
        self._pieces = self._parsed()
        self._pattern = re.compile(f"({''.join(self._expression(*piece) for piece in self._pieces)}){_ENDINGS}")
        self._check()

    def stem(self, count: int, kind: str = "photo", start_ns: int | None = None) -> str:
        """The name number `count`; `start_ns` is nanoseconds since 1970 (default: now)."""
        whole_s, rest_ns = divmod(time.time_ns() if start_ns is None else start_ns, 1_000_000_000)
        start = datetime.fromtimestamp(whole_s, UTC).replace(microsecond=rest_ns // 1000)
        return "".join(self._rendered(field, spec, count, kind, start) for field, spec in self._pieces)

    def match(self, name: str) -> tuple[str, int] | None:
        """Stem and number of a file that this pattern named (with an ending, or .thumb and an ending); None for others."""
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        digits = found["count"]
        count, spec = int(digits), next(spec for field, spec in self._pieces if field == "count")
        return (found[1], count) if format(count, spec) == digits else None

    def _parsed(self) -> list[tuple[str, str]]:
        """Field and format of each piece in turn; plain text has the field ''."""
        pieces: list[tuple[str, str]] = []
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise self._refused(str(error)) from None
        for text, field, spec, conversion in parsed:
            pieces.append(("", text))
            if field is not None:
                self._check_field(field, spec or "", conversion)
                pieces.append((field, spec or ""))
        if [field for field, _ in pieces].count("count") != 1:
            raise self._refused("it must hold {count} once, or names would collide")
        return pieces

    def _check_field(self, field: str, spec: str, conversion: str | None) -> None:
        if field not in ("prefix", "camera", "kind", "date", "count"):
            raise self._refused(f"there is no field {shown(field)}")
        if conversion:
            raise self._refused(f"the field {field} has a conversion !{conversion}")
        if field == "count":
            fits = _COUNT_FORMAT.fullmatch(spec) is not None
        elif field == "date":
            directives = re.findall("%(.?)", spec)
            fits = bool(directives) and all(letter in _DIRECTIVES for letter in directives)
        else:
            fits = not spec
        if not fits:
            raise self._refused(f"the field {field} has the format {shown(spec)}")

    def _check(self) -> None:
        fields = [field for field, _ in self._pieces]
        longest = self.stem(_LARGEST_COUNT, "photo", 0)
        for part, what in [(self.text, "pattern"), *((self._fixed[field], field) for field in self._fixed if field in fields)]:
            if not part:
                raise self._refused(f"the {what} is empty")
        if not _PLAIN.fullmatch(longest):
            raise self._refused(f"it gives {shown(longest)}")
        if longest.startswith("."):
            raise self._refused("names would begin with a dot")
        if len(longest) > LONGEST_STEM:
            raise self._refused(f"names would have more than {LONGEST_STEM} characters")
        before, after = longest.split(str(_LARGEST_COUNT), 1) if longest.count(str(_LARGEST_COUNT)) == 1 else ("0", "")
        if before[-1:].isdigit() or after[:1].isdigit():
            raise self._refused("a digit stands beside the count, which could then not be read back")

    def _rendered(self, field: str, spec: str, count: int, kind: str, start: datetime) -> str:
        if field == "":
            return spec
        if field == "count":
            return format(count, spec)
        if field == "kind":
            return kind
        return start.strftime(spec) if field == "date" else self._fixed[field]

    def _expression(self, field: str, spec: str) -> str:
        if field == "":
            return re.escape(spec)
        if field == "count":
            return r"(?P<count>[0-9]{1,13})"
        if field == "kind":
            return "[a-z]+"
        if field == "date":
            pieces = re.split("%(.)", spec)
            return "".join(
                f"[0-9]{{{_DIRECTIVES[piece]}}}" if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)
            )
        return re.escape(self._fixed[field])

    def _refused(self, why: str) -> InvalidConfig:
        return InvalidConfig(
            f"the file name pattern {shown(self.text)} is refused: {why}", value=shown(self.text), allowed=ALLOWED
        )


def checked_folder(value: Any, roots: Sequence[Path]) -> Path:
    """An existing folder inside one of `roots`, without symlinks. Raises InvalidArgument, naming what is allowed."""
    allowed = f"an existing folder inside {' or '.join(map(str, roots))}" if roots else "no folder: the config names none"
    refused = InvalidArgument(f"folder is {shown(value)}, expected {allowed}", value=shown(value), allowed=allowed)
    if type(value) is not str or not value.startswith("/") or "\0" in value or ".." in value.split("/"):
        raise refused
    try:
        actual = Path(os.path.realpath(value, strict=True))
    except (OSError, UnicodeEncodeError):
        raise refused from None
    if not actual.is_dir() or not any(actual.is_relative_to(os.path.realpath(root)) for root in roots):
        raise refused
    return actual
