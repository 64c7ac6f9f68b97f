"""Users: the first one, logging in and out, roles, passwords, tokens, and guessing slowed down."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import waiting
import webd

FIRST = "given by somebody"


def test_the_first_administrator_is_made_once_with_the_printed_link(tmp_path: Path) -> None:
    with webd.alone(tmp_path, administrator=False) as web:
        link = web.state_folder / "first-administrator"
        assert stat.S_IMODE(link.stat().st_mode) == 0o600
        assert stat.S_IMODE((web.state_folder / "webd.sqlite").stat().st_mode) == 0o600
        token = web.first_token
        assert web.log().count("first administrator: ") == 1
        assert f"first administrator: {web.url}/setup?token={token}" in web.log()
        with web.connect() as remote:
            status = remote.report_status()
        assert status["needs_first_administrator"] is True and token not in str(status)
        with web.browser() as browser:
            good = {"token": token, "user": "anna", "password": webd.PASSWORD}
            assert browser.get("/api/v1/system").status_code == 401
            assert browser.post("/api/v1/setup", json={**good, "token": "x" * 32}).status_code == 401
            for password in ("short", "anna", "aaaaaaaaaaaa"):
                assert browser.post("/api/v1/setup", json={**good, "password": password}).status_code == 422
            page = browser.get("/setup", params={"token": token})
            assert page.status_code == 200 and token in page.text
            made = browser.post(
                "/setup", data={"token": token, "user": "anna", "password": webd.PASSWORD, "again": webd.PASSWORD}
            )
            assert (made.status_code, made.headers["location"]) == (303, "/")
            assert browser.get("/api/v1/session").json()["role"] == "administrator"
            assert browser.post("/api/v1/setup", json={**good, "user": "eve"}).status_code == 401
            assert browser.get("/setup", params={"token": token}).headers["location"] == "/login"
        assert not link.exists()
        assert web.terminate() == 0
        web.start()
        assert not link.exists()
        with web.browser() as browser:
            browser.log_in("ANNA")


def test_two_who_use_the_link_at_once_make_one_administrator(tmp_path: Path) -> None:
    with webd.alone(tmp_path, administrator=False) as web:
        token, answers = web.first_token, []

        def make(user: str) -> None:
            with web.browser() as browser:
                answers.append(browser.post("/api/v1/setup", json={"token": token, "user": user, "password": webd.PASSWORD}))

        threads = [threading.Thread(target=make, args=(f"user{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(answer.status_code for answer in answers)[0] == 200
        assert sum(answer.status_code == 200 for answer in answers) == 1


def test_a_login_and_its_end(web: webd.Webd) -> None:
    with web.browser() as browser:
        answer = browser.post("/api/v1/session", json={"user": webd.ADMINISTRATOR, "password": webd.PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie and "Secure" not in cookie
        browser.remember(answer)
        first = dict(browser.cookies)
        browser.log_in(webd.ADMINISTRATOR)
        assert dict(browser.cookies) != first, "another login, another cookie"
        with web.browser(cookies=first) as before:
            assert before.get("/api/v1/session").status_code == 401, "the login before has ended"
        last = dict(browser.cookies)
        assert browser.post("/api/v1/session/end").json() == {"user": None}
        assert not browser.cookies
        with web.browser(cookies=last) as after:
            assert after.get("/api/v1/session").status_code == 401


def test_the_store_holds_no_secret_that_could_be_used(web: webd.Webd) -> None:
    with web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR)
        token = browser.post("/api/v1/tokens", json={"label": "script"}).json()["secret"]
        stored = b"".join(path.read_bytes() for path in web.state_folder.glob("webd.sqlite*"))
        for secret in (*browser.cookies.values(), token, webd.PASSWORD):
            assert secret.encode() not in stored and secret not in web.log()
        assert b"$argon2id$" in stored


def test_pages_send_to_the_login_and_back(web: webd.Webd) -> None:
    with web.browser(headers={"accept": "text/html"}) as browser:
        answer = browser.get("/password?x=1")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fpassword%3Fx%3D1")
        assert browser.get("/api/v1/system").status_code == 401
        form = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
        for asked, led in (
            ("/password?x=1", "/password?x=1"),
            ("//evil.example/", "/"),
            ("https://evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("javascript:alert(1)", "/"),
        ):
            answer = browser.post("/login", data={**form, "next": asked})
            assert (answer.status_code, answer.headers["location"]) == (303, led)
        page = browser.get("/logout")
        assert webd.ADMINISTRATOR in page.text
        assert browser.post("/logout", data={"csrf_token": "wrong"}).status_code == 403
        token = browser.get("/api/v1/session").json()["csrf_token"]
        assert browser.post("/logout", data={"csrf_token": token}).headers["location"] == "/login"
        assert browser.get("/api/v1/session").status_code == 401
        wrong = browser.post("/login", data={"user": "<b>x</b>", "password": "wrong"})
        assert wrong.status_code == 401 and "<b>x" not in wrong.text and "wrong name or password" in wrong.text


def test_a_long_way_back_is_gone_after_the_login(web: webd.Webd) -> None:
    with web.browser() as browser:
        for length in (201, 1000):
            back = "/files?".ljust(length, "x")
            answer = browser.post("/login", data={"user": webd.ADMINISTRATOR, "password": webd.PASSWORD, "next": back})
            assert (answer.status_code, answer.headers["location"]) == (303, back)


def test_a_new_user_must_change_the_password_first(web: webd.Webd) -> None:
    with web.administrator() as administrator, web.browser() as browser:
        made = administrator.post("/api/v1/users", json={"user": "vera", "role": "viewer", "password": FIRST})
        assert made.json()["must_change_password"] is True
        again = administrator.post("/api/v1/users", json={"user": "VERA", "role": "viewer", "password": FIRST})
        assert again.status_code == 409
        browser.log_in("vera", FIRST)
        refused = browser.get("/api/v1/system")
        assert (refused.status_code, refused.json()["error"]) == (403, "PasswordChangeRequired")
        page = browser.get("/logout/../password", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert browser.post("/api/v1/password", json={"present": "no", "new": webd.PASSWORD}).status_code == 401
        assert browser.post("/api/v1/password", json={"present": FIRST, "new": "short"}).status_code == 422
        browser.remember(browser.post("/api/v1/password", json={"present": FIRST, "new": webd.PASSWORD}))
        assert browser.get("/api/v1/system").status_code == 200
        administrator.post("/api/v1/users/vera/password", json={"password": FIRST}).raise_for_status()
        assert browser.get("/api/v1/system").status_code == 401


def test_a_change_of_role_counts_at_once(web: webd.Webd) -> None:
    with web.user("olga", "operator") as olga, web.administrator() as administrator:
        token = olga.post("/api/v1/tokens", json={"label": "script", "role": "operator"}).raise_for_status().json()
        script = {"authorization": f"Bearer {token['secret']}"}
        with web.browser(headers=script) as browser:
            nothing = "/api/v1/cameras/none/photo"
            assert browser.post(nothing, json={}).status_code == 404
            administrator.post("/api/v1/users/olga/role", json={"role": "viewer"}).raise_for_status()
            assert browser.post(nothing, json={}).status_code == olga.post(nothing, json={}).status_code == 403
            assert browser.get("/api/v1/system").status_code == 200
            administrator.post("/api/v1/users/olga/remove").raise_for_status()
            assert browser.get("/api/v1/system").status_code == olga.get("/api/v1/system").status_code == 401
        for path, body in (("role", {"role": "viewer"}), ("remove", None)):
            last = administrator.post(f"/api/v1/users/{webd.ADMINISTRATOR}/{path}", json=body)
            assert last.status_code == 409 and "last administrator" in last.json()["detail"]


def test_tokens_have_a_role_an_end_and_can_be_revoked(web: webd.Webd) -> None:
    with web.user("tom", "operator") as tom:
        assert tom.post("/api/v1/tokens", json={"label": "x", "role": "administrator"}).status_code == 403
        viewing = tom.post("/api/v1/tokens", json={"label": "x"}).json()
        short = tom.post("/api/v1/tokens", json={"label": "short", "days": 1e-6}).json()
        assert [token["label"] for token in tom.get("/api/v1/tokens").json()] == ["x", "short"]
        assert all("secret" not in token for token in tom.get("/api/v1/tokens").json())
        with web.browser(headers={"authorization": f"Bearer {viewing['secret']}"}) as script:
            assert script.get("/api/v1/session").json()["role"] == "viewer"
            assert script.post("/api/v1/cameras/none/photo", json={}).status_code == 403
            assert script.post("/api/v1/tokens", json={"label": "more"}).status_code == 403
            assert tom.get("/api/v1/tokens", params={"everybodys": True}).status_code == 403
            with web.administrator() as administrator:
                everybodys = administrator.get("/api/v1/tokens", params={"everybodys": True}).json()
                assert "tom" in [token["user"] for token in everybodys]
                assert administrator.post(f"/api/v1/tokens/{viewing['id']}/revoke").status_code == 404
                revoked = administrator.post(f"/api/v1/tokens/{viewing['id']}/revoke", params={"everybodys": True})
                assert revoked.status_code == 200
            assert script.get("/api/v1/system").status_code == 401
        for secret in (short["secret"], "-", "obs_wrong", "é", "x" * 5000):
            with web.browser(headers={"authorization": f"Bearer {secret}".encode()}) as script:
                waiting.until(lambda: script.get("/api/v1/system").status_code == 401, 5, "the token's end")


def test_guessing_is_slowed_down_and_locks_nobody_out(tmp_path: Path) -> None:
    with webd.alone(tmp_path, trusted_proxies=["127.0.0.1"]) as web:

        def attempt(address: str, password: str, user: str = webd.ADMINISTRATOR) -> httpx.Response:
            with web.browser(headers={"x-forwarded-for": address}) as browser:
                return browser.post("/api/v1/session", json={"user": user, "password": password})

        tried = [attempt("192.0.2.1", "wrong") for _ in range(7)]
        assert [answer.status_code for answer in tried] == [401] * 5 + [429] * 2
        assert 1 <= int(tried[-1].headers["retry-after"]) <= 61
        assert (
            len({answer.json()["detail"] for answer in tried[:5]} | {attempt("192.0.2.2", "x", "nobody").json()["detail"]}) == 1
        )
        assert attempt("192.0.2.1", webd.PASSWORD).status_code == 429, "even with the right one"
        for n in range(10):
            attempt(f"198.51.100.{n}", "wrong")
        assert attempt("203.0.113.1", webd.PASSWORD).status_code == 429, "guessed from many addresses"
        assert attempt("127.0.0.1", webd.PASSWORD).status_code == 200, "where she has logged in before she still can"
        waiting.until(lambda: web.log().count("too many wrong passwords") >= 2, 10, "the audit")
        slow = [attempt(f"2001:db8::{n}", "wrong", "nobody") for n in range(6)]
        assert slow[-1].status_code == 429, "addresses of one network are one"


def test_a_flood_of_logins_delays_nobody_else(tmp_path: Path, machine_lag: Any) -> None:
    with webd.alone(tmp_path) as web:
        with web.administrator() as administrator:
            end, counted = threading.Event(), []

            def flood() -> None:
                with web.browser() as browser:
                    while not end.is_set():
                        answer = browser.post("/api/v1/session", json={"user": "nobody", "password": "x"})
                        counted.append(answer.status_code)

            threads = [threading.Thread(target=flood) for _ in range(8)]
            for thread in threads:
                thread.start()
            try:
                waiting.until(lambda: len(counted) > 100, 20, "a flood")
                slowest_s = []
                for _ in range(3):  # others may have the processors in one of them
                    answers = [administrator.get("/api/v1/system") for _ in range(20)]
                    slowest_s.append(max(answer.elapsed.total_seconds() for answer in answers))
                assert median(slowest_s) < 0.5 + machine_lag.seconds, slowest_s
            finally:
                end.set()
                for thread in threads:
                    thread.join(20)
            assert set(counted) <= {401, 429, 503}
            assert web.vitals.memory_mb() < 500


def test_logins_end_after_a_while(tmp_path: Path) -> None:
    limits = {"idle_minutes": 0.05, "absolute_hours": 0.0025}
    with webd.alone(tmp_path, administrator=False, session=limits) as web:  # so that `idle` is the oldest login
        with web.administrator() as idle, web.administrator() as busy:
            waiting.until(
                lambda: busy.get("/api/v1/session").status_code == 200 and _is_over(web, idle), 20, "an idle login's end"
            )
            assert busy.get("/api/v1/session").status_code == 200
            waiting.until(lambda: busy.get("/api/v1/session").status_code == 401, 60, "the end of every login")


def _is_over(web: webd.Webd, browser: httpx.Client) -> bool:
    """Whether a login is over, found out without using it."""
    with sqlite3.connect(f"file:{web.state_folder}/webd.sqlite?mode=ro", uri=True) as store:
        idle_for = store.execute("SELECT unixepoch() - min(used_at) FROM sessions").fetchone()[0]
    store.close()
    return idle_for > 4 and browser.get("/api/v1/session").status_code == 401


def test_where_one_may_log_in_and_control_from(tmp_path: Path) -> None:
    with webd.alone(
        tmp_path, trusted_proxies=["127.0.0.1"], login_from=["127.0.0.0/8", "192.0.2.0/24"], control_from=["127.0.0.1"]
    ) as web:
        with web.administrator() as administrator:
            assert administrator.get("/api/v1/users").status_code == 200
            near, far = {"x-forwarded-for": "192.0.2.7"}, {"x-forwarded-for": "203.0.113.1"}
            assert administrator.get("/api/v1/users", headers=near).status_code == 403
            assert administrator.get("/api/v1/system", headers=near).status_code == 200
            assert administrator.get("/api/v1/session", headers=near).json()["role"] == "viewer"
            given = {"user": "otto", "role": "operator", "password": FIRST}
            administrator.post("/api/v1/users", json=given).raise_for_status()
            with web.browser(headers=near) as otto:
                opened = otto.post("/api/v1/session", json={"user": "otto", "password": FIRST}).json()
                assert opened["role"] == otto.get("/api/v1/session").json()["role"] == "viewer"
            assert administrator.post("/api/v1/cameras/none/photo", json={}, headers=near).status_code == 403
            assert administrator.get("/api/v1/system", headers=far).status_code == 401
            login = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
            assert administrator.post("/api/v1/session", json=login, headers=far).status_code == 403


def test_a_lost_password_is_reset_on_the_host(web: webd.Webd) -> None:
    def reset(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "observatory_webd.accounts.reset", str(web.config_path), *more]
        return subprocess.run(command, env=web.env, capture_output=True, text=True, timeout=60, check=False)

    done = reset("--user", "root")
    assert done.returncode == 0, done.stderr
    password = done.stdout.split(" has the password ")[1].split()[0]
    with web.browser() as browser:
        browser.log_in("root", password)
        assert browser.get("/api/v1/session").json() | {"csrf_token": 0, "date": 0} == {
            "user": "root",
            "role": "administrator",
            "must_change_password": True,
            "csrf_token": 0,
            "date": 0,
        }
    with web.administrator() as administrator:
        administrator.post("/api/v1/users/root/remove").raise_for_status()
        known = reset()
        assert known.stdout.startswith(f"{webd.ADMINISTRATOR} has the password ")
        assert administrator.get("/api/v1/session").status_code == 401
    password = known.stdout.split(" has the password ")[1].split()[0]
    with web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR, password)
        browser.remember(browser.post("/api/v1/password", json={"present": password, "new": webd.PASSWORD}))
    web.config_path.with_name("none.json").write_text("{}")
    assert reset("--help").returncode == 0


def test_behind_a_proxy_that_is_trusted(tmp_path: Path) -> None:
    with webd.alone(tmp_path, trusted_proxies=["127.0.0.1", "192.0.2.0/24"], allowed_hosts=["web.example"]) as web:
        forwarded = {"host": "web.example", "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.5, 192.0.2.1"}
        login = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
        with web.browser(headers=forwarded) as browser:
            answer = browser.post("/api/v1/session", json=login, headers={"origin": "https://web.example"})
            assert answer.status_code == 200 and answer.headers["set-cookie"].startswith("__Host-")
            assert "Secure" in answer.headers["set-cookie"]
            assert browser.post("/api/v1/session", json=login, headers={"origin": "http://web.example"}).status_code == 403
            for claimed in ("garbage", "203.0.113.5; DROP", "<script>", "999.1.1.1", "203.0.113.5, unknown"):
                assert browser.get("/login", headers={"x-forwarded-for": claimed}).status_code == 400, claimed
            spoofed = browser.post(
                "/api/v1/session", json={**login, "password": "x"}, headers={"x-forwarded-for": "127.0.0.1, 203.0.113.6"}
            )
            assert spoofed.status_code == 401
        # what a client claims of itself is not believed
        for line in ("caller='anna (203.0.113.5)' what=login", "refused caller=203.0.113.6 what=login"):
            waiting.until(lambda: line in web.log(), 10, line)  # noqa: B023


def test_behind_a_proxy_that_reaches_a_socket_for_both_kinds_of_addresses(tmp_path: Path) -> None:
    """Such a socket names an IPv4 client ::ffff:127.0.0.1."""
    with webd.alone(
        tmp_path, listen={"host": "::"}, trusted_proxies=["127.0.0.1", "192.0.2.0/24"], allowed_hosts=["web.example"]
    ) as web:
        headers = {"host": "web.example", "origin": "https://web.example", "x-forwarded-proto": "https"}
        login = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
        with web.browser(headers={**headers, "x-forwarded-for": "203.0.113.5, ::ffff:192.0.2.1"}) as browser:
            answer = browser.post("/api/v1/session", json=login)
            assert answer.status_code == 200 and answer.headers["set-cookie"].startswith("__Host-")
        waiting.until(lambda: "caller='anna (203.0.113.5)' what=login" in web.log(), 10, "the client's address")
        other = httpx.HTTPTransport(local_address="127.0.0.2")
        with web.browser(headers={**headers, "x-forwarded-for": "203.0.113.5"}, transport=other) as browser:
            assert browser.post("/api/v1/session", json=login).status_code == 403, "no proxy of ours"
