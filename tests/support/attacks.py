"""Attacks on a daemon's port, each of which a bare Pyro5 daemon falls to or suffers from, and a good client to watch.

An attack is a function of a `Target`; it asserts what the daemon owes the attacker (an answer, or the end of the
connection, in time) and leaves nothing open. What it did to others is for `Poller` and the process's figures to say.
`ALL` holds those that may come from any address which may view. Needs nothing of the project.
"""

from __future__ import annotations

import json
import marshal
import os
import selectors
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

import msgpack
from rawclient import (
    BATCH,
    COMPRESSED,
    CONNECT,
    CONNECT_FAIL,
    CONNECT_OK,
    INVOKE,
    JSON,
    KEEP_SERIALIZED,
    MARSHAL,
    ONEWAY,
    PING,
    RESULT,
    SERPENT,
    RawClient,
    frame,
)

HANDSHAKE_S = 5.0
MESSAGE_S = 10.0
POOL_SIZE = 200
MOST_PER_ADDRESS = 100

FEWEST_POLLS = 100  # of the good client, so that its 99 % can be told


@dataclass(frozen=True)
class Target:
    """A daemon to attack: its remote object, a view method without arguments, and the address to come from."""

    host: str
    port: int
    object_name: str
    method: str = "report_status"
    source: str | None = None

    def client(self, source: str | None = None) -> RawClient:
        """A connection that has sent nothing."""
        return RawClient(self.host, self.port, source=source or self.source, timeout_s=20.0)

    def greeted(self) -> RawClient:
        """A connection past its handshake."""
        client = self.client()
        with ExitStack() as stack:
            stack.enter_context(client)
            welcome = client.connect(self.object_name)
            assert welcome.type == CONNECT_OK, welcome
            stack.pop_all()
        return client


class Poller:
    """A good client in a process of its own, which calls the view method about 200 times a second."""

    def __init__(self, target: Target) -> None:
        self._command = [sys.executable, __file__, target.host, str(target.port), target.object_name, target.method]
        self._latencies: list[float] = []

    def __enter__(self) -> Poller:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "polling\n"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        output, _ = self._process.communicate("stop\n", timeout=30)
        assert self._process.returncode == 0, "the good client lost its connection"
        self._latencies = json.loads(output)

    @property
    def p99_s(self) -> float:
        """The latency that 99 % of its calls stayed under; after the end of the context."""
        assert len(self._latencies) >= FEWEST_POLLS
        return self._latencies[int(len(self._latencies) * 0.99)]


def poll(target: Target) -> None:
    """The good client's process: poll until a line comes on standard input, then print the sorted latencies."""
    latencies = []
    with target.greeted() as client, selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("polling", flush=True)
        while not selector.select(0.005) or len(latencies) < FEWEST_POLLS:
            began = time.monotonic()
            answer = client.invoke(target.object_name, target.method)
            assert answer is not None and answer.code is None, answer
            latencies.append(time.monotonic() - began)
    print(json.dumps(sorted(latencies)))


# before the handshake


@contextmanager
def silent(target: Target, count: int, source: str | None = None) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    with ExitStack() as stack:
        address = (source or target.source, 0) if source or target.source else None
        where = (target.host, target.port)
        yield [stack.enter_context(socket.create_connection(where, 10, address)) for _ in range(count)]


def seconds_until_closed(target: Target, source: str, count: int) -> list[float]:
    """How long each of `count` silent connections from `source` lived, beginning with its connect."""
    lives = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection((target.host, target.port), 10, (source, 0)))
            selector.register(sock, selectors.EVENT_READ, time.monotonic())
            lives += _ended(selector, 0)
        until = time.monotonic() + 20
        while len(lives) < count and time.monotonic() < until:
            lives += _ended(selector, 0.1)
    assert len(lives) == count, f"{count - len(lives)} of {count} are open still"
    return lives


def _ended(selector: selectors.BaseSelector, timeout_s: float) -> list[float]:
    lives = []
    for key, _ in selector.select(timeout_s):
        sock = key.fileobj
        assert isinstance(sock, socket.socket)
        with suppress(ConnectionError):
            if sock.recv(4096):
                continue
        selector.unregister(sock)
        lives.append(time.monotonic() - key.data)
    return lives


def drip_handshake(target: Target) -> None:
    """One byte of a handshake at a time: cut off when its time is over."""
    message = frame(CONNECT, msgpack.packb({"handshake": "x" * 2000, "object": target.object_name}))
    with target.client() as client:
        lived_s = _drip(client, message)
    assert HANDSHAKE_S - 1 < lived_s < HANDSHAKE_S + 3, lived_s


def drip_request(target: Target) -> None:
    """One byte of a request at a time: cut off when its time is over, since it holds a thread."""
    message = frame(INVOKE, msgpack.packb((target.object_name, target.method, ["x" * 2000], {})))
    with target.greeted() as client:
        lived_s = _drip(client, message)
    assert MESSAGE_S - 1 < lived_s < MESSAGE_S + 3, lived_s


