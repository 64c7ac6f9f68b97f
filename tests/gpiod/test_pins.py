"""Names of pins."""

from __future__ import annotations

from typing import Any

import pytest

from observatory_common.errors import InvalidArgument
from observatory_gpiod.pins import gpio_number, pin_name


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("GPIO17", 17),
        ("gpio17", 17),
        ("17", 17),
        (17, 17),
        ("GPIO0", 0),
        (0, 0),
        ("27", 27),
        ("BOARD11", 17),
        ("board11", 17),
        ("BOARD3", 2),
        ("BOARD12", 18),
        ("BOARD13", 27),
        ("BOARD27", 0),
        ("BOARD40", 21),
    ],
)
def test_a_pin_has_several_names(name: Any, number: int) -> None:
    assert gpio_number(name) == number


def test_the_header_has_28_gpios() -> None:
    found = set()
    for position in range(1, 41):
        try:
            found.add(gpio_number(f"BOARD{position}"))
        except InvalidArgument:
            continue
    assert found == set(range(28))
    assert [pin_name(number) for number in (0, 27)] == ["GPIO0", "GPIO27"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("BOARD1", "is 3V3, no GPIO, .* did you mean BOARD3 .GPIO2.?"),
        ("BOARD6", "is GND, no GPIO, .* did you mean BOARD"),
        ("BOARD41", "is not on the header of 40 pins, .* did you mean BOARD40 .GPIO21."),
        ("BOARD0", "is not on the header"),
        ("GPIO28", "is no GPIO of the header, .* did you mean GPIO27?"),
        (28, "did you mean GPIO27?"),
        (-1, "did you mean GPIO0?"),
        ("9999", "did you mean GPIO27?"),
        (10**400, "did you mean GPIO27?"),
        *((wrong, "names no pin") for wrong in ("", " 17", "17 ", "GPIO", "PIN17", "GPIO-1", "١٧", "J8:11", "GPIO017x")),
        *((wrong, "names no pin") for wrong in (True, None, 17.0, [17], {}, b"17", float("nan"))),
    ],
)
def test_what_is_no_gpio_is_refused_with_the_nearest(name: Any, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as refused:
        gpio_number(name)
    assert "GPIO0 to GPIO27" in (refused.value.allowed or "")
