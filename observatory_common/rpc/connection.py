"""One connection of a client to a daemon."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from observatory_common.errors import DaemonNotReachable, InvalidArgument, ObservatoryError, all_errors
from observatory_common.rpc import message, wire
from observatory_common.rpc.message import BadMessage, Ended, Stream

if TYPE_CHECKING:
    import ssl

LARGEST_ANSWER_BYTES = 64 << 20
_FRESH_S = 240.0  # daemons close a connection that was idle for 300 s


class Connection:
    """An open connection, past its handshake. `hello` is what the daemon said of itself and of this caller.

    After any exception but an `ObservatoryError` of a call it must be closed. Belongs to one thread at a time.
    """

    def __init__(self, host: str, port: int, object_name: str, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """Connect within `timeout_s` seconds. Raises Ended, TimeoutError, BadMessage, OSError, or the daemon's refusal."""
        until = time.monotonic() + timeout_s
        sock = socket.create_connection((host, port), timeout_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                sock.settimeout(_left(until))
                sock = tls.wrap_socket(sock, server_hostname=host)
            self._stream = Stream(sock)
            self._object = object_name
            self._seq = 0
            self.hello = self._shake_hands(until)
        except BaseException:
            sock.close()
            raise
        self._used_at = time.monotonic()

    def __del__(self) -> None:
        stream = getattr(self, "_stream", None)
        if stream is not None:  # a thread that used it has ended
            stream.close()

    def usable(self) -> bool:
        """Whether the next call may be sent: the daemon has not closed it, and is not about to."""
        return time.monotonic() - self._used_at < _FRESH_S and self._stream.quiet()

    def call(
        self,
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        timeout_s: float,
        annotations: Mapping[str, bytes] | None = None,
    ) -> Any:
        """Call a remote method and return its result, within `timeout_s` seconds.

        Raises what the daemon refused with; InvalidArgument for arguments that cannot be sent; Ended, TimeoutError,
        BadMessage when it is not known whether the daemon carried it out.
        """
        try:
            payload = wire.dumps((self._object, method, args, kwargs))
        except OverflowError:
            raise InvalidArgument(f"{method}: a whole number of more than 64 bits cannot be sent", allowed=wire.PLAIN) from None
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"{method}: {error}; arguments are {wire.PLAIN}", allowed=wire.PLAIN) from None
        self._seq = self._seq + 1 & 0xFFFF
        self._stream.send(message.pack(message.INVOKE, 0, self._seq, message.MSGPACK, payload, annotations), timeout_s)
        answer = self._stream.receive(LARGEST_ANSWER_BYTES, timeout_s)
        if answer.type != message.RESULT or answer.seq != self._seq or answer.serializer != message.MSGPACK:
            raise BadMessage("the daemon's answer does not belong to the call")
        result = _loads(answer.data)
        self._used_at = time.monotonic()
        if answer.flags & message.EXCEPTION:
            raise wire.error_from_wire(result)
        frame = answer.annotations.get(message.FRAME)
        if frame is not None and isinstance(result, dict):
            result["data"] = bytes(frame)
        return result

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def _shake_hands(self, until: float) -> dict[str, Any]:
        payload = wire.dumps({"handshake": "hello", "object": self._object})
        broken: Ended | None = None
        try:
            self._stream.send(message.pack(message.CONNECT, 0, 0, message.MSGPACK, payload), _left(until))
        except Ended as error:
            broken = error  # a daemon that refuses may close before it reads, having said why
        try:
            answer = self._stream.receive(LARGEST_ANSWER_BYTES, _left(until))
        except Ended as error:
            raise Ended(
                f"the daemon closed the connection without a word (is it full, or stopping?): {broken or error}"
            ) from None
        if answer.type == message.CONNECT_FAIL:
            raise _refusal(answer)
        if answer.type != message.CONNECT_OK or answer.serializer != message.MSGPACK:
            raise BadMessage("this is no daemon of this suite")
        said = _loads(answer.data)
        hello = said.get("handshake") if isinstance(said, dict) else None
        if not isinstance(hello, dict):
            raise BadMessage("this is no daemon of this suite")
        return hello


def _loads(data: message.Bytes) -> Any:
    try:
        return wire.loads(data)
    except InvalidArgument as error:
        raise BadMessage(f"the daemon's answer cannot be read: {error}") from None


def _refusal(answer: message.Message) -> ObservatoryError:
    name = bytes(answer.annotations.get(message.ERROR_NAME, b"")).decode("ascii", "replace")
    try:
        text = str(json.loads(bytes(answer.data))) if answer.serializer == message.JSON else "the connection was refused"
    except ValueError:
        text = "the connection was refused"
    return all_errors().get(name, DaemonNotReachable)(text)


def _left(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the connection was not made in its time")
    return left_s