def _drip(client: RawClient, message: bytes) -> float:
    """Send a byte every 20 ms until the server hangs up; how long that took."""
    began = time.monotonic()
    client.sock.settimeout(0.02)
    for at in range(len(message)):
        with suppress(TimeoutError):
            try:
                client.send(message[at : at + 1])
                while client.sock.recv(4096):
                    pass
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
            break
        if time.monotonic() - began > 30:
            raise AssertionError("a dripping client was served for more than 30 s")
    return time.monotonic() - began


def zlib_bomb(target: Target) -> None:
    """Compressed messages: a megabyte that would become a gigabyte, and a small one of 10 MB; before and after."""
    packer = zlib.compressobj(9)
    chunk = bytes(1 << 20)
    large = b"".join(packer.compress(chunk) for _ in range(1024)) + packer.flush()
    small = zlib.compress(bytes(10 << 20), 9)
    for bomb in (large, small):
        with target.client() as client:
            _send(client, frame(CONNECT, bomb, flags=COMPRESSED))
            assert_refused(client)
        with target.greeted() as client:
            _send(client, frame(INVOKE, bomb, flags=COMPRESSED))
            assert client.closed_by_peer()


def huge_headers(target: Target) -> None:
    """Headers that announce up to 4 GB."""
    with ExitStack() as stack:
        clients = [stack.enter_context(target.client()) for _ in range(20)]
        for number, client in enumerate(clients):
            size = 0xFFFFFFFF if number % 2 else (1 << 30) - 1
            _send(client, frame(CONNECT, b"x" * 100, size=size))
        for client in clients:
            assert_refused(client)
    with target.greeted() as client:
        _send(client, frame(INVOKE, b"x" * 100, size=0xFFFFFFFF))
        assert client.closed_by_peer()


def announced_and_not_sent(target: Target) -> None:
    """Requests of just the allowed size that never come, as many as one address may have at once."""
    with ExitStack() as stack:
        for _ in range(MOST_PER_ADDRESS // 2):
            client = stack.enter_context(target.greeted())
            _send(client, frame(INVOKE, b"x", size=64 << 10))


def foreign_serializers(target: Target) -> None:
    """Handshakes and calls in the serializers that a bare Pyro5 daemon would load."""
    bombs = {
        MARSHAL: [b"[\xff\xff\xff\x7f", marshal.dumps({"handshake": "hello", "object": target.object_name})],
        SERPENT: [f"{{'handshake': 'hello', 'object': '{target.object_name}'}}".encode(), b"[" * 5000],
        JSON: [json.dumps({"handshake": "hello", "object": target.object_name}).encode()],
        99: [b"?"],
    }
    for serializer, payloads in bombs.items():
        for payload in payloads:
            with target.client() as client:
                _send(client, frame(CONNECT, payload, serializer=serializer))
                answer = client.receive()
                assert answer.type == CONNECT_FAIL and "msgpack" in answer.value, answer
                assert client.closed_by_peer()
            with target.greeted() as client:
                _send(client, frame(INVOKE, payload, serializer=serializer))
                assert client.closed_by_peer()


def garbage(target: Target) -> None:
    """HTTP, noise, zeros, wrong versions, messages out of turn."""
    messages = [
        b"GET / HTTP/1.1\r\nHost: observatory\r\n\r\n",
        os.urandom(4000),
        bytes(4000),
        b"PYRO",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),  # a TLS greeting
        frame(CONNECT, b"", version=501),
        frame(CONNECT, b"", magic=0),
        frame(CONNECT, b"", flags=KEEP_SERIALIZED),
        frame(CONNECT, b"\xc1"),
        frame(CONNECT, msgpack.packb([1, 2])),
        frame(CONNECT, msgpack.packb({"object": None})),
        frame(CONNECT, msgpack.packb({"handshake": "hello", "object": "no such object"})),
        frame(CONNECT, b"", annotations={"LONG": b"x" * 9})[:44],
        frame(INVOKE, msgpack.packb((target.object_name, target.method, [], {}))),
        frame(PING, b"ping"),
        frame(RESULT, b""),
    ]
    for message in messages:
        with target.client() as client:
            _send(client, message)
            client.sock.shutdown(socket.SHUT_WR)
            with suppress(EOFError, ConnectionError):
                assert client.receive().type == CONNECT_FAIL
            assert client.closed_by_peer()
    for message in messages[:8]:
        with target.greeted() as client:
            _send(client, message)
            client.sock.shutdown(socket.SHUT_WR)
            assert client.closed_by_peer()


def connect_and_leave(target: Target) -> None:
    """500 connections, closed at once, politely or with a reset."""
    for number in range(500):
        with target.client() as client:
            if number % 2:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            if number % 5 == 0:
                client.connect(target.object_name)


# after the handshake


