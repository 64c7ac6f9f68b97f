"""The simulated board: as a model under a clock of the test's own, and as a program."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import boards
import jsonschema
import pytest

from observatory_common.config import load
from observatory_common.directory import Directory
from observatory_common.errors import Blocked, CommandFailed, DaemonNotReachable, InvalidArgument, InvalidConfig
from observatory_gpiod.simulator.board import QUERIES, REQUESTS, Board
from observatory_gpiod.simulator.clients import FAULTS, Clients
from observatory_gpiod.simulator.config import SCHEMA, TYPES, BoardConfig, parse

MS = 1_000_000
PAGE = Path(__file__).parents[2] / "docs" / "gpiod-simulator.md"


class Bench:
    """A board whose clock the test moves, with one client."""

    def __init__(self, *wiring: dict[str, Any], hold: bool = True, queue: int = 10_000, history: int = 100_000) -> None:
        self.now_ns = 0
        self.board = Board(BoardConfig(Path("unused"), hold, history, queue, wiring))
        self.clients = Clients(self.board, queue)
        self.client = self.clients.join("test", 1)
        self.board.start(0)

    def do(self, **wanted: Any) -> dict[str, Any]:
        return self.clients.operate(self.client, wanted, self.now_ns)

    def ask(self, **wanted: Any) -> dict[str, Any]:
        return self.board.request(wanted, self.now_ns)

    def run(self, ms: float) -> None:
        self.now_ns += round(ms * MS)
        self.board.timeline.run(self.now_ns, 1_000_000)

    def edges(self, pin: int) -> list[tuple[float, int]]:
        """Milliseconds and level of every change of a line."""
        return [(c["at_ns"] / MS, c["level"]) for c in self.ask(query="history", pin=pin)["changes"]]

    def truth(self) -> dict[str, Any]:
        return dict(self.ask(query="state")["wiring"][0])


def test_a_button_is_pressed_on_schedule_and_bounces() -> None:
    bench = Bench({"type": "button", "pin": 17, "at_s": [1], "for_s": 0.1, "bounces": 1, "bounce_s": 0.002})
    bench.do(claim=17, function="input", pull="up")
    bench.run(2000)
    bounced = [(1000, 0), (1001, 1), (1002, 0), (1100, 1), (1101, 0), (1102, 1)]
    assert bench.edges(17) == [(0, 1), *bounced]
    assert bench.truth()["presses"] == 1


def test_every_edge_is_reported_with_its_number_and_bounces_are_not() -> None:
    bench = Bench({"type": "button", "pin": 17, "every_s": 1, "for_s": 0.1, "bounces": 3, "bounce_s": 0.004})
    bench.do(claim=17, function="input", pull="up")
    bench.do(watch=17, bounce_s=0.01)
    bench.run(1500)
    settled = [(at_ns / MS, level, number) for _, at_ns, level, number in bench.client.events]
    assert [(level, number) for _, level, number in settled] == [(0, 1), (1, 2)]
    assert [at_ms for at_ms, _, _ in settled] == pytest.approx([1004 + 10, 1104 + 10], abs=0.01)
    bench.do(watch=17, edges="falling")
    bench.client.events.clear()
    bench.run(1000)
    assert [(level, number) for _, _, level, number in bench.client.events] == [(0, n) for n in range(3, 10)]


@pytest.mark.parametrize("kind", ["motion", "line"])
def test_a_sensor_drives_its_line_either_way(kind: str) -> None:
    bench = Bench({"type": kind, "pin": 9, "every_s": 10, "for_s": 3, "active": "low"})
    bench.run(24_000)
    assert bench.edges(9) == [(0, 1), (10_000, 0), (13_000, 1), (20_000, 0), (23_000, 1)]
    bench.ask(press=9, for_s=0.5)
    bench.run(600)
    assert bench.edges(9)[-2:] == [(24_000, 0), (24_500, 1)]


def test_the_echo_is_as_long_as_the_way() -> None:
    bench = Bench({"type": "distance", "trigger": 23, "echo": 24, "distance_cm": 100, "swing_cm": 50, "period_s": 40})

    def ping() -> float:
        bench.do(write=23, level=True)
        bench.now_ns += 10_000
        bench.do(write=23, level=False)
        begun_ms = bench.now_ns / MS
        bench.run(60)
        (rise_ms, _), (fall_ms, _) = bench.edges(24)[-2:]
        assert rise_ms - begun_ms == pytest.approx(0.5)
        return fall_ms - rise_ms

    bench.do(claim=23, function="output", level=False)
    assert ping() == pytest.approx(5.8, abs=0.01)
    bench.run(10_000 - bench.now_ns / MS)
    assert ping() == pytest.approx(1.5 * 5.8, abs=0.01)
    bench.ask(adjust=23, distance_cm=900)
    assert ping() == 38
    bench.do(write=23, level=True)
    bench.now_ns += 2000
    before = len(bench.edges(24))
    bench.do(write=23, level=False)
    bench.run(60)
    assert len(bench.edges(24)) == before  # a trigger of 2 us is none


def test_a_capacitor_charges_in_the_time_that_the_light_gives() -> None:
    bench = Bench({"type": "light", "pin": 18, "light": 0.75})
    bench.do(claim=18, function="output")
    bench.do(write=18, level=False)
    bench.run(100)
    bench.do(claim=18, function="input")
    bench.run(50)
    assert bench.edges(18)[-1] == (102.5, 1)


def test_a_loop_follows_and_an_input_keeps_to_its_pull() -> None:
    bench = Bench({"type": "loop", "from": 9, "to": 10})
    bench.do(claim=9, function="output", level=True)
    bench.do(claim=10, function="input", pull="up")
    bench.run(1)
    bench.do(write=9, level=False)
    assert (bench.edges(9), bench.edges(10)) == ([(0, 1), (1, 0)], [(0, 1), (1, 0)])
    assert [bench.do(claim=11, function="input", pull=pull)["level"] for pull in ("up", "floating", "down")] == [1, 1, 0]


def test_an_encoder_turns_by_steps() -> None:
    bench = Bench({"type": "encoder", "a": 20, "b": 21, "step_s": 0.02})
    for pin in (20, 21):
        bench.do(claim=pin, function="input", pull="up")
    bench.ask(turn=20, steps=1)
    bench.ask(turn=21, steps=-1)
    bench.run(100)
    assert bench.edges(20)[1:] == [(0, 0), (10, 1), (25, 0), (35, 1)]
    assert bench.edges(21)[1:] == [(5, 0), (15, 1), (20, 0), (30, 1)]


@pytest.mark.parametrize(("masks", "half_steps"), [((8, 12, 4, 6, 2, 3, 1, 9), 7), ((12, 6, 3, 9, 12), 9), ((9, 1, 0, 1), -2)])
def test_a_stepper_follows_its_coils(masks: tuple[int, ...], half_steps: int) -> None:
    pins = [12, 16, 25, 22]
    bench = Bench({"type": "stepper", "pins": pins})
    for pin in pins:
        bench.do(claim=pin, function="output", level=False)
    for mask in masks:
        for n, pin in enumerate(pins):
            bench.do(write=pin, level=bool(mask >> (3 - n) & 1))
    truth = bench.truth()
    assert (truth["half_steps"], truth["missed"]) == (half_steps, 0)
    assert truth["angle"] == pytest.approx(half_steps * 5.625 / 64)


def test_a_servo_follows_its_pulses() -> None:
    bench = Bench({"type": "servo", "pin": 13, "min_angle": 0, "max_angle": 180})
    bench.do(claim=13, function="output", level=False)
    for pulse_s, angle in ((0.001, 0), (0.0015, 90), (0.002, 180), (0.0025, 180)):
        bench.do(pwm=13, frequency_hz=50, duty=pulse_s * 50)
        assert bench.truth()["angle"] == pytest.approx(angle)
    bench.do(pwm=13, frequency_hz=None)
    assert bench.truth() == {"type": "servo", "pins": [13], "label": None, "angle": 180, "pulse_s": None}


@pytest.mark.parametrize("hold", [True, False])
def test_a_line_whose_client_is_gone_does_what_the_kernel_does(hold: bool) -> None:
    bench = Bench(hold=hold)
    bench.do(claim=17, function="output", level=True)
    bench.do(claim=13, function="output", level=False)
    bench.do(pwm=13, frequency_hz=100, duty=0.25)
    bench.run(12)
    bench.clients.leave(bench.client, bench.now_ns)
    lines = bench.ask(query="state")["lines"]
    assert {line["owner"] for line in lines} == {None}
    function = "output" if hold else "input"
    assert [(lines[pin]["function"], lines[pin]["level"], lines[pin]["duty"]) for pin in (17, 13)] == [
        (function, int(hold), None),
        (function, int(hold), None),
    ]
    assert lines[17]["edges"] == (1 if hold else 2)


def test_a_reader_that_does_not_read_loses_the_oldest_and_can_count_them() -> None:
    bench = Bench(queue=16)
    bench.do(claim=26, function="input", pull="down")
    bench.do(watch=26)
    bench.ask(toggle=26, edges=100, per_second=1000)
    bench.run(200)
    assert [number for *_, number in bench.client.events] == list(range(85, 101))
    assert bench.client.dropped == 84


def test_edges_are_lost_on_request_and_it_is_said() -> None:
    bench = Bench()
    bench.do(claim=26, function="input", pull="down")
    bench.do(watch=26)
    bench.clients.fault({"fault": "lose_edges", "pin": 26, "count": 3}, 0)
    bench.ask(toggle=26, edges=5, per_second=1000)
    bench.run(10)
    assert [(level, number) for _, _, level, number in bench.client.events] == [(None, 3), (0, 4), (1, 5)]


def test_a_line_has_one_owner() -> None:
    bench = Bench()
    other = bench.clients.join("other", 2)
    bench.do(claim=17, function="output", level=True)
    with pytest.raises(CommandFailed, match=r"line 17 has not been claimed by other \(process 2, client 2\)"):
        bench.clients.operate(other, {"write": 17, "level": False}, 0)
    with pytest.raises(Blocked, match=r"line 17 is used by test \(process 1, client 1\)"):
        bench.clients.operate(other, {"claim": 17, "function": "output"}, 0)
    assert bench.clients.operate(other, {"read": 17}, 0)["level"] == 1
    bench.clients.fault({"fault": "refuse_claim", "pin": 4}, 0)
    with pytest.raises(Blocked, match="line 4 is used by another program"):
        bench.do(claim=4, function="input")
    bench.do(claim=4, function="input")


def test_a_write_that_is_refused_changes_nothing() -> None:
    bench = Bench()
    bench.do(claim=17, function="output", level=True)
    bench.clients.fault({"fault": "refuse_write", "pin": 17, "count": 2}, 0)
    for wanted in ({"write": 17, "level": False}, {"pwm": 17, "frequency_hz": 100, "duty": 0}):
        with pytest.raises(CommandFailed, match="line 17 cannot be written"):
            bench.do(**wanted)
        assert bench.do(read=17)["level"] == 1
    assert bench.do(write=17, level=False)["level"] == 0


def test_the_history_is_bounded_and_says_what_is_gone() -> None:
    bench = Bench(history=1000)
    bench.ask(toggle=26, edges=1500, per_second=10_000)
    bench.run(200)
    answer = bench.ask(query="history", most=10)
    assert (answer["lost"], answer["next"], answer["last"], len(answer["changes"])) == (500, 510, 1500, 10)
    assert bench.ask(query="history", pin=25, after=1400)["next"] == 1500


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"query": "all"},
        {"set": 28, "level": True},
        {"set": 1, "level": 1},
        {"press": 17, "for_s": -1},
        {"toggle": 1, "edges": 0},
        {"turn": 20},
        {"adjust": 4, "light": 0.5},
        {"adjust": 23, "light": 0.5},
        {"adjust": 23, "distance_cm": float("nan")},
        {"query": "history", "after": -1},
        {"query": "history", "pin": True},
    ],
)
def test_requests_that_make_no_sense_are_refused(wanted: dict[str, Any]) -> None:
    bench = Bench({"type": "distance", "trigger": 23, "echo": 24})
    with pytest.raises(InvalidArgument):
        bench.ask(**wanted)


# the program


def test_the_program_serves_refuses_and_ends_well(tmp_path: Path) -> None:
    with boards.board(tmp_path, {"type": "button", "pin": 17, "label": "door"}) as board:
        assert board.wired("button") == {"type": "button", "pins": [17], "label": "door", "presses": 0}
        with pytest.raises(CommandFailed, match="fault is 'x', expected one of clear, lose_edges"):
            board.request(fault="x")
        done = subprocess.run(
            board.command("--request", '{"query": "history"}'),
            env=board.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert (done.returncode, json.loads(done.stdout)["lost"]) == (0, 0)
        second = subprocess.run(board.command(), env=board.env, capture_output=True, text=True, check=False, timeout=30)
        assert second.returncode == 78
        assert "belongs to a running daemon" in second.stderr
    assert not board.socket.exists()
    with pytest.raises(DaemonNotReachable):
        board.state()


@pytest.mark.parametrize(
    ("wiring", "said"),
    [
        ([{"type": "buton", "pin": 1}], r"\$\.wiring\[0\]\.type: \"buton\" is not one of \"button\""),
        ([{"type": "button", "pin": 28}], r"\$\.wiring\[0\]\.pin: 28 is not at most 27"),
        ([{"type": "button", "pinn": 1, "pin": 1}], r"\$\.wiring\[0\]\.pinn: unknown key"),
        ([{"type": "loop", "from": 1}], r"\$\.wiring\[0\]\.to: is missing"),
        ([{"type": "loop", "from": 1, "to": 1}], r"\$\.wiring\[0\]\.to: 1 is the line that it comes from"),
        (
            [{"type": "button", "pin": 1}, {"type": "motion", "pin": 1}],
            r"wiring\[1\]\.pin: 1 is driven by \$\.wiring\[0\]\.pin",
        ),
        ([{"type": "servo", "pin": 1, "min_pulse_s": 0.002}], r"min_pulse_s: 0.002 is not below max_pulse_s"),
    ],
)
def test_a_wrong_config_is_refused_with_its_place(wiring: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    path = tmp_path / "board.json"
    path.write_text(json.dumps({"socket": str(tmp_path / "socket"), "wiring": wiring}))

    directory = Directory.load()
    with pytest.raises(InvalidConfig, match=said):
        parse(load(path, SCHEMA, directory), directory)


# the page


def test_the_page_has_every_key_type_request_and_fault() -> None:
    text = PAGE.read_text()
    words = set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))
    assert set(SCHEMA["properties"]) | set(TYPES) | set(FAULTS) | set(REQUESTS) | set(QUERIES) <= words
    for name, (_, keys) in TYPES.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert set(keys) <= set(re.findall(r"`([^`]+)`", row)), name


def test_the_examples_of_the_page_are_valid() -> None:
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        jsonschema.validate(json.loads(block), SCHEMA)
