"""The registry's two files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig


def load(folder: Path, machines: Any, daemons: Any) -> Directory:
    (folder / "machines.json").write_text(json.dumps(machines))
    (folder / "daemons.json").write_text(json.dumps(daemons))
    return Directory.load(folder)


def test_localhost_and_the_test_daemons_are_always_there(tmp_path: Path) -> None:
    directory = load(tmp_path, {}, {})
    assert directory.machines_at("127.0.0.1") == directory.machines_at("::1") == {"LocalHost"}
    ports = {name: directory.daemon(name).port for name in directory.daemons}
    assert ports == {"localhost_test": 9000, **{f"localhost_test{n}": 9000 + n for n in range(1, 10)}}
    assert {entry.host for entry in directory.daemons.values()} == {"127.0.0.1"}


def test_entries_and_their_defaults(tmp_path: Path) -> None:
    machines = {"tcs": ["10.2.6.0/28", "10.2.6.20", "fd00::1"], "pi": {"addresses": "10.2.6.30", "subjects": ["pi.example"]}}
    daemons = {
        "east": {"machine": "tcs", "port": 9100},
        "west": {"machine": "tcs", "port": 9100, "host": "10.2.6.3", "object": "focuser", "timeout_s": 1.5},
    }
    directory = load(tmp_path, machines, daemons)
    east, west = directory.daemon("east"), directory.daemon("west")
    assert (east.object, east.host, east.port, east.timeout_s) == ("east", "10.2.6.20", 9100, 5.0)
    assert (west.object, west.host, west.timeout_s) == ("focuser", "10.2.6.3", 1.5)
    assert directory.machines_at("10.2.6.20") == {"tcs"}
    assert directory.machines_at("10.2.6.15") == {"tcs"}
    assert directory.machines_at("10.2.6.30") == {"pi"}
    assert directory.machines_with_subject("pi.example") == {"pi"}
    with pytest.raises(InvalidConfig, match="did you mean east"):
        directory.daemon("eats")


@pytest.mark.parametrize(
    ("machines", "daemons", "complaint"),
    [
        ({"LocalHost": "10.0.0.1"}, {}, r"machines.json:1: \$\.LocalHost: .*cannot be redefined"),
        ({"a": "10.0.0.1/8"}, {}, r"\$\.a: .*is not an IP address or range"),
        ({"a": ["10.0.0.1", "nonsense"]}, {}, r"\$\.a\[1\]: .*is not an IP address or range"),
        ({"a": 5}, {}, r"\$\.a: 5 is not an address"),
        ({"a": {"adresses": []}}, {}, r"\$\.a\.adresses: .*did you mean addresses"),
        ({"a": {"subjects": "x"}}, {}, r"\$\.a\.subjects: .*is not a list"),
        ({}, {"x": {"machine": "Localhost", "port": 1}}, r"daemons.json:1: \$\.x\.machine: .*did you mean LocalHost"),
        ({}, {"x": {"machine": "LocalHost"}}, r"\$\.x: .*has no port"),
        ({}, {"x": {"port": 9100}}, r"\$\.x: .*has no machine"),
        ({}, {"x": {"machine": "LocalHost", "port": 0}}, r"\$\.x\.port: 0 is not a port"),
        ({}, {"x": {"machine": "LocalHost", "port": True}}, r"\$\.x\.port: true is not a port"),
        ({}, {"x": {"machine": "LocalHost", "port": "9100"}}, r'\$\.x\.port: "9100" is not a port'),
        ({}, {"x": {"machine": "LocalHost", "port": 9003}}, r"\$\.x\.port: 9003 is taken by localhost_test3"),
        (
            {},
            {"x": {"machine": "LocalHost", "port": 9100}, "y": {"machine": "LocalHost", "port": 9100}},
            r"\$\.y\.port: 9100 is taken by x",
        ),
        ({}, {"x": {"machine": "LocalHost", "port": 9100, "timeout_s": 0}}, r"\$\.x\.timeout_s"),
        ({}, {"x": {"machine": "LocalHost", "port": 9100, "prot": 0}}, r"\$\.x\.prot: .*did you mean port"),
        ({}, {"localhost_test": {"machine": "LocalHost", "port": 1}}, "cannot be redefined"),
        ({"a": "10.0.0.0/8"}, {"x": {"machine": "a", "port": 1}}, r"\$\.x\.machine: .*needs a host"),
        ({}, {"x": []}, r"\$\.x: .*is not an object"),
        ([], {}, "must hold one object"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(machines: Any, daemons: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=complaint):
        load(tmp_path, machines, daemons)


def test_a_registry_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"machines\.json: cannot be read"):
        Directory.load(tmp_path)
