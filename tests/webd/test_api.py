"""The API as a script uses it: cameras, focusers, GPIO, their jobs, and who is named in the daemons' audits."""

from __future__ import annotations

from typing import Any

import httpx
import waiting
import webd


def job_of(browser: httpx.Client, path: str, answer: httpx.Response) -> dict[str, Any]:
    """The job that an answer started, when it has ended."""
    answer.raise_for_status()
    id = answer.json()["id"]

    def ended() -> dict[str, Any] | None:
        job = browser.get(f"{path}/jobs/{id}", params={"wait_s": 5}).raise_for_status().json()
        return job if job["state"] != "running" else None

    return waiting.until(ended, 60, "the end of the job") or {}


def test_the_system_tells_of_every_daemon(rig: webd.Rig, administrator: webd.Browser) -> None:
    system = administrator.get("/api/v1/system").raise_for_status().json()
    assert [(one["kind"], one["name"], one["reachable"]) for one in system["daemons"]] == [
        ("camera", "cam1", True),
        ("focuser", "focus1", True),
        ("gpio", "gpio1", True),
    ]
    for one in system["daemons"]:
        assert one["since"].endswith("Z") and one["error"] is None and one["software_version"] == system["software_version"]
        assert one["names_users"] is True


def test_a_camera_by_its_api(rig: webd.Rig, administrator: webd.Browser) -> None:
    at = "/api/v1/cameras/cam1"
    listed = administrator.get("/api/v1/cameras").json()
    assert [one["name"] for one in listed] == ["cam1"]
    status = administrator.get(at).json()
    assert status["reachable"] and status["status"]["kind"] == "camerad" and 0 <= status["status_age_s"] < 5
    assert administrator.get(f"{at}/capabilities").json()["sensor_size"]
    controls = administrator.get(f"{at}/controls").json()
    assert controls["AnalogueGain"]["maximum"] > 1
    changed = administrator.post(f"{at}/controls", json={"values": {"AnalogueGain": 2.0}}).raise_for_status().json()
    assert changed["complete"] and changed["in_effect"]["AnalogueGain"] == 2.0
    assert administrator.get(f"{at}/controls").json()["AnalogueGain"]["value"] == 2.0
    refused = administrator.post(f"{at}/controls", json={"values": {"AnalogueGain": 1e9}})
    assert refused.status_code == 422 and refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert (problem["code"], problem["error"]) == (45, "InvalidArgument") and "AnalogueGain" in problem["detail"]
    job = job_of(administrator, at, administrator.post(f"{at}/photo", json={}))
    assert job["state"] == "succeeded" and job["result"]["name"].endswith(".jpg")
    assert job["started_by"] == "LocalHost (127.0.0.1) for anna (127.0.0.1)"
    again = administrator.post(f"{at}/photo", json={"request_id": "once"}).json()
    assert administrator.post(f"{at}/photo", json={"request_id": "once"}).json()["id"] == again["id"]
    job_of(administrator, at, administrator.post(f"{at}/raw", json={"format": "fits"}))
    recorded = job_of(administrator, at, administrator.post(f"{at}/video/start", json={"duration_s": 0.5}))
    assert recorded["state"] == "succeeded" and recorded["result"]["name"].endswith(".mp4")
    assert administrator.get(f"{at}/metadata").json()["AnalogueGain"] == 2.0
    assert len(administrator.get(f"{at}/histogram").json()) > 0
    assert administrator.post(f"{at}/video/stop").status_code == 409
    assert administrator.get("/api/v1/cameras/cam9").status_code == 404
    assert administrator.get(f"{at}/jobs/99999").json()["error"] == "UnknownJob"


