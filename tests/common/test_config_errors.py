"""Whatever is done to focusd's sample config is told with its file, its very line and its path, and never otherwise."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory_common import config, paths
from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig
from observatory_common.json_file import JsonPath, as_json_path, read_document
from observatory_focusd.config import SCHEMA

SAMPLE_FILE = paths.packaged_site() / "focusd" / "test.json"
SAMPLE: dict[str, Any] = json.loads(SAMPLE_FILE.read_bytes())
DIRECTORY = Directory.load(paths.packaged_site() / "observatory")
MARK = "the value that is looked for"

Layout = tuple[int | None, str]
LAYOUTS = st.tuples(st.sampled_from([None, 0, 1, 4]), st.sampled_from(["\n", "\r\n"]))  # indent and line end
PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=8)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def leaves(value: Any, path: JsonPath = ()) -> Iterator[JsonPath]:
    """The paths of all texts, numbers and flags."""
    if not isinstance(value, (dict, list)):
        yield path
        return
    for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, (*path, step))


LEAVES = list(leaves(SAMPLE))


def schema_of(path: JsonPath) -> dict[str, Any]:
    """What the schema says of the value at a path."""
    schema = SCHEMA
    for step in path:
        schema = schema["items"] if isinstance(step, int) else schema["properties"][step]
    return schema


def with_value(path: JsonPath, value: Any) -> dict[str, Any]:
    """The sample with one value replaced, or added at the end of its object."""
    changed = copy.deepcopy(SAMPLE)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


def wrong_types(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of any other type."""
    if schema["type"] == "string":
        return JSON.filter(lambda value: not isinstance(value, str))
    if schema["type"] == "number":
        return JSON.filter(lambda value: isinstance(value, bool) or not isinstance(value, (int, float)))
    assert schema["type"] == "integer"
    return JSON.filter(lambda value: type(value) is not int and not (type(value) is float and value.is_integer()))


def out_of_range(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of the right type that are too small, too large, too long or not on the list."""
    if "enum" in schema:
        return st.integers().filter(lambda value: value not in schema["enum"])
    if schema["type"] == "integer":
        return st.integers(max_value=schema["minimum"] - 1) | st.integers(min_value=schema["maximum"] + 1)
    if schema["type"] == "number":
        low, high = schema["minimum"], schema["maximum"]
        below = st.floats(max_value=low, exclude_max=True, allow_infinity=False) | st.integers(max_value=-1)
        above = st.floats(min_value=high, exclude_min=True, allow_infinity=False) | st.integers(min_value=high + 1)
        return below | above
    if "maxLength" in schema:
        longest = schema["maxLength"]
        return st.just("") | st.integers(longest + 1, longest + 500).map(lambda length: "x" * length)
    known = {"daemon_name": DIRECTORY.daemons, "machine_name": DIRECTORY.machines}[schema["format"]]
    return st.text(max_size=20).filter(lambda name: name not in known)


def assert_told(path: JsonPath, value: Any, layout: Layout, folder: Path) -> None:
    """The changed sample is refused, and one line of the text names the file, the line and the path of the change."""
    indent, line_end = layout
    marked = json.dumps(with_value(path, MARK), indent=indent)
    line = marked[: marked.index(json.dumps(MARK))].count("\n") + 1  # what stands before the value is the same
    file = folder / "changed.json"
    text = json.dumps(with_value(path, value), indent=indent)
    file.write_bytes(text.replace("\n", line_end).encode())
    with pytest.raises(InvalidConfig) as refused:
        config.load(file, SCHEMA, DIRECTORY)
    place = f"{file}:{line}: {as_json_path(path)}: "
    assert any(told.startswith(place) for told in str(refused.value).splitlines()), (place, str(refused.value))


def test_the_sample_as_it_is_fits() -> None:
    assert config.load(SAMPLE_FILE, SCHEMA, DIRECTORY).data == SAMPLE
    assert len(LEAVES) == 15  # else a leaf came along that the tests below should know


@PROPERTY
@given(data=st.data(), layout=LAYOUTS)
@pytest.mark.parametrize("path", LEAVES, ids=as_json_path)
def test_each_leaf_of_any_other_type(path: JsonPath, data: st.DataObject, layout: Layout, tmp_path: Path) -> None:
    assert_told(path, data.draw(wrong_types(schema_of(path))), layout, tmp_path)


@PROPERTY
@given(data=st.data(), layout=LAYOUTS)
@pytest.mark.parametrize("path", LEAVES, ids=as_json_path)
def test_each_leaf_out_of_its_range(path: JsonPath, data: st.DataObject, layout: Layout, tmp_path: Path) -> None:
    assert_told(path, data.draw(out_of_range(schema_of(path))), layout, tmp_path)


@PROPERTY
@given(data=st.data(), value=JSON, layout=LAYOUTS)
def test_an_unknown_key_beside_any_leaf(data: st.DataObject, value: Any, layout: Layout, tmp_path: Path) -> None:
    beside = data.draw(st.sampled_from([path for path in LEAVES if isinstance(path[-1], str)]))
    known = schema_of(beside[:-1])["properties"]
    key = data.draw(st.from_regex("[A-Za-z_]{1,20}", fullmatch=True).filter(lambda name: name not in known))
    assert_told((*beside[:-1], key), value, layout, tmp_path)


def test_the_sample_as_it_is_laid_out_with_each_value_spoilt(tmp_path: Path) -> None:
    """In the file's own layout, with two values on a line and others over several."""
    lines = SAMPLE_FILE.read_text().splitlines()
    file = tmp_path / "test.json"
    spoilt = 0
    for number, line in enumerate(lines, 1):
        key = line.strip().partition('"')[2].partition('"')[0]
        if key in SAMPLE and key != "channels":
            file.write_text("\n".join([*lines[: number - 1], f'"{key}": null,', *lines[number:]]))
            with pytest.raises(InvalidConfig) as refused:
                config.load(file, SCHEMA, DIRECTORY)
            assert str(refused.value).startswith(f"{file}:{number}: $.{key}: null is not ")
            spoilt += 1
    assert spoilt == len(SAMPLE) - 1


def test_a_bad_name_of_an_entry_is_told_at_the_entry(tmp_path: Path) -> None:
    probe = {"label": "Primary mirror", "address": "28ff000000000001"}
    file = tmp_path / "test.json"
    file.write_text(json.dumps({**SAMPLE, "temperature_probes": {"good": probe, "Bad Name": probe}}, indent=1))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "Bad Name" in text)
    with pytest.raises(InvalidConfig) as refused:
        config.load(file, SCHEMA, DIRECTORY)
    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert "Bad Name" in str(refused.value)


