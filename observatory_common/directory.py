"""The registry: which machines there are, which daemons, and where. Two JSON files instead of names in code."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from observatory_common import paths
from observatory_common.errors import InvalidConfig
from observatory_common.json_file import Document, nearest, read_document

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOCAL_HOST = "LocalHost"
_TEST_DAEMONS = {f"localhost_test{n or ''}": 9000 + n for n in range(10)}
_DEFAULT_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Machine:
    """A machine: its addresses and ranges, and under mutual TLS the subject names of its certificates."""

    name: str
    networks: tuple[Network, ...]
    subjects: tuple[str, ...] = ()

    @property
    def address(self) -> str | None:
        """Its first single address."""
        return next((str(n.network_address) for n in self.networks if n.prefixlen == n.max_prefixlen), None)


@dataclass(frozen=True)
class DaemonEntry:
    """A daemon: the name of its remote object, where it listens, and how long a client waits for an answer."""

    name: str
    object: str
    machine: str
    host: str
    port: int
    timeout_s: float = _DEFAULT_TIMEOUT_S


class Directory:
    """The machines and daemons of a site. LocalHost and the test daemons are always among them."""

    def __init__(self, machines: Mapping[str, Machine], daemons: Mapping[str, DaemonEntry]) -> None:
        local = Machine(_LOCAL_HOST, (ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("::1")))
        tests = {n: DaemonEntry(n, n, _LOCAL_HOST, "127.0.0.1", port) for n, port in _TEST_DAEMONS.items()}
        self.machines = {_LOCAL_HOST: local, **machines}
        self.daemons = {**tests, **daemons}

    @classmethod
    def load(cls, folder: Path | None = None) -> Directory:
        """Read machines.json and daemons.json of a folder (default: the site's). Raises InvalidConfig."""
        folder = folder or paths.registry_folder()
        machines_file = read_document(folder / "machines.json")
        machines = {name: _machine(machines_file, name, value) for name, value in machines_file.data.items()}
        directory = cls(machines, {})
        daemons_file = read_document(folder / "daemons.json")
        taken = {(entry.host, entry.port): name for name, entry in directory.daemons.items()}
        for name, value in daemons_file.data.items():
            entry = _daemon(daemons_file, name, value, directory.machines)
            other = taken.setdefault((entry.host, entry.port), name)
            if other != name:
                raise daemons_file.problem((name, "port"), f"is taken by {other} on {entry.host}")
            directory.daemons[name] = entry
        return directory

    def daemon(self, name: str) -> DaemonEntry:
        """The entry of a daemon. Raises InvalidConfig, with the nearest name."""
        try:
            return self.daemons[name]
        except KeyError:
            hint = nearest(name, self.daemons)
            raise InvalidConfig(f"there is no daemon {name!r} in the registry{hint}", value=name) from None

    def machines_at(self, address: str) -> frozenset[str]:
        """The names of all machines to which an address belongs; none for what is no address."""
        try:
            ip = ipaddress.ip_address(address.split("%", 1)[0])
        except ValueError:
            return frozenset()
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return frozenset(m.name for m in self.machines.values() if any(ip in network for network in m.networks))

    def machines_with_subject(self, subject: str) -> frozenset[str]:
        """The names of all machines that have a certificate of this subject name."""
        return frozenset(m.name for m in self.machines.values() if subject in m.subjects)


def _machine(document: Document, name: str, value: Any) -> Machine:
    if name == _LOCAL_HOST:
        raise document.problem((name,), "is always defined and cannot be redefined")
    subjects: Any = ()
    at: tuple[str | int, ...] = (name,)
    if isinstance(value, dict):
        for key in value:
            if key not in ("addresses", "subjects"):
                raise document.problem((name, key), f"is unknown{nearest(key, ('addresses', 'subjects'))}")
        subjects, value, at = value.get("subjects", []), value.get("addresses", []), (name, "addresses")
    if not isinstance(subjects, (list, tuple)) or not all(isinstance(subject, str) and subject for subject in subjects):
        raise document.problem((name, "subjects"), "is not a list of certificate names")
    addresses = [value] if isinstance(value, str) else value
    if not isinstance(addresses, list):
        raise document.problem(at, "is not an address, nor a list of addresses and ranges")
    networks = [_network(document, at if value is not addresses else (*at, n), a) for n, a in enumerate(addresses)]
    return Machine(name, tuple(networks), tuple(subjects))


def _network(document: Document, at: tuple[str | int, ...], address: Any) -> Network:
    try:
        if not isinstance(address, str):
            raise ValueError
        return ipaddress.ip_network(address)
    except ValueError:
        raise document.problem(at, "is not an IP address or range, like 10.2.6.20 or 10.2.6.0/24") from None


def _daemon(document: Document, name: str, value: Any, machines: Mapping[str, Machine]) -> DaemonEntry:
    known = ("object", "machine", "port", "host", "timeout_s")
    if name in _TEST_DAEMONS:
        raise document.problem((name,), "is always defined and cannot be redefined")
    if not isinstance(value, dict):
        raise document.problem((name,), "is not an object with machine and port")
    for key in value:
        if key not in known:
            raise document.problem((name, key), f"is unknown{nearest(key, known)}")
    for key in ("machine", "port"):
        if key not in value:
            raise document.problem((name,), f"has no {key}")
    machine, port = value["machine"], value["port"]
    if not isinstance(machine, str) or machine not in machines:
        raise document.problem((name, "machine"), f"is not a machine of machines.json{nearest(machine, machines)}")
    if type(port) is not int or not 1 <= port <= 65535:
        raise document.problem((name, "port"), "is not a port (a whole number from 1 to 65535)")
    for key in ("object", "host"):
        if key in value and (not isinstance(value[key], str) or not value[key]):
            raise document.problem((name, key), "is not a text")
    timeout_s = value.get("timeout_s", _DEFAULT_TIMEOUT_S)
    if type(timeout_s) not in (int, float) or not 0.1 <= timeout_s <= 600:
        raise document.problem((name, "timeout_s"), "is not a number of seconds from 0.1 to 600")
    host = value.get("host") or machines[machine].address
    if host is None:
        raise document.problem((name, "machine"), "has no single address, so this daemon needs a host")
    return DaemonEntry(name, value.get("object", name), machine, host, port, float(timeout_s))


def names(directory: Directory) -> Iterator[str]:
    """The daemons' names, in order."""
    return iter(sorted(directory.daemons))
