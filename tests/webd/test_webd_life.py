"""webd as a program: its config, its store, its start and its end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import waiting
import webd

from observatory_common import config as configs
from observatory_common.config import ConfigProblems
from observatory_common.directory import Directory
from observatory_common.errors import CommandFailed, InvalidConfig
from observatory_webd import config
from observatory_webd.accounts.identity import Role
from observatory_webd.accounts.tokens import Tokens
from observatory_webd.accounts.users import Users
from observatory_webd.errors import AlreadyThere
from observatory_webd.security.hosts import Hosts
from observatory_webd.store.database import Store
from observatory_webd.store.settings import WebSettings

LEAST: dict[str, Any] = {"daemon": "localhost_test", "log_name": "webd@test", "control_machines": ["LocalHost"]}


def parsed(folder: Path, **more: Any) -> config.WebdConfig:
    """A config of these values."""
    path = folder / "web.json"
    path.write_text(json.dumps({**LEAST, **more}))
    directory = Directory({}, {})
    return config.parse(configs.load(path, config.SCHEMA, directory), directory)


def test_the_defaults_are_safe(tmp_path: Path) -> None:
    least = parsed(tmp_path)
    assert (least.host, least.port, least.tls, least.public_streams) == ("127.0.0.1", 5000, None, False)
    assert (least.trusted_proxies, least.allowed_hosts, least.login_from, least.control_from) == ((), (), None, None)
    assert (least.session.idle_s, least.session.absolute_s, least.shown) == (4 * 3600, 7 * 86400, ())


def test_daemons_are_named_plainly_or_with_a_label(tmp_path: Path) -> None:
    guide = {"daemon": "localhost_test2", "name": "guide", "label": "Guide camera"}
    found = parsed(tmp_path, cameras=["localhost_test1", guide], focusers=["localhost_test3"])
    assert [(one.kind, one.daemon, one.name, one.label) for one in found.shown] == [
        ("camera", "localhost_test1", "localhost_test1", "localhost_test1"),
        ("camera", "localhost_test2", "guide", "Guide camera"),
        ("focuser", "localhost_test3", "localhost_test3", "localhost_test3"),
    ]
    assert [one.name for one in found.of_kind("camera")] == ["localhost_test1", "guide"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"cameras": ["nowhere"]}, "is not the name of a daemon in the registry"),
        ({"cameras": [{"daemon": "localhost_test", "name": "../x"}]}, "letters, digits"),
        ({"cameras": [{"name": "x"}]}, "is missing"),
        ({"cameras": ["localhost_test", {"daemon": "localhost_test1", "name": "localhost_test"}]}, "a name that another has"),
        ({"listen": {"port": 70000}}, "expected 0 to 65535"),
        ({"listen": {"host": "example.org"}}, "is not an IP address of this machine"),
        ({"tls": {"certificate": "/none", "key": "/none"}}, "is not a file"),
        ({"tls": {"certificate": "/none"}}, "is missing"),
        ({"tls": {"certificate": "/" + "x" * 300, "key": "/none"}}, "names a file that cannot be read: File name too long"),
        ({"tls": {"certificate": __file__, "key": __file__}}, "not a certificate and its key"),
        *(
            ({"allowed_hosts": ["web.example", name]}, "is not a name or address as a browser asks for it")
            for name in ("cam.example.org:5000", "https://cam.example.org", "*", "*.example.org", "a b", "[::1]", ".")
        ),
        ({"trusted_proxies": ["proxy"]}, "is not an IP address or range"),
        ({"login_from": ["10.0.0.1/8"]}, "is not an IP address or range"),
        ({"control_from": [7]}, "is not a text"),
        ({"public_streams": "yes"}, "is not true or false"),
        ({"session": {"idle_minutes": 0}}, "is not at least"),
        ({"sesion": {}}, "did you mean session"),
    ],
)
def test_what_is_wrong_with_a_config_is_told(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigProblems, match=message):
        parsed(tmp_path, **more)


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-days",
        "1",
        "-subj",
        "/CN=a",
    ]
    for name, protection in (("one", ["-nodes"]), ("other", ["-nodes"]), ("locked", ["-passout", "pass:secret"])):
        files = ["-out", f"{tmp_path}/{name}.pem", "-keyout", f"{tmp_path}/{name}.key"]
        subprocess.run([*command, *protection, *files], check=True, capture_output=True, timeout=30)

    def files(certificate: str, key: str) -> dict[str, str]:
        return {"certificate": f"{tmp_path}/{certificate}.pem", "key": f"{tmp_path}/{key}.key"}

    assert parsed(tmp_path, tls=files("one", "one")).tls is not None
    for certificate, key in (("one", "other"), ("locked", "locked")):
        with pytest.raises(ConfigProblems, match="not a certificate and its key"):
            parsed(tmp_path, tls=files(certificate, key))


def test_a_file_for_tls_in_a_folder_that_may_not_be_entered_is_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "web.json").touch(0o644)
        inner = Path(folder) / "inner"
        inner.mkdir()
        files = {"certificate": str(inner / "web.pem"), "key": str(inner / "web.key")}
        for file in files.values():
            Path(file).touch()
        path = Path(folder) / "web.json"
        path.write_text(json.dumps({**LEAST, "tls": files}))
        inner.chmod(0o000)
        directory, me = Directory({}, {}), os.geteuid()
        try:
            if me == 0:
                os.seteuid(65534)  # nobody: root may enter everything
            with pytest.raises(ConfigProblems, match="names a file that cannot be read: Permission denied"):
                config.parse(configs.load(path, config.SCHEMA, directory), directory)
        finally:
            os.seteuid(me)
            inner.chmod(0o755)


def test_allowed_hosts_are_those_that_match(tmp_path: Path) -> None:
    hosts = Hosts(parsed(tmp_path, allowed_hosts=["Cam.Example.org.", "10.2.6.20", "2001:db8::1"]).allowed_hosts)
    for header in ("cam.example.org:5000", "10.2.6.20", "[2001:db8::1]:5000"):
        assert hosts.allows(header, None), header


def test_the_page_tells_of_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "webd.md").read_text()
    assert all(f"`{key}`" in page for key in config.SCHEMA["properties"])
    example = json.loads(page.split("```json")[1].split("```")[0])
    assert example.keys() <= config.SCHEMA["properties"].keys() >= set(config.SCHEMA["required"])


def test_the_store_is_migrated_and_never_taken_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "a.sqlite")
    store.open()
    settings = WebSettings(store)
    settings.set("active", "cam1")
    settings.set("active", ["cam2", 1.5, None])
    store.close()
    with pytest.raises(CommandFailed, match="is closed"):
        settings.get("active")
    store.open()
    assert settings.get("active") == ["cam2", 1.5, None] and settings.get("second", "x") == "x"
    with pytest.raises(CommandFailed, match="nowhere"):
        half_done(store)
    assert settings.get("active") is not None
    with pytest.raises(CommandFailed, match="readonly"):
        store.rows("DELETE FROM settings RETURNING name")
    store.close()
    newer = sqlite3.connect(tmp_path / "a.sqlite")
    newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(InvalidConfig, match="made by a newer webd"):
        store.open()
    (tmp_path / "b.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(InvalidConfig, match="cannot be used"):
        Store(tmp_path / "b.sqlite").open()
    (tmp_path / "c.sqlite").mkdir()
    with pytest.raises(InvalidConfig, match="cannot be used"):
        Store(tmp_path / "c.sqlite").open()


def half_done(store: Store) -> None:
    """A transaction of which the second statement fails."""
    with store.transaction() as connection:
        connection.execute("DELETE FROM settings")
        connection.execute("SELECT id FROM nowhere")


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from observatory_webd.store import database

    store = Store(tmp_path / "a.sqlite")
    store.open()
    WebSettings(store).set("active", "cam1")
    store.close()
    good = database._migrations()
    broken = [*good, "DELETE FROM settings; CREATE TABLE more (id INTEGER); SELECT id FROM nowhere;"]
    monkeypatch.setattr(database, "_migrations", lambda: broken)
    with pytest.raises(InvalidConfig, match="nowhere"):
        store.open()
    monkeypatch.setattr(database, "_migrations", lambda: [*good, "CREATE TABLE more (id INTEGER);"])
    store.open()
    assert WebSettings(store).get("active") == "cam1" and store.rows("SELECT * FROM more") == []
    store.close()


def test_an_older_store_goes_on_and_no_id_is_given_out_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from observatory_webd.store import database

    all_of_them = database._migrations()
    store = Store(tmp_path / "a.sqlite")
    monkeypatch.setattr(database, "_migrations", lambda: all_of_them[:2])
    store.open()
    for name in ("anna", "vera"):
        store.write("INSERT INTO users (name, role, password_hash, created_at) VALUES (?, 'administrator', '', 0)", name)
    store.write("INSERT INTO tokens (user_id, label, role, hash, created_at) VALUES (1, 'old', 'viewer', '', 0)")
    store.close()
    monkeypatch.setattr(database, "_migrations", lambda: all_of_them)
    store.open()
    users, tokens = Users(store), Tokens(store)
    assert [(user.id, user.name) for user in users.all()] == [(1, "anna"), (2, "vera")] and tokens.by_id(1) is not None
    for id in (3, 4):
        assert users.add("otto", Role.viewer, "", False).id == id
        users.remove("otto")
    for id in (2, 3):
        assert tokens.make(users.named("anna"), "new", Role.viewer, None)[1].id == id
        tokens.revoke(id, None)
    with pytest.raises(AlreadyThere):
        users.add("anna", Role.viewer, "", False)
    store.close()


def test_users_outlive_a_kill(tmp_path: Path) -> None:
    with webd.alone(tmp_path) as web:
        with web.administrator() as administrator:
            given = {"user": "vera", "role": "viewer", "password": "given by somebody"}
            administrator.post("/api/v1/users", json=given).raise_for_status()
            web.kill()
            web.start()
            assert administrator.get("/api/v1/session").status_code == 200, "the login too"
            assert {user["user"] for user in administrator.get("/api/v1/users").json()} == {"anna", "vera"}


def run(web: webd.Webd, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program, to its end."""
    command = [sys.executable, "-m", "observatory_webd", *arguments, str(web.config_path)]
    return subprocess.run(command, env=web.env, capture_output=True, text=True, timeout=60, check=False)


