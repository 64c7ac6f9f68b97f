"""Clients that are slow, long-winded, or many: they cost nobody else anything, and end."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import waiting
import webd

from observatory_webd.config import TlsFiles
from observatory_webd.security import protocol, shield
from observatory_webd.server import HttpServer


def raw(web: webd.Webd, source: str = "127.0.0.1") -> socket.socket:
    """A connection on which nothing has been said."""
    return socket.create_connection(("127.0.0.1", web.port), 10, (source, 0))


def head(web: webd.Webd, *more: str, method: str = "POST", path: str = "/api/v1/session") -> bytes:
    """The first lines of a request, without the empty one."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{web.port}", *more, "")).encode()


def is_over(sock: socket.socket) -> bool:
    """Whether the other side has closed; what it said before is read away."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def answer_of(sock: socket.socket) -> bytes:
    """All that comes until the end."""
    sock.settimeout(30)
    pieces = []
    try:
        while piece := sock.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def test_who_is_slow_is_not_waited_for(web: webd.Webd, machine_lag: Any) -> None:
    """Silent, one byte a second, empty lines, a second request begun, a body that does not come: all end within bounds."""
    with ExitStack() as stack, web.browser() as good:
        good.log_in(webd.ADMINISTRATOR)
        began = time.monotonic()
        files = web.vitals.open_files()

        def opened(count: int, first: bytes = b"") -> list[socket.socket]:
            found = [stack.enter_context(raw(web)) for _ in range(count)]
            for sock in found:
                sock.sendall(first)
            return found

        begun = head(web, "Content-Type: application/json", "Content-Length: 100")
        get = head(web, method="GET", path="/login") + b"\r\n"
        silent, dripping, blank = opened(50), opened(100, b"POST /api"), opened(10, b"\r\n")
        second, bodiless = opened(10, get + b"GET /lo"), opened(20, begun + b"\r\n{")
        headerless = [*silent, *dripping, *blank, *second]
        latencies: list[float] = []
        dripped_at = 0.0

        def drip() -> bool:
            nonlocal dripped_at
            latencies.append(good.get("/api/v1/system").elapsed.total_seconds())
            if time.monotonic() - dripped_at > 1:
                dripped_at = time.monotonic()
                for sock in (*dripping, *blank):
                    try:
                        sock.send(b"\r\n" if sock in blank else b"x")
                    except OSError:
                        pass
            return all(is_over(sock) for sock in headerless)

        waiting.until(drip, protocol.HEADERS_WITHIN_S + 5 + machine_lag.seconds, "the slow ones' end")
        assert time.monotonic() - began > protocol.HEADERS_WITHIN_S - 2, "nobody was dropped at once"
        for sock in bodiless:
            assert b" 408 " in answer_of(sock)[:20]
        assert time.monotonic() - began < shield.BODY_WITHIN_S + 8 + machine_lag.seconds
        assert sorted(latencies)[len(latencies) * 99 // 100] < 0.25 + machine_lag.seconds
        waiting.until(lambda: web.vitals.open_files() <= files + 2, 10, "their connections to be gone")


def test_who_has_much_to_say_is_not_listened_to(web: webd.Webd) -> None:
    memory_mb = web.vitals.memory_mb()
    large = json.dumps({"user": "x" * 10_000_000, "password": "x"}).encode()
    with web.browser() as browser:
        answer = browser.post("/api/v1/session", content=large)
        assert answer.status_code == 413 and answer.headers["content-type"] == "application/problem+json"

        def pieces() -> Iterator[bytes]:
            for start in range(0, len(large), 65536):
                yield large[start : start + 65536]

        try:
            chunked = browser.post("/api/v1/session", content=pieces())
            assert chunked.status_code == 413
        except httpx.NetworkError:
            pass  # it was closed while we were still talking
        for headers in ({"x-long": "x" * 100_000}, {f"x-{n}": "x" * 100 for n in range(1000)}, {"cookie": "a=" + "b" * 60_000}):
            try:
                assert browser.get("/login", headers=headers).status_code == 431
            except httpx.NetworkError:
                pass
        try:
            assert browser.get("/" + "x" * 60_000).status_code == 431
        except httpx.NetworkError:
            pass
        assert browser.get("/login").status_code == 200
    with raw(web) as sock:
        sock.settimeout(20)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += sock.send(b"GET / HTTP/1.1\r\n" if not sent else b"x: " + b"y" * 4000 + b"\r\n")
        except OSError:
            pass
        assert sent < 20_000_000, "headers without an end"
    assert web.vitals.memory_mb() < memory_mb + 60


def test_a_form_is_decoded_by_no_codec_of_its_senders_choice(web: webd.Webd, machine_lag: Any) -> None:
    """A part in punycode would take its length squared, on the loop: this one 14 s."""
    part = b'--B\r\nContent-Disposition: form-data; name="user"\r\n\r\n'
    body = part + "\U00010000".encode("punycode") + b"a" * 200_000 + b"\r\n--B--\r\n"
    with web.browser() as browser:
        for path in ("/login", "/setup", "/password", "/logout", "/api/v1/session", "/api/login"):
            for kind in ("multipart/form-data", "Multipart/FORM-data ", "multipart/mixed"):
                answer = browser.post(path, content=body, headers={"content-type": f"{kind}; boundary=B; charset=punycode"})
                assert answer.status_code == 415 and answer.headers["content-type"] == "application/problem+json", path
                assert answer.elapsed.total_seconds() < 2 + machine_lag.seconds
        headers = {"content-type": "application/x-www-form-urlencoded; charset=punycode"}
        form = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
        assert browser.post("/login", data=form, headers=headers).status_code == 303, "what is urlencoded is UTF-8"


def test_what_is_no_http_is_refused(web: webd.Webd) -> None:
    for request in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        head(web, "Transfer-Encoding: chunked", "Content-Length: 5") + b"\r\n0\r\n\r\n",
        head(web, "Content-Length: -5") + b"\r\n",
        head(web, "Content-Length: 5, 6") + b"\r\n",
        head(web, "Content-Length: 99999999999999999999") + b"\r\n",
        head(web, "Host: other.example") + b"\r\n",
        head(web, "Transfer-Encoding: chunked") + b"\r\nZZ\r\n",
        head(web, method="TRACE") + b"\r\n",
        head(web, method="CONNECT") + b"\r\n",
        head(web, "Upgrade: h2c", "Connection: upgrade", method="GET", path="/nothing") + b"\r\n",
    ):
        with raw(web) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            said = answer_of(sock)
            assert not said or said.split(b" ")[1][:1] == b"4", (request[:60], said[:80])


def test_one_address_cannot_take_all_connections(web: webd.Webd) -> None:
    with ExitStack() as stack:
        for _ in range(protocol.CONNECTIONS_PER_ADDRESS + 20):
            stack.enter_context(raw(web))
        transport = httpx.HTTPTransport(local_address="127.0.0.3")
        with web.browser(transport=transport) as other:
            assert other.get("/login").status_code == 200
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)), web.browser() as same:
            same.get("/login")
    with web.browser() as again:

        def works() -> bool:
            try:
                return again.get("/login").status_code == 200
            except httpx.HTTPError:
                return False

        waiting.until(works, 10, "room again")


async def _pages(scope: Any, receive: Any, send: Any) -> None:
    """A page of 8 MB, more than the kernel keeps, or one without an end."""
    body = {"type": "http.response.body", "body": b"x" * 8_000_000, "more_body": True}
    await send({"type": "http.response.start", "status": 200, "headers": []})

    async def endless() -> None:
        while True:
            await send(body)
            await asyncio.sleep(0)

    if scope["path"] == "/endless":
        sending = asyncio.ensure_future(endless())
        while (await receive())["type"] != "http.disconnect":
            pass
        sending.cancel()
    else:
        await send(body)
        await send({"type": "http.response.body", "body": b""})


@contextmanager
def _serving(tls: TlsFiles | None = None, app: Any = _pages) -> Iterator[HttpServer]:
    server = HttpServer("127.0.0.1", 0, tls)

    async def beat() -> None:
        pass

    server.start(app, beat)
    try:
        yield server
    finally:
        assert server.close(5)


@pytest.mark.parametrize("path", ["/", "/endless"])
@pytest.mark.parametrize("more", [0, 60])
@pytest.mark.parametrize("close", ["", "Connection: close\r\n"])
def test_a_client_that_takes_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, path: str, more: int, close: str
) -> None:
    """Whatever it asked for, and whatever waits behind that; nothing is logged of it."""
    monkeypatch.setattr(protocol, "TAKEN_WITHIN_S", 0.3)
    with _serving() as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n".encode() + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * more)
        assert sock.recv(12) == b"HTTP/1.1 200"
        me = sock.getsockname()

        def is_held() -> bool:
            return any(one.laddr == me or one.raddr == me for one in _connections(server.port))

        waiting.until(lambda: not is_held(), 10, "its connection to be given up")
        assert server.last_progress() > time.monotonic() - 5
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def _connections(port: int) -> list[Any]:
    """The ends of the server's connections that this process holds open."""
    found = psutil.Process().net_connections("tcp")
    return [one for one in found if one.laddr and one.laddr.port == port and one.raddr]