def test_settings_last_under_names(rig: webd.Rig, administrator: webd.Browser) -> None:
    at = "/api/v1/cameras/cam1"
    administrator.post(f"{at}/controls", json={"values": {"AnalogueGain": 3.0}}).raise_for_status()
    assert "bright stars" in administrator.post(f"{at}/settings/sets/bright stars/save").json()["saved"]
    reset = administrator.post(f"{at}/settings/reset").raise_for_status().json()
    assert reset["changed"] is False
    loaded = administrator.post(f"{at}/settings/sets/bright stars/load").raise_for_status().json()
    assert loaded["controls"]["AnalogueGain"] == 3.0
    changed = administrator.post(f"{at}/use-cases/photo", json={"values": {"size": [128, 72]}}).raise_for_status().json()
    assert changed["photo"]["size"] == [128, 72]
    assert administrator.post(f"{at}/settings/sets/bright stars/delete").json()["saved"] == []
    assert administrator.post(f"{at}/settings/sets/bright stars/load").status_code == 422
    administrator.post(f"{at}/settings/reset").raise_for_status()
    same = administrator.post(f"{at}/settings/copy", json={"to": "cam1"})
    assert same.status_code == 422 and "another camera" in same.json()["allowed"]


def test_a_focuser_by_its_api(rig: webd.Rig, administrator: webd.Browser) -> None:
    at = "/api/v1/focusers/focus1"
    job = job_of(administrator, at, administrator.post(f"{at}/move", json={"channel": 1, "steps": 40}))
    assert (job["state"], job["result"]["position_steps"]) == ("succeeded", 40)
    waiting.until(lambda: administrator.get(at).json()["status"]["current_steps_1"] == 40, 10, "the position to be seen")
    administrator.post(f"{at}/move", json={"channel": 1, "steps": 5000}).raise_for_status()
    stopped = administrator.post(f"{at}/stop", json={"channel": 1}).raise_for_status().json()
    assert 0 < stopped["stopped"][0]["position_steps"] < 5000
    assert administrator.post(f"{at}/zero", json={"channel": 1}).status_code == 200
    far = administrator.post(f"{at}/move", json={"channel": 7, "steps": 1})
    assert (far.status_code, far.json()["error"]) == (404, "InvalidChannel")
    assert administrator.post(f"{at}/move", json={"channel": 1, "steps": 1, "speed": 9}).status_code == 422


def test_gpio_by_its_api(rig: webd.Rig, administrator: webd.Browser) -> None:
    at = "/api/v1/gpios/gpio1"
    described = administrator.get(f"{at}/devices").raise_for_status().json()
    assert [one["id"] for one in described] == ["lamp", "door"]
    assert administrator.post(f"{at}/devices/lamp/on", json={}).json() is None
    state = administrator.get(f"{at}/devices/lamp").json()
    assert state["value"] == 1 and state["set_by"] == "LocalHost (127.0.0.1) for anna (127.0.0.1)"
    blinking = administrator.post(f"{at}/devices/lamp/blink", json={"arguments": {"on_time": 0.1, "n": 1}, "request_id": "b1"})
    assert job_of(administrator, at, blinking)["state"] == "succeeded"
    assert administrator.post(f"{at}/all-off").raise_for_status().json()["off"] == ["lamp"]
    assert administrator.post(f"{at}/devices/lamp/explode", json={}).json()["error"] == "UnknownMethod"
    assert administrator.post(f"{at}/devices/nothing/on", json={}).status_code == 404


def test_bodies_are_checked_before_a_daemon_sees_them(rig: webd.Rig, administrator: webd.Browser) -> None:
    at = "/api/v1/cameras/cam1"
    for body in (b"", b"{", b"[]", b'{"values": 1}', b'{"values": {}, "more": 1}', b"[" * 100_000, b'{"values": NaN}'):
        answer = administrator.post(f"{at}/controls", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (400, 422), body[:30]
        assert answer.headers["content-type"] == "application/problem+json"
    for value in (2**70, float("nan"), "\ud800", [[[[1]]]], {"__class__": "x"}):
        body = httpx.Request("POST", "http://x", content=_json({"values": {"AnalogueGain": value}})).content
        answer = administrator.post(f"{at}/controls", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, (value, answer.text)
    strange = administrator.post("/api/v1/session", content=_json({"user": "\ud800", "password": "\ud800"}))
    assert strange.status_code == 401 or strange.status_code == 422


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()
