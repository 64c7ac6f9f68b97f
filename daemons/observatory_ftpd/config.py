"""ftpd's configuration: whose camera it serves, who may log in, and how much they may leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

from observatory_common.config import COMMON_PROPERTIES, ConfigProblems, DaemonConfig, Document, Problem, common_fields
from observatory_common.directory import Directory
from observatory_common.errors import InvalidConfig
from observatory_common.json_file import as_json_path
from observatory_ftpd import password, tls
from observatory_ftpd.names import OWN_NAMES, PHOTO_FORMATS, is_own
from observatory_ftpd.tls import TlsConfig

READ = "read"
DROP = "drop"
DEFAULT_PORT = 2121
ANONYMOUS_NAMES = frozenset({"anonymous", "ftp"})

# \Z: a $ would also fit before a line's end.
_FILE_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z"
_USER_NAME = r"^[A-Za-z0-9_.@-]{1,40}\Z"
_PEM_FILE = {"type": "string", "pattern": r"^/[^\x00]*\Z", "description": "the absolute path of a PEM file"}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        **COMMON_PROPERTIES,
        "camera": {"type": "string", "format": "daemon_name"},
        "host": {"type": "string", "minLength": 1, "maxLength": 200},
        "port": _PORT,
        "folder": {"type": "string", "format": "directory"},
        "file_name": {"type": "string", "pattern": _FILE_NAME, "description": "letters, digits, _ . and -, no dot at first"},
        "section": {"type": "string", "minLength": 1, "maxLength": 80},
        "strict": {"type": "boolean"},
        "users": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "pattern": _USER_NAME, "description": "letters, digits, _ . @ -"},
                    "password": {"type": "string", "minLength": 1, "maxLength": 500},
                    "rights": {"enum": [READ, DROP]},
                },
                "required": ["name", "password", "rights"],
                "additionalProperties": False,
            },
        },
        "anonymous": {"enum": [False, READ, DROP]},
        "quota_mb": {"type": "number", "minimum": 8, "maximum": 1e6},
        "max_files": {"type": "integer", "minimum": 20, "maximum": 10_000},
        "max_connections": {"type": "integer", "minimum": 1, "maximum": 1000},
        "max_connections_per_address": {"type": "integer", "minimum": 1, "maximum": 1000},
        "passive_ports": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1024, "maximum": 65535},
            "minItems": 2,
            "maxItems": 2,
        },
        "masquerade_address": {"type": "string", "maxLength": 80},
        "tls": {
            "type": "object",
            "properties": {
                "certificate": _PEM_FILE,
                "key": _PEM_FILE,
                "required": {"type": "boolean"},
            },
            "required": ["certificate", "key"],
            "additionalProperties": False,
        },
        "idle_timeout": {"type": "number", "minimum": 5, "maximum": 86400},
        "retry_for": {"type": "number", "minimum": 0, "maximum": 7 * 86400},
        "photo": {
            "type": "object",
            "properties": {
                "format": {"enum": list(PHOTO_FORMATS)},
                "keep": {"type": "integer", "minimum": 1, "maximum": 1000},
                "at_start": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    },
    "required": ["daemon", "log_name", "control_machines", "camera"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class User:
    """Somebody who may log in: `password` is an argon2 hash, `rights` read or drop."""

    name: str
    password: str
    rights: str


@dataclass(frozen=True)
class PhotoConfig:
    """The test photos: how they are encoded, how many are kept, whether one is taken at the start."""

    format: str = "jpg"
    keep: int = 100
    at_start: bool = False


@dataclass(frozen=True)
class Limits:
    """What the drop folder and the server may hold; times in seconds."""

    quota_bytes: int
    files: int
    connections: int
    connections_per_address: int
    idle_s: float


@dataclass(frozen=True)
class FtpdConfig(DaemonConfig):
    """A checked config. `host` None listens on all addresses, `anonymous` None lets nobody in without a password."""

    camera: str
    host: str | None
    port: int
    folder: Path | None
    file_name: str
    section: str
    strict: bool
    users: tuple[User, ...]
    anonymous: str | None
    limits: Limits
    passive_ports: tuple[int, int] | None
    masquerade_address: str | None
    tls: TlsConfig | None
    retry_for_s: float
    photo: PhotoConfig


def parse(document: Document, directory: Directory) -> FtpdConfig:
    """The config in a document that fits SCHEMA. What lies in the folder is private: by default those may read who may control.

    Raises ConfigProblems with all that a schema cannot say.
    """
    data = document.data
    found = [*_name_problems(document), *_user_problems(document), *_network_problems(document)]
    if found:
        raise ConfigProblems(found)
    users = tuple(User(**user) for user in data.get("users", ()))
    folder, ports = data.get("folder"), data.get("passive_ports")
    return FtpdConfig(
        **common_fields({"view_machines": data["control_machines"], **data}),
        camera=data["camera"],
        host=data.get("host"),
        port=data.get("port", DEFAULT_PORT),
        folder=None if folder is None else Path(folder),
        file_name=data.get("file_name", "mandeye_config.json"),
        section=data.get("section", "picamera"),
        strict=data.get("strict", False),
        users=users,
        anonymous=data.get("anonymous") or None,
        limits=Limits(
            quota_bytes=round(data.get("quota_mb", 64) * 1e6),
            files=data.get("max_files", 500),
            connections=data.get("max_connections", 64),
            connections_per_address=data.get("max_connections_per_address", 16),
            idle_s=float(data.get("idle_timeout", 300)),
        ),
        passive_ports=None if ports is None else (ports[0], ports[1]),
        masquerade_address=data.get("masquerade_address"),
        tls=_tls(data),
        retry_for_s=float(data.get("retry_for", 3600)),
        photo=PhotoConfig(**data.get("photo", {})),
    )


def _tls(data: dict[str, Any]) -> TlsConfig | None:
    return TlsConfig(**data["tls"]) if "tls" in data else None


def _name_problems(document: Document) -> Iterator[Problem]:
    if is_own(document.data.get("file_name", "")):
        yield document.as_problem(("file_name",), f"is a name of ftpd's own files ({OWN_NAMES})")


def _user_problems(document: Document) -> Iterator[Problem]:
    users = document.data.get("users", [])
    counted = Counter(user["name"] for user in users)
    for number, user in enumerate(users):
        if counted[user["name"]] > 1:
            yield document.as_problem(("users", number, "name"), "is there more than once")
        if user["name"] in ANONYMOUS_NAMES:
            yield document.as_problem(("users", number, "name"), "needs no password by its meaning; use the key anonymous")
        if not password.is_hash(user["password"]):
            at = ("users", number, "password")
            # Without the value: a password in clear must not go into a log.
            yield Problem(
                document.path, document.line(at), as_json_path(at), None, "is no argon2 hash; ftpd-password makes one"
            )
    if not users and not document.data.get("anonymous"):
        yield Problem(document.path, 1, "$", None, "nobody could log in: it needs users, or anonymous")


def _network_problems(document: Document) -> Iterator[Problem]:
    data = document.data
    low, high = data.get("passive_ports", (0, 0))
    if low > high:
        yield document.as_problem(("passive_ports",), "is not [from, to], the smaller one first")
    try:
        IPv4Address(data.get("masquerade_address", "0.0.0.0"))
    except AddressValueError:
        yield document.as_problem(("masquerade_address",), "is not an IPv4 address")
    if "tls" in data:
        try:
            tls.server_context(_tls(data) or TlsConfig("", ""))
        except InvalidConfig as error:
            at = ("tls", "certificate")
            yield Problem(document.path, document.line(at), as_json_path(at), error.value, str(error))
