"""Configs and registries: every complaint names file, line, JSON path, value and what was expected."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory_common import config, paths
from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig
from observatory_common.json_file import ConfigProblems, JsonPath, as_json_path, read_document
from observatory_focusd.config import SCHEMA, parse

DIRECTORY = Directory({}, {})
SAMPLE: dict[str, Any] = {
    "daemon": "localhost_test",
    "log_name": "focusd@test",
    "control_machines": ["LocalHost"],
    "view_machines": ["LocalHost"],
    "gateway_machines": ["LocalHost"],
    "serial_port": "/dev/focuser",
    "serial_baud": 9600,
    "serial_timeout": 5,
    "idle_loop_delay": 5,
    "moving_loop_delay": 0.5,
    "move_timeout": 180,
    "steps_per_s": 61.035,
    "state_path": "/var/lib/focusd/test",
    "channels": [{"limits": [-20000, 20000], "backlash": -50}, {}],
    "temperature_probes": {"primary": {"label": "Primary mirror", "address": "28ff000000000001"}},
}


def leaves(value: Any, path: JsonPath = ()) -> Iterator[JsonPath]:
    """The path of every value in it, itself excepted."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from leaves(inner, (*path, step))


def with_value(path: JsonPath, value: Any) -> dict[str, Any]:
    """The sample with one value replaced."""
    changed = copy.deepcopy(SAMPLE)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def problems_of(data: Any, folder: Path) -> list[Any]:
    """What is wrong with it, by the same way as the daemon takes."""
    file = folder / "x.json"
    file.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
    try:
        parse(config.load(file, SCHEMA, DIRECTORY), DIRECTORY)
    except ConfigProblems as error:
        lines = file.read_text().splitlines()
        for problem in error.problems:
            assert str(problem).startswith(f"{file}:{problem.line}: {problem.path}: ")
            key = re.search(r"\.(\w+)$", problem.path)
            if key and not problem.message.endswith("is missing"):
                nearby = "\n".join(lines[max(problem.line - 4, 0) : problem.line])
                assert f'"{key[1]}"' in nearby, (problem, nearby)
        return error.problems
    return []


def test_the_sample_is_sound_and_kept_exactly(tmp_path: Path) -> None:
    assert problems_of(SAMPLE, tmp_path) == []
    loaded = parse(read_document(tmp_path / "x.json"), DIRECTORY)
    assert (loaded.moving_loop_delay, loaded.serial_timeout) == (0.5, 5.0)
    assert loaded.channels[0].limits == (-20000, 20000)
    assert loaded.channels[1].limits == (-9_999_999, 9_999_999)


WRONG_TYPES: list[Any] = [None, True, "text", 3, 0.25, [], {}, [[]], {"a": 1}]
#: Values that are of another type and all the same right, by path without its indices.
ALSO_RIGHT = {
    "$.log_name": ["text"],
    "$.serial_port": ["text"],
    "$.temperature_probes.primary.label": ["text"],
    "$.view_machines": [[]],
    "$.control_machines": [[]],
    "$.gateway_machines": [[]],
    "$.channels": [],
    "$.channels[0]": [{}],
    "$.channels[1]": [{}],
    "$.temperature_probes": [{}],
    "$.serial_timeout": [3, 0.25],
    "$.idle_loop_delay": [3, 0.25],
    "$.moving_loop_delay": [0.25],
    "$.move_timeout": [3],
    "$.steps_per_s": [3],
    "$.channels[0].limits[0]": [3],
    "$.channels[0].limits[1]": [3],
    "$.channels[0].backlash": [3],
}


@pytest.mark.parametrize("path", [pytest.param(path, id=as_json_path(path)) for path in leaves(SAMPLE)])
def test_each_leaf_of_a_wrong_type(path: JsonPath, tmp_path: Path) -> None:
    for wrong in WRONG_TYPES:
        if any(type(wrong) is type(right) and wrong == right for right in ALSO_RIGHT.get(as_json_path(path), [])):
            assert problems_of(with_value(path, wrong), tmp_path) == []
            continue
        problems = problems_of(with_value(path, wrong), tmp_path)
        assert problems, wrong
        assert all(problem.path.startswith(as_json_path(path)) for problem in problems), problems


OUT_OF_RANGE: list[tuple[JsonPath, list[Any]]] = [
    (("serial_baud",), [-7, 0, 9601, 10**30]),
    (("serial_timeout",), [0, -1, 0.04, 61, 1e300]),
    (("idle_loop_delay",), [0, -3, 0.09, 3601]),
    (("moving_loop_delay",), [0, -0.5, 0.01, 61]),
    (("move_timeout",), [0, -1, 0.5, 86401]),
    (("steps_per_s",), [0, -61, 1e9]),
    (("log_name",), ["", "x" * 81]),
    (("serial_port",), ["", "x" * 501]),
    (("daemon",), ["localhost_tset", "datetime", "Pyro5", "__doc__", ""]),
    (("control_machines", 0), ["Localhost", "__class__", ""]),
    (("control_machines",), [["LocalHost", "LocalHost"]]),
    (("state_path",), ["relative", "a\0b", ""]),
    (("channels",), [[], [{}, {}, {}]]),
    (("channels", 0, "limits"), [[1], [1, 2, 3], [5, 5], [6, 5], [-10_000_000, 0], [0, 10_000_000]]),
    (("channels", 0, "backlash"), [100_001, -100_001]),
    (("temperature_probes", "primary", "address"), ["28ff", "28ff00000000000g", "28ff0000000000011"]),
    (("temperature_probes", "primary", "label"), ["", "x" * 81]),
]


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, values in OUT_OF_RANGE for value in values], ids=lambda value: str(value)[:40]
)
def test_each_leaf_out_of_range(path: JsonPath, value: Any, tmp_path: Path) -> None:
    problems = problems_of(with_value(path, value), tmp_path)
    assert [p for p in problems if p.path.startswith(as_json_path(path))], problems


