"""Mutual TLS: the certificate says which machine calls, whatever its address; the same table of rights as without."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import observatory
import pytest
import rawclient
import waiting

from observatory_common import tls as site_tls
from observatory_common.directory import Directory
from observatory_common.errors import DaemonNotReachable, InvalidConfig, InvalidControlIP
from observatory_common.rpc.client import connect

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command to make certificates")
MACHINES = {
    "Dome": {"addresses": [], "subjects": ["dome.example"]},
    "Office": {"addresses": [], "subjects": ["office.example"]},
    "Addressed": "127.0.0.1",
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's authority, certificates of three subjects by it, and one by somebody else's authority."""
    folder = tmp_path_factory.mktemp("certificates")
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    for authority in ("site", "foreign"):
        openssl("req", "-x509", *key, "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN={authority}")
    for name, authority in (("dome", "site"), ("office", "site"), ("stranger", "site"), ("impostor", "foreign")):
        subject = "dome.example" if name == "impostor" else f"{name}.example"
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={subject}")
        signed = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "extensions"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed)
    return folder


def identity(folder: Path, name: str) -> site_tls.Tls:
    return site_tls.Tls(*(str(folder / file) for file in ("site.pem", f"{name}.pem", f"{name}.key")))


@pytest.fixture
def daemon(tmp_path: Path, certificates: Path):
    settings = {"control_machines": ["Dome"], "view_machines": ["Office"], "machines": MACHINES}
    with observatory.daemon(tmp_path, start=False, **settings) as running:
        named = {"ca": "site.pem", "certificate": "dome.pem", "key": "dome.key"}
        for file in (*named.values(), "office.pem", "office.key"):
            shutil.copy(certificates / file, running.etc / "observatory" / file)
        (running.etc / "observatory" / "tls.json").write_text(json.dumps(named))
        running.tls = identity(certificates, "dome")
        running.start()
        yield running


def call(daemon: observatory.Daemon, who: site_tls.Tls | None, method: str, *args: object) -> object:
    directory = Directory.load(daemon.etc / "observatory")
    with connect(observatory.NAME, directory=directory, tls=who, timeout_s=5) as focuser:
        return focuser.invoke(method, *args)


def test_the_subject_decides(daemon, certificates: Path) -> None:
    dome, office, stranger = (identity(certificates, name) for name in ("dome", "office", "stranger"))
    assert call(daemon, dome, "report_status")["kind"] == "focusd"
    assert call(daemon, dome, "confirm_position", 1)
    assert call(daemon, office, "report_status")["kind"] == "focusd"
    with pytest.raises(InvalidControlIP, match=r"Office \('?office.example'? at 127.0.0.1\) may not control"):
        call(daemon, office, "confirm_position", 1)
    for method in ("report_status", "stop_channel"):
        with pytest.raises((InvalidControlIP, DaemonNotReachable)):
            call(daemon, stranger, method)
    waiting.until(lambda: _refused(daemon, "office.example", "confirm_position") == 1, 10, "the audit of the office")
    waiting.until(lambda: _refused(daemon, "stranger.example", "a connection") == 2, 10, "the audit of the stranger")


def _refused(daemon: observatory.Daemon, who: str, what: str) -> int:
    lines = [line for line in daemon.log_lines() if "audit: refused" in line]
    return sum(who in line and what in line for line in lines)


def test_without_a_certificate_of_the_site_there_is_no_way_in(daemon, certificates: Path) -> None:
    foreign = site_tls.Tls(
        str(certificates / "site.pem"), str(certificates / "impostor.pem"), str(certificates / "impostor.key")
    )
    for who in (None, foreign):  # plain TCP from an address that the registry knows; dome's name by another authority
        with pytest.raises(DaemonNotReachable):
            call(daemon, who, "report_status")
    context = ssl.create_default_context(cafile=str(certificates / "site.pem"))
    with pytest.raises((ssl.SSLError, OSError, EOFError)):
        with rawclient.RawClient(daemon.host, daemon.port, tls=context) as client:  # believes us, shows nothing
            client.connect(observatory.NAME)
    assert call(daemon, identity(certificates, "dome"), "report_status")


def test_a_client_believes_the_sites_authority_alone(daemon, certificates: Path) -> None:
    ours = identity(certificates, "dome")
    distrustful = site_tls.Tls(str(certificates / "foreign.pem"), ours.certificate, ours.key)
    with pytest.raises(DaemonNotReachable):
        call(daemon, distrustful, "report_status")


def test_silence_before_the_tls_handshake_ends_and_holds_nobody(daemon, certificates: Path, machine_lag) -> None:
    sockets = [socket.create_connection((daemon.host, daemon.port), 5) for _ in range(50)]
    try:
        assert call(daemon, identity(certificates, "dome"), "report_status")
        for sock in sockets:
            sock.settimeout(5 + 2 + machine_lag.seconds)
            while sock.recv(4096):
                pass
    finally:
        for sock in sockets:
            sock.close()


def test_focus_uses_the_sites_tls(daemon) -> None:
    done = daemon.focus("confirm", "1", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    plain = daemon.etc / "observatory" / "tls.json"
    named = json.loads(plain.read_text())
    plain.write_text(json.dumps({**named, "certificate": "office.pem", "key": "office.key"}))
    assert daemon.focus("status").returncode == 0
    assert daemon.focus("stop").returncode == 3
    plain.unlink()
    assert daemon.focus("status").returncode == 155


@pytest.mark.parametrize("text", ["{", "[]", '{"ca": "site.pem"}', '{"ca": "a", "certificate": "b", "key": "c"}'])
def test_a_broken_tls_file_is_said(text: str, tmp_path: Path) -> None:
    (tmp_path / "tls.json").write_text(text)
    with pytest.raises(InvalidConfig, match=str(tmp_path)):
        site_tls.load(tmp_path)
