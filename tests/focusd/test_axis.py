"""One channel's judgement of its readings, without a controller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory_common.errors import PositionOutsideLimits
from observatory_focusd.axis import Axis
from observatory_focusd.controller import Sample

SPEED = 61.035


def sample(target: int, current: int, at: float = 100.0) -> Sample:
    return Sample(target, current, sent_at=at - 0.001, received_at=at)


def axis(limits: tuple[int, int] = (-1000, 1000), backlash: int = 0) -> Axis:
    return Axis(1, limits, backlash)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(-50, 50))
def test_the_final_approach_is_always_from_the_side_of_the_backlash(start: int, target: int, backlash: int) -> None:
    try:
        legs = axis(limits=(-1100, 1100), backlash=backlash).legs_to(target, start)
    except PositionOutsideLimits:
        pytest.fail("the limits leave room for every overshoot here")
    assert legs[-1] == target
    before_last = [start, *legs][-2]
    assert (target - before_last) * backlash >= 0
    assert len(legs) == 1 or abs(legs[0] - target) == abs(backlash)


@pytest.mark.parametrize("target", [1001, -1001, 9_999_999, 10**30])
def test_a_target_outside_the_limits_is_refused_with_value_and_range(target: int) -> None:
    with pytest.raises(PositionOutsideLimits, match=r"-1000 to \+1000") as caught:
        axis().legs_to(target, 0)
    assert caught.value.value == target and caught.value.code == 6


def test_an_overshoot_outside_the_limits_is_refused() -> None:
    with pytest.raises(PositionOutsideLimits, match="backlash"):
        axis(backlash=100).legs_to(-950, 0)


@given(st.integers(0, 60_000), st.floats(0.0, 30.0))
def test_a_motor_at_its_speed_never_jumps(way: int, elapsed_s: float) -> None:
    one = axis()
    one.sample = sample(way, 0)
    now = min(way, int(elapsed_s * SPEED))
    assert not one.jumped(sample(way, now, 100.0 + elapsed_s), SPEED)


@pytest.mark.parametrize(
    "reading",
    [
        sample(1000, 1000, 100.5),  # arrived far too early: the controller has lost its power
        sample(1000, 99, 100.5),  # went backwards
        sample(1000, 1001, 101.0),  # went past its target
        sample(900, 130, 100.5),  # another target than it was told
    ],
)
def test_what_no_motor_does_is_a_jump(reading: Sample) -> None:
    one = axis()
    one.sample = sample(1000, 100)
    assert one.jumped(reading, SPEED)


@pytest.mark.parametrize("reading", [sample(5, 5), sample(-5, -5), sample(0, 1)])
def test_a_motor_at_rest_that_moves_is_a_jump(reading: Sample) -> None:
    one = axis()
    one.sample = sample(0, 0)
    assert one.jumped(reading, SPEED)


def test_the_next_reading_is_due_at_the_predicted_arrival_or_after_the_delay() -> None:
    one = axis()
    assert one.next_reading_at(0.5, SPEED) is None
    one.sample = sample(610, 0)
    assert one.next_reading_at(0.5, SPEED) == pytest.approx(100.5)
    one.sample = sample(610, 600)
    assert one.next_reading_at(0.5, SPEED) == pytest.approx(100.0 + 10 / SPEED, abs=0.02)
