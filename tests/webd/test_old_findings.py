"""What was found wrong with raspiCamSrv, one test each that shows the opposite (those that can exist here)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import sqlite3
from collections.abc import Iterator

import psutil
import pytest
import webd


@pytest.fixture
def nobody(rig: webd.Rig) -> Iterator[webd.Browser]:
    """Somebody who is not logged in."""
    with rig.web.browser() as browser:
        yield browser


def test_a_session_cannot_be_forged(rig: webd.Rig, nobody: webd.Browser) -> None:
    """2.8.1: the key was the constant "dev". Here a cookie is a random secret, of which only the hash is kept."""
    body = base64.urlsafe_b64encode(b'{"user_id":1}').rstrip(b"=") + b".aSH0oA"
    signature = base64.urlsafe_b64encode(hmac.new(hashlib.sha1(b"cookie-session" + b"dev").digest(), body, "sha1").digest())
    name = f"observatory-{rig.web.port}"
    for value in ((body + b"." + signature.rstrip(b"=")).decode(), "1", "", "null", "x" * 10_000, "' OR 1=1 --"):
        for cookie in (name, "session", f"__Host-{name}"):
            answer = nobody.get("/api/v1/session", headers={"cookie": f"{cookie}={value}"})
            assert answer.status_code == 401, value


def test_the_kept_hash_is_no_login(rig: webd.Rig, nobody: webd.Browser, administrator: webd.Browser) -> None:
    """2.8.1, 2.8.10: who reads the store cannot log in with what stands in it."""
    store = sqlite3.connect(f"file:{rig.web.state_folder}/webd.sqlite?mode=ro", uri=True)
    hashes = [row[0] for row in store.execute("SELECT hash FROM sessions UNION SELECT password_hash FROM users")]
    store.close()
    assert len(hashes) >= 2
    for hash in hashes:
        assert nobody.get("/api/v1/session", headers={"cookie": f"observatory-{rig.web.port}={hash}"}).status_code == 401
        assert nobody.get("/api/v1/session", headers={"authorization": f"Bearer {hash}"}).status_code == 401


def test_nobody_runs_commands(rig: webd.Rig, administrator: webd.Browser) -> None:
    """2.8.2: a console ran any command for any user; here there is none, for nobody."""
    before = {process.pid for process in psutil.Process(rig.web.process.pid).children(recursive=True)}
    for path in (
        "/execCommandline",
        "/console",
        "/console/execCommandline",
        "/shell",
        "/api/v1/system/exec",
        "/settings/update",
    ):
        for method in ("GET", "POST"):
            assert administrator.request(method, path, json={"command": "touch x"}).status_code == 404
    assert {process.pid for process in psutil.Process(rig.web.process.pid).children(recursive=True)} == before == set()


def test_what_is_static_holds_nothing_private(rig: webd.Rig, nobody: webd.Browser) -> None:
    """2.8.3: photos and configs lay below static/; here it holds the program's own files alone."""
    (rig.cameras["cam1"].output / "private.jpg").write_bytes(b"private")
    for path in (
        "photos/private.jpg", "private.jpg", "config/serverConfig.json", "config/triggerConfig.json", "webd.sqlite",
        "../webd.sqlite", "..%2f..%2fconfig.py", "%2e%2e/config.py", "../templates/login.html", "..%5cconfig.py", "/etc/passwd",
        "%2fetc%2fpasswd", "", ".",
    ):  # fmt: skip
        assert nobody.get(f"/static/{path}").status_code == 404, path
    assert nobody.get("/photos/private.jpg").status_code == 404
    assert nobody.get("/api/v1/cameras/cam1/files/private.jpg").status_code == 401


def test_streams_are_not_public(rig: webd.Rig, nobody: webd.Browser) -> None:
    """2.8.4: streams, snapshots and test streams were."""
    for path in ("/video_feed", "/video_feed2", "/photo_feed", "/photo_feed2", "/photo_feed_hr"):
        assert nobody.get(path).status_code == 401
    for path in ("/test_frame1_feed", "/calib_feed"):
        assert nobody.get(path).status_code == 404
    for path in ("mjpeg", "snapshot.jpg"):
        assert nobody.get(f"/api/v1/cameras/cam1/streams/live/{path}").status_code == 401


def test_another_site_can_press_no_button(rig: webd.Rig, administrator: webd.Browser) -> None:
    """2.8.5: a POST with a foreign origin and the cookie was accepted, and so was a GET."""
    at = "/api/v1/cameras/cam1/photo"
    files = set(rig.cameras["cam1"].output.iterdir())
    cookie_only = {"x-csrf-token": ""}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://evil.example", "content-type": "text/plain", **cookie_only},
        {"origin": "null", **cookie_only},
        {"referer": "http://evil.example/", **cookie_only},
        {"sec-fetch-site": "cross-site"},
    ):
        assert administrator.post(at, content=b"{}", headers=headers).status_code == 403
    assert administrator.get(at).status_code == 405
    assert administrator.get("/clear_buffer").status_code == 404
    assert set(rig.cameras["cam1"].output.iterdir()) == files


