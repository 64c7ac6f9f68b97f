"""Who may do what: the machine decides what is possible, the user what of it is allowed."""

from __future__ import annotations

import ftplib
import io
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ftp_camera
import ftp_daemon
import pytest
import waiting
from ftp_daemon import FILE, GOOD, PASSWORD, config_text, upload

from observatory_ftpd import password
from observatory_ftpd.config import User
from observatory_ftpd.logins import Logins

MACHINES = {"Watcher": "127.0.0.2", "Stranger": "127.0.0.3"}


def refused(client: ftplib.FTP, command: str) -> str:
    with pytest.raises(ftplib.error_perm) as refusal:
        client.sendcmd(command)
    return str(refusal.value)


def names(ftpd: ftp_daemon.Ftpd) -> set[str]:
    return ftpd.names() - {f"{FILE}.default"}


def test_a_machine_without_control_reads_at_most(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(machines=MACHINES, view_machines=["LocalHost", "Watcher"])
    with ftpd.ftp(source="127.0.0.2") as client:
        assert "may do no more" in client.lastresp or client.nlst() is not None
        with pytest.raises(ftplib.error_perm, match="550"):
            upload(client, FILE, config_text(GOOD))
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        ftpd.report_of(1)
    with ftpd.ftp(source="127.0.0.2") as client:
        photo = io.BytesIO()
        client.retrbinary("RETR test000.jpg", photo.write)
        assert photo.getvalue() == camera.photo
        for command in (f"STOR {FILE}", f"APPE {FILE}", "STOU", f"DELE {FILE}"):
            assert refused(client, command)[:3] in ("550", "500")
    assert camera.calls == [GOOD]


@pytest.mark.parametrize("source", ["127.0.0.2", "127.0.0.9"])
def test_a_machine_that_may_not_view_is_refused_at_once(start, camera: ftp_camera.FakeCamera, source: str) -> None:
    ftpd = start(machines=MACHINES)
    with ftpd.raw(source=source) as sock:
        answer = sock.recv(1000)
        assert answer.startswith(b"421") and source.encode() in answer
        assert sock.recv(1000) == b""
    waiting.until(lambda: any("refused" in line and source in line for line in ftpd.log_lines()), 5, "the audit")


def test_everybody_is_known_by_the_same_address_over_ipv6(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(host=None)
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
    assert ftpd.report_of(1)["sender"] == "'dropper' at LocalHost (127.0.0.1)"
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        return
    with ftplib.FTP() as client:
        client.connect("::1", ftpd.ftp_port, timeout=10)
        client.login("dropper", PASSWORD)
        upload(client, FILE, config_text(GOOD))
        assert ftpd.report_of(2)["sender"] == "'dropper' at LocalHost (::1)"


def test_a_reader_changes_nothing(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp("reader") as client:
        with pytest.raises(ftplib.error_perm, match="550"):
            upload(client, FILE, config_text(GOOD))
    assert camera.calls == []


def test_a_dropper_may_not_rename_delete_or_make_folders(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    commands = [
        f"DELE {FILE}",
        "MKD folder",
        "RMD .",
        f"RNFR {FILE}",
        "SITE CHMOD 777 .",
        "MFMT 20200101000000 x",
        "STOU",
        "APPE x",
    ]
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        ftpd.report_of(1)
        for command in commands:
            assert refused(client, command)[:3] in ("550", "500"), command
        client.sendcmd("REST 3")
        with pytest.raises(ftplib.error_perm, match="554"):
            upload(client, FILE, config_text(GOOD))
        assert upload(client, "notes.txt", b"a").startswith("226")
    assert names(ftpd) == {FILE, f"{FILE}.report", "test000.jpg", "notes.txt"}


def test_other_files_just_lie_there(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    ours = ["test.jpg", "test000.jpg", "TEST7.PNG", f"{FILE}.report", f"{FILE}.default", "x.Report"]
    hidden = [".hidden", ".upload-x", FILE.upper()]
    outside = ["../evil.json", f"../{FILE}", "a/b", "/etc/passwd", "../../../tmp/x", "a/../b", "x\x7f", "n" * 201]
    with ftpd.ftp() as client:
        upload(client, "run.sh", b"#!/bin/sh\n")
        for name in [*ours, *hidden, *outside, "run.sh"]:
            with pytest.raises(ftplib.error_perm, match="55"):
                upload(client, name, b"{}")
        assert set(client.nlst()) == {"run.sh", f"{FILE}.default", f"{FILE}.report"}
    assert (ftpd.drop / "run.sh").stat().st_mode & 0o777 == 0o644
    assert names(ftpd) == {"run.sh", f"{FILE}.report"}
    assert camera.calls == []


def test_nothing_but_plain_files_is_seen(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    (ftpd.drop / "link").symlink_to("/etc/passwd")
    (ftpd.drop / "up").symlink_to("/")
    (ftpd.drop / "deep").mkdir()
    (ftpd.drop / "deep" / "file").write_text("x")
    os.mkfifo(ftpd.drop / "pipe")
    (ftpd.drop / ".secret").write_text("x")
    (ftpd.drop / "plain").write_text("x")
    with ftpd.ftp() as client:
        assert set(client.nlst()) - {f"{FILE}.default"} == {"plain"}
        assert {name for name, _ in client.mlsd()} - {f"{FILE}.default"} == {"plain"}
        listed: list[str] = []
        client.retrlines("LIST", listed.append)
        assert all(line.split()[2:4] == ["ftpd", "ftpd"] for line in listed)
        for name in ("link", "up/etc/passwd", "deep/file", "pipe", ".secret", "/etc/passwd", "../../etc/passwd", "up", "none"):
            assert refused(client, f"RETR {name}").startswith("550"), name
        for name in ("up", "deep", "/etc"):
            assert refused(client, f"CWD {name}").startswith("550"), name
        for name in ("link", "pipe", "up"):
            with pytest.raises(ftplib.error_perm, match="550"):
                upload(client, name, b"x")
        client.cwd("..")
        assert client.pwd() == "/"


def test_anonymous_only_if_the_config_says_so(start, tmp_path, camera_port: int, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start()
    with pytest.raises(ftplib.error_perm, match="530"):
        ftpd.ftp("anonymous", "me@example.org")
    with ftp_daemon.daemon(tmp_path / "open", camera_port, users=None, anonymous="read") as open_ftpd:
        with open_ftpd.ftp("anonymous", "") as client, pytest.raises(ftplib.error_perm, match="550"):
            upload(client, FILE, config_text(GOOD))
        with pytest.raises(ftplib.error_perm, match="530"):
            open_ftpd.ftp("root", "x")
    with ftp_daemon.daemon(tmp_path / "wide-open", camera_port, anonymous="drop") as open_ftpd:
        with open_ftpd.ftp("ftp", "") as client:
            upload(client, FILE, config_text(GOOD))
        assert open_ftpd.report_of(1)["outcome"] == "applied"


def test_guessing_is_slowed_down_and_the_others_are_served(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    def guess(number: int) -> str:
        try:
            ftpd.ftp("dropper", f"guess {number}").close()
        except ftplib.Error as error:
            return str(error)[:3]
        return "in"

    with ftpd.ftp() as client, ThreadPoolExecutor(14) as pool:
        began = time.monotonic()
        answers = list(pool.map(guess, range(14)))
        assert answers.count("530") <= 5 and set(answers) == {"530", "421"}
        assert time.monotonic() - began >= 1.0  # nobody learns at once
        upload(client, FILE, config_text(GOOD))
        assert ftpd.report_of(1)["outcome"] == "applied"
    assert guess(99) == "421"
    assert PASSWORD not in "".join(ftpd.log_lines()) and "guess 3" not in "".join(ftpd.log_lines())


def test_commands_sent_along_with_a_wrong_password_are_not_carried_out_before_its_refusal(
    ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera
) -> None:
    tries = b"".join(b"USER dropper\r\nPASS %d\r\n" % number for number in range(20))
    with ftpd.raw() as sock:
        sock.sendall(tries)
        began, answers = time.monotonic(), b""
        while piece := sock.recv(4000):
            answers += piece
        assert answers.count(b"530 Wrong") == 3 and b"230" not in answers
        assert time.monotonic() - began >= 3.0


def test_checking_a_password_does_not_hold_up_others(start, camera: ftp_camera.FakeCamera, machine_lag) -> None:
    ftpd = start(users=[{"name": "dropper", "password": password.hash_of(PASSWORD), "rights": "drop"}])

    def guess() -> None:
        with pytest.raises(ftplib.Error):
            ftpd.ftp("dropper", "wrong").close()

    longest_s = 0.0
    with ftpd.ftp() as client, ThreadPoolExecutor(4) as pool:
        guesses = [pool.submit(guess) for _ in range(4)]
        while not all(each.done() for each in guesses):
            began, before_s = time.monotonic(), ftpd.vitals.waited_s()
            client.voidcmd("NOOP")
            took_s = time.monotonic() - began
            # Others on this machine may have held up the daemon, which the canary in this process does not see.
            longest_s = max(longest_s, took_s - max(ftpd.vitals.waited_s() - before_s, 0.0))
    assert longest_s < 0.1 + machine_lag.seconds


def test_the_time_of_a_check_does_not_tell_names() -> None:
    users = [User("dropper", password.hash_of(PASSWORD), "drop"), User("reader", password.hash_of("another"), "read")]
    logins = Logins(users, None)

    def quickest_s(name: str) -> float:
        took_s = []
        for _ in range(4):
            began = time.process_time()
            assert logins.check(name, "wrong") is None
            took_s.append(time.process_time() - began)
        return min(took_s)

    assert quickest_s("nobody") == pytest.approx(quickest_s("dropper"), rel=0.5)
    assert (logins.check("dropper", PASSWORD), logins.check("reader", "another")) == ("drop", "read")
    assert logins.check("reader", PASSWORD) is None and logins.check("nobody", PASSWORD) is None


def test_silent_connections_are_ended(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(idle_timeout=5)
    with ftpd.raw() as sock:
        assert sock.recv(1000).startswith(b"220")
        assert sock.recv(1000).startswith(b"421")
    waiting.until(lambda: ftpd.status()["connections"] == 0, 5, "no connections")


def test_300_connections(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        files = ftpd.vitals.open_files()
        socks = [ftpd.raw() for _ in range(300)]
        try:
            answers = [sock.recv(3) for sock in socks]
            assert answers.count(b"220") == 15 and answers.count(b"421") == 285
            assert upload(client, FILE, config_text(GOOD)).startswith("226")
            assert ftpd.report_of(1)["outcome"] == "applied"
            assert ftpd.status()["connections"] == 16
            assert ftpd.vitals.threads() < 20
        finally:
            for sock in socks:
                sock.close()
        waiting.until(lambda: ftpd.vitals.open_files() <= files + 3, 10, "the sockets to be closed")
    ftpd.ftp().close()


def test_the_limit_holds_over_all_addresses(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(machines={"Net": "127.0.0.0/8"}, control_machines=["Net"], max_connections=10, max_connections_per_address=4)
    socks = [ftpd.raw(source=f"127.0.0.{2 + number % 5}") for number in range(40)]
    answers = [sock.recv(3) for sock in socks]
    for sock in socks:
        sock.close()
    assert answers.count(b"220") == 10 and answers.count(b"421") == 30


def test_the_audit_names_logins_and_uploads(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        with pytest.raises(ftplib.error_perm):
            upload(client, FILE, b"{")
        with pytest.raises(ftplib.error_perm):
            upload(client, "run.sh.report", b"{")
    ftpd.report_of(2)
    waiting.until(lambda: "\n".join(ftpd.log_lines()).count("FTP upload") == 3, 5, "the audit")
    text = "\n".join(ftpd.log_lines())
    assert text.count("FTP login") == 1
    accepted = [line for line in text.splitlines() if "FTP upload" in line and "accepted" in line]
    failed = [line for line in text.splitlines() if "FTP upload" in line and "refused" in line]
    assert len(accepted) == 1 and len(failed) == 2
    assert "user='dropper'" in accepted[0] and "LocalHost (127.0.0.1)" in accepted[0]
