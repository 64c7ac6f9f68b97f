"""What a browser may name us by: a name or an address, as it stands in a Host header."""

from __future__ import annotations

import ipaddress
import re

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})")
_PORT = re.compile(r"[0-9]{1,5}")


def host_of(header: str | None) -> str | None:
    """The name or address in a Host header, without its port; None for what is none."""
    if not header or len(header) > 300:
        return None
    text = header.lower()
    if text.startswith("["):
        address, closed, rest = text[1:].partition("]")
        good = bool(closed) and plain(address) is not None and (not rest or (rest[0] == ":" and _PORT.fullmatch(rest[1:])))
        return address if good else None
    name, colon, port = text.partition(":")
    name = name.removesuffix(".")
    if (colon and not _PORT.fullmatch(port)) or not _NAME.fullmatch(name):
        return None
    return name


def is_host(text: str) -> bool:
    """Whether this can be what `host_of` finds: a name or an address, without port, scheme or brackets."""
    return text in (host_of(text), host_of(f"[{text}]"))


def plain(address: str) -> str | None:
    """An IP address as it is compared: without a zone, an IPv4 one as such; None for what is none."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed)
