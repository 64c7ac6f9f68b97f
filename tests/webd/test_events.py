"""Events, as server-sent ones and over a WebSocket, and daemons that die and come back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import waiting
import webd
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class Listener:
    """Collects what /api/v1/events sends, in a thread."""

    def __init__(self, browser: httpx.Client, last_id: str | None = None) -> None:
        self.events: list[tuple[str, str | None, dict[str, Any]]] = []
        self.status: int | None = None
        self.ended = threading.Event()
        self._browser = browser
        self._last_id = last_id
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, name="listener")
        self._thread.start()

    def named(self, name: str) -> list[dict[str, Any]]:
        """The data of the events of this name so far."""
        return [data for kind, _, data in list(self.events) if kind == name]

    def join(self) -> None:
        """Wait for the end of what is read."""
        self._thread.join(20)
        assert self.ended.is_set()

    def _read(self) -> None:
        try:
            headers = {} if self._last_id is None else {"Last-Event-ID": self._last_id}
            with self._browser.stream("GET", "/api/v1/events", headers=headers, timeout=20) as response:
                self.status = response.status_code
                fields: dict[str, str] = {}
                for line in response.iter_lines():
                    if line and not line.startswith(":"):
                        key, _, value = line.partition(": ")
                        fields[key] = value
                    elif fields.get("data"):
                        self.events.append((fields["event"], fields.get("id"), json.loads(fields["data"])))
                        fields = {}
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()


class SocketListener(Listener):
    """Collects what comes over /api/v1/events/ws."""

    code: int | None = None

    def _read(self) -> None:
        url = self._browser.base_url.copy_with(scheme="ws", path="/api/v1/events/ws")
        if self._last_id is not None:
            url = url.copy_merge_params({"last_event_id": self._last_id})
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._browser.cookies.items())}
        try:
            with connect(str(url), additional_headers=headers) as socket:
                while True:
                    message = json.loads(socket.recv(timeout=20))
                    self.events.append((message["event"], message["id"], message["data"]))
        except ConnectionClosed as closed:
            self.code = closed.rcvd.code if closed.rcvd else None
        finally:
            self.ended.set()


def answered_s(rig: webd.Rig, browser: webd.Browser, path: str) -> float:
    """How long an answer takes, less what webd waits for a processor meanwhile."""
    before_s = rig.web.vitals.waited_s()
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.elapsed.total_seconds() - max(rig.web.vitals.waited_s() - before_s, 0.0)


BOTH = pytest.mark.parametrize("kind", [Listener, SocketListener], ids=["sse", "socket"])


@contextmanager
def listening(rig: webd.Rig, last_id: str | None = None, kind: type[Listener] = Listener) -> Iterator[Listener]:
    """Somebody who listens until the context ends; then logged out, which ends it."""
    with rig.web.browser() as browser, rig.web.browser() as other:
        browser.log_in(webd.ADMINISTRATOR)
        other.cookies, other.headers["X-CSRF-Token"] = browser.cookies, browser.headers["X-CSRF-Token"]
        listener = kind(browser, last_id)
        try:
            yield listener
        finally:
            other.post("/api/v1/session/end")
            listener.join()


@BOTH
def test_statuses_and_events_come_by_themselves(rig: webd.Rig, administrator: webd.Browser, kind: type[Listener]) -> None:
    with listening(rig, kind=kind) as listener:
        first = waiting.until(lambda: len(listener.named("status")) >= 3 and listener.named("status"), 10, "the statuses")
        assert {one["name"] for one in first[:3]} == {"cam1", "focus1", "gpio1"}
        assert listener.named("session") == [{"user": webd.ADMINISTRATOR, "role": "administrator"}]
        administrator.post("/api/v1/gpios/gpio1/devices/lamp/off", json={})
        administrator.post("/api/v1/gpios/gpio1/devices/lamp/on", json={})
        lamp = waiting.until(
            lambda: [one for one in listener.named("event") if one["source"] == "gpio/gpio1"], 10, "the lamp's event"
        )
        assert lamp[0]["name"] == "changed" and lamp[0]["data"]["source"] == "lamp"
        waiting.until(
            lambda: any(one["name"] == "gpio1" and one["status"]["value_lamp"] == 1 for one in listener.named("status")),
            10,
            "the lamp's status",
        )
        last = next(id for kind, id, _ in listener.events if kind == "event")
        assert last is not None
    with listening(rig, last, kind) as again:
        waiting.until(lambda: len(again.named("status")) >= 3, 10, "the statuses")
        assert last not in [id for name, id, _ in again.events if name == "event"] and not again.named("lost")
    for odd in ("x", "-", "1-2-3", "99999999-7", f"{last}9"):
        with listening(rig, odd, kind) as odd_one:
            waiting.until(lambda: len(odd_one.named("status")) >= 3, 10, "the statuses")
    with listening(rig, "99999999-7", kind) as after_another_run:
        waiting.until(lambda: after_another_run.named("lost") == [{"count": None}], 10, "it to be told")


@BOTH
def test_listening_takes_a_login_and_ends_with_it(rig: webd.Rig, kind: type[Listener]) -> None:
    with rig.web.browser() as nobody:
        assert nobody.get("/api/v1/events").status_code == 401
    with rig.web.user("lena", "viewer") as lena, rig.web.browser() as administrator:
        administrator.log_in(webd.ADMINISTRATOR)
        listener = kind(lena)
        waiting.until(lambda: listener.events, 10, "the first status")
        administrator.post("/api/v1/users/lena/role", json={"role": "operator"}).raise_for_status()
        roles = ["viewer", "operator"]
        waiting.until(lambda: [one["role"] for one in listener.named("session")] == roles, 10, "the role to be told")
        administrator.post("/api/v1/users/lena/remove").raise_for_status()
        assert listener.ended.wait(10), "nothing more for somebody who was removed"
        listener.join()
        if isinstance(listener, SocketListener):
            assert listener.code == 1008


def test_who_does_not_read_costs_nobody_anything(rig: webd.Rig, administrator: webd.Browser, machine_lag: Any) -> None:
    with rig.web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR)
        memory_mb = rig.web.vitals.memory_mb()
        requests = [browser.stream("GET", "/api/v1/events") for _ in range(30)]
        responses = [request.__enter__() for request in requests]
        try:
            assert all(response.status_code == 200 for response in responses)
            for _ in range(10):
                administrator.post("/api/v1/gpios/gpio1/devices/lamp/toggle", json={}).raise_for_status()
                assert answered_s(rig, administrator, "/api/v1/system") < 0.5 + machine_lag.seconds
            assert rig.web.vitals.memory_mb() < memory_mb + 30
        finally:
            for request in requests:
                request.__exit__(None, None, None)
        browser.post("/api/v1/session/end")
    waiting.until(lambda: administrator.get("/api/v1/system").json()["listeners"] == 0, 20, "their end to be seen")


def test_a_dead_daemon_is_told_of_and_comes_back(tmp_path: Path, machine_lag: Any) -> None:
    with (
        webd.running(tmp_path, cameras_named=["cam1"], focusers_named=["focus1"], gpios_named={"gpio1": webd.GPIO}) as rig,
        rig.web.administrator() as administrator,
    ):
        camera = rig.cameras["cam1"]
        before = administrator.get("/api/v1/cameras/cam1").json()
        assert before["reachable"]
        with listening(rig) as listener:
            camera.kill()
            away = waiting.until(lambda: _away(administrator), 10, "the camera to be missed")
            assert away["since"] > before["since"] and "cannot reach cam1" in away["error"]
            assert away["status"]["boot_id"] == before["status"]["boot_id"], "what it last said is still told"
            refused = administrator.post("/api/v1/cameras/cam1/photo", json={})
            assert refused.status_code == 503 and refused.json()["error"] == "DaemonNotReachable"
            for path in ("/api/v1/focusers/focus1", "/api/v1/gpios/gpio1/devices", "/api/v1/system"):
                assert answered_s(rig, administrator, path) < 0.5 + machine_lag.seconds
            waiting.until(lambda: any(not one["reachable"] for one in listener.named("status")), 10, "the listeners to be told")
            camera.start()
            back = waiting.until(lambda: _back(administrator), 10, "the camera to be back")
            assert back["since"] > away["since"] and back["error"] is None
            assert back["status"]["boot_id"] != before["status"]["boot_id"]
            assert administrator.post("/api/v1/cameras/cam1/controls", json={"values": {}}).status_code in (200, 422)


def test_a_silent_daemon_holds_up_nobody_else(rig: webd.Rig, administrator: webd.Browser, machine_lag: Any) -> None:
    focuser = rig.focusers["focus1"].process
    assert focuser is not None
    os.kill(focuser.pid, signal.SIGSTOP)
    try:
        answers: list[httpx.Response] = []

        def ask() -> None:  # of one client: to make 30 may take longer than webd needs to miss the daemon
            answers.append(administrator.post("/api/v1/focusers/focus1/confirm", json={"channel": 1}))

        threads = [threading.Thread(target=ask) for _ in range(30)]
        for thread in threads:
            thread.start()
        waiting.until(lambda: answers, 10, "the first refusal")
        assert answers[0].status_code == 503 and answers[0].headers["retry-after"] == "1", "more wait than may"
        for path in ("/api/v1/cameras/cam1/controls", "/api/v1/gpios/gpio1/devices", "/api/v1/system"):
            assert answered_s(rig, administrator, path) < 0.5 + machine_lag.seconds
        waiting.until(
            lambda: not administrator.get("/api/v1/focusers/focus1").json()["reachable"], 15, "its silence to be told"
        )
        for thread in threads:
            thread.join(60)
        assert {answer.status_code for answer in answers} == {503}
    finally:
        os.kill(focuser.pid, signal.SIGCONT)
    waiting.until(lambda: administrator.get("/api/v1/focusers/focus1").json()["reachable"], 15, "it to be back")


def _away(browser: httpx.Client) -> dict[str, Any] | None:
    found: dict[str, Any] = browser.get("/api/v1/cameras/cam1").json()
    return None if found["reachable"] else found


def _back(browser: httpx.Client) -> dict[str, Any] | None:
    found: dict[str, Any] = browser.get("/api/v1/cameras/cam1").json()
    return found if found["reachable"] else None


def test_a_stream_ends_with_the_login(rig: webd.Rig, administrator: webd.Browser) -> None:
    with rig.web.user("sven", "viewer") as sven, sven.stream("GET", "/api/v1/cameras/cam1/streams/live/mjpeg") as stream:
        assert stream.status_code == 200
        pieces = stream.iter_bytes()
        assert next(pieces)
        administrator.post("/api/v1/users/sven/remove").raise_for_status()
        began = time.monotonic()
        try:
            for _ in pieces:
                assert time.monotonic() - began < 10, "it goes on"
        except httpx.HTTPError:
            pass  # cut off is an end too


def test_events_of_a_revoked_token_are_not_told_on_for_the_next_one(rig: webd.Rig, administrator: webd.Browser) -> None:
    def made() -> dict[str, Any]:
        token: dict[str, Any] = administrator.post("/api/v1/tokens", json={"label": "events"}).raise_for_status().json()
        return token

    token = made()
    with rig.web.browser(headers={"authorization": f"Bearer {token['secret']}"}) as script:
        listener = Listener(script)
        waiting.until(lambda: listener.named("session"), 10, "the beginning")
        administrator.post(f"/api/v1/tokens/{token['id']}/revoke").raise_for_status()
        following = made()
        waiting.until(listener.ended.is_set, 10, "the events to end")
        listener.join()
        assert following["id"] != token["id"]
        again = administrator.post(f"/api/v1/tokens/{token['id']}/revoke")
        assert again.status_code == 404, "as from a list that was shown before"
        administrator.post(f"/api/v1/tokens/{following['id']}/revoke").raise_for_status()
