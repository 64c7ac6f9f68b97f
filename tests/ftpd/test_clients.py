"""Other people's FTP clients, in clear and under TLS, before the real daemon of a simulated camera."""

from __future__ import annotations

import ftplib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import ftp_certificates
import ftp_daemon
import pytest
import waiting
from cameras import FAST, Camerad
from ftp_daemon import FILE, PASSWORD, TOO_LARGE, config_text, upload

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make certificates")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of the server."""
    return ftp_certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def ftpd(tmp_path: Path, camerad: Camerad, certificate: dict[str, str]) -> Iterator[ftp_daemon.Ftpd]:
    """An ftpd that offers TLS, before the simulated camera."""
    with ftp_daemon.daemon(tmp_path, camerad.port, tls=certificate) as running:
        # Which is written when the camera has been reached, under a hidden name first.
        waiting.until((running.drop / f"{FILE}.default").exists, 20, "the camera's template")
        yield running


def curl(ftpd: ftp_daemon.Ftpd, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--user", f"dropper:{PASSWORD}", *options]
    return subprocess.run(command, capture_output=True, timeout=30, check=False)


def by_ftplib(ftpd: ftp_daemon.Ftpd, file: Path, tls: bool) -> set[str]:
    with ftpd.ftps() if tls else ftpd.ftp() as client:
        upload(client, FILE, file.read_bytes())
        ftpd.report_of(1)
        return set(client.nlst())


def by_curl(ftpd: ftp_daemon.Ftpd, file: Path, tls: bool) -> set[str]:
    url, secure = f"ftp://127.0.0.1:{ftpd.ftp_port}/", ["--ssl-reqd", "--insecure"] if tls else []
    done = curl(ftpd, *secure, "--upload-file", str(file), url)
    assert done.returncode == 0, done.stderr
    ftpd.report_of(1)
    return set(curl(ftpd, *secure, "--list-only", url).stdout.decode().split())


def by_lftp(ftpd: ftp_daemon.Ftpd, file: Path, tls: bool) -> set[str]:
    settings = [
        f"set ftp:ssl-allow {str(tls).lower()}",
        f"set ftp:ssl-force {str(tls).lower()}",
        "set ftp:ssl-protect-data true",
    ]
    settings += ["set ssl:verify-certificate false", "set net:max-retries 1", "set net:timeout 10"]
    login = f"open -u dropper,'{PASSWORD}' ftp://127.0.0.1:{ftpd.ftp_port}"

    def run(command: str) -> subprocess.CompletedProcess[str]:
        script = "; ".join([*settings, login, command])
        done = subprocess.run(["lftp", "-c", script], capture_output=True, text=True, timeout=30, env=ftpd.env, check=False)
        assert done.returncode == 0, done.stderr
        return done

    run(f"put {file}")
    ftpd.report_of(1)
    return set(run("cls -1").stdout.split())


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("client", [by_ftplib, by_curl, by_lftp], ids=["ftplib", "curl", "lftp"])
def test_a_good_file_gives_a_photo_with_the_new_exposure(
    ftpd: ftp_daemon.Ftpd, client: Callable[[ftp_daemon.Ftpd, Path, bool], set[str]], tls: bool, tmp_path: Path
) -> None:
    program = client.__name__.removeprefix("by_")
    if program != "ftplib" and shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    file = tmp_path / FILE
    exposure_us = 1000 + 800 * len(program) + 500 * tls  # within a frame of the fast camera
    file.write_bytes(config_text({"AeEnable": False, "ExposureTime": exposure_us, "AnalogueGain": 2.0}))
    listed = client(ftpd, file, tls)
    assert {FILE, f"{FILE}.report", f"{FILE}.default", "test000.jpg"} <= listed
    report = ftpd.report() or {}
    assert report["outcome"] == "applied", report
    assert report["exposure_s"] == pytest.approx(exposure_us / 1e6, rel=0.02) and report["gain"] == pytest.approx(2.0, rel=0.02)
    assert (ftpd.drop / "test000.jpg").read_bytes()[:2] == b"\xff\xd8"
    waiting.until(lambda: "FTP login" in "".join(ftpd.log_lines()), 5, "the audit")
    assert ("tls=True" in "".join(ftpd.log_lines())) == tls


def test_a_camera_that_is_killed_comes_back_to_its_configuration(tmp_path: Path) -> None:
    camerad = Camerad(tmp_path / "camera", **FAST)
    camerad.start()
    try:
        with ftp_daemon.daemon(tmp_path / "ftp", camerad.port) as ftpd, ftpd.ftp() as client:
            camerad.kill()
            upload(client, FILE, config_text({"AeEnable": False, "ExposureTime": 7000, "AnalogueGain": 2.0}))
            ftpd.report_of(1, "waiting")
            camerad.start()
            report = ftpd.report_of(1, timeout_s=30)
            assert report["outcome"] == "applied" and report["exposure_s"] == pytest.approx(0.007, rel=0.02)
    finally:
        camerad.end()


# TLS


def test_what_was_sent_in_clear_behind_a_held_command_does_not_count_under_tls(ftpd: ftp_daemon.Ftpd) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ftpd.raw() as sock:
        assert sock.recv(1000).startswith(b"220")
        # The checking of the password holds up what comes behind it; the last line is half a command.
        sock.sendall(f"USER dropper\r\nPASS {PASSWORD}\r\nAUTH TLS\r\nNOOP\r\nSYST\r\nHEL".encode())
        answers = b""
        while b"\r\n234 " not in answers:
            answers += sock.recv(1000)
        assert b"230" in answers
        with context.wrap_socket(sock) as secure:
            secure.sendall(b"NOOP\r\n")
            assert secure.recv(1000) == b"200 I successfully did nothing'.\r\n"
            secure.sendall(b"PWD\r\n")
            assert secure.recv(1000).startswith(b"530")  # RFC 4217: a login in clear is none of the secured session
            secure.sendall(f"USER dropper\r\nPASS {PASSWORD}\r\n".encode())
            assert secure.recv(1000).startswith(b"331") and secure.recv(1000).startswith(b"230")


def test_tls_may_be_required(tmp_path: Path, camerad: Camerad, certificate: dict[str, str]) -> None:
    with ftp_daemon.daemon(tmp_path, camerad.port, tls={**certificate, "required": True}) as ftpd:
        with pytest.raises(ftplib.error_perm, match="550"):
            ftpd.ftp()
        with ftpd.ftps() as client:
            client.prot_c()
            with pytest.raises(ftplib.error_perm, match="550"):
                client.nlst()
            client.prot_p()
            assert upload(client, "notes", b"x" * 100_000).startswith("226")
            received: list[bytes] = []
            client.retrbinary("RETR notes", received.append)
            assert b"".join(received) == b"x" * 100_000
        assert ftpd.status()["tls"] == "required"


@pytest.mark.parametrize("cutting", ["200 MB", "reset"])
def test_bad_uploads_under_tls(ftpd: ftp_daemon.Ftpd, camerad: Camerad, cutting: str) -> None:
    with camerad.connect() as camera, ftpd.ftps() as client:
        before = camera.settings()["controls"]
        if cutting == "200 MB":
            assert ftp_daemon.refused_upload(client, FILE, ftp_daemon.Endless(200_000_000)).startswith("552")
            assert TOO_LARGE in ftpd.report_of(1)["error"]
        else:
            connection = client.transfercmd(f"STOR {FILE}")
            connection.sendall(b'{"picamera": {"ExposureTime": 1234}')
            ftp_daemon.reset(connection)
            assert client.getmultiline()[:3] in ("426", "553")
            error = ftpd.report_of(1)["error"]
            assert "connection was cut" in error or "ends too early" in error
        assert client.voidcmd("NOOP").startswith("200")
        assert camera.settings()["controls"] == before
    assert FILE not in ftpd.names()
    assert not any(name.startswith(".") for name in ftpd.names())


def test_old_tls_is_refused_and_what_is_sent_before_tls_is_not_carried_out(ftpd: ftp_daemon.Ftpd) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with ftpd.raw() as sock:
        assert sock.recv(1000).startswith(b"220")
        # The second command comes from somebody between; it must not count as one of the secured session.
        sock.sendall(b"AUTH TLS\r\nUSER dropper\r\n")
        assert sock.recv(1000).startswith(b"234")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with context.wrap_socket(sock) as secure:
            secure.sendall(f"PASS {PASSWORD}\r\n".encode())
            assert secure.recv(1000).startswith(b"503")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_1
    with ftpd.raw() as sock:
        sock.recv(1000)
        sock.sendall(b"AUTH TLS\r\n")
        assert sock.recv(1000).startswith(b"234")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(sock)


def test_a_silent_tls_handshake_holds_up_nobody(ftpd: ftp_daemon.Ftpd) -> None:
    with ftpd.raw() as sock:
        sock.recv(1000)
        sock.sendall(b"AUTH TLS\r\n")
        sock.recv(1000)
        with ftpd.ftps() as client:
            assert client.voidcmd("NOOP").startswith("200")
        sock.shutdown(socket.SHUT_RDWR)