def hostile_arguments(target: Target) -> None:
    """Values that a bare daemon would make objects of, or choke on: each is answered with an error, and life goes on."""
    deep = b"\x91" * 60_000 + b"\xc0"
    nested = b"\x91" * 900 + b"\xc0"
    many = b"\xdd" + (60_000).to_bytes(4, "big") + b"\x80" * 60_000
    call = [msgpack.packb(target.object_name), msgpack.packb(target.method)]
    arguments = {
        "proxy": msgpack.packb([{"__class__": "Pyro5.client.Proxy", "state": ["PYRO:x@127.0.0.1:1", [], [], [], "", ""]}]),
        "exception": msgpack.packb([{"__class__": "builtins.SystemExit", "__exception__": True, "args": []}]),
        "huge int": msgpack.packb([msgpack.ExtType(0x31, b"9" * 5000)]),
        "complex": msgpack.packb([msgpack.ExtType(0x30, bytes(16))]),
        "date": msgpack.packb([msgpack.ExtType(0x32, bytes(8))]),
        "timestamp": msgpack.packb([msgpack.Timestamp(1, 1)]),
        "deep": deep,
        "nested": nested,
        "many": many,
        "int keys": b"\x91" + msgpack.packb({1: 2}),
        "bytes keys": msgpack.packb([{b"a": 2}]),
        "bad utf-8": b"\x91\xa2\xff\xfe",
        "cut off": b"\x92\x01",
    }
    with target.greeted() as client:
        for name, packed in arguments.items():
            _send(client, frame(INVOKE, b"\x94" + b"".join(call) + packed + b"\x80"))
            answer = client.receive()
            assert answer.code is not None, (name, answer)
        for odd in (None, 5, [], ["a", "b"], [1, 2, 3, 4], [target.object_name, target.method, {}, {}]):
            _send(client, frame(INVOKE, msgpack.packb(odd)))
            assert client.receive().code is not None, odd
        for batch in ([], [1], [["a"]], [[target.method, [], {}, 4]], [[None, [], {}]], [[target.method, {}, []]]):
            answer = client.invoke(target.object_name, "<batch>", batch, flags=BATCH)
            assert answer is not None and (not batch or "exception" in answer.value[-1]), (batch, answer)
        many_calls = client.invoke(target.object_name, "<batch>", [[target.method, [], {}]] * 1000, flags=BATCH)
        assert many_calls is not None and len(msgpack.packb(many_calls.value)) < 1 << 20
        answer = client.invoke(target.object_name, target.method)
        assert answer is not None and answer.code is None, answer


def large_request(target: Target) -> None:
    """A request of 2 MB."""
    with target.greeted() as client:
        payload = msgpack.packb((target.object_name, target.method, [b"x" * (2 << 20)], {}))
        _send(client, frame(INVOKE, payload))
        assert client.closed_by_peer()


def oneway_flood(target: Target) -> None:
    """3000 calls with the one-way flag, in one go; afterwards a call is answered, and only that one."""
    with target.greeted() as client:
        payload = msgpack.packb((target.object_name, target.method, [], {}))
        _send(client, frame(INVOKE, payload, flags=ONEWAY) * 3000)
        answer = client.invoke(target.object_name, target.method)
        assert answer is not None and answer.code is None, answer


def slow_reader(target: Target) -> None:
    """Many calls without reading an answer: it stops being served when the buffers are full, and others go on."""
    with target.greeted() as client:
        payload = msgpack.packb((target.object_name, "<batch>", [[target.method, [], {}]] * 100, {}))
        client.sock.settimeout(1.0)
        with suppress(TimeoutError):
            for _ in range(2000):
                client.send(frame(INVOKE, payload, flags=BATCH))


def half_closed(target: Target) -> None:
    """A client that sends no more, but reads: it gets its answer."""
    with target.greeted() as client:
        _send(client, frame(INVOKE, msgpack.packb((target.object_name, target.method, [], {})), seq=7))
        client.sock.shutdown(socket.SHUT_WR)
        answer = client.receive()
        assert answer.seq == 7 and answer.code is None, answer
        assert client.closed_by_peer()


def assert_refused(client: RawClient) -> None:
    """The server says no, or just hangs up; soon, either way."""
    with suppress(EOFError, ConnectionError):
        assert client.receive().type == CONNECT_FAIL
    assert client.closed_by_peer()


def _send(client: RawClient, data: bytes) -> None:
    with suppress(ConnectionError):  # the server may hang up in the middle
        client.send(data)


ALL: dict[str, Callable[[Target], None]] = {
    attack.__name__: attack
    for attack in (
        drip_handshake,
        drip_request,
        zlib_bomb,
        huge_headers,
        announced_and_not_sent,
        foreign_serializers,
        garbage,
        connect_and_leave,
        hostile_arguments,
        large_request,
        oneway_flood,
        slow_reader,
        half_closed,
    )
}


if __name__ == "__main__":
    poll(Target(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]))
