"""The services that observatory-firewalld writes, from registries and configs on which nothing needs to run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


def written(folder: Path, files: dict[str, Any]) -> tuple[dict[str, list[str]], str]:
    """The ports of each service for an /etc with these files, and what was said on stderr."""
    for name, data in files.items():
        (folder / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "etc" / name).write_text(json.dumps(data), encoding="utf-8")
    services = folder / "services"
    services.mkdir()
    done = subprocess.run(
        [sys.executable, REPOSITORY / "etc" / "firewalld" / "observatory-firewalld", services],
        env={**os.environ, "OBSERVATORY_ETC": str(folder / "etc")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ports = {file.stem: re.findall(r'port="([\d-]+)"', file.read_text()) for file in services.iterdir()}
    assert sorted(ports) == sorted(done.stdout.split())
    return ports, done.stderr


def config(daemon: str, **more: Any) -> dict[str, Any]:
    return {"daemon": daemon, "log_name": "some@where", "control_machines": ["LocalHost"], **more}


def test_ftp_has_its_data_connections(tmp_path: Path) -> None:
    ftpd = config("localhost_test4", camera="localhost_test1", passive_ports=[50000, 50063])
    assert written(tmp_path, {"ftpd/drop.json": ftpd}) == (
        {"observatory-localhost_test4": ["9004", "2121", "50000-50063"]},
        "",
    )


def test_an_ftpd_without_data_connections_is_warned_of(tmp_path: Path) -> None:
    ports, said = written(tmp_path, {"ftpd/drop.json": config("localhost_test4", camera="localhost_test1", port=21)})
    assert ports == {"observatory-localhost_test4": ["9004", "21"]}
    assert said == f"warning: {tmp_path}/etc/ftpd/drop.json has no passive_ports: FTP will have no data connections\n"


@pytest.mark.parametrize("page", ["etc/ftpd/example.json", "docs/from-mandeye.md"])
def test_whoever_begins_with_ours_has_them(page: str) -> None:
    """Also whoever copies the example, or the page's snippet."""
    text = (REPOSITORY / page).read_text()
    configs = [text] if page.endswith(".json") else re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (ftpd,) = [read for read in map(json.loads, configs) if read.get("log_name", "").startswith("ftpd@")]
    assert ftpd["passive_ports"] == [50000, 50063]


@pytest.mark.parametrize("registry", [False, True], ids=["no registry", "a registry"])
def test_only_daemons_of_this_machine_have_services(tmp_path: Path, registry: bool) -> None:
    files: dict[str, Any] = {"focusd/east.json": config("localhost_test")}
    if registry:
        files |= {"observatory/machines.json": {}, "observatory/daemons.json": {}}
    assert written(tmp_path, files) == ({"observatory-localhost_test": ["9000"]}, "")
