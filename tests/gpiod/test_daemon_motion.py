"""Steppers and servos through the daemon: where they are, and what is known of it after whatever happens."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import done, events_named, finished, last_event
from gpio_cases import TURNS
from small_disk import SmallDisk

from observatory_common.errors import CommandFailed, Uncertain
from observatory_common.rpc.client import RemoteDaemon
from observatory_gpiod.devices.stepper import SEQUENCE

COILS = [5, 6, 7, 8]
STEPPER = {"id": "wheel", "type": "StepperMotor", **{f"in{n + 1}": pin for n, pin in enumerate(COILS)}}
GEARED = STEPPER | {"gear_reduction": 4}
FLAP = {"id": "flap", "type": "AngularServo", "pin": 12}
NEEDLE = {"id": "needle", "type": "Servo", "pin": 13}
WIRING = [{"type": "stepper", "pins": COILS, "gear_reduction": 4}, {"type": "servo", "pin": 12}]
FULL_STEPS = [
    {"id": "other", "type": "StepperMotor", "in1": 20, "in2": 21, "in3": 22, "in4": 23, "gear_reduction": 4, "mode": 1}
]


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gpio_daemon.Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("motion"), [GEARED, FLAP, *FULL_STEPS], WIRING) as running:
        yield running


def shaft(gpiod: gpio_daemon.Gpiod) -> float:
    """Where the motor's shaft really is, in degrees."""
    return float(gpiod.board.wired("stepper")["angle"])


def coils_went(
    gpiod: gpio_daemon.Gpiod, pins: list[int], start: dict[str, Any], halves: int = 1
) -> tuple[list[int], list[int]]:
    """The phases (0 to 7) of the coils since a `state()`, that of then first, and when each came (ns).

    Of full steps (`halves` 2) only where two coils are on: they are switched one after the other.
    """
    levels = {pin: start["lines"][pin]["level"] for pin in pins}
    phases, at_ns = [SEQUENCE.index(tuple(levels.values()))], [start["now_ns"]]
    for change in gpiod.board.history(after=start["last"]):
        if change["pin"] in levels:
            levels[change["pin"]] = change["level"]
            phase = SEQUENCE.index(tuple(levels.values())) if tuple(levels.values()) in SEQUENCE else None
            if phase is not None and (halves == 1 or phase % 2):
                phases.append(phase)
                at_ns.append(change["at_ns"])
    return phases, at_ns


def legs(method: str, arguments: dict[str, Any], steps: int, degrees_per_step: float) -> list[int]:
    """By how many steps a method of TURNS turns one after the other, from 0."""
    if method != "wipe":
        return [steps]
    start, end = (round(arguments[name] / degrees_per_step) for name in ("angle_from", "angle_to"))
    return [start, end - start, start - end, -start]


@pytest.mark.parametrize(("method", "arguments", "steps"), TURNS)
def test_a_stepper_turns(method: str, arguments: dict[str, Any], steps: int, gpiod: gpio_daemon.Gpiod) -> None:
    with gpiod.connect() as gpio:
        for id, pins, halves in (("wheel", COILS, 1), ("other", [20, 21, 22, 23], 2)):
            done(gpio, gpio.invoke("call", id, "step"))  # the coils have current, in a phase that can be seen
            gpio.invoke("call", id, "zero")
            known, start, before = last_event(gpio), gpiod.board.state(), shaft(gpiod)
            result = done(gpio, gpio.invoke("call", id, method, arguments))
            wanted = steps if "step" in method else round(steps / halves)
            degrees = wanted * 5.625 * halves / 4
            missed = result["missed_deadlines"]
            assert result == {
                "angle": degrees,
                "position_steps": wanted,
                "outcome": "arrived",
                "missed_deadlines": missed,
            }
            state = gpio.state(id)
            assert (state["position"], state["position_steps"], state["position_certain"]) == (degrees, wanted, True)
            names = [event["name"] for event in events_named(gpio, after=known) if event["source"] == id]
            assert names == ["moving", "moved"]
            phases, _ = coils_went(gpiod, pins, start, halves)
            turned = [
                halves if leg > 0 else -halves
                for leg in legs(method, arguments, wanted, 5.625 * halves / 4)
                for _ in range(abs(leg))
            ]
            assert [(b - a + 4) % 8 - 4 for a, b in pairwise(phases)] == turned, "each step, and its direction"
            assert phases[-1] == SEQUENCE.index(tuple(gpiod.board.line(pin)["level"] for pin in pins))
            if id == "wheel":
                assert (shaft(gpiod) - before - degrees) % 360 == pytest.approx(0, abs=5.625 / 4)


