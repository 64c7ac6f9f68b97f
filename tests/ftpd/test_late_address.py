"""Daemons whose address comes after they were started, as a machine's does that boots faster than its network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ftp_daemon
import observatory
import pytest
import waiting
from notified import Notified

REMOTE, FTP = "10.99.0.1", "10.99.0.2"
_SERVES = 'ip link set lo up && exec "$0" -m observatory_ftpd "$1"'


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[Notified]:
    with Notified(tmp_path / "notify") as listener:
        yield listener


@contextmanager
def started(tmp_path: Path, notified: Notified) -> Iterator[subprocess.Popen[str]]:
    """An ftpd under a service manager, on a machine with neither of its addresses."""
    if subprocess.run(["unshare", "--net", "--map-root-user", "ip", "link"], capture_output=True, check=False).returncode:
        pytest.skip("needs network namespaces (unshare --net), which this machine does not allow")
    ftpd = ftp_daemon.Ftpd(tmp_path, observatory.free_port(), machines={"Drop": REMOTE}, host=FTP)
    entries = {ftp_daemon.NAME: {"machine": "Drop", "port": 9000}, ftp_daemon.CAMERA: {"machine": "Drop", "port": 9001}}
    ftpd.write("observatory/daemons.json", entries)
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", _SERVES, sys.executable, str(ftpd.config_path)]
    environment = {**ftpd.env, "NOTIFY_SOCKET": str(notified.path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def give(process: subprocess.Popen[str], address: str) -> None:
    """Let the machine on which a process runs have an address."""
    inside = ["nsenter", "--user", "--net", "--preserve-credentials", "-t", str(process.pid)]
    subprocess.run([*inside, "ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)


def test_it_serves_once_its_addresses_have_come(tmp_path: Path, notified: Notified) -> None:
    with started(tmp_path, notified) as process:
        waiting.until(lambda: notified.heard(f"STATUS=waits for the address {REMOTE}, {FTP}"), 20, "a word of what is missing")
        give(process, REMOTE)
        waiting.until(lambda: notified.heard(f"STATUS=waits for the address {FTP}"), 20, "the wait for the other one")
        assert not notified.heard("READY=1")
        give(process, FTP)
        waiting.until(lambda: notified.heard("READY=1"), 20, "READY")
        process.terminate()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 0
        assert f"waiting for the network: this machine has no address {REMOTE}, {FTP} yet" in output


def test_it_ends_at_once_when_asked_to_meanwhile(tmp_path: Path, notified: Notified) -> None:
    with started(tmp_path, notified) as process:
        waiting.until(lambda: notified.heard(f"STATUS=waits for the address {REMOTE}, {FTP}"), 20, "the wait")
        process.terminate()
        assert process.wait(20) == 0


def test_it_is_to_be_started_again_if_they_do_not_come(tmp_path: Path, notified: Notified) -> None:
    ftpd = ftp_daemon.Ftpd(tmp_path, observatory.free_port(), host="192.0.2.1")
    impatient = (
        "from observatory_common import service; service._ADDRESS_COMES_WITHIN_S = 0;"
        "from observatory_ftpd.__main__ import main; main()"
    )
    environment = {**ftpd.env, "NOTIFY_SOCKET": str(notified.path)}
    command = [sys.executable, "-c", impatient, str(ftpd.config_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 75, done.stderr
    assert "this machine has no address 192.0.2.1: ending, to be restarted" in done.stderr
    assert "Traceback" not in done.stderr