def test_who_takes_slowly_is_served_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TAKEN_WITHIN_S", 2.0)  # more than a busy machine holds us up; all of it takes longer
    with _serving() as server, socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        taken, never = bytearray(), threading.Event()
        while piece := sock.recv(200_000):
            taken += piece
            never.wait(0.002)  # a slow reader: the kernel tells of room only now and then
    assert taken.endswith(b"0\r\n\r\n") and taken.count(b"x") >= 8_000_000


def test_who_takes_nothing_over_tls_is_given_up_and_who_does_is_served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(protocol, "TAKEN_WITHIN_S", 2.0)  # more than a busy machine holds up who takes
    tls = _made_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(tls.certificate))
    get = b"GET / HTTP/1.1\r\nHost: x\r\n"
    with _serving(tls) as server:

        def connected() -> ssl.SSLSocket:
            return trust.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 10), server_hostname="127.0.0.1")

        with connected() as sock:
            sock.sendall(get + b"Connection: close\r\n\r\n")
            assert answer_of(sock).count(b"x") >= 8_000_000
        with connected() as sock:
            sock.sendall((get + b"\r\n") * 20)
            me = sock.getsockname()
            waiting.until(lambda: not any(one.raddr == me for one in _connections(server.port)), 10, "it to be given up")