@pytest.mark.parametrize("nested", [0, 1])
def test_the_line_of_a_key_that_stands_twice_is_that_of_the_second(nested: int, tmp_path: Path) -> None:
    twice = '{"a": 1,\n"b": 2,\n"a": 3,\n"c": [\n4]}'
    file = tmp_path / "twice.json"
    file.write_text('{"outer":\n' * nested + twice + "}" * nested)
    with pytest.raises(InvalidConfig) as refused:
        read_document(file)
    assert str(refused.value).startswith(f"{file}:{3 + nested}: "), str(refused.value)


@pytest.mark.parametrize("digits", [40, 4300, 4301, 100_000])
def test_a_number_of_any_length_is_refused_in_its_line(digits: int, tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    file.write_text(json.dumps(with_value(("serial_baud",), MARK), indent=1).replace(json.dumps(MARK), "9" * digits))
    with pytest.raises(InvalidConfig) as refused:
        config.load(file, SCHEMA, DIRECTORY)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "serial_baud" in text)
    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("depth", [5, 50, 100, 150, 200, 1000])
@pytest.mark.parametrize("key", ["serial_baud", "control_machines"])
def test_a_value_of_any_depth_is_refused(depth: int, key: str, tmp_path: Path) -> None:
    file = tmp_path / "deep.json"
    pair = f"[{'[' * depth}{']' * depth}, {'[' * depth}{']' * depth}]"
    file.write_text(json.dumps(with_value((key,), MARK)).replace(json.dumps(MARK), pair))
    with pytest.raises(InvalidConfig) as refused:
        config.load(file, SCHEMA, DIRECTORY)
    assert str(refused.value).startswith(f"{file}:1: ")


ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.0/8", "fd00::/8", "LocalHost"]) | JSON
MACHINE = st.fixed_dictionaries({}, optional={"addresses": ADDRESSES, "subjects": JSON})
MACHINES = st.dictionaries(
    st.sampled_from(["tcs", "LocalHost", ""]) | st.text(max_size=5),
    ADDRESSES | st.lists(ADDRESSES, max_size=2) | MACHINE,
    max_size=3,
)
DAEMON = st.fixed_dictionaries(
    {},
    optional={
        "machine": st.sampled_from(["tcs", "LocalHost"]) | JSON,
        "port": st.integers(-1, 70000) | JSON,
        "host": st.just("10.0.0.9") | JSON,
        "object": st.just("focuser") | JSON,
        "timeout_s": st.just(1.5) | JSON,
    },
)
DAEMONS = st.dictionaries(st.sampled_from(["east", "localhost_test"]) | st.text(max_size=5), DAEMON | JSON, max_size=3)


@PROPERTY
@given(machines=MACHINES | JSON, daemons=DAEMONS | JSON)
def test_any_registry_is_a_directory_or_an_invalid_config(machines: Any, daemons: Any, tmp_path: Path) -> None:
    (tmp_path / "machines.json").write_text(json.dumps(machines))
    (tmp_path / "daemons.json").write_text(json.dumps(daemons))
    try:
        directory = Directory.load(tmp_path)
    except InvalidConfig as error:
        assert str(error).startswith((f"{tmp_path}/machines.json:1: $", f"{tmp_path}/daemons.json:1: $"))
        return
    assert directory.machines.keys() == {"LocalHost", *machines}
    assert directory.daemons.keys() >= daemons.keys()
    assert all(1 <= entry.port <= 65535 and 0.1 <= entry.timeout_s <= 600 for entry in directory.daemons.values())
    assert directory.machines_at("127.0.0.1") >= {"LocalHost"}
