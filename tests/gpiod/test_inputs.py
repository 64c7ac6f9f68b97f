"""Inputs: readings and events."""

from __future__ import annotations

import pytest
import waiting
from gpio_bench import Bench

from observatory_gpiod.devices import table


def test_every_input_has_its_events_and_state(bench: Bench) -> None:
    for type in table.TYPES.values():
        if type.is_output or type.name in ("LightSensor", "DistanceSensor", "RotaryEncoder"):
            continue
        device = bench.open(type.name, **({"queue_len": 1} if "Sensor" in type.name else {}))
        waiting.until(lambda device=device: device.state()["active"] is not None, 5, "a reading")
        bench.clear()
        idle = device.config.parameters["pull_up"]
        for count, level in enumerate((not idle, idle, not idle), 1):
            (bench.pin(4).drive_high if level else bench.pin(4).drive_low)()
            waiting.until(lambda d=device, wanted=level != idle: d.state()["active"] == wanted, 5, "the reading")
            waiting.until(lambda count=count: len(bench.events) == count, 5, "the event")
        declared_events = {event.name for event in type.events}
        assert set(bench.names()) <= declared_events
        assert set(bench.names()) >= declared_events - {"when_held", "edges_lost"}, type.name
        assert all(set(data) >= {"active", "value"} for _, data in bench.events)
        device.close()


def test_a_button_is_held(bench: Bench) -> None:
    device = bench.open("Button", hold_time=0.05)
    bench.pin(4).drive_low()
    waiting.until(lambda: "when_held" in bench.names(), 5, "the hold")
    assert device.state()["is_held"] and device.state()["value"] == 1
    bench.pin(4).drive_high()
    assert bench.names() == ["when_pressed", "when_held", "when_released"]


def test_a_knob_counts(bench: Bench) -> None:
    device = bench.open("RotaryEncoder", max_steps=2, bounce_time=0.001)
    assert bench.pin(20).bounce == 0.001
    clockwise = [(20, False), (21, False), (20, True), (21, True)]
    for pin, high in clockwise * 3:
        (bench.pin(pin).drive_high if high else bench.pin(pin).drive_low)()
    assert [data["steps"] for name, data in bench.events if name == "when_rotated"] == [-1, -2, -2] or device.state()[
        "steps"
    ] == 2
    assert abs(device.state()["value"]) == 1
    assert {"when_rotated"} < set(bench.names())


@pytest.mark.filterwarnings("ignore::gpiozero.exc.DistanceSensorNoEcho")
def test_a_sensor_without_echo_invents_no_distance(bench: Bench) -> None:
    device = bench.open("DistanceSensor", queue_len=1)
    assert device.state() | {"since": None} == {
        "type": "DistanceSensor",
        "label": None,
        "since": None,
        "running": None,
        "job": None,
        "value": None,
        "active": None,
        "active_time_s": None,
        "distance_m": None,
        "reading_age_s": None,
    }