def test_naming_holding_and_freeing_a_stepper(gpiod: gpio_daemon.Gpiod) -> None:
    with gpiod.connect() as gpio:
        done(gpio, gpio.invoke("call", "wheel", "rotate", {"angle": 45}))
        start = gpiod.board.state()
        assert gpio.invoke("call", "wheel", "set_position", {"angle": 180}) is None
        assert gpio.state("wheel")["position"] == pytest.approx(180, abs=0.8)
        gpio.invoke("call", "wheel", "stop")
        gpio.invoke("call", "wheel", "zero")
        assert gpio.state("wheel")["position_steps"] == 0
        assert gpiod.board.history(after=start["last"]) == []
        gpio.invoke("call", "wheel", "off")
        assert [gpiod.board.line(pin)["level"] for pin in COILS] == [0, 0, 0, 0]


def test_the_stepper_reports_how_late_it_was(gpiod: gpio_daemon.Gpiod, machine_lag: Any) -> None:
    with gpiod.connect() as gpio:
        done(gpio, gpio.invoke("call", "wheel", "step"))
        gpio.invoke("call", "wheel", "zero")
        start = gpiod.board.state()
        job = gpio.invoke("call", "wheel", "wipe", {"angle_from": 0, "angle_to": 90, "speed": 0.9})
        result = done(gpio, job)
        _, at_ns = coils_went(gpiod, COILS, start)
        intervals_s = [(b - a) / 1e9 for a, b in pairwise(at_ns[1:])]
        assert len(intervals_s) == 127
        late_s = machine_lag.seconds * (1 + result["missed_deadlines"])
        assert statistics.median(intervals_s) == pytest.approx(0.0049, abs=0.0012 + machine_lag.seconds)
        assert max(intervals_s) < 0.0049 + 0.05 + late_s
        took_s = sum(intervals_s)  # 128 steps of 4.9 ms
        assert took_s == pytest.approx(127 * 0.0049, abs=0.05 + late_s)
        assert gpio.state("wheel")["missed_deadlines"] >= result["missed_deadlines"]


def far(gpio: RemoteDaemon, gpiod: gpio_daemon.Gpiod) -> dict[str, Any]:
    """A long turn that has begun."""
    edges = gpiod.board.line(COILS[1])["edges"]
    job: dict[str, Any] = gpio.invoke("call", "wheel", "rotate", {"angle": 3600})
    waiting.until(lambda: gpiod.board.line(COILS[1])["edges"] > edges + 4, 10, "some steps")
    return job


def settle(gpio: RemoteDaemon) -> None:
    """Name all positions."""
    gpio.invoke("call", "wheel", "zero")
    gpio.invoke("call", "flap", "mid")
    gpio.invoke("call", "needle", "mid")


def journalled(folder: Path) -> dict[str, Any]:
    """The positions on disk."""
    return dict(json.loads((folder / "journal.json").read_text())["positions"])


def arrived(folder: Path, *servos: str) -> None:
    """Wait until servos count as arrived."""
    waiting.until(lambda: all(journalled(folder)[id]["certain"] for id in servos), 10, f"{servos} to arrive")


DEVICES = [GEARED, FLAP | {"on_start": "keep"}, NEEDLE | {"on_start": "keep"}]


