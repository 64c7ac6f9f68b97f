"""What a scanner's controller says, and what its clock shows between its words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory_camerad.scanner.clock import ControllerClock
from observatory_camerad.scanner.messages import LARGEST_MESSAGE, RELOAD, State, parse

SHORT = {"time": 5_000_000_000, "dur": 7}
LONG = {**SHORT, "mode": "SCANNING", "continousScanDirectory": "/media/usb/continousScanning_0007", "stopScanDirectory": ""}
MS = 1_000_000
S = 1000 * MS


def said(message: Any) -> dict[str, Any]:
    return parse(json.dumps(message).encode()).said


def test_short_messages_keep_what_long_ones_said() -> None:
    state = State().after(parse(json.dumps(LONG).encode())).after(parse(json.dumps({"time": 6, "dur": 8}).encode()))
    assert state == State(6, 8, "SCANNING", "/media/usb/continousScanning_0007", "")
    state = state.after(parse(json.dumps({**LONG, "mode": "IDLE", "continousScanDirectory": "", "gnss": {"lat": 1}}).encode()))
    assert (state.mode, state.continuous_folder) == ("IDLE", "")
    assert parse(b'{"command": "RELOAD_CONFIG_TEST_PHOTO"}').command == RELOAD
    assert said({"time": 2**64 - 1}) == {"time_ns": 2**64 - 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"5",
        b"{}",
        b'{"mode": "SCANNING"}',
        b'{"time": "5"}',
        b'{"time": true}',
        b'{"time": 5.0}',
        b'{"time": -1}',
        b'{"time": 18446744073709551616}',
        b'{"time": NaN}',
        b'{"time": 5, "dur": null}',
        b'{"time": 5, "mode": 3}',
        b'{"time": 5, "mode": "' + b"x" * 61 + b'"}',
        b'{"time": 5, "mode": "A\\nB"}',
        b'{"command": "REBOOT"}',
        b'{"command": ["RELOAD_CONFIG_TEST_PHOTO"]}',
        b'{"time": 5' + b" " * LARGEST_MESSAGE + b"}",
        b"[" * 60_000,
        b'{"time": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_understood(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(data)


@pytest.mark.parametrize("folder", ["/media/a\nb", "/" + "x" * 5000, "/a\0b", "/\ud800", 5, None, ["/media"]])
def test_a_folder_that_can_be_none_costs_neither_time_nor_mode(folder: Any) -> None:
    long = {**LONG, "mode": "STOPPED", "continousScanDirectory": folder, "stopScanDirectory": folder}
    state = State(1, 1, "SCANNING", "/media/usb").after(parse(json.dumps(long).encode()))
    assert (state.time_ns, state.mode, state.continuous_folder, state.stop_folder) == (SHORT["time"], "STOPPED", None, None)
    assert state.folder_error is not None and "none of them a control character" in state.folder_error
    state.folder_error.encode()
    state = state.after(parse(json.dumps({"time": 7}).encode()))
    assert state.folder_error is not None
    assert state.after(parse(json.dumps(LONG).encode())).folder_error is None


def test_a_folder_may_have_any_letters() -> None:
    for name in ("/media/a\u00a0b", "/media/\u30c7\u30fc\u30bf", "/media/a\u200bb"):
        assert said({**LONG, "continousScanDirectory": name})["continuous_folder"] == name


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(data: bytes) -> None:
    try:
        parse(data)
    except ValueError:
        pass


def test_the_clock_is_carried_on_between_messages() -> None:
    clock = ControllerClock()
    assert clock.at(5) is None and not clock.is_known
    for number, late_ms in enumerate((40, 3, 90, 1, 30)):  # they are under way for different times
        boot_ns = number * 125 * MS
        assert not clock.hear(1000 * S + boot_ns, boot_ns + late_ms * MS)
    found = clock.at(600 * MS)
    assert found is not None and found.time_ns == 1000 * S + 599 * MS
    before = clock.at(-50 * MS)
    assert before is not None and before.time_ns == 1000 * S - 51 * MS


@pytest.mark.parametrize("jump_ns", [-3600 * S, -S, -200 * MS, 700 * MS, 3600 * S])
def test_a_jump_holds_from_the_message_that_tells_it(jump_ns: int) -> None:
    clock = ControllerClock()
    for number in range(10):
        assert not clock.hear(5000 * S + number * 125 * MS, number * 125 * MS)
    assert clock.hear(5000 * S + 1250 * MS + jump_ns, 1250 * MS)
    assert not clock.hear(5000 * S + 1375 * MS + jump_ns, 1375 * MS)
    before, after = clock.at(1249 * MS), clock.at(1300 * MS)
    assert before is not None and after is not None
    assert before.time_ns == 5000 * S + 1249 * MS
    assert after.time_ns == 5000 * S + 1300 * MS + jump_ns
    assert after.run == before.run + 1


def test_a_lidar_that_is_missing_or_stands_still() -> None:
    clock = ControllerClock()
    assert not clock.hear(0, 5)
    assert not clock.is_known
    clock.hear(100 * S, 0)
    for number in range(1, 20):
        assert not clock.hear(100 * S, number * 125 * MS)  # the same time again says nothing
    found = clock.at(2 * S)
    assert found is not None and found.time_ns == 102 * S
    clock.forget()
    assert clock.at(2 * S) is None
    clock.hear(3 * S, 2 * S)
    again = clock.at(2 * S)
    assert again is not None and (again.time_ns, again.run) == (3 * S, found.run + 1)


def test_a_clock_that_is_set_by_a_little_is_followed_within_a_second() -> None:
    clock = ControllerClock()
    for number in range(40):
        clock.hear(50 * S + number * 125 * MS - (80 * MS if number >= 20 else 0), number * 125 * MS)
    found = clock.at(5 * S)
    assert found is not None and found.time_ns == 55 * S - 80 * MS
