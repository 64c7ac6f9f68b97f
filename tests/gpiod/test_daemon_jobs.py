"""Long methods as jobs: cancelled, stopped, replaced, repeated; and what they leave behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpio_daemon
import pytest
import waiting
from following import done, finished
from gpio_bench import PINS
from gpio_cases import LONG
from gpio_daemon import Gpiod

from observatory_common.errors import (
    Blocked,
    CommandFailed,
    InvalidArgument,
    ObservatoryError,
    Stopped,
    Uncertain,
    UnknownMethod,
)
from observatory_common.rpc.client import RemoteDaemon

LAMP = 25


def devices() -> tuple[list[dict[str, Any]], dict[tuple[str, str], str]]:
    """A device of each type (and config) of LONG, and which is for which."""
    free = [pin for pin in range(28) if pin not in (18, LAMP)]
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for type, given, _, _ in LONG:
        if (type, str(given)) not in made:
            names = PINS.get(type, {"pin": 4})
            pins = {name: 18 if type == "ServoPWM" else free.pop() for name in names}
            made[type, str(given)] = {"id": f"long{len(made)}", "type": type, **pins, **given}
    return [*made.values(), {"id": "lamp", "type": "LED", "pin": LAMP}], {key: data["id"] for key, data in made.items()}


DEVICES, IDS = devices()


@pytest.fixture(scope="module")
def gpiod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpiod]:
    with gpio_daemon.daemon(tmp_path_factory.mktemp("jobs"), DEVICES) as running:
        yield running


@pytest.mark.parametrize(("type", "given", "method", "arguments"), LONG, ids=lambda x: str(x)[:30])
@pytest.mark.parametrize("how", ["stop", "cancel", "all_off"])
def test_whatever_is_long_is_a_job_and_ends_at_once(
    type: str, given: dict[str, Any], method: str, arguments: dict[str, Any], how: str, gpiod: Gpiod, machine_lag: Any
) -> None:
    id = IDS[type, str(given)]
    with gpiod.connect() as gpio:
        if type == "StepperMotor":
            gpio.invoke("call", id, "zero")
        elif type == "ServoPWM":
            done(gpio, gpio.invoke("call", id, "min"))
        last = gpiod.board.last()
        job = gpio.invoke("call", id, method, arguments)
        assert (job["kind"], job["state"], job["started_by"]) == (f"{id}.{method}", "running", "LocalHost (127.0.0.1)")
        waiting.until(lambda: gpiod.board.last() > last, 5, "something to happen")
        assert gpio.state(id)["running"] == method
        began_s = time.monotonic()
        ends: dict[str, Callable[[], Any]] = {
            "stop": lambda: gpio.invoke("call", id, "stop"),
            "cancel": lambda: gpio.cancel(job["id"]),
            "all_off": gpio.all_off,
        }
        ends[how]()
        ended = finished(gpio, job)
        assert time.monotonic() - began_s < 0.3 + machine_lag.seconds
        assert (ended["state"], ended["error"]) == ("stopped", None) and isinstance(ended["result"], dict)
        state = gpio.state(id)
        assert state["running"] is None
        if how == "all_off" or type not in ("ServoPWM", "StepperMotor"):
            assert not state["active"]
        last = gpiod.board.last()
        gpio.cancel(job["id"])  # of what has ended: nothing
        assert gpiod.board.last() == last


def test_another_call_takes_the_place_of_a_job(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        first = gpio.invoke("call", "lamp", "blink", {"on_time": 60})
        second = gpio.invoke("call", "lamp", "blink", {"on_time": 0.01, "off_time": 0.01, "n": 3})
        assert finished(gpio, first)["state"] == "stopped"
        ended = finished(gpio, second)
        assert (ended["state"], ended["result"], ended["progress"]) == ("succeeded", {"times": 3}, 1.0)
        third = gpio.invoke("call", "lamp", "on", {"duration": 60})
        with pytest.raises(InvalidArgument):
            gpio.invoke("call", "lamp", "on", {"duration": -1})
        assert gpio.job(third["id"])["state"] == "running", "a refused call ends nothing"
        assert gpio.invoke("call", "lamp", "on") is None
        assert finished(gpio, third)["state"] == "stopped" and gpiod.board.line(LAMP)["level"] == 1
        gpio.invoke("call", "lamp", "off")


def test_the_status_names_the_job_that_runs(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        assert gpio.report_status()["job_lamp"] is None
        for request_id in (None, "by its id"):
            job = gpio.invoke("call", "lamp", "blink", {"on_time": 60}, request_id=request_id)
            status = gpio.report_status()
            assert (status["running_lamp"], status["job_lamp"]) == ("blink", job["id"])
            assert gpio.state("lamp")["job"] == job["id"]
        gpio.cancel(status["job_lamp"])
        assert finished(gpio, job)["state"] == "stopped"
        status = gpio.report_status()
        assert (status["running_lamp"], status["job_lamp"]) == (None, None)


def test_a_job_that_fails_says_why(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        job = gpio.invoke("call", "lamp", "blink", {"on_time": 0.02, "off_time": 0.02})
        gpiod.board.request(fault="refuse_write", pin=LAMP, count=1)
        ended = finished(gpio, job)
        assert (ended["state"], ended["error"]["error"], ended["error"]["code"]) == ("failed", "CommandFailed", 1)
        assert "line 25 cannot be written" in ended["error"]["message"]
        gpio.invoke("call", "lamp", "off")
        assert gpiod.board.line(LAMP)["level"] == 0


def test_stop_works_while_twenty_clients_call(gpiod: Gpiod, machine_lag: Any) -> None:
    end = threading.Event()
    refusals: list[ObservatoryError] = []
    calls: list[tuple[Any, ...]] = [("blink", {"on_time": 0.01}), ("toggle",), ("on", {"duration": 60})]

    def busy(number: int) -> None:
        with gpiod.connect() as gpio:
            while not end.is_set():
                try:
                    gpio.invoke("call", "lamp", *calls[number % len(calls)])
                except ObservatoryError as error:
                    refusals.append(error)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    try:
        with gpiod.connect() as gpio:
            slowest_s = 0.0
            for _ in range(20):
                began_s = time.monotonic()
                gpio.invoke("call", "lamp", "stop")
                slowest_s = max(slowest_s, time.monotonic() - began_s)
    finally:
        end.set()
        for thread in threads:
            thread.join(20)
    assert all(isinstance(error, Stopped) for error in refusals) and slowest_s < 1 + machine_lag.seconds
    with gpiod.connect() as gpio:
        gpio.invoke("call", "lamp", "stop")
        assert (gpio.state("lamp")["running"], gpiod.board.line(LAMP)["level"]) == (None, 0)


# requests


def again(gpio: RemoteDaemon, method: str, arguments: dict[str, Any], request_id: Any) -> dict[str, Any]:
    answer: dict[str, Any] = gpio.invoke("call", "lamp", method, arguments, request_id=request_id)
    return answer


def test_a_repeated_request_is_done_once(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        twice = {"on_time": 0.01, "off_time": 0.01, "n": 2}
        for method, arguments, result in (("toggle", {}, None), ("blink", twice, {"times": 2})):
            first = again(gpio, method, arguments, f"one {method}")
            assert first["request_id"] == f"one {method}"
            ended = finished(gpio, first)
            assert (ended["state"], ended["result"]) == ("succeeded", result)
            last = gpiod.board.last()
            for _ in range(3):
                assert again(gpio, method, arguments, f"one {method}") == ended
            assert gpiod.board.last() == last
        gpio.invoke("call", "lamp", "off")


def test_a_request_that_many_make_at_once_is_done_once(gpiod: Gpiod) -> None:
    jobs: list[dict[str, Any]] = []

    def ask() -> None:
        with gpiod.connect() as gpio:
            jobs.append(again(gpio, "toggle", {}, "all at once"))

    edges = gpiod.board.line(LAMP)["edges"]
    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({job["id"] for job in jobs}) == 1 and len(jobs) == 10
    assert gpiod.board.line(LAMP)["edges"] == edges + 1
    with gpiod.connect() as gpio:
        gpio.invoke("call", "lamp", "off")


def test_a_refused_request_may_be_made_right(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        last = gpiod.board.last()
        for request_id in ("", "x" * 1000, 3, b"x", ["x"]):
            with pytest.raises(InvalidArgument, match="request_id is"):
                again(gpio, "toggle", {}, request_id)
        with pytest.raises(UnknownMethod):
            again(gpio, "tooggle", {}, "mended")
        with pytest.raises(InvalidArgument):
            again(gpio, "toggle", {"n": 1}, "mended")
        assert gpiod.board.last() == last
        assert again(gpio, "toggle", {}, "mended")["state"] == "succeeded"
        gpio.invoke("call", "lamp", "off")


def test_a_request_that_failed_stays_failed(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        gpiod.board.request(fault="refuse_write", pin=LAMP, count=1)
        with pytest.raises(CommandFailed, match="cannot be written"):
            again(gpio, "on", {}, "fails")
        job = again(gpio, "on", {}, "fails")
        assert (job["state"], job["error"]["code"], gpiod.board.line(LAMP)["level"]) == ("failed", 1, 0)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_request_of_an_earlier_run_is_uncertain_and_moves_nothing(how: str, tmp_path: Path) -> None:
    with gpio_daemon.daemon(tmp_path, [{"id": "lamp", "type": "LED", "pin": LAMP}]) as gpiod:
        with gpiod.connect() as gpio:
            again(gpio, "on", {}, "before")
            again(gpio, "blink", {}, "blinks")
        getattr(gpiod, how)()
        gpiod.start()
        last = gpiod.board.last()
        with gpiod.connect() as gpio:
            for request_id in ("before", "blinks", "before"):
                with pytest.raises(Uncertain, match="before gpiod was started again") as refused:
                    again(gpio, "on", {}, request_id)
                assert refused.value.code == 42
            assert gpiod.board.last() == last
            assert again(gpio, "on", {}, "after")["state"] == "succeeded"


# what is left behind


def test_calls_and_jobs_leave_no_threads_and_no_files(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        ids = [device["id"] for device in DEVICES if device["type"] not in ("ServoPWM", "StepperMotor", "TonalBuzzer", "Motor")]
        for id in ids:
            done(gpio, gpio.invoke("call", id, "on", {"duration": 0.001}))
        threads, files = gpiod.vitals.threads(), gpiod.vitals.open_files()
        for number in range(500):
            gpio.invoke("call", ids[number % len(ids)], "toggle")
        for number in range(50):
            done(gpio, gpio.invoke("call", ids[number % len(ids)], "on", {"duration": 0.001}))
        gpio.all_off()
        waiting.until(lambda: gpiod.vitals.threads() <= threads, 10, f"{threads} threads again")
        waiting.until(lambda: gpiod.vitals.open_files() <= files, 10, f"{files} files again")


def test_the_daemon_ends_in_time_whatever_runs(tmp_path: Path, machine_lag: Any) -> None:
    with gpio_daemon.daemon(tmp_path, DEVICES) as gpiod:
        with gpiod.connect() as gpio:
            waited: list[dict[str, Any]] = []
            for type, given, method, arguments in LONG:
                if method not in ("swing", "wipe"):  # a stepper of which nobody knows where it is
                    job = gpio.invoke("call", IDS[type, str(given)], method, arguments)

            def wait() -> None:
                with gpiod.connect() as other:
                    try:
                        waited.append(other.wait(job["id"], 10))
                    except ObservatoryError:
                        pass  # the answer may be lost with the daemon; what counts is that nobody hangs

            waiter = threading.Thread(target=wait)
            waiter.start()
            began_s = time.monotonic()
            assert gpiod.terminate() == 0
            assert time.monotonic() - began_s < 5 + machine_lag.seconds
            waiter.join(10)
            assert not waiter.is_alive() and all(job["state"] == "stopped" for job in waited)
        assert all(line["owner"] is None for line in gpiod.board.state()["lines"])


def test_initialize_and_shutdown_while_everybody_calls(gpiod: Gpiod) -> None:
    with gpiod.connect() as gpio:
        for _ in range(3):
            job = gpio.invoke("call", "lamp", "blink", {"on_time": 0.01, "off_time": 0.01})
            gpio.shutdown()
            assert finished(gpio, job)["state"] == "stopped"
            with pytest.raises((ConnectionError, Blocked)):
                gpio.invoke("call", "lamp", "on")
            gpio.initialize()
