"""The outermost middleware: refuses what is not meant for us before any route sees it, and sets the headers of all answers."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from starlette.exceptions import HTTPException
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from observatory_common.access import plain_address
from observatory_common.arguments import shown
from observatory_common.audit import Audit
from observatory_common.errors import CommandStatus
from observatory_webd.security.hosts import Hosts, same_origin

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from observatory_common.directory import Network

LARGEST_HEAD_BYTES = 32 << 10
LARGEST_BODY_BYTES = 1 << 20
BODY_WITHIN_S = 20.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_KNOWN_METHODS = _SAFE | {"POST", "PUT", "PATCH", "DELETE"}
_OWN_FETCHES = frozenset({"same-origin", "none"})
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
#: Set on every answer that does not set them itself. The referrer policy leaves forms their Origin header.
_HEADERS = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
    b"cache-control": b"no-store",
}


def shielded(app: ASGIApp, hosts: Hosts, trusted_proxies: Sequence[Network], audit: Audit) -> ASGIApp:
    """An application behind the shield; only `trusted_proxies` may say for whom they ask."""
    inner: ASGIApp = Shield(app, hosts, audit)
    if trusted_proxies:
        trusted = [str(network) for network in trusted_proxies]
        # As a socket for IPv6 and IPv4 names an IPv4 client.
        trusted += [
            f"::ffff:{network.network_address}/{96 + network.prefixlen}" for network in trusted_proxies if network.version == 4
        ]
        inner = cast("ASGIApp", ProxyHeadersMiddleware(inner, trusted_hosts=trusted))  # type: ignore[arg-type]
    return inner


class Shield:
    """Checks the method, the client's address, the Host and Origin headers, and the kind, size and speed of the body."""

    def __init__(self, app: ASGIApp, hosts: Hosts, audit: Audit) -> None:
        self._app = app
        self._hosts = hosts
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            status, detail = refusal
            if status is HTTPStatus.FORBIDDEN and scope["type"] == "http" and scope["method"] not in _SAFE:
                what = f"{scope['method']} {shown(scope['path'])}"
                self._audit.refused(scope["client"][0], what, CommandStatus.InvalidControlIP, detail)
            await _refuse(scope, send, status, detail)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                added = [(name, value) for name, value in _HEADERS.items() if name not in given]
                message = {**message, "headers": [*message["headers"], *added]}
            return send(message)

        await self._app(scope, _Body(receive), cast("Send", send_with_headers))

    def _refusal(self, scope: Scope) -> tuple[HTTPStatus, str] | None:
        """Why it is refused, None if it is not; makes the client's address a plain one."""
        if scope["type"] == "http" and scope["method"] not in _KNOWN_METHODS:
            return HTTPStatus.METHOD_NOT_ALLOWED, "this method is not known here"
        size = sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope.get("raw_path") or b"")
        if size + len(scope["query_string"]) > LARGEST_HEAD_BYTES:
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"address and headers may have {LARGEST_HEAD_BYTES} bytes"
        client, headers = scope.get("client"), _headers(scope)
        try:
            address = plain_address(client[0]) if client else ""
        except ValueError:
            return HTTPStatus.BAD_REQUEST, "the proxy names a client that is no IP address"
        scope["client"] = (address or str(ipaddress.IPv6Address(0)), client[1] if client else 0)
        server = scope.get("server")
        named = headers.get(b"host", [])
        host = named[0] if len(named) == 1 else None
        if not self._hosts.allows(host, server[0] if server else None):
            return HTTPStatus.FORBIDDEN, "this server does not answer to this host name: see allowed_hosts of its config"
        if scope["type"] == "http" and scope["method"] in _SAFE:
            return None
        origins = headers.get(b"origin")
        if origins is not None:
            if len(origins) != 1 or not same_origin(origins[0], scope["scheme"], host or ""):
                return HTTPStatus.FORBIDDEN, "the page that sent this is not one of this server's"
        elif headers.get(b"sec-fetch-site", ["none"])[0] not in _OWN_FETCHES:
            return HTTPStatus.FORBIDDEN, "the page that sent this is not one of this server's"
        # Each part would be decoded by a codec of the client's choice, on the loop; some take the square of its length.
        if any(kind.strip().lower().startswith("multipart/") for kind in headers.get(b"content-type", [])):
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "nothing here takes a body of several parts"
        length = headers.get(b"content-length", ["0"])[0]
        if not length.isdecimal() or len(length) > 18 or int(length) > LARGEST_BODY_BYTES:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request may have {LARGEST_BODY_BYTES} bytes"
        return None


class _Body:
    """A request's body, which may neither be too long nor take too long."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bytes = 0
        self._whole = False
        self._until: float | None = None

    async def __call__(self) -> Message:
        """The next piece. Raises HTTPException: the application answers with it."""
        if self._whole:
            return await self._receive()
        if self._until is None:
            self._until = asyncio.get_running_loop().time() + BODY_WITHIN_S
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise HTTPException(408, f"the request was not whole within {BODY_WITHIN_S:g} s", {"connection": "close"}) from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._bytes > LARGEST_BODY_BYTES:
                raise HTTPException(413, f"a request may have {LARGEST_BODY_BYTES} bytes", {"connection": "close"})
        return message


def _headers(scope: Scope) -> dict[bytes, list[str]]:
    wanted = (b"host", b"origin", b"content-length", b"content-type", b"sec-fetch-site")
    found: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        if name in wanted:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return found


async def _refuse(scope: Scope, send: Send, status: HTTPStatus, detail: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": detail})
        return
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),  # what is left of the body is not waited for
        *_HEADERS.items(),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
