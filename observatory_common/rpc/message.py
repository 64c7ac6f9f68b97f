"""Messages of Pyro5's wire protocol (version 502), and a socket that sends and receives them within bounds.

Layout (Pyro5/protocol.py): a header of 40 bytes, annotations (4 letters, 4 bytes length, data), then the payload.
Importing Pyro5 for it would double the start-up time of a command; the tests hold this module against Pyro5 itself.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Mapping
from typing import NamedTuple

CONNECT, CONNECT_OK, CONNECT_FAIL, INVOKE, RESULT, PING = range(1, 7)
EXCEPTION, COMPRESSED, ONEWAY, BATCH, STREAM, KEEP_SERIALIZED = (1 << bit for bit in range(6))
JSON, MSGPACK = 3, 4  # serializer ids
FRAME = "FRAM"  # bytes beside a result
ON_BEHALF_OF = "OBOF"  # annotation of a request: whom a gateway speaks for, {user, address} in msgpack
ERROR_NAME = "ERRN"  # annotation of a refused connection: the class of the error

_HEADER = struct.Struct("!4sHBBHHII16sHH")
_CHUNK = struct.Struct("!4sI")
_VERSION = 502
_MAGIC = 0x4DC5
_BEGINNING = b"PYRO" + _VERSION.to_bytes(2, "big")
_NO_CORRELATION = b"\0" * 16
_FIRST_READ_BYTES = 16384

Bytes = bytes | bytearray | memoryview


class BadMessage(Exception):
    """What came is no message, or none that is accepted here; the connection is of no further use."""


class Ended(ConnectionError):
    """The other side has closed the connection, or it broke."""


class Message(NamedTuple):
    """A message as it came: `data` and the annotations are views of one buffer."""

    type: int
    serializer: int
    flags: int
    seq: int
    data: Bytes
    annotations: Mapping[str, Bytes]


def pack(
    type: int, flags: int, seq: int, serializer: int, payload: bytes, annotations: Mapping[str, Bytes] | None = None
) -> bytes:
    """A message as it goes over the wire. The keys of `annotations` are 4 ASCII letters."""
    if not annotations:
        header = _HEADER.pack(b"PYRO", _VERSION, type, serializer, flags, seq, len(payload), 0, _NO_CORRELATION, 0, _MAGIC)
        return header + payload
    parts: list[Bytes] = [b""]
    for key, value in annotations.items():
        parts += (_CHUNK.pack(key.encode("ascii"), len(value)), value)
    size = sum(map(len, parts))
    parts[0] = _HEADER.pack(b"PYRO", _VERSION, type, serializer, flags, seq, len(payload), size, _NO_CORRELATION, 0, _MAGIC)
    parts.append(payload)
    return b"".join(parts)


class Stream:
    """A connected socket as a stream of messages; belongs to one thread at a time.

    No wait is without end: a deadline holds for a whole message, however slowly its bytes drip in.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._timeout_s = -1.0
        self._rest: Bytes = b""  # what was read beyond the last message
        self._poll: select.poll | None = None
        if type(sock) is socket.socket:
            self._poll = select.poll()
            self._poll.register(sock, select.POLLIN)

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`: `timeout_s` seconds for its beginning, as many for the rest. Raises Ended, TimeoutError."""
        try:
            self._set_timeout(timeout_s)
            sent = self.sock.send(data)
            if sent < len(data):
                deadline = time.monotonic() + timeout_s
                rest = memoryview(data)
                while sent < len(data):
                    self._set_timeout_until(deadline)
                    sent += self.sock.send(rest[sent:])
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(f"the connection broke while sending: {error}") from None

    def receive(self, most_bytes: int, idle_s: float, whole_s: float | None = None) -> Message:
        """The next message, its payload and annotations at most `most_bytes` together.

        Its first byte is waited for up to `idle_s` seconds, the rest for `whole_s` more; without `whole_s` all of it
        must come within `idle_s`. Raises Ended, TimeoutError, BadMessage.
        """
        began = time.monotonic() if whole_s is None else 0.0
        buffer = self._rest
        if not buffer:
            self._set_timeout(idle_s)
            buffer = self._read(_FIRST_READ_BYTES)
        else:
            self._rest = b""
        deadline = began + idle_s if whole_s is None else 0.0
        if len(buffer) < _HEADER.size:
            deadline = deadline or time.monotonic() + (whole_s or 0.0)
            buffer = self._header(buffer, deadline)
        tag, version, type, serializer, flags, seq, size, annotations_size, _, _, magic = _HEADER.unpack_from(buffer)
        if tag != b"PYRO" or version != _VERSION or magic != _MAGIC:
            raise _not_ours(buffer)
        if size + annotations_size > most_bytes:
            raise BadMessage(f"message too large ({size + annotations_size} bytes, at most {most_bytes})")
        if flags & (COMPRESSED | KEEP_SERIALIZED):
            raise BadMessage("compressed messages and blobs are not accepted")
        end = _HEADER.size + annotations_size + size
        if len(buffer) < end:
            body = self._body(buffer, end - _HEADER.size, deadline or time.monotonic() + (whole_s or 0.0))
        else:
            body = memoryview(buffer)[_HEADER.size : end]
            self._rest = buffer[end:]
        if not annotations_size:
            return Message(type, serializer, flags, seq, body, {})
        return Message(type, serializer, flags, seq, body[annotations_size:], _annotations(body[:annotations_size]))

    def quiet(self) -> bool:
        """Whether the connection is open and nothing has come that was not asked for."""
        if self._rest:
            return False
        if self._poll is not None:
            return not self._poll.poll(0)
        try:  # under TLS bytes may come that are no message
            self._set_timeout(0.0)
            self.sock.recv(1)
        except BlockingIOError:
            return True
        except OSError as error:
            return type(error).__name__ == "SSLWantReadError"
        return False

    def part(self, most_bytes: int, until: float) -> None:
        """Send no more, and read away what still comes: to close at once could take the last message back.

        Ends when the other side closes, after `most_bytes`, or at the monotonic time `until`. Raises Ended, TimeoutError.
        """
        self.sock.shutdown(socket.SHUT_WR)
        while most_bytes > 0:
            self._set_timeout_until(until)
            most_bytes -= len(self._read(_FIRST_READ_BYTES))

    def close(self) -> None:
        """Close the connection for both directions."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was first
        self.sock.close()

    def _header(self, buffer: Bytes, deadline: float) -> Bytes:
        while len(buffer) < _HEADER.size:
            if not _BEGINNING.startswith(buffer[: len(_BEGINNING)]):
                raise _not_ours(buffer)
            self._set_timeout_until(deadline)
            buffer = bytes(buffer) + self._read(_FIRST_READ_BYTES)
        return buffer

    def _body(self, buffer: Bytes, size: int, deadline: float) -> memoryview:
        body = memoryview(bytearray(size))
        have = len(buffer) - _HEADER.size
        body[:have] = memoryview(buffer)[_HEADER.size :]
        while have < size:
            self._set_timeout_until(deadline)
            have += self._read_into(body[have:])
        return body

    def _read(self, most: int) -> bytes:
        try:
            data = self.sock.recv(most)
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(f"the connection broke: {error}") from None
        if not data:
            raise Ended("the connection was closed")
        return data

    def _read_into(self, view: memoryview) -> int:
        try:
            count = self.sock.recv_into(view)
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(f"the connection broke: {error}") from None
        if not count:
            raise Ended("the connection was closed in mid-message")
        return count

    def _set_timeout(self, timeout_s: float) -> None:
        if timeout_s != self._timeout_s:
            self.sock.settimeout(timeout_s)
            self._timeout_s = timeout_s

    def _set_timeout_until(self, deadline: float) -> None:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError("the message was not complete in its time")
        self._set_timeout(remaining_s)


def _not_ours(beginning: Bytes) -> BadMessage:
    return BadMessage(f"this is no message of Pyro protocol version {_VERSION}: {bytes(beginning[:8])!r}")


def _annotations(data: memoryview) -> dict[str, Bytes]:
    found: dict[str, Bytes] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _CHUNK.size:
            raise BadMessage("an annotation is cut off")
        key, size = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size + size
        if at > len(data) or not key.isascii():
            raise BadMessage("an annotation is longer than the message, or its name is not ASCII")
        found[key.decode("ascii")] = data[at - size : at]
    return found