def test_a_websocket_asked_for_behind_an_answer_ends_both(caplog: pytest.LogCaptureFixture) -> None:
    """Else the answer would never hear that its client has left."""
    began, told = threading.Event(), threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            began.set()
            while (await receive())["type"] != "http.disconnect":
                pass
            told.set()
        else:
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass

    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    with _serving(app=app) as server, socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert began.wait(10)
        sock.sendall(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n".encode())
        waiting.until(lambda: is_over(sock), 5, "the connection's end")
        assert told.wait(5)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_over_tls_connections_count_from_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that say nothing as well as those that talk nonsense, which give their place back."""
    monkeypatch.setattr(protocol, "CONNECTIONS_PER_ADDRESS", 5)
    tls = _made_certificate(tmp_path)
    trust = ssl.create_default_context(cafile=str(tls.certificate))
    with _serving(tls) as server, ExitStack() as stack:

        def connected(source: str = "127.0.0.1") -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10, (source, 0)))

        def is_served(source: str) -> bool:
            with connected(source) as plain:
                try:
                    sock = stack.enter_context(trust.wrap_socket(plain, server_hostname="127.0.0.1"))
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    return answer_of(sock).startswith(b"HTTP/1.1 200")
                except OSError:
                    return False

        for _ in range(20):
            connected().sendall(b"GET / HTTP/1.1\r\n\r\n")
        waiting.until(lambda: is_served("127.0.0.1"), 5, "it to be served after the nonsense")
        silent = [connected() for _ in range(8)]
        waiting.until(lambda: sum(is_over(sock) for sock in silent) == 3, 5, "those beyond the most to be closed")
        assert not is_served("127.0.0.1")
        assert is_served("127.0.0.3")
        for sock in silent:
            sock.close()
        waiting.until(lambda: is_served("127.0.0.1"), 5, "room again")


def test_the_end_waits_for_nobody_and_logs_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as sock, _serving() as server:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", server.port))
        sock.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def _made_certificate(folder: Path) -> TlsFiles:
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*command, *names, *files], check=True, capture_output=True, timeout=30)
    return TlsFiles(certificate, key)


def test_over_tls(tmp_path: Path) -> None:
    made = _made_certificate(tmp_path)
    certificate, key = made.certificate, made.key
    with webd.alone(tmp_path / "web", tls={"certificate": str(certificate), "key": str(key)}, administrator=False) as web:
        silent = raw(web)
        trust = ssl.create_default_context(cafile=str(certificate))
        with web.browser(verify=trust) as browser:
            answer = browser.post("/api/v1/setup", json={"token": web.first_token, "user": "anna", "password": webd.PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-") and "Secure" in cookie and "HttpOnly" in cookie
            browser.remember(answer)
            assert browser.post("/api/v1/session/end", headers={"origin": web.url}).status_code == 200
            assert browser.post("/login", headers={"origin": web.url.replace("https", "http")}).status_code == 403
        with pytest.raises(httpx.HTTPError), httpx.Client() as plain:
            plain.get(web.url.replace("https", "http"))
        with silent:
            waiting.until(lambda: is_over(silent), 20, "the end of who does not begin with TLS")


def test_webd_ends_in_time_whoever_is_connected(tmp_path: Path, machine_lag: Any) -> None:
    with webd.alone(tmp_path) as web:
        with web.administrator() as listener, ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(raw(web)).sendall(b"GET /")
            stack.enter_context(listener.stream("GET", "/api/v1/events"))
            began = time.monotonic()
            assert web.terminate() == 0
            assert time.monotonic() - began < 5 + machine_lag.seconds
