"""Role x route x Host x Origin x X-Forwarded-For, for every route that the application has."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
import waiting
import webd
from fastapi import APIRouter, FastAPI
from starlette.routing import Mount
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from observatory_webd.accounts.dependencies import PUBLIC, Require, RequireBearer, check, declared, routes_of
from observatory_webd.accounts.identity import Role
from observatory_webd.app import make_app
from observatory_webd.services import Services

ROLES = ("viewer", "operator", "administrator")
FOREIGN = "evil.example"
_SAFE = ("GET", "HEAD")

Route = tuple[str, str, Any]


def all_routes() -> list[Route]:
    """Method (WS for a WebSocket), path with its parameters filled in, guard."""
    services = SimpleNamespace(context=SimpleNamespace(software_version="1"))
    app = make_app(cast("Services", services))
    found: list[Route] = []
    for route in routes_of(app.routes):
        if isinstance(route, Mount):
            continue
        path = re.sub(r"\{id(:\w+)?\}", "999999", getattr(route, "path", ""))
        path = re.sub(r"\{use_case\}", "live", re.sub(r"\{(?!use_case)\w+(:\w+)?\}", "none", path))
        for method in getattr(route, "methods", None) or ("WS",):
            found.append((method, path, declared(route)))
    return found


ROUTES = all_routes()


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Webd]:
    """A webd without daemons: whatever is allowed finds nothing to do."""
    folder = tmp_path_factory.mktemp("web")
    with webd.alone(folder, administrator=False, login_from=["127.0.0.1"], allowed_hosts=["our.example"]) as running:
        yield running


@pytest.fixture(scope="module")
def administrator(web: webd.Webd) -> Iterator[webd.Browser]:
    """Logged in before so much is tried that logins are slowed down."""
    with web.administrator() as browser:
        yield browser


@pytest.fixture(scope="module")
def tokens(administrator: webd.Browser) -> dict[str, str]:
    """A token for each role."""
    return {role: administrator.post("/api/v1/tokens", json={"label": role, "role": role}).json()["secret"] for role in ROLES}


def same(answer: httpx.Response, plain: int) -> bool:
    """Whether it is answered as it is without the odd header, or is one login too many."""
    return answer.status_code == plain or (plain in (401, 422) and answer.status_code == 429)


def status_of(client: httpx.Client, method: str, path: str, **headers: str) -> httpx.Response:
    """The head of the answer; its body, which may be endless, is not waited for."""
    body = {"json": {}} if method not in _SAFE and path.startswith("/api/") else {}
    with client.stream(method, path, headers=headers, **body) as answer:  # type: ignore[arg-type]
        return answer


def test_there_are_routes_of_every_kind() -> None:
    guards = {guard.role for _, _, guard in ROUTES if isinstance(guard, Require)}
    assert guards == set(Role) and len(ROUTES) > 60
    public = {(method, path) for method, path, guard in ROUTES if guard is PUBLIC}
    assert public == {
        ("GET", "/login"), ("HEAD", "/login"), ("POST", "/login"), ("GET", "/setup"), ("HEAD", "/setup"), ("POST", "/setup"),
        ("GET", "/logout"), ("HEAD", "/logout"), ("POST", "/logout"), ("POST", "/password"), ("POST", "/api/v1/session"),
        ("POST", "/api/v1/setup"), ("POST", "/api/login"),
    }  # fmt: skip


def test_a_route_without_a_role_is_refused() -> None:
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()

    @router.get("/forgotten")
    async def forgotten() -> None:
        """Nobody has thought of who may use it."""

    app.include_router(router)
    with pytest.raises(TypeError, match="/forgotten declares no role"):
        check(app.routes)
    other = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    other.mount("/files", FastAPI())
    with pytest.raises(TypeError, match="/files declares no role"):
        check(other.routes)


def test_what_has_effects_is_no_get_and_takes_more_than_looking() -> None:
    own = {"/api/v1/password", "/api/v1/session/end", "/api/v1/tokens", "/api/v1/tokens/999999/revoke", "/api/refresh"}
    for method, path, guard in ROUTES:
        assert method in ("GET", "HEAD", "POST", "WS"), path
        if method == "POST" and isinstance(guard, Require) and path not in own:
            assert guard.role >= Role.operator, path


def test_every_route_lets_in_whom_it_says(web: webd.Webd, tokens: dict[str, str]) -> None:
    with web.browser() as client:
        for method, path, guard in ROUTES:
            if method == "WS" or not isinstance(guard, Require):
                continue
            assert status_of(client, method, path).status_code == 401, (method, path)
            assert status_of(client, method, path, authorization="Bearer obs_wrong").status_code == 401, (method, path)
            for role in ROLES:
                answer = status_of(client, method, path, authorization=f"Bearer {tokens[role]}")
                may = Role[role] >= guard.role
                # a token cannot do what takes a login; that is refused too, and tested elsewhere
                refused = answer.status_code in (401, 403) and path != "/api/v1/tokens"
                assert refused is not may or (may and not refused), (method, path, role, answer.status_code)
                # raspiCamSrv's API says so of whatever cannot be done, as without a camera
                assert answer.status_code < 500 or isinstance(guard, RequireBearer), (method, path, role)


def connect_as(web: webd.Webd, host: str, path: str, token: str) -> ClientConnection:
    """A WebSocket of a page at `host`, a name that its owner has pointed at our address."""
    sock = socket.create_connection(("127.0.0.1", web.port), 10)
    try:
        return connect(
            f"ws://{host}{path}",
            sock=sock,
            origin=cast("Any", f"http://{host}"),
            additional_headers={"Authorization": f"Bearer {token}"},
        )
    except InvalidStatus:
        sock.close()
        raise


def test_every_socket_lets_in_whom_it_says(web: webd.Webd, tokens: dict[str, str]) -> None:
    sockets = [path for method, path, _ in ROUTES if method == "WS"]
    assert len(sockets) == 2
    for path in sockets:
        url = web.url.replace("http", "ws") + path
        for headers, origin in (
            ({}, None),
            ({"Authorization": "Bearer obs_wrong"}, None),
            ({"Authorization": f"Bearer {tokens['viewer']}"}, f"http://{FOREIGN}"),
            ({"Authorization": f"Bearer {tokens['viewer']}"}, "null"),
            ({"Authorization": f"Bearer {tokens['viewer']}"}, web.url.replace("http", "https")),
        ):
            with pytest.raises(InvalidStatus) as refused:
                connect(url, additional_headers=headers, origin=cast("Any", origin))
            assert refused.value.response.status_code == 403, (headers, origin)
        for host in (FOREIGN, f"{FOREIGN}:{web.port}", "192.0.2.1", f"our.example.{FOREIGN}"):
            with pytest.raises(InvalidStatus) as refused:
                connect_as(web, host, path, tokens["viewer"])
            assert refused.value.response.status_code == 403, (path, host)
        with connect_as(web, "our.example", path, tokens["viewer"]):
            pass
        for origin in (None, web.url):
            headers = {"Authorization": f"Bearer {tokens['viewer']}"}
            with connect(url, additional_headers=headers, origin=cast("Any", origin)) as socket:
                if path == "/api/v1/events/ws":
                    assert json.loads(socket.recv(timeout=10))["data"] == {"user": webd.ADMINISTRATOR, "role": "viewer"}
                    continue
                with pytest.raises(Exception, match="no camera"):
                    socket.recv(timeout=10)


def test_every_route_answers_only_to_its_names_and_pages(web: webd.Webd, tokens: dict[str, str]) -> None:
    own = f"127.0.0.1:{web.port}"
    good_hosts = (own, f"localhost:{web.port}", "our.example", "OUR.example.:80")
    bad_hosts = (FOREIGN, f"{FOREIGN}:{web.port}", "192.0.2.1", f"{own}@{FOREIGN}", "our.example.evil.example", "[::1", "")
    with web.browser(headers={"authorization": f"Bearer {tokens['viewer']}"}) as client:
        for method, path, _guard in ROUTES:
            if method == "WS":
                continue
            plain = status_of(client, method, path).status_code
            for host in bad_hosts:
                assert status_of(client, method, path, host=host).status_code == 403, (method, path, host)
            for host in good_hosts:
                assert same(status_of(client, method, path, host=host), plain), (method, path, host)
            for origin in (f"http://{FOREIGN}", "null", f"https://{own}", f"http://127.0.0.1:{web.port + 1}", f"{own}", ""):
                answer = status_of(client, method, path, origin=origin)
                assert same(answer, plain if method in _SAFE else 403), (method, path, origin)
                assert not any(name.startswith("access-control-") for name in answer.headers)
            assert same(status_of(client, method, path, origin=f"http://{own}"), plain), (method, path)
            cross = {"sec-fetch-site": "cross-site"}
            assert same(status_of(client, method, path, **cross), plain if method in _SAFE else 403), (method, path)
            assert same(status_of(client, method, path, **{"x-forwarded-for": "203.0.113.9"}), plain), (method, path)


def test_nobody_comes_in_by_claiming_an_address(web: webd.Webd, tokens: dict[str, str]) -> None:
    """Only 127.0.0.1 may log in here; 127.0.0.2, which claims to speak for it, may not."""
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    headers = {"authorization": f"Bearer {tokens['administrator']}"}
    with web.browser(transport=transport, headers=headers) as client:
        for method, path, guard in ROUTES:
            if not isinstance(guard, Require):
                continue
            for name in ("x-forwarded-for", "x-real-ip", "forwarded", "client-ip"):
                value = "for=127.0.0.1" if name == "forwarded" else "127.0.0.1"
                if method != "WS":
                    assert status_of(client, method, path, **{name: value}).status_code == 401, (method, path, name)
                    continue
                url = web.url.replace("http", "ws") + path
                with pytest.raises(InvalidStatus) as refused:
                    connect(url, additional_headers={**headers, name: value}, source_address=("127.0.0.2", 0))
                assert refused.value.response.status_code == 403, (path, name)


def test_a_cookie_alone_does_nothing(web: webd.Webd, administrator: webd.Browser) -> None:
    with web.browser(cookies=administrator.cookies) as forged:
        for method, path, guard in ROUTES:
            if method in ("WS", *_SAFE) or not isinstance(guard, Require):
                continue
            for token in (None, "", "wrong", "é"):
                headers = {} if token is None else {"x-csrf-token": token.encode()}
                answer = forged.request(method, path, json={}, headers=headers)
                if isinstance(guard, RequireBearer):
                    assert answer.status_code == 401, (method, path, token)
                    continue
                assert answer.status_code == 403 and "X-CSRF-Token" in answer.json()["detail"], (method, path, token)
        for method, path, guard in ROUTES:
            if isinstance(guard, RequireBearer):
                assert status_of(forged, method, path).status_code == 401, "its GETs have effects"
        assert administrator.get("/api/v1/session").status_code == 200


@pytest.mark.parametrize("public", [False, True])
def test_streams_are_public_only_where_the_config_says_so(tmp_path_factory: pytest.TempPathFactory, public: bool) -> None:
    with webd.alone(tmp_path_factory.mktemp("public"), administrator=False, public_streams=public) as running:
        with running.browser() as nobody:
            streams = [
                (method, path)
                for method, path, guard in ROUTES
                if isinstance(guard, Require) and guard.public_streams and method != "WS"
            ]
            assert {"/video_feed", "/photo_feed"} <= {path for _, path in streams}
            for method, path in streams:
                answer = status_of(nobody, method, path)
                assert answer.status_code == 401 if not public else answer.status_code in (200, 404), (method, path)
            assert nobody.get("/api/v1/cameras").status_code == 401


def test_every_refusal_of_what_has_effects_is_told_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    with webd.alone(tmp_path_factory.mktemp("audit")) as running, running.user("otto", "operator") as otto:
        token = otto.post("/api/v1/tokens", json={"label": "own"}).json()
        script = {"authorization": f"Bearer {token['secret']}", "cookie": ""}
        foreign = {"origin": f"http://{FOREIGN}"}
        refused: list[tuple[str, dict[str, Any]]] = [
            ("/api/v1/tokens", {"json": {"label": "x", "role": "administrator"}}),
            ("/api/v1/tokens", {"json": {"label": "x"}, "headers": script}),
            (f"/api/v1/tokens/{token['id']}/revoke", {"params": {"everybodys": True}}),
            ("/logout", {"data": {"csrf_token": "wrong"}}),
            ("/password", {"data": {"csrf_token": "wrong", "present": webd.PASSWORD}}),
            ("/api/v1/users", {"json": {}}),
            ("/api/v1/session/end", {"headers": {"x-csrf-token": "wrong"}}),
            ("/api/v1/session/end", {"headers": foreign}),
            ("/api/v1/session/end", {"headers": {"sec-fetch-site": "cross-site"}}),
            ("/api/v1/session/end", {"headers": {"host": FOREIGN}}),
            ("/nowhere", {"headers": foreign}),
        ]
        for path, request in refused:
            assert otto.post(path, **request).status_code == 403, (path, request)
        assert otto.get("/api/v1/tokens", params={"everybodys": True}).status_code == 403
        assert otto.get("/login", headers={"host": FOREIGN}).status_code == 403, "looking has no effects"
        for path in {path for path, _ in refused}:
            line = f"audit: refused caller=127.0.0.1 what=\"POST '{path}'\""
            wanted = sum(path == other for other, _ in refused)
            waiting.until(lambda: running.log().count(line) >= wanted, 10, line)  # noqa: B023
            assert running.log().count(line) == wanted, line
        assert running.log().count("audit: refused") == len(refused)
