"""The streams of webd over simulated cameras: a real HTTP server in a thread or in a process, and bare clients for it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
import waiting
from fastapi import FastAPI, Request
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from observatory_common.audit import Audit
from observatory_common.directory import Directory
from observatory_common.errors import InvalidArgument, InvalidControlIP, ObservatoryError, UnknownDevice
from observatory_common.rpc.client import RemoteDaemon, connect
from observatory_webd.security.hosts import Hosts
from observatory_webd.security.shield import shielded
from observatory_webd.streams.relays import Relays
from observatory_webd.streams.routes import make_router
from observatory_webd.streams.sink import StreamingHttp, StreamingWebSocket

HOST = "127.0.0.1"


async def look_anyone(connection: HTTPConnection) -> str | None:
    """In the place of the accounts: everybody may look but `stranger`; `nobody` is who is not logged in."""
    user = connection.headers.get("x-user", "somebody")
    if user == "stranger":
        raise InvalidControlIP("strangers may not look")
    return None if user == "nobody" else user


def make_app(relays: Relays) -> FastAPI:
    """Nothing but the streams."""
    app = FastAPI()
    app.include_router(make_router(look_anyone, lambda connection: relays))

    async def refused(request: Request, error: Exception) -> JSONResponse:
        unknown = isinstance(error, UnknownDevice | InvalidArgument)
        status = 403 if isinstance(error, InvalidControlIP) else 404 if unknown else 503
        return JSONResponse({"detail": str(error)}, status)

    app.add_exception_handler(ObservatoryError, refused)
    return app


def make_server(relays: Relays) -> uvicorn.Server:
    """As webd is to serve it."""
    config = uvicorn.Config(
        shielded(make_app(relays), Hosts([]), [], Audit()),
        http=StreamingHttp,
        ws=StreamingWebSocket,
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def listening() -> socket.socket:
    """A socket bound to a free port."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, 0))
    return sock


class StreamServer:
    """In a thread, for as long as the context lasts; `relays` can be looked at."""

    def __init__(self, cameras: Mapping[str, Callable[[], RemoteDaemon]], **options: Any) -> None:
        self.relays = Relays(tuple(cameras), lambda name: cameras[name](), **options)
        self._socket = listening()
        self.port: int = self._socket.getsockname()[1]
        self._server = make_server(self.relays)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="stream-server")

    def __enter__(self) -> StreamServer:
        self._thread.start()
        waiting.until(lambda: self._server.started, 20, "the server")
        return self

    def __exit__(self, *_: object) -> None:
        ended = self.relays.close(6)
        self._server.should_exit = True
        self._thread.join(15)
        self._socket.close()
        assert ended
        assert not self._thread.is_alive()

    def end_for(self, user: str) -> None:
        """End the streams of a user."""
        self._loop.call_soon_threadsafe(self.relays.end, lambda viewer: viewer.user == user, "logged out")

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve([self._socket])

        uvloop.run(serve())


@contextmanager
def server_process(etc: Path) -> Iterator[tuple[int, int]]:
    """In a process of its own, over the one camera of a registry; its port and process id."""
    command = [sys.executable, __file__, str(etc)]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}) as process:
        try:
            line = process.stdout.readline()
            yield int(line), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                assert process.wait(15) == 0
            finally:
                process.kill()


class Mjpeg:
    """A client of an MJPEG stream."""

    def __init__(self, port: int, path: str = "/video_feed", version: str = "1.1", receive_buffer: int | None = None) -> None:
        self.sock = request(port, path, version=version, receive_buffer=receive_buffer)
        self.file = self.sock.makefile("rb")
        self.status, self.headers = read_head(self.file)

    def __enter__(self) -> Mjpeg:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self.file.close()
        self.sock.close()

    def part(self) -> tuple[dict[str, str], bytes]:
        """The next part's headers and body, byte by byte as they should be. EOFError at the end."""
        assert (line := self._line()) == b"--frame\r\n", line
        headers: dict[str, str] = {}
        while (line := self._line()) != b"\r\n":
            name, _, value = line.decode().rstrip("\r\n").partition(": ")
            headers[name] = value
        body = self.file.read(int(headers["Content-Length"]))
        assert self._line() == b"\r\n"
        return headers, body

    def _line(self) -> bytes:
        line = self.file.readline()
        if not line.endswith(b"\n"):  # it may end anywhere
            raise EOFError
        return line