@pytest.mark.parametrize(
    "path",
    [pytest.param((*p, "x"), id=as_json_path(p) or "$") for p in [(), ("channels", 0), ("temperature_probes", "primary")]],
)
def test_an_unknown_key_everywhere(path: JsonPath, tmp_path: Path) -> None:
    problems = problems_of(with_value(path, 1), tmp_path)
    assert [(p.path, "unknown key" in p.message) for p in problems] == [(as_json_path(path), True)]


@pytest.mark.parametrize("key", SCHEMA["required"])
def test_each_required_key_missing(key: str, tmp_path: Path) -> None:
    data = {k: v for k, v in SAMPLE.items() if k != key}
    assert [(p.path, p.message) for p in problems_of(data, tmp_path)] == [(f"$.{key}", "is missing")]
    close = {**data, key[:-1] + "_": SAMPLE[key]}
    assert any(f"did you mean {key}?" in p.message for p in problems_of(close, tmp_path))


def test_all_problems_are_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    problems = problems_of({**SAMPLE, "serial_baud": 1, "serial_timeout": -1, "move_timeout": "x"}, tmp_path)
    assert [p.path for p in problems] == ["$.serial_baud", "$.serial_timeout", "$.move_timeout"]
    assert [p.line for p in problems] == sorted(p.line for p in problems)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from(list(leaves(SAMPLE))), value=JSON)
def test_any_value_anywhere_is_right_or_told(path: JsonPath, value: Any, tmp_path: Path) -> None:
    problems_of(with_value(path, value), tmp_path)  # never any other exception, never a wrong line


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(raw=st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_are_a_document_or_an_invalid_config(raw: bytes, tmp_path: Path) -> None:
    file = tmp_path / "any.json"
    file.write_bytes(raw)
    try:
        document = read_document(file)
    except InvalidConfig as error:
        assert str(error).startswith(str(file))
    else:
        assert document.data == json.loads(raw.decode("utf-8-sig"))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.dictionaries(st.text(max_size=5), JSON, max_size=4), indent=st.sampled_from([None, 1, 4]))
def test_the_line_of_every_value_is_right(data: dict[str, Any], indent: int | None, tmp_path: Path) -> None:
    file = tmp_path / "any.json"
    text = json.dumps(data, indent=indent)
    file.write_text(text)
    document = read_document(file)
    for path in leaves(data):
        shown = text.splitlines()[document.line(path) - 1]
        value = document.value(path)
        first = json.dumps(value)[0] if isinstance(value, (dict, list)) else json.dumps(value)
        assert first in shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", ":1: $: is no JSON"),
        ('{"a": 1,\n"b": }', ":2: $: is no JSON"),
        ('{"a": 1,\n "b": {"c": 1,\n "c": 2}}', "has the key 'c' twice"),
        ('{\n"a": NaN}', ":2: $: has NaN"),
        ('{"a": Infinity}', "has Infinity"),
        ('{"a": 1,\n"b": [1.5, -1e999]}', ":2: $: has the number '-1e999', which is too large"),
        ("[1]", "must hold one object"),
        ('{"a": ' + "[" * 100_000 + "}", "$: is"),
        (b"\xff\xfe{}", "is not UTF-8"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "is larger than"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_no_document(text: str | bytes, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidConfig) as refused:
        read_document(file)
    assert complaint in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_client_needs_no_more_than_the_daemons_name(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text('{"daemon": "anything", "of": ["a", {"newer": "version"}]}')
    assert config.read_client_config(file)["daemon"] == "anything"
    for bad in ("{}", '{"daemon": 5}'):
        file.write_text(bad)
        with pytest.raises(InvalidConfig, match=r"\$\.daemon"):
            config.read_client_config(file)


def test_a_site_folder_is_never_mixed_with_the_packaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_ETC", str(tmp_path))
    assert paths.registry_folder() == paths.packaged_site() / "observatory"
    assert paths.kind_folder("focusd") == paths.packaged_site() / "focusd"
    (tmp_path / "focusd").mkdir()
    assert paths.kind_folder("focusd") == tmp_path / "focusd"
    (tmp_path / "observatory").mkdir()
    assert paths.registry_folder() == tmp_path / "observatory"
    assert paths.kind_folder("camerad") == tmp_path / "camerad"


def test_where_state_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert paths.state_folder("focusd", "east", None) == tmp_path / "observatory" / "focusd" / "east"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/focusd/east")
    assert paths.state_folder("focusd", "east", None) == Path("/var/lib/focusd/east")
    assert paths.state_folder("focusd", "east", "/elsewhere") == Path("/elsewhere")
