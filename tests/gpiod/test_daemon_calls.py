"""Every type of device and every method, through the daemon: from JSON to the history of the board's lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
from following import done, events_named, last_event
from gpio_bench import PINS, assert_states
from gpio_cases import CASES, NAMING, Case

from observatory_gpiod.devices.declared import declared
from observatory_gpiod.devices.table import TYPES

HARDWARE_PWM = (12, 13, 18, 19)


def device_of(number: int, case: Case) -> tuple[dict[str, Any], list[str]]:
    """The device of a case as a config has it, and which of its keys name pins (as the case has them)."""
    data = {"id": f"case{number}", "type": case[0], **PINS.get(case[0], {"pin": 4}), **case[1]}
    kind = TYPES[case[0]]
    return data, [key for key in (*kind.pins, *kind.optional_pins) if key in data]


def packed() -> list[dict[int, dict[int, int]]]:
    """Boards, each with cases whose devices fit onto it: the number of the case, and where its pins have gone."""
    boards: list[dict[int, dict[int, int]]] = []
    free: list[set[int]] = []
    for number, case in sorted(enumerate(CASES), key=lambda item: item[1][0] != "ServoPWM"):
        data, keys = device_of(number, case)
        allowed = set(HARDWARE_PWM if case[0] == "ServoPWM" else range(28))
        place = next((n for n, left in enumerate(free) if len(left & allowed) >= len(keys)), len(boards))
        if place == len(boards):
            boards.append({})
            free.append(set(range(28)))
        boards[place][number] = dict(zip((data[key] for key in keys), sorted(free[place] & allowed), strict=False))
        free[place] -= set(boards[place][number].values())
    return boards


BOARDS = packed()
PLACED = [(board, number) for board, cases in enumerate(BOARDS) for number in cases]


@pytest.fixture(scope="module")
def gpiod(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpio_daemon.Gpiod]:
    """A daemon with one board's share of the cases."""
    devices = []
    for number, pins in BOARDS[request.param].items():
        data, keys = device_of(number, CASES[number])
        devices.append(data | {key: pins[data[key]] for key in keys})
    with gpio_daemon.daemon(tmp_path_factory.mktemp("board"), devices) as running:
        yield running


def test_the_boards_hold_all_cases() -> None:
    assert sorted(number for _, number in PLACED) == list(range(len(CASES)))
    assert all(declared(device_of(number, case)[0])[0] is not None for number, case in enumerate(CASES))


def name_of(placed: tuple[int, int]) -> str:
    type, given, before, method, arguments, _ = CASES[placed[1]]
    return "-".join([type, *map(str, given.values()), *(name for name, _ in before), method, *arguments])


@pytest.mark.parametrize(("gpiod", "number"), PLACED, indirect=["gpiod"], scope="module", ids=map(name_of, PLACED))
def test_a_method_gives_the_history_of_its_lines(gpiod: gpio_daemon.Gpiod, number: int, machine_lag: Any) -> None:
    type, _, before, method, arguments, expected = CASES[number]
    id, pins = f"case{number}", BOARDS[[number in board for board in BOARDS].index(True)][number]
    with gpiod.connect() as gpio:
        for name, values in before:
            job = gpio.invoke("call", id, name, values)
            if job is not None:
                done(gpio, job)
        known = last_event(gpio)
        start = gpiod.board.state()
        job = gpio.invoke("call", id, method, arguments)
        if job is not None:
            assert job["kind"] == f"{id}.{method}" and job["expected_end"] is not None
            done(gpio, job)
        for pin, states in expected.items():
            assert_states(gpiod.board.went(pins[pin], start), states, machine_lag.seconds)
        state = gpio.state(id)
        assert (state["running"], state["type"], state["error"]) == (None, type, None)
        assert state["set_by"] == "LocalHost (127.0.0.1)"
        events = [event for event in events_named(gpio, after=known) if event["source"] == id]
        (described,) = gpio.describe(id)
    declared_data = {event["name"]: set(event["data"]) for event in described["events"]}
    assert all(set(event["data"]) == declared_data[event["name"]] for event in events)
    told = [event["data"]["value"] for event in events if event["name"] == "changed"]
    assert told == [] or told[-1] == state["value"]
    changed = any(len(states) > 1 for states in expected.values())
    assert bool(told) == (changed or method in NAMING)


def test_a_tone_has_its_frequency_on_the_line(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "horn", "type": "TonalBuzzer", "pin": 4}]) as gpiod, gpiod.connect() as gpio:
        for tone, frequency_hz in ((69, 440), ("A3", 220)):
            gpio.invoke("call", "horn", "play", {"tone": tone})
            assert gpiod.board.line(4)["frequency_hz"] == pytest.approx(frequency_hz, rel=0.01)
