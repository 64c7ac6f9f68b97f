"""Bad input, from a shell and from a bare Pyro5 client: a clear refusal with value and range, and the motor stays still."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import observatory
import Pyro5.api
import Pyro5.client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMITS = "-20000 to +20000"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[observatory.Daemon]:
    """One daemon for all of them: none of them may harm it."""
    folder = tmp_path_factory.mktemp("daemon")
    with observatory.daemon(folder, channels=[{"limits": [-20000, 20000]}, {}], idle_loop_delay=60) as running:
        yield running


@pytest.fixture(autouse=True)
def _motor_stays_still(daemon: observatory.Daemon) -> Iterator[None]:
    yield
    state = daemon.simulator.state()
    assert [channel["true_raw"] for channel in state["channels"].values()] == [0, 0]
    assert state["commands_received"].get("set", 0) == state["commands_received"].get("Z", 0) == 0
    with daemon.connect() as focuser:
        assert focuser.report_status()["state"] == "idle"
    assert not [line for line in daemon.log_lines() if "internal error" in line or "Traceback" in line]


@pytest.fixture
def proxy(daemon: observatory.Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pyro5.client.Proxy]:
    """A client that has nothing but Pyro5."""
    monkeypatch.setattr(Pyro5.api.config, "SERIALIZER", "msgpack")
    with Pyro5.api.Proxy(f"PYRO:{observatory.NAME}@{daemon.host}:{daemon.port}") as bare:
        yield bare


WRONG_CALLS: list[tuple[str, list[Any], dict[str, Any], type[Exception], int, str]] = [
    # method, arguments, keywords, what a bare client catches, code, what the message says
    ("set_focus", [], {}, ValueError, 45, "channel"),
    ("set_focus", [1], {}, ValueError, 45, "steps"),
    ("set_focus", [1, 2, False, 4], {}, ValueError, 45, "set_focus"),
    ("set_focus", [1, 2], {"stepz": 5}, ValueError, 45, "stepz"),
    ("set_focus", ["1", 5], {}, ValueError, 45, "channel is '1', expected 1 or 2"),
    ("set_focus", [1.0, 5], {}, ValueError, 45, "channel is 1.0, expected 1 or 2"),
    ("set_focus", [True, 5], {}, ValueError, 45, "channel is True, expected 1 or 2"),
    ("set_focus", [None, 5], {}, ValueError, 45, "channel is None"),
    ("set_focus", [[1], 5], {}, ValueError, 45, "channel is"),
    ("set_focus", [0, 5], {}, LookupError, 4, "channel is 0, expected 1 or 2"),
    ("set_focus", [3, 5], {}, LookupError, 4, "channel is 3, expected 1 or 2"),
    ("set_focus", [-1, 5], {}, LookupError, 4, "channel is -1, expected 1 or 2"),
    ("set_focus", [2**62, 5], {}, LookupError, 4, "expected 1 or 2"),
    ("set_focus", [1, 5.0], {}, ValueError, 45, "steps is 5.0, expected a whole number from -9999999 to 9999999"),
    ("set_focus", [1, "5"], {}, ValueError, 45, "steps is '5'"),
    ("set_focus", [1, True], {}, ValueError, 45, "steps is True"),
    ("set_focus", [1, float("nan")], {}, ValueError, 45, "steps is nan"),
    ("set_focus", [1, {"a": 1}], {}, ValueError, 45, "steps is"),
    ("set_focus", [1, b"5"], {}, ValueError, 45, "steps is b'5'"),
    ("set_focus", [1, 20001], {}, ValueError, 6, LIMITS),
    ("set_focus", [1, -20001], {}, ValueError, 6, LIMITS),
    ("set_focus", [1, 2**62], {}, ValueError, 6, LIMITS),
    ("set_focus", [1, -20001, True], {}, ValueError, 6, LIMITS),
    ("set_focus", [2, 10_000_000], {}, ValueError, 6, "-9999999 to +9999999"),
    ("set_focus", [1, 5, 1], {}, ValueError, 45, "offset is 1, expected"),
    ("set_focus", [1, 5, "yes"], {}, ValueError, 45, "offset is 'yes'"),
    ("set_focus", [1, 5], {"request_id": 7}, ValueError, 45, "request_id is 7"),
    ("set_focus", [1, 5], {"request_id": ""}, ValueError, 45, "request_id is ''"),
    ("set_focus", [1, 5], {"request_id": "x" * 1000}, ValueError, 45, "request_id is"),
    ("set_focus", [1, 5], {"accept_uncertain": 1}, ValueError, 45, "accept_uncertain is 1"),
    ("stop_channel", [3], {}, LookupError, 4, "channel is 3, expected 1 or 2"),
    ("stop_channel", ["all"], {}, ValueError, 45, "channel is 'all'"),
    ("stop_channel", [1, 2], {}, ValueError, 45, "stop_channel"),
    ("reset_home_position", [], {}, ValueError, 45, "channel"),
    ("reset_home_position", [1.5], {}, ValueError, 45, "channel is 1.5"),
    ("confirm_position", [None], {}, ValueError, 45, "channel is None"),
    ("initialize", [1], {}, ValueError, 45, "initialize"),
    ("initialize", [], {}, ConnectionError, 8, "already connected"),
    ("set_fans", ["on"], {}, ValueError, 45, "enabled is 'on'"),
    ("job", ["nope"], {}, LookupError, 43, "there is no job 'nope'"),
    ("job", [1], {}, ValueError, 45, "id is 1"),
    ("wait", ["nope", 1], {}, LookupError, 43, "nope"),
    ("wait", ["1", 11], {}, ValueError, 45, "up_to_s is 11, expected"),
    ("wait", ["1", float("inf")], {}, ValueError, 45, "up_to_s is inf"),
    ("events", [None, -1], {}, ValueError, 45, "after is -1"),
    ("events", [None, 0, 3600], {}, ValueError, 45, "timeout_s is 3600"),
    ("cancel", ["nope"], {}, LookupError, 43, "nope"),
    ("no_such_method", [], {}, AttributeError, 47, "no_such_method"),
    ("__class__", [], {}, AttributeError, 47, "__class__"),
    ("_worker", [], {}, AttributeError, 47, "_worker"),
    ("close", [1], {}, AttributeError, 47, "close"),
    ("start", [], {}, AttributeError, 47, "start"),
]


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "caught", "code", "says"), WRONG_CALLS, ids=[f"{n}-{c[0]}" for n, c in enumerate(WRONG_CALLS)]
)
def test_a_wrong_call_of_a_bare_pyro_client(method, args, kwargs, caught, code, says, proxy) -> None:
    with pytest.raises(caught) as refused:
        proxy._pyroInvoke(method, args, kwargs)
    assert refused.value.code == code
    assert says in str(refused.value)
    assert refused.value.error
    assert not hasattr(refused.value, "_pyroTraceback") or not refused.value._pyroTraceback


def test_a_number_beyond_64_bits(proxy, daemon) -> None:
    with pytest.raises(ValueError, match="64 bits") as refused:
        proxy.set_focus(1, 2**64)
    assert refused.value.code == 45
    with daemon.connect() as focuser, pytest.raises(ValueError, match="64 bits"):
        focuser.set_focus(1, 2**64)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.integers(-(2**63), 2**63).filter(lambda n: not -20000 <= n <= 20000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["set_focus", "reset_home_position", "confirm_position", "set_fans", "job", "wait", "cancel"]),
    args=st.lists(PLAIN, max_size=4),
    kwargs=st.dictionaries(st.sampled_from(["channel", "steps", "offset", "request_id", "id", "up_to_s"]), PLAIN, max_size=2),
)
def test_no_wrong_arguments_do_anything_or_show_our_insides(method, args, kwargs, proxy) -> None:
    with pytest.raises(Exception) as refused:
        proxy._pyroInvoke(method, args, kwargs)
    assert refused.value.code in (1, 4, 6, 43, 45)
    assert "internal error" not in str(refused.value)
    assert ".py" not in str(refused.value)


WRONG_COMMANDS: list[tuple[str, int, str]] = [
    ("sett 1 5", 64, "No such command 'sett'"),
    ("set", 64, "usage: focus set (1|2) <step position>"),
    ("set 1", 64, "usage: focus set (1|2) <step position>"),
    ("set 1 12O0", 64, "'12O0' is not a whole number"),
    ("set abc", 64, "usage: focus set (1|2) <step position>"),
    ("set abc 5", 64, "'abc' is not a whole number"),
    ("set 1 5.0", 64, "'5.0' is not a whole number"),
    ("set 1 1e3", 64, "'1e3' is not a whole number"),
    ("set 1 1_000", 64, "'1_000' is not a whole number"),
    ("set 1 ١٢", 64, "is not a whole number"),
    ("set 1 --5", 64, "--5"),
    ("set 1 +-5", 64, "'+-5' is not a whole number"),
    ("set 1 5 6", 64, "unexpected extra argument"),
    ("set 1 5 --no-wiat", 64, "--no-wiat"),
    ("set 1 5 --timeout never", 64, "never"),
    ("set 1 5 --timeout -1", 64, "-1"),
    ("set 1 5 --timeout nan", 64, "nan"),
    ("set 3 5", 4, "channel is 3, expected 1 or 2"),
    ("set 0 5", 4, "channel is 0, expected 1 or 2"),
    ("set -1 5", 4, "channel is -1, expected 1 or 2"),
    ("set 1 20001", 6, LIMITS),
    ("set 1 -20001", 6, LIMITS),
    ("set 2 10000000", 6, "-9999999 to +9999999"),
    ("set 1 99999999999999999999999999", 45, "64 bits"),
    ("offset 1 -20001", 6, LIMITS),
    ("offset 1 x", 64, "usage: focus offset (1|2) <step offset>"),
    ("stop 3", 4, "channel is 3, expected 1 or 2"),
    ("stop one", 64, "usage: focus stop [1|2]"),
    ("stop 1 2", 64, "usage: focus stop [1|2]"),
    ("zero", 64, "usage: focus zero (1|2)"),
    ("zero 1", 64, "--yes"),
    ("zero 7 --yes", 4, "channel is 7"),
    ("confirm 1", 64, "--yes"),
    ("init", 8, "already connected"),
    ("fans maybe", 64, "usage: focus fans (enable|disable)"),
    ("fans enable", 1, "fans"),
    ("status 1", 64, "usage: focus status"),
    ("--config /nonexistent.json status", 46, "/nonexistent.json"),
    ("status --config", 64, "--config"),
]


@pytest.mark.parametrize(("command", "code", "says"), WRONG_COMMANDS, ids=[command for command, *_ in WRONG_COMMANDS])
def test_a_wrong_command(command: str, code: int, says: str, daemon) -> None:
    done = daemon.focus(*command.split())
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("command", ["set 3 5", "set 1 12O0", "zero 1", "stop 9"])
def test_a_wrong_command_with_json_says_it_in_json(command: str, daemon) -> None:
    done = daemon.focus("--json", *command.split())
    said = json.loads(done.stdout)
    assert (said["code"], done.returncode) == (done.returncode, said["code"])
    assert said["message"] in done.stderr


BAD_CONFIGS = {
    "{": "is no JSON",
    "": "is no JSON",
    "[]": "must hold one object",
    '{"daemon": 5}': "daemon",
    "{}": "daemon",
    '{"daemon": "x"}': "no daemon 'x'",
    '{"daemon": "focusd_tset", "daemon": "y"}': "twice",
    "\xff\xfe": "JSON",
}


@pytest.mark.parametrize("text", BAD_CONFIGS)
def test_a_config_that_focus_cannot_use(text: str, daemon, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    done = daemon.focus("--config", str(bad), "status")
    assert done.returncode == 46
    assert BAD_CONFIGS[text] in done.stderr
    assert re.search(r"bad\.json|no daemon", done.stderr)
    assert "Traceback" not in done.stderr
