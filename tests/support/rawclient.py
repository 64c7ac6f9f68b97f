"""A client of Pyro5's wire protocol that owes nothing to the code under test, and may send whatever it likes.

Unlike Pyro5's proxies it can come from any address of its machine. As a program it makes the calls of a JSON list and
prints their outcomes, so that it can be run in another network namespace: `python rawclient.py HOST PORT OBJECT CALLS`.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import msgpack

HEADER = struct.Struct("!4sHBBHHII16sHH")
CONNECT, CONNECT_OK, CONNECT_FAIL, INVOKE, RESULT, PING = range(1, 7)
EXCEPTION, COMPRESSED, ONEWAY, BATCH, STREAM, KEEP_SERIALIZED = (1 << bit for bit in range(6))
SERPENT, MARSHAL, JSON, MSGPACK = range(1, 5)


@dataclass
class Answer:
    """A message of the server; `value` is its decoded payload."""

    type: int
    flags: int
    seq: int
    serializer: int
    annotations: dict[str, bytes]
    value: Any

    @property
    def code(self) -> int | None:
        """The `CommandStatus` code of an error, None for a result."""
        if self.type == CONNECT_FAIL:
            return int(self.value.partition("(code ")[2].partition(")")[0])
        return self.value["attributes"]["code"] if self.flags & EXCEPTION else None


def frame(
    type: int,
    payload: bytes,
    *,
    serializer: int = MSGPACK,
    flags: int = 0,
    seq: int = 0,
    annotations: Mapping[str, bytes] | None = None,
    size: int | None = None,
    version: int = 502,
    magic: int = 0x4DC5,
) -> bytes:
    """A message; `size` may lie about the length of the payload."""
    chunks = b"".join(struct.pack("!4sI", key.encode(), len(value)) + value for key, value in (annotations or {}).items())
    announced = len(payload) if size is None else size
    header = HEADER.pack(b"PYRO", version, type, serializer, flags, seq, announced, len(chunks), bytes(16), 0, magic)
    return header + chunks + payload


class RawClient:
    """A connection from `source` (an address of this machine; default: the system's choice). Times are in seconds."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        source: str | None = None,
        timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock = socket.create_connection((host, port), timeout_s, (source, 0) if source else None)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname=host)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seq = 0

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def receive(self) -> Answer:
        """The next message. Raises EOFError at the end of the connection, TimeoutError."""
        fields = HEADER.unpack(self._exactly(HEADER.size))
        _, _, type, serializer, flags, seq, size, annotations_size = fields[:8]
        rest, annotations = self._exactly(annotations_size), {}
        while rest:
            length = int.from_bytes(rest[4:8], "big")
            annotations[rest[:4].decode()], rest = rest[8 : 8 + length], rest[8 + length :]
        data = self._exactly(size)
        value = json.loads(data) if serializer == JSON else data if type == PING else msgpack.unpackb(data)
        return Answer(type, flags, seq, serializer, annotations, value)

    def connect(self, object_name: str, handshake: Any = "hello") -> Answer:
        """Shake hands."""
        self.send(frame(CONNECT, msgpack.packb({"handshake": handshake, "object": object_name})))
        return self.receive()

    def invoke(
        self,
        object_name: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        flags: int = 0,
        annotations: Mapping[str, bytes] | None = None,
    ) -> Answer | None:
        """Call a method and return the answer, None for a one-way call."""
        self.seq = (self.seq + 1) & 0xFFFF
        payload = msgpack.packb((object_name, method, args, kwargs if kwargs is not None else {}))
        self.send(frame(INVOKE, payload, flags=flags, seq=self.seq, annotations=annotations))
        if flags & ONEWAY:
            return None
        answer = self.receive()
        assert answer.seq == self.seq, (answer, self.seq)
        return answer

    def closed_by_peer(self) -> bool:
        """Whether the server has closed the connection, after whatever it still had to say; waits for it."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise EOFError("the server closed the connection")
            data += chunk
        return data


def outcomes(host: str, port: int, object_name: str, calls: list[list[Any]], source: str | None = None) -> list[Any]:
    """The outcome of each call [path, method, args]: "ok", or the code of the error. One connection.

    Paths: call, batch, oneway (always "sent"), getattr, setattr, metadata, ping. A refused connection gives
    ["connect", code].
    """
    with RawClient(host, port, source=source) as client:
        welcome = client.connect(object_name)
        if welcome.type != CONNECT_OK:
            return ["connect", welcome.code]
        return [_outcome(client, object_name, *call) for call in calls]


def _outcome(client: RawClient, object_name: str, path: str, method: str, args: list[Any]) -> Any:
    answer: Answer | None
    if path == "batch":
        answer = client.invoke(object_name, "<batch>", [(method, args, {})], flags=BATCH)
        assert answer is not None
        if answer.flags & BATCH and isinstance(answer.value[-1], dict) and "exception" in answer.value[-1]:
            return answer.value[-1]["exception"]["attributes"]["code"]
    elif path == "oneway":
        client.invoke(object_name, method, args, flags=ONEWAY)
        return "sent"
    elif path == "getattr":
        answer = client.invoke(object_name, "__getattr__", [method])
    elif path == "setattr":
        answer = client.invoke(object_name, "__setattr__", [method, 1])
    elif path in ("metadata", "ping"):
        name, arguments = ("get_metadata", [object_name]) if path == "metadata" else ("ping", [])
        answer = client.invoke("Pyro.Daemon", name, arguments)
    else:
        answer = client.invoke(object_name, method, args)
    assert answer is not None
    return "ok" if answer.code is None else answer.code


if __name__ == "__main__":
    print(json.dumps(outcomes(sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))))
