"""A JSON file with the line of each of its values, so that a complaint can say where."""

from __future__ import annotations

import difflib
import json
import json.scanner
import math
import re
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observatory_common.arguments import shown
from observatory_common.errors import InvalidConfig

JsonPath = tuple[str | int, ...]
_LARGEST_FILE = 1 << 20
_LONGEST_NUMBER = 4000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a file, and where."""

    file: Path
    line: int
    path: str
    value: Any
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.path}: {self.message}"


class ConfigProblems(InvalidConfig):
    """A file with one or more problems, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.line, problem.path))
        super().__init__("\n".join(map(str, self.problems)), value=shown(self.problems[0].value))


@dataclass
class Document:
    """The object in a JSON file, and where each value in it stands."""

    path: Path
    data: dict[str, Any]
    _lines: dict[JsonPath, int] = field(default_factory=dict)

    def line(self, path: JsonPath) -> int:
        """The line of a value; of the nearest enclosing one if there is no such value."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def value(self, path: JsonPath) -> Any:
        """The value at a path. Raises KeyError or IndexError."""
        value: Any = self.data
        for step in path:
            value = value[step]
        return value

    def problem(self, path: JsonPath, message: str) -> ConfigProblems:
        """A problem with the value at a path, ready to be raised; the message continues the value."""
        return ConfigProblems([self.as_problem(path, message)])

    def as_problem(self, path: JsonPath, message: str) -> Problem:
        """A problem with the value at a path."""
        try:
            value = self.value(path)
        except (KeyError, IndexError, TypeError):
            value = None
        text = f"{as_json(value)} {message}"
        return Problem(self.path, self.line(path), as_json_path(path), value, text)


def read_document(path: Path) -> Document:
    """Read a file that holds one JSON object. Raises InvalidConfig: unreadable, no JSON, duplicate keys, NaN, 1e999..."""
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidConfig(f"{path}: cannot be read: {error.strerror}", value=str(path)) from error
    if len(raw) > _LARGEST_FILE:
        raise InvalidConfig(f"{path}: is larger than {_LARGEST_FILE} bytes", value=str(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _at(path, line, f"is not UTF-8: {error.reason}") from error
    decoder = _Decoder(text)
    try:
        data = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise _at(path, error.lineno, f"is no JSON: {error.msg} (column {error.colno})") from error
    except _Refused as error:
        raise _at(path, error.line, str(error)) from error
    except RecursionError as error:
        raise _at(path, 1, "is nested too deeply") from error
    if not isinstance(data, dict):
        raise _at(path, 1, "must hold one object, in braces")
    return Document(path, data, decoder.lines(data))


def nearest(name: Any, known: Iterable[str]) -> str:
    """`; did you mean X?` for the known name nearest to `name`, or nothing."""
    found = difflib.get_close_matches(name, list(known), 1) if isinstance(name, str) else []
    return f"; did you mean {found[0]}?" if found else ""


def as_json_path(path: JsonPath) -> str:
    """`$.channels[0].limits`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def as_json(value: Any) -> str:
    """A value as it stands in a complaint: JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False) if not (isinstance(value, int) and abs(value) > 10**40) else shown(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _at(path: Path, line: int, message: str) -> InvalidConfig:
    return ConfigProblems([Problem(path, line, "$", None, message)])


class _Refused(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Decoder(json.JSONDecoder):
    """The standard decoder, in its Python form, which notes where each value begins."""

    def __init__(self, text: str) -> None:
        super().__init__(
            object_pairs_hook=self._pairs, parse_constant=self._constant, parse_float=self._float, parse_int=self._integer
        )
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._at = 0
        self._open: list[list[Any]] = [[]]
        scan = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]

        def scan_once(string: str, index: int) -> tuple[Any, int]:
            self._at = index
            self._open.append([])
            value, end = scan(string, index)
            children = self._open.pop()
            self._open[-1].append((index, children))
            return value, end

        # the scanner calls itself through these for the values inside an object or a list
        parse_object: Any = self.parse_object  # type: ignore[has-type]
        parse_array: Any = self.parse_array  # type: ignore[has-type]
        self.parse_object = lambda s, strict, _scan, *rest: parse_object(s, strict, scan_once, *rest)
        self.parse_array = lambda s, _scan, *rest: parse_array(s, scan_once, *rest)
        scan = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]
        self.scan_once = scan_once

    def lines(self, data: Any) -> dict[JsonPath, int]:
        """The line of every value in what was decoded."""
        found: dict[JsonPath, int] = {}

        def walk(path: JsonPath, value: Any, node: tuple[int, list[Any]]) -> None:
            index, children = node
            found[path] = self._line(index)
            steps = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
            for step, child in zip(steps, children, strict=True):
                walk((*path, step), value[step], child)

        walk((), data, self._open[0][0])
        return found

    def _line(self, index: int) -> int:
        return bisect_left(self._ends, index) + 1

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for (key, value), (index, _) in zip(pairs, self._open[-1], strict=True):
            if key in found:
                raise _Refused(self._line(index), f"has the key {key!r} twice")
            found[key] = value
        return found

    def _integer(self, digits: str) -> int:
        if len(digits) > _LONGEST_NUMBER:
            raise _Refused(self._line(self._at), f"has a whole number of {len(digits)} digits")
        return int(digits)

    def _float(self, text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise _Refused(self._line(self._at), f"has the number {shown(text)}, which is too large")
        return number

    def _constant(self, name: str) -> Any:
        raise _Refused(self._line(self._at), f"has {name}, which is no JSON number")
