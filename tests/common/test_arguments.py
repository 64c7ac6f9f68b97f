"""Arguments as they may come over the wire: the right ones pass unchanged, all others are refused by name and value.

And times as they go over it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory_common import arguments, timestamps
from observatory_common.errors import InvalidArgument

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
LONGEST_SHOWN = 2000


def assert_refused(check: Callable[..., Any], value: Any, *limits: Any) -> None:
    """The refusal names the argument, the value, and what is allowed; and is what a Python user would catch."""
    with pytest.raises(InvalidArgument) as refused:
        check("steps", value, *limits)
    error = refused.value
    assert str(error) == f"steps is {arguments.shown(value)}, expected {error.allowed}"
    assert error.value == arguments.shown(value)
    assert isinstance(error, ValueError)
    assert isinstance(error, TypeError)


class Sly(int):
    """An int that is not to be trusted with the comparison of its own value."""

    def __le__(self, other: Any) -> bool:
        return True

    __ge__ = __le__


@given(st.integers(-10, 10), st.integers(0, 20), ANYTHING)
def test_a_whole_number_is_an_int_in_its_range_and_nothing_else(minimum: int, width: int, value: Any) -> None:
    maximum = minimum + width
    for right in (minimum, maximum, minimum + width // 2):
        assert arguments.whole_number("steps", right, minimum, maximum) is right
    for wrong in (minimum - 1, maximum + 1, float(minimum), str(minimum), Sly(minimum), [minimum]):
        assert_refused(arguments.whole_number, wrong, minimum, maximum)
    if type(value) is not int or not minimum <= value <= maximum:
        assert_refused(arguments.whole_number, value, minimum, maximum)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", b"1", None, [1], Sly(1)])
def test_no_bool_and_no_float_is_a_whole_number(value: Any) -> None:
    assert_refused(arguments.whole_number, value, 0, 1)
    assert_refused(arguments.integer, value, "a whole number")


def test_an_integer_may_have_any_size() -> None:
    for value in (0, -1, 10**5000):
        assert arguments.integer("steps", value, "anything") is value


@given(st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9))
def test_a_number_in_its_range_passes_as_a_float(value: float) -> None:
    passed = arguments.number("seconds", value, -1e9, 1e9)
    assert type(passed) is float
    assert passed == value


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, -0.1, 10.1, 11, 10**5000, True, False, "1", None, [1.0]],
    ids=arguments.shown,
)
def test_no_number(value: Any) -> None:
    assert_refused(arguments.number, value, 0, 10)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_range_is_so_wide_that_it_has_what_is_not_finite(value: float) -> None:
    assert_refused(arguments.number, value, -math.inf, math.inf)


@pytest.mark.parametrize("value", [0, 1, "true", "", None, [], 0.0])
def test_a_flag_is_true_or_false_and_nothing_like_it(value: Any) -> None:
    assert arguments.flag("offset", True) is True
    assert arguments.flag("offset", False) is False
    assert_refused(arguments.flag, value)


def test_a_text_has_its_length() -> None:
    for right in ("x", "x" * 200, "\0", "ü"):
        assert arguments.text("id", right) is right
    assert arguments.text("id", "xxx", 3) == "xxx"
    for wrong in ("", "x" * 201, b"x", None, 7, ["x"], type("Text", (str,), {})("x")):
        assert_refused(arguments.text, wrong)
    assert_refused(arguments.text, "xxxx", 3)


@pytest.mark.parametrize("value", ["", "c", "A", "a,b", None, 1, ["a"], {}, b"a"])
def test_a_choice_is_one_of_the_allowed(value: Any) -> None:
    assert arguments.choice("side", "b", {"b", "a"}) == "b"
    assert_refused(arguments.choice, value, {"b", "a"})
    with pytest.raises(InvalidArgument, match=r"expected one of a, b$"):
        arguments.choice("side", value, ["b", "a"])


@given(ANYTHING)
def test_any_value_is_shown_and_in_short(value: Any) -> None:
    assert len(arguments.shown(value)) <= LONGEST_SHOWN


def nested(inner: Any, depth: int, width: int) -> Any:
    """Lists in lists."""
    for _ in range(depth):
        inner = [inner] * width
    return inner


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("x" * 1_000_000, id="long text"),
        pytest.param(b"x" * 1_000_000, id="long bytes"),
        pytest.param(list(range(100_000)), id="long list"),
        pytest.param({str(n): n for n in range(100_000)}, id="long dict"),
        pytest.param(10**5000, id="long number"),
        pytest.param([10**5000], id="long number in a list"),
        pytest.param({"a": -(10**5000)}, id="long number in a dict"),
        pytest.param(nested(1, 500, 1), id="deep list"),
        pytest.param(nested("x" * 60, 5, 7), id="deep and wide list"),
    ],
)
def test_a_value_of_any_size_is_shown_in_short(value: Any) -> None:
    assert len(arguments.shown(value)) <= LONGEST_SHOWN


AWARE = st.datetimes(
    datetime(1970, 1, 1),
    timezones=st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)


@given(AWARE.filter(lambda moment: 1 < moment.year < 9999))
def test_a_time_goes_over_the_wire_and_comes_back(moment: datetime) -> None:
    wire = timestamps.to_wire(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", wire)
    assert timestamps.from_wire(wire) == moment
    assert timestamps.from_wire(wire).tzinfo is UTC


@given(AWARE.filter(lambda moment: 1 < moment.year < 9999), st.timedeltas(timedelta(0), timedelta(days=1)))
def test_times_sort_as_their_texts_do(moment: datetime, later: timedelta) -> None:
    assert timestamps.to_wire(moment) <= timestamps.to_wire(moment + later)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        timestamps.to_wire(datetime(2026, 1, 2, 3, 4, 5))


def test_now_and_ahead_of_now() -> None:
    before = datetime.now(UTC)
    now, ahead = timestamps.from_wire(timestamps.utc_now()), timestamps.from_wire(timestamps.utc_now(90.5))
    after = datetime.now(UTC)
    assert before <= now <= after
    assert before <= ahead - timedelta(seconds=90.5) <= after


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.678901",
        "2026-01-02T03:04:05.678901+00:00",
        "2026-01-02 03:04:05.678901Z",
        "2026-13-02T03:04:05.678901Z",
        "2026-02-30T03:04:05.678901Z",
        "2026-01-02T24:04:05.678901Z",
        " 2026-01-02T03:04:05.678901Z",
        "2026-01-02T03:04:05.678901Z\n",
        "2026-01-02T03:04:05.6Z",
        "2026-1-2T3:4:5.678901Z",
    ],
)
def test_what_to_wire_did_not_write_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        timestamps.from_wire(text)
