"""The tokens of raspiCamSrv's API: who gets them, when they end, and what is none."""

from __future__ import annotations

import base64
import json
import sqlite3
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import waiting
import webd
from raspicamsrv import Script

from observatory_webd.accounts.identity import Role
from observatory_webd.accounts.script_logins import ScriptLogins
from observatory_webd.accounts.tokens import Tokens
from observatory_webd.accounts.users import Users
from observatory_webd.config import ScriptLoginLimits
from observatory_webd.errors import NotLoggedIn, TokenRefused
from observatory_webd.store.database import Store

ENOUGH = "a password of theirs"
GETS = (
    "take_photo", "take_photo2", "take_photo_both", "take_raw_photo", "take_raw_photo2", "take_raw_photo_both",
    "record_video", "record_video2", "record_video_both", "stop_video", "stop_video2", "stop_video_both",
    "start_triggered_capture", "stop_triggered_capture", "switch_cameras", "info", "probe", "protected",
)  # fmt: skip
LOOKING = ("info", "probe", "protected")


@pytest.fixture(scope="module")
def administrator(web: webd.Webd) -> Iterator[webd.Browser]:
    """Somebody who may do everything."""
    with web.administrator() as browser:
        yield browser


@pytest.fixture(scope="module")
def script(web: webd.Webd) -> Iterator[Script]:
    """A script that is logged in."""
    with Script(web.url) as found:
        assert found.log_in().status_code == 200
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store alone."""
    found = Store(tmp_path / "store")
    found.open()
    yield found
    found.close()


def store_of(web: webd.Webd) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{web.state_folder}/webd.sqlite?mode=ro", uri=True)


def audit_of(web: webd.Webd) -> str:
    return "".join(line for line in web.log().splitlines() if "audit" in line)


def key_of(web: webd.Webd) -> str:
    store = store_of(web)
    key: str = store.execute("SELECT secret FROM script_key").fetchone()[0]
    store.close()
    return key


def told(answer: httpx.Response) -> tuple[int, str]:
    """The status and the text of a refusal of a token, which has the form of the reference's library."""
    assert list(answer.json()) == ["msg"], answer.text
    return answer.status_code, answer.json()["msg"]


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


REVOKED = (401, "Token has been revoked")


def test_a_login_gives_two_tokens_as_the_reference_does(script: Script) -> None:
    for token, kind, lasts_s in ((script.access, "access", 3600), (script.refresh, "refresh", 30 * 86400)):
        assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT"}
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["type"] == kind and claims["sub"] == webd.ADMINISTRATOR
        assert claims["exp"] - claims["iat"] == lasts_s and abs(claims["iat"] - time.time()) < 600
        assert claims["jti"]


def test_a_wrong_login_is_told_in_the_references_form(web: webd.Webd) -> None:
    with Script(web.url) as script:
        for user, password in ((webd.ADMINISTRATOR, "wrong"), ("nobody", "wrong")):
            answer = script.log_in(user, password)
            assert (answer.status_code, answer.json()) == (401, {"error": "wrong name or password"})
        for body in (
            b"", b"x", b"[]", b"{}", b'{"username": "anna"}', b'{"username": 1, "password": "x"}',
            b'{"username": "\\ud800", "password": "\\ud800"}', b'{"username": "anna", "password": "' + b"x" * 300 + b'"}',
        ):  # fmt: skip
            answer = script.http.post("/api/login", content=body)
            assert (answer.status_code, list(answer.json())) == (400, ["error"]), body[:40]
        answer = script.http.post("/api/login", content=b"x" * (2 << 20))
        assert answer.status_code == 413
        assert script.log_in().status_code == 200


def test_scripts_that_start_in_the_same_moment_all_get_in(web: webd.Webd) -> None:
    scripts = [Script(web.url) for _ in range(10)]
    with ThreadPoolExecutor(len(scripts)) as pool:
        answers = list(pool.map(lambda script: script.log_in(), scripts))
    for script in scripts:
        script.http.close()
    assert [answer.status_code for answer in answers] == [200] * 10