def request(
    port: int,
    path: str,
    *,
    method: str = "GET",
    version: str = "1.1",
    headers: Sequence[str] = (),
    receive_buffer: int | None = None,
) -> socket.socket:
    """A connection on which a request was sent."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(20)
    sock.connect((HOST, port))
    lines = [f"{method} {path} HTTP/{version}", f"Host: {HOST}:{port}", *headers]
    sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    return sock


def read_head(file: Any) -> tuple[int, dict[str, str]]:
    """Status and headers of a response."""
    status = int(file.readline().split()[1])
    headers: dict[str, str] = {}
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode().rstrip("\r\n").partition(": ")
        headers[name.lower()] = value
    return status, headers


def fetch(port: int, path: str, **options: Any) -> tuple[int, dict[str, str], bytes]:
    """A whole response, read until the server closes."""
    headers = ("Connection: close", *options.pop("headers", ()))
    with request(port, path, headers=headers, **options) as sock, sock.makefile("rb") as file:
        return *read_head(file), file.read()


@dataclass(frozen=True)
class Message:
    """A binary message of a stream."""

    number: int
    timestamp_us: int
    key: bool
    data: bytes


class LiveSocket:
    """A client of a stream's WebSocket, which checks the frames bit by bit."""

    def __init__(self, port: int, path: str, *, headers: Sequence[str] = (), receive_buffer: int | None = None) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13")
        offer = ("Sec-WebSocket-Extensions: permessage-deflate",)
        self.sock = request(port, path, headers=(*upgrade, *offer, *headers), receive_buffer=receive_buffer)
        self.file = self.sock.makefile("rb")
        self.status, self.headers = read_head(self.file)

    def __enter__(self) -> LiveSocket:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def frame(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. EOFError at the end."""
        head = self.file.read(2)
        if len(head) < 2:
            raise EOFError
        assert head[0] & 0xF0 == 0x80, "not final, or compressed"
        size = head[1]
        if size == 126:
            (size,) = struct.unpack("!H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.file.read(8))
        return head[0] & 0x0F, self.file.read(size)

    def text(self) -> dict[str, Any]:
        """The next text message."""
        while True:
            kind, payload = self.frame()
            if kind == 1:
                found: dict[str, Any] = json.loads(payload)
                return found

    def message(self) -> Message:
        """The next picture or packet."""
        while True:
            kind, payload = self.frame()
            if kind == 2:
                version, flags, size, number, timestamp_us = struct.unpack_from("!BBHQQ", payload)
                assert (version, size) == (1, 20)
                return Message(number, timestamp_us, bool(flags & 1), payload[size:])

    def closed(self) -> tuple[int, str]:
        """Wait for the server's farewell: code and reason."""
        while True:
            kind, payload = self.frame()
            if kind == 8:
                return struct.unpack_from("!H", payload)[0], payload[2:].decode()

    def send_text(self, value: Any) -> None:
        """Send a value as a text message."""
        self.send_plain(json.dumps(value))

    def send_plain(self, text: str) -> None:
        """Send a text message of at most 65535 letters."""
        data = text.encode()
        size = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0x80 | 126, len(data))
        self.sock.sendall(b"\x81" + size + bytes(4) + data)


def rate(take: Callable[[], object], seconds: float) -> float:
    """How many things a second `take` takes."""
    take()
    began = time.monotonic()
    count = 0
    while (took_s := time.monotonic() - began) < seconds:
        take()
        count += 1
    return count / took_s


def main(etc: Path) -> None:
    """The server as a process: prints its port; ends at SIGTERM."""
    directory = Directory.load(etc / "observatory")
    relays = Relays(["cam"], lambda name: connect("test_camera", directory=directory))
    sock = listening()
    server = make_server(relays)
    running = threading.Thread(target=server.run, args=([sock],))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    running.start()
    waiting.until(lambda: server.started, 20, "the server")
    print(sock.getsockname()[1], flush=True)
    ended.wait()
    relays.close(6)
    server.should_exit = True
    running.join()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(Path(sys.argv[1]))
