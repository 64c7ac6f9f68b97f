"""Commands that meet a daemon of another version: what cannot be understood is said, with both versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import fakedaemon
import pytest

from observatory_common import terminal
from observatory_common.errors import CommandStatus, UnknownMethod
from observatory_common.rpc import client
from observatory_common.version import software_version

OTHER = "1.2.3"  # the fake daemon's


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[fakedaemon.Running]:
    """A daemon whose status has none of a focuser's keys."""
    with fakedaemon.running(tmp_path) as running:
        yield running


def focus(daemon: fakedaemon.Running, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `focus` on a site whose focuser is that daemon."""
    entry = {"object": fakedaemon.OBJECT, "machine": "LocalHost", "host": daemon.host, "port": daemon.port}
    config = {"daemon": "dome_focus", "log_name": "focusd@east", "control_machines": ["LocalHost"]}
    files: dict[str, Any] = {
        "observatory/machines.json": {},
        "observatory/daemons.json": {"dome_focus": entry},
        "focusd/east.json": config,
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "observatory_cli.focus", *arguments],
        env={**os.environ, "OBSERVATORY_ETC": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_status_of_another_version_is_no_traceback(daemon: fakedaemon.Running, tmp_path: Path) -> None:
    done = focus(daemon, tmp_path / "etc", "status")
    said = (
        f"error: the daemon's answer lacks 'reading_date': dome_focus has version {OTHER}, this program {software_version()}\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (CommandStatus.Failed, "", said)
    seen = json.loads(focus(daemon, tmp_path / "etc", "status", "--json").stdout)
    assert seen["software_version"] == OTHER


def test_a_method_of_another_version_is_refused_with_both(daemon: fakedaemon.Running, tmp_path: Path) -> None:
    done = focus(daemon, tmp_path / "etc", "stop")
    versions = f"(dome_focus has version {OTHER}, this program {software_version()})"
    assert done.returncode == CommandStatus.UnknownMethod
    assert done.stderr.startswith("error: the daemon has no method 'stop_channel'")
    assert done.stderr.endswith(f"{versions}\n")


def test_of_one_version_no_version_is_blamed(daemon: fakedaemon.Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own is told by its traceback."""

    @click.command()
    def command() -> None:
        with daemon.client() as focuser:
            print(focuser.report_status()["reading_date"])

    monkeypatch.setattr(client, "software_version", lambda: OTHER)
    with daemon.client() as focuser, pytest.raises(UnknownMethod, match=r"no method 'focus_by_thought'$"):
        focuser.focus_by_thought()
    with pytest.raises(KeyError, match="reading_date"):
        terminal.run(command, [], "a command")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda status: status["channels"], "lacks 'channels'"),
        (lambda status: status["limits"]["lower"], "is of another form than expected (list indices must be"),
    ],
    ids=["key", "type"],
)
def test_what_is_said_as_json_too(daemon: fakedaemon.Running, capsys: pytest.CaptureFixture[str], broken, said: str) -> None:
    @click.command()
    @terminal.common_options("json")
    def command() -> None:
        with daemon.client() as focuser:
            broken(focuser.report_status())

    assert terminal.run(command, ["--json"], "command") == CommandStatus.Failed
    shown = json.loads(capsys.readouterr().out)
    assert (shown["error"], shown["code"]) == ("CommandFailed", CommandStatus.Failed)
    assert shown["message"].startswith(f"the daemon's answer {said}")
    assert f"fake has version {OTHER}, this program" in shown["message"]