def test_guessing_is_slowed_down_as_at_the_other_login(tmp_path: Path) -> None:
    """peers A7: 30 wrong logins in 3 s, and no delay."""
    with webd.alone(tmp_path) as web:
        with Script(web.url) as script:
            answers = [script.log_in(password="wrong") for _ in range(6)]
            assert [answer.status_code for answer in answers] == [401] * 5 + [429]
            assert list(answers[-1].json()) == ["error"] and 0 < int(answers[-1].headers["retry-after"]) <= 61
            assert script.log_in().status_code == 429, "nor the right one"
            with web.browser() as browser:
                answer = browser.post("/api/v1/session", json={"user": webd.ADMINISTRATOR, "password": webd.PASSWORD})
                assert answer.status_code == 429, "they are counted together"


def test_without_a_token_there_is_nothing(web: webd.Webd) -> None:
    with Script(web.url) as script:
        for name in GETS:
            assert told(script.http.get(f"/api/{name}")) == (401, "Missing Authorization Header"), name
        assert told(script.http.post("/api/refresh")) == (401, "Missing Authorization Header")
        basic = script.http.get("/api/take_photo", auth=("anna", webd.PASSWORD))
        assert told(basic)[0] == 401
        for name in GETS:
            assert script.http.post(f"/api/{name}").status_code == 405, "methods as they are"


def test_a_tampered_token_is_none(web: webd.Webd, script: Script) -> None:
    claims = jwt.decode(script.access, options={"verify_signature": False})
    head, body, signature = script.access.split(".")
    key = key_of(web)
    forged = [
        f"{segment({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        f"{segment({'alg': 'None', 'typ': 'JWT'})}.{body}.{signature}",
        f"{head}.{segment({**claims, 'sub': 'eve'})}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}",
        jwt.encode(claims, "another key of enough length, 32 bytes", "HS256"),
        jwt.encode(claims, key * 2, "HS512"),
        jwt.encode({name: value for name, value in claims.items() if name != "exp"}, key, "HS256"),
        jwt.encode({name: value for name, value in claims.items() if name != "grant"}, key, "HS256"),
        f"{base64.urlsafe_b64encode(b'[' * 9000).decode()}.{body}.{signature}",
        "x", "..", "null", "é", "a.b.c", "." * 5000, "' OR 1=1 --",
    ]  # fmt: skip
    for token in forged:
        for answer in (
            script.http.get("/api/info", headers={"Authorization": f"Bearer {token}".encode()}),
            script.http.post("/api/refresh", headers={"Authorization": f"Bearer {token}".encode()}),
        ):
            assert told(answer)[0] == 422, token[:60]
    assert told(script.http.get("/api/info", headers={"Authorization": "Bearer"}))[0] == 422
    unknown = jwt.encode({**claims, "grant": "of nobody"}, key, "HS256")
    assert told(script.get("info", token=unknown)) == REVOKED


def test_each_token_is_good_for_its_own_use_alone(web: webd.Webd, script: Script, administrator: webd.Browser) -> None:
    assert told(script.get("info", token=script.refresh)) == (422, "Only non-refresh tokens are allowed")
    assert told(script.get_new(script.access)) == (422, "Only refresh tokens are allowed")
    with web.browser() as browser:
        for token in (script.access, script.refresh):
            for path in ("/api/v1/session", "/api/v1/cameras", "/photo_feed", "/live"):
                assert browser.get(path, headers={"authorization": f"Bearer {token}"}).status_code == 401, path


def test_a_token_of_ours_can_be_used_instead(script: Script, administrator: webd.Browser) -> None:
    made = administrator.post("/api/v1/tokens", json={"label": "script", "role": "viewer"}).json()
    assert script.get("protected", token=made["secret"]).status_code == 200
    for name in GETS:
        answer = script.get(name, {}, made["secret"])
        assert (answer.status_code == 403) is (name not in LOOKING), name
        assert name in LOOKING or list(answer.json()) == ["message"]
    assert script.get_new(made["secret"]).status_code == 422
    assert told(script.get("protected", token="obs_wrong")) == REVOKED


