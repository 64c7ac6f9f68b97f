"""The grammar of the controller's replies: what is a reading, and that nothing else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from observatory_focusd import protocol
from observatory_focusd.protocol import FIRMWARE_LIMIT_STEPS, Reading

positions = st.integers(-FIRMWARE_LIMIT_STEPS, FIRMWARE_LIMIT_STEPS)


def as_printed(*readings: Reading) -> bytes:
    """What the firmware prints: `%+07ld` for every number."""
    return ",".join(f"T{n}={r.target_steps:+07d},C{n}={r.current_steps:+07d}" for n, r in enumerate(readings, 1)).encode()


@given(st.lists(st.builds(Reading, positions, positions), min_size=1, max_size=2))
@example([Reading(1_000_000, -999_999), Reading(-1_000_000, 9_999_999)])
def test_every_status_the_firmware_can_print_is_read_back(readings: list[Reading]) -> None:
    assert protocol.parse_status(as_printed(*readings)) == tuple(readings)


@given(st.lists(st.builds(Reading, positions, positions), min_size=2, max_size=2), st.data())
def test_a_damaged_status_is_refused_or_is_a_status_itself(readings: list[Reading], data: st.DataObject) -> None:
    line = as_printed(*readings)
    at = data.draw(st.integers(0, len(line)))
    damaged = data.draw(st.sampled_from([line[:at], line[at:], line[:at] + b"7" + line[at:], line + line, b"?" + line]))
    parsed = protocol.parse_status(damaged)
    assert parsed is None or as_printed(*parsed) == damaged


@given(st.binary(max_size=80))
def test_whatever_is_accepted_is_exactly_what_the_firmware_would_print(line: bytes) -> None:
    parsed = protocol.parse_status(line)
    assert parsed is None or as_printed(*parsed) == line


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"?",
        b"T1=+00001,C1=+000001",  # five digits
        b"T1=+0000001,C1=+000001",  # seven digits that begin with 0
        b"T1=+10000000,C1=+000001",  # eight digits
        b"T1=000001,C1=+000001",  # no sign
        b"T1=-000000,C1=+000000",  # the firmware has no negative zero
        b"T1=+000001,C1=+000001,T2=+000001",  # half a line
        b"T1=+000001,C1=+000001,T2=+000001,C2=+1234567x",  # trailing junk
        b" T1=+000001,C1=+000001",
        b"T1=+000001,C1=+000001\x00",
        "T1=+00000١,C1=+000001".encode(),  # a digit, but not an ASCII one
    ],
)
def test_other_lines_are_no_status(line: bytes) -> None:
    assert protocol.parse_status(line) is None


@given(st.sampled_from([1, 2]), positions)
def test_a_move_command_is_a_sign_and_at_most_seven_digits(channel: int, steps: int) -> None:
    command = protocol.set_target(channel, steps)
    assert re.fullmatch(rb"[12][+-]\d{6,7}", command)
    assert int(command[1:]) == steps and len(command) <= 9


def test_the_speeds_are_those_of_the_firmware() -> None:
    assert protocol.FIRMWARE_2022.steps_per_s == pytest.approx(61.035, abs=0.001)
    assert protocol.FIRMWARE_2023.steps_per_s == pytest.approx(97.656, abs=0.001)


@pytest.mark.parametrize(("line", "value"), [(b"12.5", 12.5), (b"-3", -3.0), (b"+21.0625", 21.0625)])
def test_temperatures(line: bytes, value: float) -> None:
    assert protocol.parse_temperature(line) == value


@pytest.mark.parametrize("line", [b"FAILED", b"", b"nan", b"1e5", b"12.5 C", b"$"])
def test_what_is_no_temperature(line: bytes) -> None:
    assert protocol.parse_temperature(line) is None
