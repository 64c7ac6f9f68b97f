"""webd's configuration: which daemons it shows, where it listens, and from where it may be used."""

from __future__ import annotations

import ipaddress
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common.config import COMMON_PROPERTIES, ConfigProblems, DaemonConfig, Document, Problem, common_fields
from observatory_common.directory import Directory, Network
from observatory_webd.host_names import is_host

DEFAULT_PORT = 5000
_NAME = {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}\Z", "description": "letters, digits, _ . -, up to 60"}
_SHOWN = {
    "type": "array",
    "maxItems": 16,
    "items": {
        "type": ["string", "object"],
        "format": "daemon_name",
        "properties": {
            "daemon": {"type": "string", "format": "daemon_name"},
            "name": _NAME,
            "label": {"type": "string", "minLength": 1, "maxLength": 80},
        },
        "required": ["daemon"],
        "additionalProperties": False,
    },
}
_ADDRESSES = {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 50}}
_FILE = {"type": "string", "minLength": 1, "maxLength": 500}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "cameras": _SHOWN,
        "focusers": _SHOWN,
        "gpios": _SHOWN,
        "listen": {
            "type": "object",
            "properties": {
                "host": {"type": "string", "minLength": 1, "maxLength": 50},
                "port": {"type": "integer", "minimum": 0, "maximum": 65535},
            },
            "additionalProperties": False,
        },
        "tls": {
            "type": "object",
            "properties": {"certificate": _FILE, "key": _FILE},
            "required": ["certificate", "key"],
            "additionalProperties": False,
        },
        "trusted_proxies": _ADDRESSES,
        "allowed_hosts": {"type": "array", "maxItems": 64, "items": {"type": "string", "minLength": 1, "maxLength": 253}},
        "login_from": _ADDRESSES,
        "control_from": _ADDRESSES,
        "public_streams": {"type": "boolean"},
        "session": {
            "type": "object",
            "properties": {
                "idle_minutes": {"type": "number", "minimum": 0.05, "maximum": 43200},
                "absolute_hours": {"type": "number", "minimum": 0.001, "maximum": 8760},
            },
            "additionalProperties": False,
        },
        "legacy_tokens": {
            "type": "object",
            "properties": {
                "access_minutes": {"type": "number", "minimum": 0.02, "maximum": 525600},
                "refresh_days": {"type": "number", "minimum": 0, "maximum": 3650},
            },
            "additionalProperties": False,
        },
    },
    "required": ["daemon", "log_name", "control_machines"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Shown:
    """A daemon that webd shows: its name in the registry, in addresses of pages, and for people."""

    kind: str
    daemon: str
    name: str
    label: str


@dataclass(frozen=True)
class TlsFiles:
    """PEM files with which browsers are served."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class SessionLimits:
    """How long a login lasts."""

    idle_s: float
    absolute_s: float


@dataclass(frozen=True)
class ScriptLoginLimits:
    """How long the tokens of raspiCamSrv's API last; `refresh_s` 0: there are none that get another."""

    access_s: float
    refresh_s: float


@dataclass(frozen=True)
class WebdConfig(DaemonConfig):
    """A checked config. `login_from` and `control_from` None: from everywhere. Port 0: any free one."""

    shown: tuple[Shown, ...]
    host: str
    port: int
    tls: TlsFiles | None
    trusted_proxies: tuple[Network, ...]
    allowed_hosts: tuple[str, ...]
    login_from: tuple[Network, ...] | None
    control_from: tuple[Network, ...] | None
    public_streams: bool
    session: SessionLimits
    script_logins: ScriptLoginLimits

    def of_kind(self, kind: str) -> tuple[Shown, ...]:
        """Those of a kind: camera, focuser or gpio."""
        return tuple(shown for shown in self.shown if shown.kind == kind)


_LISTS = {"camera": "cameras", "focuser": "focusers", "gpio": "gpios"}


def parse(document: Document, directory: Directory) -> WebdConfig:
    """The config in a document that fits SCHEMA. Raises ConfigProblems with all that a schema cannot say."""
    data = document.data
    problems: list[Problem] = []
    shown: list[Shown] = []
    for kind, key in _LISTS.items():
        shown += _shown(document, kind, key, problems)
    listen, session, tls = data.get("listen", {}), data.get("session", {}), data.get("tls")
    legacy = data.get("legacy_tokens", {})
    ranges = {key: _ranges(document, key, problems) for key in ("trusted_proxies", "login_from", "control_from")}
    host = listen.get("host", "127.0.0.1")
    if not _is_address(host):
        problems.append(document.as_problem(("listen", "host"), "is not an IP address of this machine, like 0.0.0.0 or ::"))
    if tls is not None:
        _check_tls(document, tls, problems)
    hosts = tuple(name.lower().rstrip(".") for name in data.get("allowed_hosts", ()))
    for number, name in enumerate(hosts):
        if not is_host(name):
            wanted = "is not a name or address as a browser asks for it, without scheme, port or pattern, like cam.example.org"
            problems.append(document.as_problem(("allowed_hosts", number), wanted))
    if problems:
        raise ConfigProblems(problems)
    return WebdConfig(
        **common_fields(data),
        shown=tuple(shown),
        host=host,
        port=listen.get("port", DEFAULT_PORT),
        tls=None if tls is None else TlsFiles(Path(tls["certificate"]), Path(tls["key"])),
        trusted_proxies=ranges["trusted_proxies"] or (),
        allowed_hosts=hosts,
        login_from=ranges["login_from"],
        control_from=ranges["control_from"],
        public_streams=data.get("public_streams", False),
        session=SessionLimits(session.get("idle_minutes", 240) * 60.0, session.get("absolute_hours", 168) * 3600.0),
        script_logins=ScriptLoginLimits(legacy.get("access_minutes", 60) * 60.0, legacy.get("refresh_days", 30) * 86400.0),
    )


def _shown(document: Document, kind: str, key: str, problems: list[Problem]) -> list[Shown]:
    found: list[Shown] = []
    for number, item in enumerate(document.data.get(key, ())):
        entry = {"daemon": item} if isinstance(item, str) else item
        name = entry.get("name", entry["daemon"])
        if any(name == other.name for other in found):
            problems.append(document.as_problem((key, number), f"has a name that another has: {name}"))
        found.append(Shown(kind, entry["daemon"], name, entry.get("label", name)))
    return found


def _check_tls(document: Document, tls: dict[str, str], problems: list[Problem]) -> None:
    wrong = [(key, complaint) for key, file in tls.items() if (complaint := _complaint_of_file(file)) is not None]
    problems += [document.as_problem(("tls", key), complaint) for key, complaint in wrong]
    if wrong:
        return
    try:
        # A password that fits nothing: otherwise OpenSSL would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls["certificate"], tls["key"], password="\0")
    except ssl.SSLError:
        wanted = "names files that are not a certificate and its key, in PEM form and without a password"
        problems.append(document.as_problem(("tls",), wanted))
    except OSError as error:
        problems.append(document.as_problem(("tls",), f"names a file that cannot be read: {error.strerror}"))


def _complaint_of_file(file: str) -> str | None:
    try:
        return None if stat.S_ISREG(Path(file).stat().st_mode) else "is not a file"
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "is not a file"
    except OSError as error:  # in a folder that may not be entered
        return f"names a file that cannot be read: {error.strerror}"


def _ranges(document: Document, key: str, problems: list[Problem]) -> tuple[Network, ...] | None:
    if key not in document.data:
        return None
    found = []
    for number, text in enumerate(document.data[key]):
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            problems.append(document.as_problem((key, number), "is not an IP address or range, like 10.2.6.20 or 10.2.6.0/24"))
    return tuple(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def holds(networks: Sequence[Network] | None, address: str) -> bool:
    """Whether an address is in one of these ranges; None holds all of them."""
    if networks is None:
        return True
    found = ipaddress.ip_address(address)
    return any(found in network for network in networks)
