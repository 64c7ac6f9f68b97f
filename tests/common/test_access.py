"""Who may do what: the matcher against an independent one, registration, and the matrix host x method x path."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import fakedaemon
import observatory
import pytest
import rawclient
import waiting
from hypothesis import given
from hypothesis import strategies as st

from observatory_common.access import CONTROL, GATEWAY, VIEW, Policy, control, local, members_of, view
from observatory_common.directory import Directory, Machine

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
NAMES = st.sampled_from(["Dome", "Office", "Guest", "Gateway"])


@st.composite
def networks(draw: st.DrawFn) -> str:
    address = draw(ADDRESSES)
    longest = 128 if ":" in address else 32
    return str(ipaddress.ip_network(f"{address}/{draw(st.integers(0, longest))}", strict=False))


def holds(network: str, address: str) -> bool:
    """Whether a network holds an address, by bits and without the code under test."""
    low, _, prefix = network.partition("/")
    a, b = ipaddress.ip_address(low), ipaddress.ip_address(address)
    if isinstance(b, ipaddress.IPv6Address) and int(b) >> 32 == 0xFFFF:
        b = ipaddress.IPv4Address(int(b) & 0xFFFFFFFF)
    shift = a.max_prefixlen - int(prefix or a.max_prefixlen)
    return a.version == b.version and int(a) >> shift == int(b) >> shift


@given(st.dictionaries(NAMES, st.lists(networks(), max_size=3)), ADDRESSES)
def test_a_caller_is_every_machine_that_holds_its_address_and_no_other(machines: dict[str, list[str]], address: str) -> None:
    entries = {name: Machine(name, tuple(map(ipaddress.ip_network, found))) for name, found in machines.items()}
    directory = Directory(entries, {})
    expected = {name for name, found in machines.items() if any(holds(network, address) for network in found)}
    assert directory.machines_at(address) - {"LocalHost"} == expected
    if ":" not in address:
        assert directory.machines_at(f"::ffff:{address}") == directory.machines_at(address)
    elif ipaddress.ip_address(address).ipv4_mapped is None:
        assert directory.machines_at(f"{address}%eth0") == directory.machines_at(address)


@given(st.text(max_size=30))
def test_what_is_no_address_is_nobody(text: str) -> None:
    try:
        ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        assert Directory({}, {}).machines_at(text) == frozenset()


@given(st.sets(NAMES), st.sets(NAMES), st.none() | st.sets(NAMES), st.sets(NAMES))
def test_rights_add_up_and_nothing_else_grants_any(caller, may_control, may_view, gateways) -> None:
    rights = Policy(may_control, may_view, gateways, Directory({}, {})).rights(frozenset(caller))
    assert (CONTROL in rights) == bool(caller & may_control)
    assert (GATEWAY in rights) == bool(caller & gateways)
    assert (VIEW in rights) == (may_view is None or bool(caller & (may_view | may_control | gateways)))


def test_every_public_member_must_declare_itself() -> None:
    class Undeclared:
        def forgotten(self) -> None: ...

    class WithProperty:
        @property
        def state(self) -> int:
            return 1

    class ControlWithoutCaller:
        @control
        def go(self) -> None: ...

    class ViewWithCaller:
        @view
        def look(self, caller: Any) -> None: ...

    class Changed(fakedaemon.FakeDevice):
        @view
        def add(self, amount: int = 1) -> None: ...

    for kind, word in (
        (Undeclared, "forgotten"),
        (WithProperty, "state"),
        (ControlWithoutCaller, "caller"),
        (ViewWithCaller, "caller"),
    ):
        with pytest.raises(TypeError, match=word):
            members_of(kind())
    with pytest.raises(TypeError, match="add declares view"):
        members_of(Changed())

    class Local:
        @local
        def helper(self) -> None: ...

    assert members_of(Local()) == {}


MACHINES = {"Dome": "127.0.0.1", "Guest": "127.0.0.3", "Gate": "127.0.0.5", "Wide": "127.0.7.0/24", "Both": "127.0.7.7"}
HOSTS = {  # address: rights when view_machines is [Guest, Wide]
    "127.0.0.1": {"view", "control"},
    "127.0.0.3": {"view"},
    "127.0.0.5": {"view", "gateway"},
    "127.0.7.1": {"view"},
    "127.0.7.7": {"view", "control"},
    "127.0.0.66": set(),
}
#: What each method of focusd answers to those who may call it: harmless, or undone by the next.
METHODS: dict[str, tuple[list[Any], Any]] = {
    "report_status": ([], "ok"),
    "job": (["nope"], 43),
    "wait": (["nope", 0], 43),
    "events": ([None, 0, 0], "ok"),
    "cancel": (["nope"], 43),
    "set_focus": ([1, 0], "ok"),
    "stop_channel": ([1], "ok"),
    "reset_home_position": ([1], "ok"),
    "confirm_position": ([1], "ok"),
    "set_fans": ([True], 1),
    "shutdown": ([], "ok"),
    "initialize": ([], "ok"),
}
PATHS = ("call", "batch", "oneway", "getattr", "setattr", "metadata", "ping")


def expected(rights: set[str], level: str, answer: Any, path: str) -> Any:
    if path in ("metadata", "ping"):
        return "ok"
    if path == "oneway":
        return "sent"
    if path in ("getattr", "setattr"):  # there are no remote properties, for anybody
        return 47 if path == "getattr" or "control" in rights else 3
    return answer if level in rights else 3


@pytest.mark.parametrize("view_machines", [None, ["Guest", "Wide"]])
def test_host_by_method_by_path(view_machines, tmp_path: Path) -> None:
    settings = {"control_machines": ["Dome", "Both"], "gateway_machines": ["Gate"], "view_machines": view_machines}
    with observatory.daemon(tmp_path, machines=MACHINES, **settings) as daemon:
        with daemon.connect() as focuser:
            levels = focuser.hello["members"]
        assert levels.keys() == METHODS.keys()
        audited: Counter[tuple[str, str]] = Counter()
        for address, rights in HOSTS.items():
            rights = rights | ({"view"} if view_machines is None else set())
            for path in PATHS:
                calls = [[path, method, args] for method, (args, _) in METHODS.items()]
                before = initialized(daemon)
                found = rawclient.outcomes(daemon.host, daemon.port, observatory.NAME, calls, address)
                if path == "oneway" and "control" in rights:  # among them were shutdown and initialize
                    waiting.until(lambda b=before: initialized(daemon) > b, 10, "the last of them")
                if not rights:
                    assert found == ["connect", 3]
                    audited[address, "a connection"] += 1
                    continue
                for method, (_, answer), outcome in zip(METHODS, METHODS.values(), found, strict=True):
                    assert outcome == expected(rights, levels[method], answer, path), (address, method, path)
                    if path in ("call", "batch", "oneway") and levels[method] == "control":
                        audited[address, method] += 1
                    elif path in ("getattr", "setattr"):
                        audited[address, f"__{path}__"] += 1
        assert daemon.terminate() == 0
        seen: Counter[tuple[str, str]] = Counter()
        for line in map(_audit, daemon.log_lines()):
            if line and line["address"] in HOSTS and not line["job_ended"]:
                seen[line["address"], line["what"]] += line["count"]
        with_confirmations = audited + Counter({("127.0.0.1", "confirm_position"): 2})  # two by the set-up
        assert seen == with_confirmations


def initialized(daemon: observatory.Daemon) -> int:
    """How many calls of the last method are done."""
    return sum("accepted" in line and "what=initialize" in line for line in daemon.log_lines())


def _audit(line: str) -> dict[str, Any] | None:
    import re

    found = re.search(r"audit: (accepted|refused again|refused|job ended) .*?caller='[^(]*\(([^)]*)\)'", line)
    if not found:
        return None
    what = re.search(r"what='?([^'=]*?)'?(?: \w+=|$)", line)
    suppressed = re.search(r"suppressed=(\d+)", line)
    return {
        "address": found[2],
        "what": what[1] if what else "",
        "job_ended": found[1] == "job ended",
        "count": int(suppressed[1]) if suppressed else 1,
    }


def test_what_refused_calls_ask_for_does_not_happen(tmp_path: Path) -> None:
    with observatory.daemon(tmp_path, machines=MACHINES, control_machines=["Dome"]) as daemon:
        before = daemon.simulator.state()["commands_received"]
        for path in ("call", "batch", "oneway", "getattr", "setattr"):
            for method, args in (("set_focus", [1, 500]), ("reset_home_position", [1]), ("shutdown", []), ("_worker", [])):
                rawclient.outcomes(daemon.host, daemon.port, observatory.NAME, [[path, method, args]], "127.0.0.3")
        with daemon.connect() as focuser:
            assert focuser.report_status()["state"] == "idle"
        after = daemon.simulator.state()["commands_received"]
        assert {k: v for k, v in after.items() if k != "?"} == {k: v for k, v in before.items() if k != "?"}


def test_on_behalf_of_is_written_down_and_grants_nothing(tmp_path: Path) -> None:
    who = {"user": "anna", "address": "10.0.0.9"}
    machines = {"Dome": "127.0.0.1", "Gate": "127.0.0.5"}
    from observatory_common.rpc import message, wire

    annotations = {message.ON_BEHALF_OF: wire.dumps(who)}
    with fakedaemon.running(tmp_path, machines=machines, control=["Gate"], gateway=["Gate"]) as daemon:

        def call(source: str, said: dict[str, bytes] | None) -> Any:
            with rawclient.RawClient(daemon.host, daemon.port, source=source) as client:
                client.connect(fakedaemon.OBJECT)
                return client.invoke(fakedaemon.OBJECT, "add", [], annotations=said)

        assert call("127.0.0.5", annotations).code is None
        assert call("127.0.0.1", annotations).code == 3
        assert call("127.0.0.1", None).code == 3
        for bad in (b"", b"\xc1", wire.dumps("anna"), wire.dumps({"user": "anna"}), wire.dumps({**who, "user": "a\nb"})):
            assert call("127.0.0.5", {message.ON_BEHALF_OF: bad}).code == 45
        waiting.until(lambda: [line for line in daemon.audit() if line["message"] == "accepted"], 5, "the audit line")
        accepted = [line["caller"] for line in daemon.audit() if line["message"] == "accepted"]
        assert accepted == ["Gate (127.0.0.5) for anna (10.0.0.9)"]
    with fakedaemon.running(tmp_path, machines=machines, control=["Dome"], gateway=["Gate"]) as daemon:
        assert call("127.0.0.5", annotations).code == 3  # a gateway's user has the gateway's rights, none of its own


def test_real_machines_in_network_namespaces(tmp_path: Path) -> None:
    """The same over an ethernet between two network namespaces, IPv4 and IPv6."""
    program = Path(__file__).parents[1] / "support" / "namespaces.py"
    unshare = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*unshare, "ip", "link"], capture_output=True, check=False).returncode:
        pytest.skip("needs network namespaces (unshare --net), which this machine does not allow")
    done = subprocess.run(
        [*unshare, sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    allowed, viewer, stranger = ["ok", "ok", "ok"], ["ok", 3, 3], ["connect", 3]
    assert outcomes == {
        "10.77.0.2": allowed,
        "10.77.0.3": viewer,
        "10.77.0.4": stranger,
        "fd77::2": allowed,
        "fd77::3": viewer,
        "fd77::4": stranger,
    }
