"""ftpd's config: every complaint names file, line, JSON path and what was expected. And the command that makes hashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import ftp_certificates
import ftp_daemon
import observatory
import pytest

from observatory_common import config
from observatory_common.directory import Directory
from observatory_common.json_file import ConfigProblems
from observatory_ftpd import password
from observatory_ftpd.config import SCHEMA, FtpdConfig, parse

DIRECTORY = Directory({}, {})
REPOSITORY = Path(__file__).parents[2]
SAMPLE: dict[str, Any] = {
    "daemon": "localhost_test",
    "log_name": "ftpd@test",
    "control_machines": ["LocalHost"],
    "camera": "localhost_test1",
    "anonymous": "read",
}


def load(tmp_path: Path, **changes: Any) -> FtpdConfig:
    path = tmp_path / "test.json"
    wanted = {key: value for key, value in {**SAMPLE, **changes}.items() if value is not None}
    path.write_text(json.dumps(wanted, indent=1))
    return parse(config.load(path, SCHEMA, DIRECTORY), DIRECTORY)


def complaint(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(ConfigProblems) as refusal:
        load(tmp_path, **changes)
    return str(refusal.value)


def test_defaults(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert (found.port, found.host, found.file_name, found.section) == (2121, None, "mandeye_config.json", "picamera")
    assert found.view_machines == ("LocalHost",)
    assert (found.limits.quota_bytes, found.limits.connections, found.limits.connections_per_address) == (64_000_000, 64, 16)
    assert (found.photo.format, found.photo.keep, found.photo.at_start) == ("jpg", 100, False)
    assert (found.tls, found.folder, found.strict) == (None, None, False)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "camera": (
        {"camera": "localhost_tes1"},
        '$.camera: "localhost_tes1" is not the name of a daemon in the registry; did you mean',
    ),
    "nobody": ({"anonymous": False}, "$: nobody could log in: it needs users, or anonymous"),
    "anonymous": ({"anonymous": True}, '$.anonymous: true is not one of false, "read", "drop"'),
    "file": ({"file_name": "../x"}, '$.file_name: "../x" does not fit letters, digits, _ . and -, no dot at first'),
    "report": (
        {"file_name": "x.report"},
        '$.file_name: "x.report" is a name of ftpd\'s own files (test*.jpg, *.report, *.default)',
    ),
    "photo": ({"file_name": "test000.jpg"}, '$.file_name: "test000.jpg" is a name of ftpd\'s own files'),
    "line": ({"file_name": "mandeye_config.json\n"}, '$.file_name: "mandeye_config.json\\n" does not fit letters'),
    "address": ({"masquerade_address": "999.1.1.1"}, '$.masquerade_address: "999.1.1.1" is not an IPv4 address'),
    "address with a line": ({"masquerade_address": "10.1.1.1\n"}, '$.masquerade_address: "10.1.1.1\\n" is not an IPv4 address'),
    "nul": ({"tls": {"certificate": "/a\0", "key": "/b"}}, "does not fit the absolute path of a PEM file"),
    "ports": ({"passive_ports": [3000, 2000]}, "$.passive_ports: [3000, 2000] is not [from, to], the smaller one first"),
    "quota": ({"quota_mb": 1}, "$.quota_mb: 1 is not at least 8"),
    "tls": (
        {"tls": {"certificate": "/none.pem", "key": "/none.key"}},
        "$.tls.certificate: /none.pem cannot be read: No such file",
    ),
    "key": ({"tlss": {}}, "$.tlss: unknown key; did you mean tls?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    changes, expected = WRONG[name]
    text = complaint(tmp_path, **changes)
    assert expected in text and text.startswith(f"{tmp_path}/test.json:")


def test_users(tmp_path: Path) -> None:
    hashed = ftp_daemon.cheap_hash("x")
    user = {"name": "a", "password": hashed, "rights": "drop"}
    assert load(tmp_path, users=[user], anonymous=None).users[0].rights == "drop"
    assert '$.users[1].name: "a" is there more than once' in complaint(tmp_path, users=[user, user])
    assert "use the key anonymous" in complaint(tmp_path, users=[{**user, "name": "anonymous"}])
    in_clear = complaint(tmp_path, users=[{**user, "password": "my own secret"}])
    assert "$.users[0].password: is no argon2 hash; ftpd-password makes one" in in_clear and "my own" not in in_clear


def test_a_certificate_that_is_none_or_of_another_key(tmp_path: Path) -> None:
    made, other = ftp_certificates.make(tmp_path / "a"), ftp_certificates.make(tmp_path / "b")
    assert load(tmp_path, tls=made).tls is not None
    assert "are no certificate and its key" in complaint(tmp_path, tls={**made, "key": other["key"]})
    (tmp_path / "text.pem").write_text("text")
    text = str(tmp_path / "text.pem")
    assert f"{text} and {made['key']} are no certificate and its key in PEM" in complaint(
        tmp_path, tls={**made, "certificate": text}
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tls": {"certificate": "/none.pem", "key": "/none.key"}}, "/none.pem cannot be read"),
        ({"folder": "/proc/none"}, "the folder /proc/none cannot be used"),
        ({"host": "192.0.2.1"}, "FTP cannot listen on 192.0.2.1 port"),
    ],
)
def test_a_start_that_cannot_succeed_ends_with_78(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    done = ftp_daemon.Ftpd(tmp_path, observatory.free_port(), **changes).check()
    assert done.returncode == 78 and expected in done.stderr and "Traceback" not in done.stderr


def test_the_command_prints_a_hash_that_fits() -> None:
    command = [sys.executable, "-m", "observatory_ftpd.password"]
    done = subprocess.run(command, input="secret\n", capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert password.fits(done.stdout.strip(), "secret") and not password.fits(done.stdout.strip(), "secre")
    empty = subprocess.run(command, input="\n", capture_output=True, text=True, timeout=30, check=False)
    assert empty.returncode == 1 and "Traceback" not in empty.stderr


def test_the_example_passes_its_own_check() -> None:
    path = REPOSITORY / "etc" / "ftpd" / "example.json"
    parse(config.load(path, SCHEMA, DIRECTORY), DIRECTORY)


def test_the_page_has_every_key_method_and_status(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "ftpd.md").read_text()
    for key in (
        *SCHEMA["properties"],
        *SCHEMA["properties"]["photo"]["properties"],
        *SCHEMA["properties"]["tls"]["properties"],
    ):
        assert f"`{key}`" in page, key
    with ftp_daemon.daemon(tmp_path, observatory.free_port()) as ftpd, ftpd.connect() as daemon:
        for method, level in daemon.hello["members"].items():
            assert f"`{method}(" in page and f"| {level} |" in page, method
        for key in daemon.report_status():
            assert f"`{key}`" in page, key
