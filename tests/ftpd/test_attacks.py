"""What an attacker, or bad luck, tried: logins at the same time, ports that are used up, uploads that are refused."""

from __future__ import annotations

import ftplib
import socket
from concurrent.futures import ThreadPoolExecutor

import ftp_camera
import ftp_daemon
import observatory
import pytest
import waiting
from ftp_daemon import FILE, GOOD, PASSWORD, config_text, upload

from observatory_ftpd import password
from observatory_ftpd.logins import FAILURES_ALLOWED, Tries


def audit(ftpd: ftp_daemon.Ftpd, *parts: str) -> list[str]:
    """The refusals of uploads in the audit that have all these parts."""
    lines = [line for line in ftpd.log_lines() if "refused" in line and "FTP upload" in line]
    return [line for line in lines if all(part in line for part in parts)]


def test_good_logins_at_the_same_time_are_all_let_in(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(users=[{"name": "dropper", "password": password.hash_of(PASSWORD), "rights": "drop"}])
    with ThreadPoolExecutor(12) as pool:
        clients = list(pool.map(lambda _: ftpd.ftp(), range(12)))
    for client in clients:
        assert client.voidcmd("NOOP").startswith("200")
        client.close()


def test_good_logins_from_many_addresses_are_all_let_in(start, camera: ftp_camera.FakeCamera) -> None:
    users = [{"name": "dropper", "password": password.hash_of(PASSWORD), "rights": "drop"}]
    ftpd = start(users=users, machines={"Net": "127.0.0.0/8"}, control_machines=["Net"])
    sources = [f"127.0.0.{2 + number % 4}" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        clients = list(pool.map(lambda source: ftpd.ftp(source=source), sources))
    for client in clients:
        client.close()


def test_anonymous_is_not_refused_for_the_failures_of_others(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(anonymous="read")

    def guess(_: int) -> str:
        with pytest.raises(ftplib.Error) as refusal:
            ftpd.ftp("dropper", "wrong").close()
        return str(refusal.value)[:3]

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(guess, range(6))) == ["421"] + ["530"] * 5
    with pytest.raises(ftplib.Error, match="421"):
        ftpd.ftp()
    with ftpd.ftp("anonymous", "") as client:
        assert client.nlst() is not None


def test_whoever_waits_for_others_tries_gets_the_turn_or_the_refusal() -> None:
    failures, answers = Tries(), []

    def tries(wait_s: float) -> bool:
        answers.append(wait_s > 0)
        return True

    for _ in range(FAILURES_ALLOWED + 3):
        failures.ask("a", tries)
    failures.ask("b", tries)
    assert answers == [False] * (FAILURES_ALLOWED + 1)
    failures.ended("a", True)
    assert len(answers) == FAILURES_ALLOWED + 2
    for _ in range(FAILURES_ALLOWED):
        failures.ended("a", False)
    assert answers[-2:] == [True, True]
    failures.ask("c", lambda wait_s: False)  # who has gone meanwhile takes no turn
    for _ in range(FAILURES_ALLOWED):
        failures.ask("c", tries)
    assert len(answers) == 2 * FAILURES_ALLOWED + 4


@pytest.mark.parametrize("host", ["127.0.0.1", None])
def test_no_port_but_those_of_the_config_is_opened(start, camera: ftp_camera.FakeCamera, host: str | None) -> None:
    port = observatory.free_port()
    ftpd = start(passive_ports=[port, port], host=host)
    waiting.until((ftpd.drop / f"{FILE}.default").exists, 20, "the connection to the camera, which is a file too")
    with ftpd.ftp() as one, ftpd.ftp() as other:
        assert one.makepasv()[1] == port
        for command in ("PASV", "EPSV"):
            with pytest.raises(ftplib.error_temp, match="425 No port"):
                other.sendcmd(command)
        assert other.voidcmd("NOOP").startswith("200")
        files = ftpd.vitals.open_files()
        for _ in range(20):
            with pytest.raises(ftplib.error_temp, match="425 No port"):
                other.makepasv()
        assert ftpd.vitals.open_files() <= files
        one.close()
        waiting.until(lambda: ftpd.status()["connections"] == 1, 10, "the other session to end")
        assert upload(other, FILE, config_text(GOOD)).startswith("226")
    assert ftpd.report_of(1)["outcome"] == "applied"


def test_every_upload_that_is_refused_is_in_the_audit(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start()
    commands = {
        f"STOR ../{FILE}": "553",
        "STOR a/../b": "553",
        "STOR a/b": "550",
        "STOR there": "425",
        "STOR": "501",
    }
    with ftpd.raw() as sock:
        assert sock.recv(1000).startswith(b"220")
        sock.sendall(b"STOR ../early\r\n")
        assert sock.recv(1000).startswith(b"530")
    with ftpd.ftp() as client:
        for command, code in commands.items():
            with pytest.raises(ftplib.Error, match=f"^{code}"):
                client.sendcmd(command)
        with pytest.raises(ftplib.error_perm, match="550"):
            upload(client, "x.report", b"x")
        client.sendcmd("REST 3")
        with pytest.raises(ftplib.error_perm, match="554"):
            client.sendcmd("STOR continued")
    with ftpd.ftp("reader") as client, pytest.raises(ftplib.error_perm, match="550"):
        client.sendcmd(f"STOR {FILE}")
    expected = [f"../{FILE}", "a/../b", "a/b", "x.report", "there", "early", "continued", "name=''", "user='reader'"]
    for name in expected:
        waiting.until(lambda name=name: audit(ftpd, name), 5, f"the audit of {name}")
    assert len(audit(ftpd)) == len(expected)
    # Whoever may drop reads the reason in the report; whoever may not cannot spoil it.
    assert f"../{FILE}: a path with .. is refused" in ftpd.report_of(1)["error"]


def test_an_upload_whose_data_connection_is_lost_is_told_of(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        client.makepasv()
        assert client.sendcmd(f"STOR {FILE}").startswith("150")
    assert "its data connection never came" in ftpd.report_of(1)["error"]
    with ftpd.ftp() as client:
        host, port = client.makepasv()
        client.putcmd(f"STOR {FILE}")
        with socket.create_connection((host, port), timeout=5) as connection:
            ftp_daemon.reset(connection)
        codes = [client.getmultiline()[:3]]
        if codes[0] != "425":  # the reset was seen first
            codes.append(client.getmultiline()[:3])
        assert codes[-1] in ("425", "426"), codes
    waiting.until(lambda: len(audit(ftpd, FILE)) == 2, 5, "the audit")
    assert camera.calls == []