def test_no_get_has_an_effect(rig: webd.Rig, administrator: webd.Browser) -> None:
    """2.8.6: everything with effects was a GET. Here no daemon carries out a control call because of one."""
    described = administrator.get("/api/v1/openapi.json").raise_for_status().json()
    logs = [rig.cameras["cam1"].log, rig.focusers["focus1"].log_path, rig.gpios["gpio1"].log_path]
    before = [log.read_text().count("audit: accepted") for log in logs]
    names = {"cameras": "cam1", "focusers": "focus1", "gpios": "gpio1"}
    asked = 0
    for path, methods in described["paths"].items():
        if "get" not in methods or path.endswith(("/events", "/mjpeg")):
            continue
        kind = path.split("/")[3]
        filled = path.replace("{name}", names.get(kind, "none")).replace("{device}", "lamp").replace("{stream}", "live")
        answer = administrator.get(filled.replace("{id}", "1").replace("{file}", "none.jpg"))
        assert answer.status_code in (200, 404, 422), (path, answer.status_code)
        assert not any("requestBody" in method for name, method in methods.items() if name == "get")
        asked += 1
    assert asked > 20
    assert [log.read_text().count("audit: accepted") for log in logs] == before


def test_roles_count_everywhere(rig: webd.Rig) -> None:
    """2.8.8: the ordinary user could update, restart, and remove the superuser."""
    with rig.web.user("otto", "operator") as otto:
        assert otto.post(f"/api/v1/users/{webd.ADMINISTRATOR}/remove").status_code == 403
        assert otto.post("/api/v1/users", json={"user": "x", "role": "viewer", "password": webd.PASSWORD}).status_code == 403
        assert otto.post("/api/v1/users/otto/role", json={"role": "administrator"}).status_code == 403


def test_a_refused_login_tells_nothing(rig: webd.Rig) -> None:
    """2.8.9: two characters were a password, and the answer said whether there is such a user."""
    with rig.web.browser() as browser:
        answers = [
            browser.post("/api/v1/session", json={"user": user, "password": "wrong"}).text for user in (webd.ADMINISTRATOR, "x")
        ]
    assert answers[0] == answers[1]
    with rig.web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR)
        short = browser.post("/api/v1/users", json={"user": "short", "role": "viewer", "password": "ab"})
        assert short.status_code == 422 and "10 to 200 characters" in short.json()["detail"] and '"ab"' not in short.text


def test_a_name_is_never_a_path(rig: webd.Rig, administrator: webd.Browser) -> None:
    """2.8.12: names of series and backups made folders outside."""
    before = {path for path in rig.web.folder.parent.rglob("*") if "esc" in path.name}
    for name in ("../../../../esc_series", "..%2f..%2fesc_series", "%2e%2e%2fesc", "..%5c..%5cesc"):
        answer = administrator.post(f"/api/v1/cameras/cam1/settings/sets/{name}/save")
        assert answer.status_code in (200, 404), name
    for user in ("../esc", "esc/../..", "a/b", "\0esc"):
        added = administrator.post("/api/v1/users", json={"user": user, "role": "viewer", "password": webd.PASSWORD})
        assert added.status_code == 422, user
    folders = {"folder": "../../esc_series"}
    assert administrator.post("/api/v1/cameras/cam1/photo", json=folders).status_code == 422
    assert {path for path in rig.web.folder.parent.rglob("*") if "esc" in path.name} == before


def test_nothing_is_asked_of_the_internet(rig: webd.Rig, administrator: webd.Browser, nobody: webd.Browser) -> None:
    """2.8.13, 2.8.16: the version check asked GitHub on every page. webd connects to its daemons alone."""
    ports = {rig.cameras["cam1"].port, rig.focusers["focus1"].port, rig.gpios["gpio1"].port}
    for browser, path in (
        (nobody, "/login"),
        *((administrator, path) for path in ("/password", "/logout", "/api/v1/system", "/api/v1/openapi.json")),
    ):
        text = browser.get(path).raise_for_status().text
        assert "://" not in text.replace(rig.web.url, ""), path
    connections = psutil.Process(rig.web.process.pid).net_connections("inet")
    outgoing = {one.raddr for one in connections if one.raddr and one.laddr.port not in (rig.web.port, rig.web.rpc_port)}
    assert {(address.ip, address.port in ports) for address in outgoing} <= {("127.0.0.1", True)}


def test_every_answer_has_the_headers_that_protect(rig: webd.Rig, administrator: webd.Browser, nobody: webd.Browser) -> None:
    """A7: no CSP, no X-Frame-Options, no nosniff, and a Server header with versions."""
    for browser, path in (
        (nobody, "/login"),
        (nobody, "/nothing"),
        (administrator, "/api/v1/system"),
        (nobody, "/static/kit/live.js"),
    ):
        for headers in ({}, {"host": "evil.example"}):
            answer = browser.get(path, headers=headers)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY" and answer.headers["x-content-type-options"] == "nosniff"
            assert "server" not in answer.headers and "x-powered-by" not in answer.headers
            assert answer.headers["cache-control"]
    for browser, path in ((nobody, "/login"), (administrator, "/live"), (administrator, "/users")):
        page = browser.get(path).text
        assert "style=" not in page and not re.search(r"<[^>]*\son\w+=", page)
        scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
        assert scripts and all("application/json" in how or (" src=" in how and not text) for how, text in scripts)


def test_no_answer_tells_where_files_are(rig: webd.Rig, administrator: webd.Browser) -> None:
    """A7: the server's absolute path was the answer for a photo."""
    answers = [
        administrator.get(path).text
        for path in ("/api/v1/cameras/cam1/files", "/api/v1/cameras/cam1/files/none.jpg", "/api/v1/system", "/static/none.js")
    ]
    for text in answers:
        assert str(rig.web.folder.parent) not in text
    job = administrator.post("/api/v1/cameras/cam1/photo", json={}).json()
    result = administrator.get(f"/api/v1/cameras/cam1/jobs/{job['id']}?wait_s=10").json()["result"]
    assert not str(json.dumps(result["name"])).strip('"').startswith("/")
