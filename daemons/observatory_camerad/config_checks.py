"""What a schema cannot say of camerad's config: all of it is found before the daemon starts, none of it ends the daemon."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from observatory_camerad.outputs.names import DEFAULT_PATTERN, FilePattern
from observatory_camerad.video.encoder import FORMATS, EncoderSettings
from observatory_common.config import Document
from observatory_common.errors import InvalidArgument, InvalidConfig
from observatory_common.json_file import JsonPath, Problem
from observatory_common.paths import instance_of

#: libcamera's names of raw frames: SRGGB12, SBGGR10_CSI2P; of a sensor without colours R10; a bare mosaic.
_RAW_FORMAT = re.compile(r"(S|R[0-9]|RGGB|BGGR|GRBG|GBRG)[A-Za-z0-9_]*")
_LARGEST_WHOLE = 2**63
_NAMES: tuple[JsonPath, ...] = (
    ("device",),
    ("tuning_file",),
    ("output_path",),
    ("state_path",),
    ("video", "audio_device"),
    ("simulator", "faults"),
    ("controls_file", "path"),
)


def problems(document: Document) -> Iterator[Problem]:
    """Everything that is wrong with a document that fits the schema."""
    data = document.data
    if data["driver"] == "picamera2" and type(data.get("device", 0)) is not int:
        yield document.as_problem(("device",), "is not the number of a camera, as libcamera lists them")
    try:
        pattern, prefix = data.get("output_pattern", DEFAULT_PATTERN), data.get("output_prefix", "camera")
        FilePattern(pattern, prefix, instance_of(document.path))
    except InvalidConfig as error:
        yield document.as_problem(("output_pattern",), str(error))
    for number, root in enumerate(data.get("roots", ())):
        if ".." in root.split("/"):
            yield document.as_problem(("roots", number), "is not the absolute path of a folder without ..")
    yield from _scanner(document, data)
    yield from _names(document)
    yield from _video(document, data.get("video", {}))
    yield from _controls(document, ("controls",), data.get("controls", {}))
    for name, case in data.get("use_cases", {}).items():
        yield from _use_case(document, ("use_cases", name), name, case)


def _scanner(document: Document, data: Mapping[str, Any]) -> Iterator[Problem]:
    if ".." in data.get("controls_file", {}).get("path", "").split("/"):
        yield document.as_problem(("controls_file", "path"), "is not the absolute path of a file without ..")
    if "controller" not in data:
        return
    if not data.get("roots"):
        message = "needs roots: the folders inside which its controller may have photos written"
        yield document.as_problem(("controller",), message)
    for number, endpoint in enumerate(data["controller"]["endpoints"]):
        if not 1 <= int(endpoint.rpartition(":")[2]) <= 65535:
            yield document.as_problem(("controller", "endpoints", number), "has no port from 1 to 65535")


def _names(document: Document) -> Iterator[Problem]:
    """Names that no operating system takes."""
    roots = [("roots", number) for number in range(len(document.data.get("roots", ())))]
    for path in (*_NAMES, *roots):
        try:
            name = document.value(path)
            if isinstance(name, str) and "\0" in name:
                raise ValueError("NUL")
            os.fsencode(str(name))
        except KeyError:
            continue
        except ValueError:
            yield document.as_problem(path, "has characters that no file name can have")


def _use_case(document: Document, path: JsonPath, name: str, case: Mapping[str, Any]) -> Iterator[Problem]:
    if name == "raw" and case["stream"] != "raw":
        yield document.as_problem((*path, "stream"), "is not raw, the only stream that the use case raw can have")
    elif name != "raw" and case["stream"] == "raw":
        yield document.as_problem((*path, "stream"), f"is not for the use case {name}, which is seen: main or lores")
    elif case["stream"] != "raw" and case["format"] not in FORMATS:
        yield document.as_problem((*path, "format"), f"is not one of {', '.join(FORMATS)}")
    elif case["stream"] == "raw" and not _RAW_FORMAT.fullmatch(case["format"]):
        yield document.as_problem((*path, "format"), "is not the name of a raw format, as SRGGB12")
    for number, pixels in enumerate(case["size"]):
        if pixels % 2:
            yield document.as_problem((*path, "size", number), "is not even")
    yield from _controls(document, (*path, "controls"), case.get("controls", {}))


def _video(document: Document, video: Mapping[str, Any]) -> Iterator[Problem]:
    """The encoder knows its limits best."""
    for wanted in ("codec", "bitrate", "keyframe_s"):
        try:
            EncoderSettings(**{key: value for key, value in video.items() if key == wanted})
        except InvalidArgument as error:
            yield document.as_problem(("video", wanted), f"is not {error.allowed}")


def _controls(document: Document, path: JsonPath, controls: Mapping[str, Any]) -> Iterator[Problem]:
    """Which controls there are, and their ranges, is known only once the camera is there."""
    for name, value in controls.items():
        lists = isinstance(value, list) and bool(value)
        flat = lists and all(map(_is_number, value))
        nested = lists and all(isinstance(group, list) and group and all(map(_is_number, group)) for group in value)
        if not (isinstance(value, (bool, str)) or _is_number(value) or flat or nested):
            yield document.as_problem((*path, name), "is not a number, true or false, a text, or a list of numbers")


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return abs(value) < _LARGEST_WHOLE
    return type(value) is float and math.isfinite(value)
