"""What stops something overtakes what waits, and is tried whatever webd thinks of the daemon."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import waiting
import webd

DEVICES = "/api/v1/gpios/gpio1/devices"
#: As many calls as a daemon's threads and queue in webd take.
FULL = 20


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[webd.Rig]:
    """GPIO behind a webd; the tests stop it."""
    with webd.running(tmp_path, gpios_named={"gpio1": webd.GPIO}) as found:
        yield found


def call(browser: webd.Browser, method: str) -> httpx.Response:
    return browser.post(f"{DEVICES}/lamp/{method}", json={"arguments": {}})


def is_full(browser: webd.Browser) -> bool:
    try:
        return "calls to answer already" in browser.post(f"{DEVICES}/lamp/toggle", json={"arguments": {}}, timeout=0.5).text
    except httpx.TimeoutException:
        return False  # it had still room


def test_off_overtakes_calls_that_wait(rig: webd.Rig) -> None:
    gpiod = rig.gpios["gpio1"].process
    assert gpiod is not None
    with rig.web.administrator() as browser, ThreadPoolExecutor(FULL + 2) as pool:
        gpiod.send_signal(signal.SIGSTOP)
        try:
            waiting_calls = [pool.submit(call, browser, "toggle") for _ in range(FULL)]
            waiting.until(lambda: is_full(browser), 10, "the queue to be full")
            off = pool.submit(call, browser, "off")
        finally:
            gpiod.send_signal(signal.SIGCONT)
        assert off.result(20).status_code == 200
        for waited in waiting_calls:
            waited.result(20)


def test_off_is_tried_while_the_daemon_is_away(rig: webd.Rig) -> None:
    gpiod = rig.gpios["gpio1"]
    with rig.web.administrator() as browser:
        gpiod.kill()
        waiting.until(lambda: not browser.get("/api/v1/gpios/gpio1").json()["reachable"], 15, "the loss to be seen")
        assert call(browser, "on").status_code == 503
        gpiod.start()
        off = waiting.until(lambda: (answer := call(browser, "off")).status_code == 200 and answer, 20, "it to be back")
        assert off.status_code == 200