def test_positions_are_known_after_an_end_and_uncertain_after_a_crash(tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod:
        with gpiod.connect() as gpio:
            assert gpio.state("wheel")["position_certain"] is False, "nobody has said where it is"
            assert (gpio.state("flap")["position"], gpio.state("flap")["position_certain"]) == (None, False)
            settle(gpio)
            gpio.invoke("call", "flap", "angle", {"angle": 30})
            gpio.invoke("call", "needle", "value", {"value": 0.5})
            arrived(gpiod.state_folder, "flap", "needle")
            far(gpio, gpiod)
        assert gpiod.terminate() == 0
        # the end stopped the turn, and wrote down where
        kept = journalled(gpiod.state_folder)
        assert kept["wheel"]["certain"] and kept["wheel"]["value"] == pytest.approx(shaft(gpiod), abs=1.5)
        gpiod.start()
        with gpiod.connect() as gpio:
            state = gpio.state("wheel")
            assert (state["position"], state["position_certain"]) == (kept["wheel"]["value"], True)
            assert (gpio.state("flap")["position"], gpio.state("flap")["value"]) == (30, 30)
            assert (gpio.state("needle")["position"], gpio.state("needle")["position_certain"]) == (0.5, True)
            assert gpiod.board.wired("servo")["angle"] == pytest.approx(30)
            done(gpio, gpio.invoke("call", "wheel", "rotate_to", {"target": kept["wheel"]["value"] + 10}))
        gpiod.kill()  # at rest
        gpiod.start()
        with gpiod.connect() as gpio:
            assert gpio.state("wheel")["position_certain"] and gpio.state("flap")["position_certain"]
            far(gpio, gpiod)
        gpiod.kill()  # in mid-turn
        gpiod.start()
        with gpiod.connect() as gpio:
            assert gpio.state("wheel")["position_certain"] is False
            assert gpio.state("flap")["position_certain"] is True
            start = gpiod.board.state()
            for method, arguments in (("rotate_to", {"target": 0}), ("swing", {}), ("wipe", {})):
                with pytest.raises(Uncertain, match="call zero or set_position"):
                    gpio.invoke("call", "wheel", method, arguments)
            assert gpiod.board.history(after=start["last"]) == []
            done(gpio, gpio.invoke("call", "wheel", "rotate_by", {"angle": 10}))  # as calibrating does
            assert gpio.state("wheel")["position_certain"] is False
            gpio.invoke("call", "wheel", "set_position", {"angle": 45})
            assert gpio.state("wheel")["position_certain"] is True
            done(gpio, gpio.invoke("call", "wheel", "rotate_to", {"target": 0}))
        gpiod.kill()
        gpiod.start()
        with gpiod.connect() as gpio:
            assert (gpio.state("wheel")["position"], gpio.state("wheel")["position_certain"]) == (0, True)


def test_a_move_that_cannot_be_written_down_is_not_made(tmp_path: Path) -> None:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    with SmallDisk(mount_point, 2) as disk:
        where = {"inside": disk, "state_home": mount_point}
        with gpio_daemon.daemon(tmp_path, DEVICES, WIRING, **where) as gpiod, gpiod.connect() as gpio:

            def cover() -> None:
                disk.cover(gpiod.state_folder)

            settle(gpio)
            arrived(disk.path / "observatory/gpiod/test", "flap", "needle")
            for make_unwritable, why in ((disk.fill, "No space left"), (cover, "Read-only")):
                make_unwritable()
                start = gpiod.board.state()
                for device, method, arguments in (
                    ("wheel", "rotate", {"angle": 10}),
                    ("wheel", "rotate_to", {"target": 10}),
                    ("flap", "angle", {"angle": 10}),
                    ("needle", "max", {}),
                ):
                    for options in ({}, {"request_id": f"{why} {device} {method}"}):
                        with pytest.raises(CommandFailed, match=f"cannot be kept: .*{why}"):
                            gpio.invoke("call", device, method, arguments, **options)
                assert gpiod.board.history(after=start["last"]) == []
                assert gpio.state("wheel")["position_certain"] and gpio.state("wheel")["running"] is None
                if make_unwritable == disk.fill:
                    (disk.path / "filler.bin").unlink()
                    done(gpio, gpio.invoke("call", "wheel", "rotate", {"angle": 10}))


def test_a_servo_that_was_on_its_way_is_uncertain_after_a_crash(tmp_path: Path) -> None:
    slow = {"id": "slow", "type": "ServoPWM", "pin": 18, "speed": 20, "on_start": "keep"}
    with gpio_daemon.daemon(tmp_path, [FLAP | {"on_start": "keep"}, slow], WIRING[1:]) as gpiod:
        with gpiod.connect() as gpio:
            gpio.invoke("call", "flap", "angle", {"angle": -80})
            arrived(gpiod.state_folder, "flap")
            gpio.invoke("call", "flap", "angle", {"angle": 80})
            gpio.invoke("call", "slow", "rotate_to", {"angle": 90})
        gpiod.kill()
        start = gpiod.board.state()
        gpiod.start()
        with gpiod.connect() as gpio:
            for id in ("flap", "slow"):
                state = gpio.state(id)
                assert (state["value"], state["position_certain"]) == (None, False), id
            # a line that the kill has left high begins so: a level, no pulses
            duties = {change["duty"] for change in gpiod.board.history(after=start["last"])}
            assert duties <= {None, 0, 1}, "nothing is driven"
            gpio.invoke("call", "flap", "angle", {"angle": 80})
            arrived(gpiod.state_folder, "flap")


def test_a_servo_that_idles_has_no_pulses_once_it_is_where_the_start_sent_it(tmp_path: Path) -> None:
    idle = {"id": "idle", "type": "ServoPWM", "pin": 18, "speed": 0.4, "idle_off": True, "initial_angle": 45}
    with gpio_daemon.daemon(tmp_path, [idle]) as gpiod, gpiod.connect() as gpio:
        waiting.until(lambda: gpio.state("idle")["value"] is None, 10, "the pulses to end")
        state = gpio.state("idle")
        assert (state["position"], state["position_certain"], state["set_by"]) == (45, True, "idle_off")
        assert [event["data"]["cause"] for event in events_named(gpio, "changed")] == ["on_start", "idle_off"]
        assert gpiod.board.line(18)["duty"] in (None, 0)


def test_what_needs_no_memory_is_done_on_a_full_disk(tmp_path: Path) -> None:
    mount_point = tmp_path / "small"
    mount_point.mkdir()
    lamp = {"id": "lamp", "type": "LED", "pin": 20}
    with SmallDisk(mount_point, 2) as disk:
        where = {"inside": disk, "state_home": mount_point}
        with gpio_daemon.daemon(tmp_path, [GEARED, FLAP, NEEDLE, lamp], WIRING, **where) as gpiod, gpiod.connect() as gpio:
            settle(gpio)
            gpio.invoke("call", "flap", "angle", {"angle": 30})
            far(gpio, gpiod)
            disk.fill()
            calls = [("lamp", "on"), ("lamp", "toggle"), ("wheel", "stop"), ("wheel", "off"), ("flap", "detach")]
            for number, (id, method) in enumerate(calls):
                job = gpio.invoke("call", id, method, request_id=f"r{number}")
                assert job["state"] == "succeeded", (id, method)
            with pytest.raises(CommandFailed, match="No space left"):
                gpio.invoke("call", "wheel", "rotate_by", {"angle": 10}, request_id="move")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "positions": {"wheel": {"value": "far"}}, "requests": {}}'],
)
def test_a_torn_journal_makes_every_position_uncertain(text: str, tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES, WIRING) as gpiod:
        with gpiod.connect() as gpio:
            settle(gpio)
        assert gpiod.terminate() == 0
        (gpiod.state_folder / "journal.json").write_text(text)
        gpiod.start()
        with gpiod.connect() as gpio:
            for id in ("wheel", "flap", "needle"):
                assert gpio.state(id)["position_certain"] is False
            assert gpiod.board.wired("servo")["pulse_s"] is None and shaft(gpiod) == 0
            with pytest.raises(Uncertain):
                gpio.invoke("call", "wheel", "rotate_to", {"target": 0})
            settle(gpio)
            assert gpio.state("flap")["position_certain"] and gpio.state("wheel")["position_certain"]
        assert sum("the journal cannot be read" in line for line in gpiod.log_lines()) == 1


def test_a_stopped_turn_tells_where_it_came_to(gpiod: gpio_daemon.Gpiod) -> None:
    with gpiod.connect() as gpio:
        gpio.invoke("call", "wheel", "zero")
        for end in (lambda job: gpio.invoke("call", "wheel", "stop"), lambda job: gpio.cancel(job["id"])):
            before, position = shaft(gpiod), gpio.state("wheel")["position"]
            job = far(gpio, gpiod)
            end(job)
            ended = finished(gpio, job)
            assert (ended["state"], ended["result"]["outcome"]) == ("stopped", "stopped")
            state = gpio.state("wheel")
            assert state["position"] == ended["result"]["angle"] and state["position_certain"]
            turned = state["position"] - position
            assert 0 < turned < 3600 and shaft(gpiod) - before == pytest.approx(turned, abs=1.5)
