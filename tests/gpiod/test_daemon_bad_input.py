"""Bad input through Pyro, and who may do what: a clear refusal, nothing moves, no object of ours can be reached."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpio_daemon
import Pyro5.api
import Pyro5.client
import pytest
import rawclient
import waiting
from following import last_event
from gpio_bench import PINS
from gpio_cases import BAD_CALLS
from gpio_daemon import NAME, Gpiod
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observatory_gpiod.devices.table import TYPES

#: `arguments` None is none at all to a remote caller.
REMOTE_CALLS = [case for case in BAD_CALLS if case[2] is not None]
BAD_TYPES = sorted({type for type, *_ in BAD_CALLS})


def devices() -> list[dict[str, Any]]:
    free = list(range(28))
    pins = {type: {name: free.pop() for name in PINS.get(type, {"pin": 4})} for type in BAD_TYPES}
    return [{"id": type.lower(), "type": type, **pins[type]} for type in BAD_TYPES]


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpiod]:
    """One daemon for all of them: none of them may harm it."""
    with gpio_daemon.daemon(tmp_path_factory.mktemp("bad"), devices()) as running:
        with running.connect() as gpio:
            gpio.invoke("call", "steppermotor", "zero")
        yield running


@pytest.fixture(autouse=True)
def _nothing_moves(gpiod: Gpiod) -> Iterator[None]:
    with gpiod.connect() as gpio:
        events = last_event(gpio)
    before = gpiod.board.last()
    yield
    assert gpiod.board.last() == before
    with gpiod.connect() as gpio:
        assert last_event(gpio) == events
        status = gpio.report_status()
    assert status["state"] == "ready" and all(status[f"running_{id}"] is None for id in status["devices"])
    assert not [line for line in gpiod.log_lines() if "internal error" in line or "Traceback" in line]


@pytest.fixture
def proxy(gpiod: Gpiod, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pyro5.client.Proxy]:
    """A client that has nothing but Pyro5."""
    monkeypatch.setattr(Pyro5.api.config, "SERIALIZER", "msgpack")
    with Pyro5.api.Proxy(f"PYRO:{NAME}@{gpiod.host}:{gpiod.port}") as bare:
        yield bare


def beyond_the_wire(value: Any) -> bool:
    """What msgpack does not carry: whole numbers of more than 64 bits, keys that are no text."""
    if isinstance(value, dict):
        return any(not isinstance(key, str) or beyond_the_wire(inner) for key, inner in value.items())
    return isinstance(value, int) and abs(value) > 2**64


@pytest.mark.parametrize("once", [False, True], ids=["", "request"])
@pytest.mark.parametrize(("type", "method", "arguments", "error", "why"), REMOTE_CALLS, ids=lambda x: str(x)[:30])
def test_a_bad_call_is_refused(
    type: str, method: Any, arguments: Any, error: type[Exception], why: str, once: bool, proxy: Pyro5.client.Proxy
) -> None:
    options = {"request_id": "bad"} if once else {}
    builtin = next(base for base in error.__mro__ if base.__module__ == "builtins" and issubclass(base, Exception))
    if beyond_the_wire(arguments):
        builtin, why = ValueError, ""
    with pytest.raises(builtin) as refused:
        proxy._pyroInvoke("call", [type.lower(), method, arguments], options)
    assert why in str(refused.value)
    assert refused.value.code == (error.code if why else 45)  # type: ignore[attr-defined]


WRONG: list[tuple[str, list[Any], dict[str, Any], type[Exception], int, str]] = [
    # method, arguments, keywords, what a bare client catches, code, what the message says
    ("call", [], {}, ValueError, 45, "device"),
    ("call", ["led"], {}, ValueError, 45, "method"),
    ("call", ["led", "on", {}, 4], {}, ValueError, 45, "call"),
    ("call", ["led", "on"], {"duration": 1}, ValueError, 45, "duration"),
    ("call", ["led", "on"], {"caller": "me"}, ValueError, 45, "caller"),
    ("call", ["lde", "on"], {}, LookupError, 70, "there is no device 'lde', expected angularservo, button, led"),
    ("call", ["lde", "on"], {}, LookupError, 70, "did you mean led?"),
    *(
        ("call", [id, "on"], {}, LookupError, 70, "there is no device")
        for id in (
            "",
            "LED",
            "led ",
            None,
            1,
            True,
            b"led",
            ["led"],
            {"led": 1},
            math.nan,
            "__class__",
            "_devices",
            "x" * 10_000,
        )
    ),
    *(
        ("call", ["led", name], {}, AttributeError, 47, "expected on, off, toggle, blink, value, stop")
        for name in ("close", "open", "hooks", "config", "_set", "_calls", "__init__", "__dict__", "call", "state", "abandon")
    ),
    ("call", ["led", "on", {"duration": {"a": [1, {"b": 2}]}}], {}, ValueError, 45, "duration is"),
    ("call", ["led", "blink", {"n": 2**62}], {}, ValueError, 45, "n is 4611686018427387904, expected a whole number from 1"),
    ("call", ["led", "blink", {"on_time": -math.inf}], {}, ValueError, 45, "on_time is -inf, expected a number from 0.001"),
    ("call", ["led", "on", {"x" * 5000: 1}], {}, ValueError, 45, "has no argument"),
    ("call", ["led", "on"], {"request_id": 7}, ValueError, 45, "request_id is 7"),
    ("call", ["led", "on"], {"request_id": ""}, ValueError, 45, "request_id is ''"),
    ("state", [], {}, ValueError, 45, "device"),
    ("state", ["nope"], {}, LookupError, 70, "there is no device 'nope'"),
    ("state", [["led"]], {}, LookupError, 70, "there is no device"),
    ("describe", ["nope"], {}, LookupError, 70, "there is no device 'nope'"),
    ("describe", [7], {}, LookupError, 70, "there is no device 7"),
    ("report_status", [1], {}, ValueError, 45, "report_status"),
    ("all_off", [1], {}, ValueError, 45, "all_off"),
    ("shutdown", [1], {}, ValueError, 45, "shutdown"),
    ("initialize", [], {}, ConnectionError, 8, "in use already"),
    ("job", ["nope"], {}, LookupError, 43, "there is no job 'nope'"),
    ("cancel", [1], {}, ValueError, 45, "id is 1"),
    ("wait", ["1", math.inf], {}, ValueError, 45, "up_to_s is inf"),
    ("events", [None, -1], {}, ValueError, 45, "after is -1"),
    *(
        (name, [], {}, AttributeError, 47, name)
        for name in (
            *("start", "close", "last_progress", "must_restart", "common_status", "jobs", "events_ring", "kind", "boot_id"),
            *("_rig", "_calls", "_device", "_state", "_event", "_config", "_set_by", "__class__", "__dict__", "__init__", "on"),
        )
    ),
]


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "caught", "code", "says"), WRONG, ids=[f"{n}-{case[0]}" for n, case in enumerate(WRONG)]
)
def test_a_wrong_call_of_a_bare_pyro_client(
    method: str,
    args: list[Any],
    kwargs: dict[str, Any],
    caught: type[Exception],
    code: int,
    says: str,
    proxy: Pyro5.client.Proxy,
) -> None:
    with pytest.raises(caught) as refused:
        proxy._pyroInvoke(method, args, kwargs)
    assert refused.value.code == code and says in str(refused.value)  # type: ignore[attr-defined]
    assert len(str(refused.value)) < 2000
    assert not getattr(refused.value, "_pyroTraceback", None)


NAMES = {method.name for type in TYPES.values() for method in type.methods}
#: Hypothesis also draws what stands in our own sources, and `on` is no nonsense.
TEXT = st.text(max_size=20).filter(lambda text: text not in NAMES)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT | st.binary(max_size=20) | st.integers(-(2**63), 2**63),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
#: Values that a parameter of any kind refuses, unless it may be null.
NEVER = st.sampled_from(
    [math.nan, math.inf, -math.inf, 2**62, -(2**62), b"1", "", "on", [[]], {"a": 1}, [1] * 7, [math.nan] * 3]
)
METHODS = [(type.lower(), method) for type in BAD_TYPES for method in TYPES[type].methods if method.parameters]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(PLAIN, max_size=4), id=st.sampled_from([type.lower() for type in BAD_TYPES]))
def test_no_nonsense_does_anything_or_shows_our_insides(args: list[Any], id: str, proxy: Pyro5.client.Proxy) -> None:
    for call in (args, [id, *args]):
        with pytest.raises(Exception) as refused:
            proxy._pyroInvoke("call", call, {})
        assert refused.value.code in (45, 47, 70)  # type: ignore[attr-defined]
        assert "internal error" not in str(refused.value) and ".py" not in str(refused.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.sampled_from(METHODS), value=NEVER, data=st.data())
def test_no_wrong_value_of_a_known_argument_does_anything(
    which: Any, value: Any, data: st.DataObject, proxy: Pyro5.client.Proxy
) -> None:
    id, method = which
    parameter = data.draw(st.sampled_from(method.parameters))
    with pytest.raises(ValueError) as refused:
        proxy._pyroInvoke("call", [id, method.name, {parameter.name: value}], {})
    assert refused.value.code == 45  # type: ignore[attr-defined]


MACHINES = {"Dome": "127.0.0.1", "Guest": "127.0.0.3", "Gate": "127.0.0.5"}
HOSTS = {  # address: rights when view_machines is [Guest]
    "127.0.0.1": {"view", "control"},
    "127.0.0.3": {"view"},
    "127.0.0.5": {"view", "gateway"},
    "127.0.0.66": set(),
}
#: What each remote method answers to those who may call it, and the right that it takes.
MEMBERS: dict[str, tuple[str, list[Any], Any]] = {
    "report_status": ("view", [], "ok"),
    "state": ("view", ["lamp"], "ok"),
    "describe": ("view", [], "ok"),
    "events": ("view", [None, 0, 0], "ok"),
    "job": ("view", ["nope"], 43),
    "wait": ("view", ["nope", 0], 43),
    "cancel": ("control", ["nope"], 43),
    "call": ("control", ["lamp", "toggle"], "ok"),
    "all_off": ("control", [], "ok"),
    "shutdown": ("control", [], "ok"),
    "initialize": ("control", [], "ok"),
}


#: One-way calls last: nothing answers them, so that the log has to tell that they are over.
PATHS = ("call", "batch", "getattr", "setattr", "oneway")


def expected(rights: set[str], level: str, answer: Any, path: str) -> Any:
    """What somebody is told who asks for a remote method so."""
    if path in ("getattr", "setattr"):  # there are no remote properties, for anybody
        return 47 if path == "getattr" or "control" in rights else 3
    return "sent" if path == "oneway" else answer if level in rights else 3


def refusals(gpiod: Gpiod, address: str) -> Counter[str]:
    """What the audit says that an address was refused, and how often."""
    found: Counter[str] = Counter()
    for line in gpiod.log_lines():
        seen = re.search(rf"audit: refused.*caller='[^(]*\({re.escape(address)}\)' what='?([^'=]*?)'?(?: \w+=|$)", line)
        if seen is not None:
            suppressed = re.search(r"suppressed=(\d+)", line)
            found[seen[1]] += 1 if suppressed is None else int(suppressed[1])
    return found


def refused_of(rights: set[str]) -> Counter[str]:
    """What the audit is to say of an address that has tried everything on all PATHS, and may not control.

    What is called counts on three of them.
    """
    if not rights:
        return Counter({"a connection": len(PATHS)})
    tried = {name: 3 for name, (level, _, _) in MEMBERS.items() if level == "control"}
    return Counter({**tried, "__getattr__": len(MEMBERS), "__setattr__": len(MEMBERS)})


@pytest.mark.parametrize("view_machines", [None, ["Guest"]])
def test_who_may_do_what(view_machines: list[str] | None, tmp_path: Path) -> None:
    settings = {"control_machines": ["Dome"], "gateway_machines": ["Gate"], "view_machines": view_machines}
    lamp = {"id": "lamp", "type": "LED", "pin": 4}
    with gpio_daemon.daemon(tmp_path, [lamp], machines=MACHINES, **settings) as gpiod:
        with gpiod.connect() as gpio:
            assert gpio.hello["members"] == {name: level for name, (level, _, _) in MEMBERS.items()}
        start = gpiod.board.state()
        for address, granted in HOSTS.items():
            rights = granted | ({"view"} if view_machines is None else set())
            for path in PATHS[:2] if "control" in rights else PATHS:
                calls = [[path, name, args] for name, (_, args, _) in MEMBERS.items()]
                found = rawclient.outcomes(gpiod.host, gpiod.port, NAME, calls, address)
                if not rights:
                    assert found == ["connect", 3]
                    continue
                for (name, (level, _, answer)), outcome in zip(MEMBERS.items(), found, strict=True):
                    assert outcome == expected(rights, level, answer, path), (address, name, path)
            if "control" in rights:
                assert [level for _, level in gpiod.board.went(4, start)] == [0, 1, 0, 1, 0]
                start = gpiod.board.state()
                continue
            if rights:
                waiting.until(lambda by=address: refusals(gpiod, by)["initialize"] == 3, 10, "the last one-way call")
            assert gpiod.board.history(after=start["last"]) == [], address
        assert gpiod.terminate() == 0  # which tells the refusals that were only counted
        for address, granted in HOSTS.items():
            rights = granted | ({"view"} if view_machines is None else set())
            if "control" not in rights:
                assert refusals(gpiod, address) == refused_of(rights), address