def test_a_bad_start_ends_with_a_reason(tmp_path: Path) -> None:
    web = webd.Webd(tmp_path)
    assert run(web, "--check").returncode == 0
    with socket.create_server(("127.0.0.1", web.port)):
        taken = run(web)
    assert taken.returncode == 78 and f"webd cannot listen on 127.0.0.1 port {web.port}" in taken.stderr
    for file in web.state_folder.glob("webd.sqlite*"):  # its WAL alone would bring all of it back
        file.write_bytes(b"no database" * 1000)
    broken = run(web)
    assert broken.returncode == 78 and "webd.sqlite cannot be used" in broken.stderr
    shutil.rmtree(web.state_folder)
    link = web.state_folder / "first-administrator"
    link.mkdir(parents=True)
    linkless = run(web)
    assert linkless.returncode == 78 and f"{link} cannot be removed: " in linkless.stderr
    web.config_path.write_text(json.dumps({**web.config, "cameras": ["none"]}))
    unknown = run(web)
    assert unknown.returncode == 78 and "$.cameras[0]" in unknown.stderr
    for ended in (taken, broken, linkless, unknown):
        assert "Traceback" not in ended.stderr


def test_settings_are_copied_between_equal_cameras(tmp_path: Path) -> None:
    with webd.running(tmp_path, cameras_named=["cam1", "cam2"]) as rig, rig.web.administrator() as browser:
        one, two = "/api/v1/cameras/cam1", "/api/v1/cameras/cam2"
        browser.post(f"{one}/controls", json={"values": {"AnalogueGain": 4.0}}).raise_for_status()
        browser.post(f"{one}/use-cases/photo", json={"values": {"size": [128, 72]}}).raise_for_status()
        copied = browser.post(f"{one}/settings/copy", json={"to": "cam2", "save_as": "from cam1"}).raise_for_status().json()
        assert copied["saved"] == ["from cam1"] and copied["controls"] == {"AnalogueGain": 4.0}
        assert browser.get(f"{two}/use-cases").json()["photo"]["size"] == [128, 72]
        waiting.until(lambda: browser.get(f"{two}/metadata").json().get("AnalogueGain") == 4.0, 10, "the other's gain")
        recording = browser.post(f"{two}/video/start", json={}).raise_for_status().json()
        refused = browser.post(f"{one}/settings/copy", json={"to": "cam2"})
        assert refused.status_code == 409, "not while it records"
        browser.post(f"{two}/jobs/{recording['id']}/cancel").raise_for_status()
        assert browser.get(f"{two}/settings").json()["controls"] == {"AnalogueGain": 4.0}


def test_a_daemon_that_does_not_know_webd_refuses_it(tmp_path: Path) -> None:
    """Without the right to control there is a plain answer; without the right to speak for others, only no name."""
    nobody = {"control_machines": [], "gateway_machines": [], "view_machines": ["LocalHost"]}
    with webd.running(tmp_path, cameras_named=["cam1"], camera_config=nobody) as rig, rig.web.administrator() as browser:
        refused = browser.post("/api/v1/cameras/cam1/photo", json={})
        assert (refused.status_code, refused.json()["error"]) == (502, "InvalidControlIP")
        assert browser.get("/api/v1/system").json()["daemons"][0]["names_users"] is False
        waiting.until(lambda: "audit will not name users" in rig.web.log(), 10, "the warning")
