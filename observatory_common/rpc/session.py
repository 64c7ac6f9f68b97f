"""One connection at the daemon's end: the greeting, then one request after the other, each through the gate."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from observatory_common.access import CONTROL, GATEWAY, Caller, Gate, Policy, internal_error
from observatory_common.arguments import shown
from observatory_common.errors import (
    CommandStatus,
    InvalidArgument,
    InvalidControlIP,
    ObservatoryError,
    TimedOut,
    UnknownMethod,
)
from observatory_common.framed import Framed
from observatory_common.rpc import message, wire
from observatory_common.rpc.message import BadMessage, Bytes, Ended, Message, Stream

HANDSHAKE_S = 5.0  # for all of it, however its bytes drip in
IDLE_S = 300.0
MESSAGE_S = 10.0  # for the rest of a request after its first byte
SEND_S = 30.0
LARGEST_HANDSHAKE_BYTES = 16 << 10
LARGEST_REQUEST_BYTES = 1 << 20
LARGEST_VIEW_REQUEST_BYTES = 64 << 10  # of callers who may only view: a small message can decode to 60 times its size
MOST_IN_A_BATCH = 100
DAEMON_OBJECT = "Pyro.Daemon"

PARTING_S = 0.05  # for a client that is sent away to read why, whatever it has sent meanwhile

log = logging.getLogger("rpc")


@dataclass(frozen=True)
class Service:
    """What a server serves: one object under one name, behind its gate, to those whom the policy lets in."""

    gate: Gate
    policy: Policy
    object_name: str

    @property
    def metadata(self) -> dict[str, list[str]]:
        """What a Pyro5 proxy wants to know of the object."""
        return {"methods": sorted(self.gate.members), "oneway": [], "attrs": []}


def sent_away(service: Service, caller: Caller, error: ObservatoryError) -> bytes:
    """What a caller is told whose connection is refused, which is audited. In JSON, which every Pyro5 client can read."""
    service.gate.refuse(caller, "a connection", error)
    text = json.dumps(f"{type(error).__name__} (code {int(error.code)}): {error}").encode()
    name = {message.ERROR_NAME: type(error).__name__.encode()}
    return message.pack(message.CONNECT_FAIL, 0, 0, message.JSON, text, name)


def without_rights(service: Service, caller: Caller) -> InvalidControlIP:
    """Why nothing at all is read from this caller."""
    text = f"{CommandStatus.InvalidControlIP.text}: {caller} may not even view {service.object_name}"
    return InvalidControlIP(text, value=caller.address)


class Session:
    """A connection whose caller is known. Used by one thread."""

    def __init__(self, service: Service, caller: Caller, sock: socket.socket) -> None:
        self.caller = caller
        self._service = service
        self._gate = service.gate
        self._object_name = service.object_name
        self._stream = Stream(sock)
        self._most_bytes = LARGEST_REQUEST_BYTES if CONTROL in caller.rights else LARGEST_VIEW_REQUEST_BYTES

    def greet(self, until: float) -> bool:
        """Answer the client's first message by the monotonic time `until`; says whether the connection is to stay.

        Who has no right at all is told so before anything is read.
        """
        if not self.caller.rights:
            self._part(without_rights(self._service, self.caller))
            return False
        try:
            request = self._stream.receive(LARGEST_HANDSHAKE_BYTES, until - time.monotonic())
            answer = wire.dumps(self._welcome(request))
        except Ended:
            return False  # looked in and left
        except TimeoutError:
            self._part(TimedOut(f"no handshake within {HANDSHAKE_S:g} s"))
            return False
        except BadMessage as error:
            self._part(InvalidArgument(str(error)))
            return False
        except ObservatoryError as error:
            self._part(error)
            return False
        self._stream.send(message.pack(message.CONNECT_OK, 0, request.seq, message.MSGPACK, answer), SEND_S)
        return True

    def serve(self) -> None:
        """Receive one request and answer it. Raises Ended, TimeoutError, BadMessage: the connection is to be closed."""
        request = self._stream.receive(self._most_bytes, IDLE_S, MESSAGE_S)
        if request.type == message.INVOKE and request.serializer == message.MSGPACK:
            answer = self._answer(request)
        elif request.type == message.PING:
            answer = message.pack(message.PING, 0, request.seq, message.MSGPACK, b"pong")
        else:
            raise BadMessage(f"a message of type {request.type} with serializer {request.serializer} is not accepted")
        if not request.flags & message.ONEWAY:  # a one-way call is carried out like any other, in this very thread
            self._stream.send(answer, SEND_S)

    def _welcome(self, request: Message) -> dict[str, Any]:
        if request.type != message.CONNECT:
            raise BadMessage(f"a message of type {request.type} before the handshake is not accepted")
        if request.serializer != message.MSGPACK:
            raise BadMessage(
                f"serializer {request.serializer} is not accepted, only msgpack: set Pyro5.config.SERIALIZER = 'msgpack'"
            )
        asked = wire.loads(request.data)
        name = asked.get("object") if isinstance(asked, dict) else None
        if name == DAEMON_OBJECT:
            metadata = {"methods": ["get_metadata", "ping"], "oneway": [], "attrs": []}
        elif name == self._object_name:
            metadata = self._service.metadata
        else:
            raise self._unknown_object(name)
        hello = {
            "machines": sorted(self.caller.machines),
            "rights": sorted(self.caller.rights),
            "members": {name: member.level for name, member in self._gate.members.items()},
            "boot_id": self._gate.boot_id,
            "software_version": self._gate.software_version,
        }
        return {"handshake": hello, "meta": metadata}

    def _part(self, error: ObservatoryError) -> None:
        """Say why, and close so that the client can read it."""
        until = time.monotonic() + PARTING_S
        try:
            self._stream.send(sent_away(self._service, self.caller, error), PARTING_S)
            self._stream.part(LARGEST_HANDSHAKE_BYTES, until)
        except OSError:
            pass  # it did not wait to hear it

    def _answer(self, request: Message) -> bytes:
        flags = request.flags & message.BATCH
        method = ""
        annotations: dict[str, Bytes] | None = None
        try:
            caller = self._speaking_for(request.annotations) if request.annotations else self.caller
            object_name, method, args, kwargs = self._call_in(request.data)
            if object_name != self._object_name:
                result = self._of_daemon(object_name, method, args)
            elif flags:
                result = self._batch(caller, args)
            else:
                result = self._gate.call(caller, method, args, kwargs)
                if type(result) is Framed:
                    annotations = {message.FRAME: result.data}
                    result = result.value
                result = wire.to_wire(result)
            payload = wire.dumps(result)
        except ObservatoryError as error:
            flags, payload, annotations = message.EXCEPTION, wire.dumps(wire.error_to_wire(error)), None
        except (TypeError, ValueError, OverflowError) as error:  # the gate raises none of these: the result is not plain
            error_payload = wire.dumps(wire.error_to_wire(internal_error(method, error)))
            flags, payload, annotations = message.EXCEPTION, error_payload, None
        return message.pack(message.RESULT, flags, request.seq, message.MSGPACK, payload, annotations)

    def _call_in(self, data: Bytes) -> tuple[str, str, list[Any], dict[str, Any]]:
        try:
            return wire.loads_call(data)
        except InvalidArgument as error:
            raise self._gate.refuse(self.caller, "a call", error) from None

    def _batch(self, caller: Caller, calls: list[Any]) -> list[Any]:
        """The results of the calls in turn; the first error ends it and stands last, as Pyro5's clients expect it."""
        results: list[Any] = []
        try:
            if len(calls) > MOST_IN_A_BATCH:
                raise InvalidArgument(f"a batch of {len(calls)} calls, expected at most {MOST_IN_A_BATCH}", value=len(calls))
            for call in calls:
                method, args, kwargs = wire.batched_call(call)
                results.append(_plain(method, self._gate.call(caller, method, args, kwargs)))
        except ObservatoryError as error:
            results.append(wire.batched_error(error))
        return results

    def _of_daemon(self, object_name: str, method: str, args: list[Any]) -> Any:
        """The little that Pyro5's clients may ask the daemon itself."""
        if object_name == DAEMON_OBJECT and method == "ping":
            return None
        if object_name == DAEMON_OBJECT and method == "get_metadata" and args == [self._object_name]:
            return self._service.metadata
        if object_name == DAEMON_OBJECT and method != "get_metadata":
            raise self._gate.refuse(
                self.caller,
                DAEMON_OBJECT,
                UnknownMethod(f"the daemon answers get_metadata and ping, not {shown(method)}", value=shown(method)),
            )
        asked = args[0] if object_name == DAEMON_OBJECT and args else object_name
        raise self._gate.refuse(self.caller, "a call", self._unknown_object(asked))

    def _unknown_object(self, name: Any) -> InvalidArgument:
        what, known = shown(name), self._object_name
        return InvalidArgument(f"there is no object {what}, expected {known}", value=what, allowed=known)

    def _speaking_for(self, annotations: Mapping[str, Bytes]) -> Caller:
        """The caller with the user it says it speaks for, if it says so; only gateways may."""
        data = annotations.get(message.ON_BEHALF_OF)
        if data is None:
            return self.caller
        if GATEWAY not in self.caller.rights:
            refusal = InvalidControlIP(f"{self.caller} may not call on behalf of others: it is no gateway machine")
            raise self._gate.refuse(self.caller, "on_behalf_of", refusal)
        said = wire.loads(data)
        if not isinstance(said, dict) or said.keys() != {"user", "address"} or not all(map(_is_name, said.values())):
            refusal_of_form = InvalidArgument("on_behalf_of holds user and address, each 1 to 100 printable characters")
            raise self._gate.refuse(self.caller, "on_behalf_of", refusal_of_form)
        return replace(self.caller, on_behalf_of=said)


def _plain(method: str, result: Any) -> Any:
    """A result of a batched call, if it can be sent; found out here, so that the calls before it keep theirs."""
    if type(result) is Framed:
        raise InvalidArgument(f"{method} answers with a frame and cannot be part of a batch", value=method)
    try:
        plain = wire.to_wire(result)
        wire.dumps(plain)
    except (TypeError, ValueError, OverflowError) as error:
        raise internal_error(method, error) from None
    return plain


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 100 and value.isprintable()