def test_a_cookie_counts_for_nothing(web: webd.Webd, administrator: webd.Browser) -> None:
    """A page of others can have a browser send its cookie: with a GET, or within a picture."""
    with web.browser(cookies=administrator.cookies, headers=dict(administrator.headers)) as browser:
        assert browser.get("/api/v1/session").status_code == 200, "it is a good one"
        for headers in ({}, {"origin": "http://evil.example", "sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}):
            for name in GETS:
                assert told(browser.get(f"/api/{name}", headers=headers)) == (401, "Missing Authorization Header"), name


def test_an_access_token_expires_and_another_one_is_had(tmp_path: Path) -> None:
    with webd.alone(tmp_path, legacy_tokens={"access_minutes": 0.1}) as web:
        with Script(web.url) as script:
            script.log_in()
            waiting.until(lambda: script.get("info").status_code == 401, 30, "the access token to expire")
            assert told(script.get("info")) == (401, "Token has expired")
            answer = script.get_new()
            assert answer.status_code == 200 and script.get("info", token=answer.json()["access_token"]).status_code == 200


def test_a_refresh_token_expires_and_the_login_with_it(store: Store) -> None:
    users, tokens = Users(store), Tokens(store)
    anna = users.add("anna", Role.viewer, "hash", False)
    logins = ScriptLogins(store, tokens, ScriptLoginLimits(1, 1))
    _, refresh = logins.open(anna)
    assert refresh is not None
    why = waiting.until(lambda: expired(logins, refresh), 10, "the refresh token to expire")
    assert why == "Token has expired"
    waiting.until(lambda: not tokens.is_kept(tokens.of(anna.id)[0].id), 10, "the login to end")
    assert [token.label for token in tokens.of(anna.id)] == ["raspiCamSrv API"]
    longer = ScriptLogins(store, tokens, ScriptLoginLimits(600, 600))
    longer.open(anna)
    assert len(tokens.of(anna.id)) == 1, "what has ended is not kept for ever"


def expired(logins: ScriptLogins, refresh: str) -> str | None:
    try:
        logins.refreshed(refresh)
    except TokenRefused as error:
        return str(error)
    return None


def test_without_days_there_is_no_refresh_token(tmp_path: Path) -> None:
    """2.9.15: 0 left the library's own 30 days."""
    with webd.alone(tmp_path, legacy_tokens={"refresh_days": 0}) as web:
        with Script(web.url) as script:
            assert list(script.log_in().json()) == ["access_token"]
            assert script.get("info").status_code == 200


def test_what_happens_to_a_user_counts_at_once(web: webd.Webd, administrator: webd.Browser) -> None:
    with web.user("oscar", "operator", ENOUGH) as oscar, Script(web.url) as script:

        def logged_in(password: str = ENOUGH) -> None:
            assert script.log_in("oscar", password).status_code == 200
            assert script.get("take_photo").status_code == 500

        logged_in()
        administrator.post("/api/v1/users/oscar/role", json={"role": "viewer"}).raise_for_status()
        refused = script.get("take_photo")
        assert (refused.status_code, list(refused.json())) == (403, ["message"])
        assert script.get("info").status_code == 200
        administrator.post("/api/v1/users/oscar/role", json={"role": "operator"}).raise_for_status()
        assert script.get("take_photo").status_code == 500
        # another password, by the user
        answer = oscar.post("/api/v1/password", json={"present": ENOUGH, "new": "quite another one"})
        oscar.remember(answer)
        assert told(script.get("info")) == told(script.get_new()) == REVOKED
        assert script.log_in("oscar", ENOUGH).status_code == 401
        logged_in("quite another one")
        # another password, by the administrator: it has to be changed first
        administrator.post("/api/v1/users/oscar/password", json={"password": "given by anna"}).raise_for_status()
        assert told(script.get("info")) == told(script.get_new()) == REVOKED
        answer = script.log_in("oscar", "given by anna")
        assert (answer.status_code, list(answer.json())) == (401, ["error"])
        oscar.log_in("oscar", "given by anna")
        oscar.post("/api/v1/password", json={"present": "given by anna", "new": ENOUGH}).raise_for_status()
        logged_in()
        # removed
        administrator.post("/api/v1/users/oscar/remove").raise_for_status()
        assert told(script.get("info")) == told(script.get_new()) == REVOKED
        # another one of the same name
        web.user("oscar", "operator", ENOUGH).close()
        assert told(script.get("info")) == told(script.get_new()) == REVOKED
        administrator.post("/api/v1/users/oscar/remove").raise_for_status()


def test_a_login_is_seen_and_revoked_among_the_users_tokens(web: webd.Webd, administrator: webd.Browser) -> None:
    with Script(web.url) as script, Script(web.url) as other:
        script.log_in()
        other.log_in()
        found = [token for token in administrator.get("/api/v1/tokens").json() if token["label"] == "raspiCamSrv API"]
        assert found[-1]["role"] == "operator" and found[-1]["expires"] is not None
        newer = script.get_new().json()["access_token"]
        administrator.post(f"/api/v1/tokens/{found[-2]['id']}/revoke").raise_for_status()
        assert told(script.get("info")) == told(script.get_new()) == told(script.get("info", token=newer)) == REVOKED
        assert other.get("info").status_code == 200, "the other login goes on"
        # what has its number later is not what was revoked
        administrator.post(f"/api/v1/tokens/{found[-1]['id']}/revoke").raise_for_status()
        third = other.access
        assert other.log_in().status_code == 200
        assert told(script.get("info", token=third)) == REVOKED


def test_a_user_has_so_many_logins_and_the_oldest_end(store: Store) -> None:
    users, tokens = Users(store), Tokens(store)
    anna, vera = users.add("anna", Role.administrator, "hash", False), users.add("vera", Role.viewer, "hash", False)
    logins = ScriptLogins(store, tokens, ScriptLoginLimits(600, 0))
    of_anna, none = logins.open(anna)
    assert none is None
    _, own = tokens.add(vera, "own", Role.viewer, None)
    made = [logins.open(vera)[0] for _ in range(21)]
    with pytest.raises(TokenRefused, match="revoked"):
        logins.find(made[0])
    assert {logins.find(token).user for token in made[1:]} == {"vera"} and logins.find(of_anna).user == "anna"
    assert tokens.is_kept(own.id)
    for n in range(29):
        tokens.add(vera, f"own {n}", Role.viewer, None)
    assert len(tokens.of(vera.id)) == 50
    logins.open(vera)  # there is room still: the oldest makes it
    users.remove("vera")
    with pytest.raises(NotLoggedIn, match="removed"):
        logins.open(vera)
    assert ScriptLogins(store, tokens, ScriptLoginLimits(1, 0)).find(of_anna).user == "anna", "by the same key"


def test_addresses_count_as_everywhere(tmp_path: Path) -> None:
    with webd.alone(tmp_path, login_from=["127.0.0.1", "127.0.0.2"], control_from=["127.0.0.1"]) as web:
        with (
            Script(web.url) as near,
            Script(web.url, transport=httpx.HTTPTransport(local_address="127.0.0.2")) as looking,
            Script(web.url, transport=httpx.HTTPTransport(local_address="127.0.0.3")) as far,
        ):
            near.log_in()
            assert near.get("take_photo").status_code == 500
            assert looking.log_in().status_code == 200
            assert (looking.get("info").status_code, looking.get("take_photo").status_code) == (200, 403)
            refused = far.log_in()
            assert (refused.status_code, list(refused.json())) == (403, ["error"])
            assert told(far.get("info", token=near.access)) == told(far.get_new(near.refresh)) == REVOKED
        waiting.until(lambda: "take_photo" in audit_of(web), 10, "the refusal to be told")


def test_the_key_is_made_once_and_kept_to_itself(web: webd.Webd, script: Script) -> None:
    """2.8.10, peers A7: it lay in a file that others could read, and probe told it."""
    key = key_of(web)
    assert len(key) == 64
    for path in web.state_folder.glob("webd.sqlite*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert key not in web.log() and script.access not in web.log() and script.refresh not in web.log()
    store = store_of(web)
    dump = "\n".join(store.iterdump())
    store.close()
    grant = jwt.decode(script.access, options={"verify_signature": False})["grant"]
    assert grant not in dump and script.access not in dump, "who reads the store finds hashes"


def test_tokens_outlive_a_restart(tmp_path: Path) -> None:
    with webd.alone(tmp_path) as web:
        with Script(web.url) as script:
            script.log_in()
            assert web.terminate() == 0
            web.start()
            assert script.get("info").status_code == 200 and script.get_new().status_code == 200
