"""camerad as a process: live frames, photos, files, controls, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import Pyro5.api
import pytest
import waiting
from cameras import NAME, Camerad

from observatory_common.errors import InvalidArgument, NotConnected


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Camerad]:
    running = Camerad(tmp_path)
    running.start()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


def decoded(data: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_live_frames_are_new_each_and_only_encoded_while_somebody_looks(camerad: Camerad, machine_lag) -> None:
    with camerad.connect() as camera:
        first = camera.frame("main")
        assert first["data"][:2] == b"\xff\xd8"
        assert decoded(first["data"]).shape == (360, 640, 3)
        assert decoded(camera.frame("lores")["data"]).shape == (180, 320, 3)
        number, began = first["number"], time.monotonic()
        for _ in range(15):
            frame = camera.frame("main", first["boot_id"], number)
            assert frame["number"] > number
            number = frame["number"]
        assert time.monotonic() - began < 15 / 30 + 2 + machine_lag.seconds
        nothing = camera.frame("main", first["boot_id"], number + 1000, 0.1)
        assert (nothing["number"], nothing.get("data")) == (None, b"")
        with pytest.raises(InvalidArgument, match="stream is 'raw', expected one of live, lores, main"):
            camera.frame("raw")


def test_a_bare_pyro_client_finds_the_frame_beside_the_answer(camerad: Camerad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyro5.api.config, "SERIALIZER", "msgpack")
    with Pyro5.api.Proxy(f"PYRO:{NAME}@127.0.0.1:{camerad.port}") as camera:
        answer = camera.frame("main")
        assert answer["number"] >= 1
        assert decoded(bytes(Pyro5.api.current_context.response_annotations["FRAM"])).shape == (360, 640, 3)
        camera.report_status()
        assert "FRAM" not in Pyro5.api.current_context.response_annotations


@pytest.mark.parametrize("format", ["jpg", "png", "tiff", "bmp"])
def test_a_photo_and_its_metadata(format: str, camerad: Camerad) -> None:
    with camerad.connect() as camera:
        job = camera.wait_for(camera.take_photo(format))
        assert job["state"] == "succeeded", job
        name = job["result"]["name"]
        assert name == f"camera-00000001.{format}"
        piece = camera.read_file(name)
        assert (piece["eof"], piece["size"]) == (True, len(piece["data"]))
        assert piece["sha256"] == hashlib.sha256((camerad.output / name).read_bytes()).hexdigest()
        assert decoded(piece["data"]).shape == (360, 640, 3)
        metadata = json.loads((camerad.output / "camera-00000001.json").read_text())
        assert metadata["ExposureTime"] == job["result"]["metadata"]["ExposureTime"]
        assert [file["name"] for file in camera.files()] == sorted([name, "camera-00000001.json"])
        assert [event["name"] for event in camera.events(None, 0)["events"]] == ["photo_taken"]


def test_names_are_unique_and_the_count_outlives_kill_9_and_a_lost_counter(camerad: Camerad) -> None:
    names = set()
    for round_number in range(3):
        with camerad.connect() as camera:
            jobs = [camera.take_photo() for _ in range(5)]
            names |= {camera.wait_for(job)["result"]["name"] for job in jobs}
        camerad.process.kill()
        camerad.process.wait(10)
        if round_number == 1:
            (camerad.folder / "state/observatory/camerad/cam/counter.json").unlink()
        camerad.start()
    assert len(names) == 15
    assert all(decoded((camerad.output / name).read_bytes()) is not None for name in names)


def test_controls_are_checked_against_this_camera(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        known = camera.controls()
        assert (known["ExposureTime"]["unit"], known["LensPosition"]["unit"]) == ("us", "dioptre")
        assert known["AwbMode"]["values"]["Tungsten"] == 2
        for wrong, says in (
            ({"ExposureTime": "5000"}, "ExposureTime is '5000', expected a whole number from 29 to 600000000 us"),
            ({"ExposureTime": True}, "ExposureTime is True"),
            ({"ExposureTime": 1}, "ExposureTime is 1"),
            ({"ExposureTime": 5000.0}, "ExposureTime is 5000.0"),
            ({"AnalogueGain": float("nan")}, "AnalogueGain is nan"),
            ({"AnalogueGain": 99}, "from 1.0 to 16.0"),
            ({"AwbMode": "Daylite"}, "Daylight (5)"),
            ({"AwbMode": 9}, "AwbMode is 9"),
            ({"AeEnable": 1}, "expected true or false"),
            ({"ColourGains": [1.0]}, "a list of 2"),
            ({"ColourGains": 1.0}, "a list of 2"),
            ({"FrameDurationLimits": [50000, 40000]}, "the shortest is above the longest"),
            ({"ExposureTim": 5}, "did you mean ExposureTime?"),
            ({"ExposureTime": 5000, "Nonsense": 1}, "Nonsense"),
            ({}, "expected names and values"),
            ([], "expected names and values"),
        ):
            with pytest.raises(InvalidArgument) as refused:
                camera.set_controls(wrong)
            assert says in str(refused.value)
        camera.set_controls({"AeEnable": False, "ExposureTime": 4000, "AnalogueGain": 2, "AwbMode": "Tungsten"})
        waiting.until(lambda: abs(camera.metadata()["ExposureTime"] - 4000) < 30, 10, "the exposure to change")
        waiting.until(lambda: camera.metadata()["ColourTemperature"] == 3200, 10, "the white balance to change")


@pytest.mark.parametrize("name", ["../etc/x", "/etc/passwd", "a\0b", "", ".hidden", "nothing.jpg", 5, "x" * 500])
def test_only_its_own_files_are_read(name, camerad: Camerad) -> None:
    with camerad.connect() as camera, pytest.raises(InvalidArgument, match="there is no file"):
        camera.read_file(name)


def test_the_camera_is_given_up_and_taken_again(camerad: Camerad) -> None:
    with camerad.connect() as camera:
        camera.shutdown()
        assert camera.report_status()["state"] == "offline"
        with pytest.raises(NotConnected):
            camera.take_photo()
        with pytest.raises(NotConnected):
            camera.shutdown()
        camera.initialize()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "frames")
        assert camera.wait_for(camera.take_photo())["state"] == "succeeded"
