"""raspiCamSrv's API, used as its users' scripts do, against two simulated cameras."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cameras
import httpx
import pytest
import waiting
import webd
from raspicamsrv import Script

from observatory_common.errors import CommandFailed
from observatory_webd.legacy.probing import TABLE
from observatory_webd.store.active import ActiveCameras
from observatory_webd.store.database import Store
from observatory_webd.store.settings import WebSettings

DOCS = Path(__file__).parents[2] / "docs" / "raspicamsrv-api.md"
BOTH = ["cam1", "cam2"]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """Two cameras behind one webd."""
    with webd.running(tmp_path_factory.mktemp("rig"), cameras_named=BOTH) as found:
        found.web.administrator().close()
        yield found


@pytest.fixture(scope="module")
def script(rig: webd.Rig) -> Iterator[Script]:
    """Somebody's script, logged in."""
    with Script(rig.web.url) as found:
        assert found.log_in().status_code == 200
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[webd.Rig]:
    """Two cameras and a webd for one test alone, which may end them."""
    with webd.running(tmp_path, cameras_named=BOTH) as found:
        found.web.administrator().close()
        yield found


@pytest.fixture
def own_script(own: webd.Rig) -> Iterator[Script]:
    """Somebody's script there."""
    with Script(own.web.url) as found:
        assert found.log_in().status_code == 200
        yield found


def taken(rig: webd.Rig, name: str, path: str) -> Path:
    """The file of a path that was answered, which is whole and this camera's."""
    found = Path(path)
    assert found.parent == rig.cameras[name].output
    cameras.assert_picture(found)
    return found


def path_of(message: str, beginning: str) -> str:
    assert message.startswith(beginning), message
    return message.removeprefix(beginning)


def test_a_users_day(rig: webd.Rig, script: Script) -> None:
    """X1 to X20 in the order of use: each answer's shape, and that what it says has happened."""
    with Script(rig.web.url) as morning:
        answer = morning.log_in()
        assert answer.status_code == 200 and set(answer.json()) == {"access_token", "refresh_token"}
        assert webd.ADMINISTRATOR in morning.done("protected")
    information = script.done("info")
    assert set(information) == {"version", "server", "active_camera", "cameras", "operation_status"}
    assert information["server"] == f"127.0.0.1:{rig.web.port}" and information["active_camera"] == "Camera 0 (simulated)"
    assert information["cameras"] == [
        {"num": number, "model": "simulated", "is_usb": False, "active": number == 0, "status": "open - started"}
        for number in (0, 1)
    ]
    assert information["operation_status"] == dict.fromkeys(
        (
            "livestream_active", "livestream2_active", "photoseries_recording", "motion_capturing", "event_handling",
            "video_recording", "audio_recording", "video_recording2",
        ),
        False,
    )  # fmt: skip
    # photos
    assert taken(rig, "cam1", path_of(script.done("take_photo"), "Photo taken: ")).suffix == ".jpg"
    assert taken(rig, "cam2", path_of(script.done("take_photo2"), "Photo taken: ")).suffix == ".jpg"
    assert taken(rig, "cam1", path_of(script.done("take_raw_photo"), "Raw photo taken: ")).suffix == ".dng"
    assert taken(rig, "cam2", path_of(script.done("take_raw_photo2"), "Photo taken: ")).suffix == ".dng"
    for name, ending in (("take_photo_both", ".jpg"), ("take_raw_photo_both", ".dng")):
        photos = script.done(name)
        assert list(photos) == ["Photo1", "Photo2"]
        for camera, path in zip(BOTH, photos.values(), strict=True):
            assert taken(rig, camera, path).suffix == ending
    # video
    for ending, camera, flag in (("", "cam1", "video_recording"), ("2", "cam2", "video_recording2")):
        path = path_of(script.done(f"record_video{ending}", {"duration": 0}), "Video recorded to ")
        assert script.done("info")["operation_status"][flag] is True
        with rig.cameras[camera].connect() as daemon:
            assert daemon.report_status()["recording"] == Path(path).name
        assert "recording runs already" in script.failed(f"record_video{ending}", {"duration": 1})
        assert script.done(f"stop_video{ending}") == {"Video": path, "Status": "Stopped"}
        assert taken(rig, camera, path).suffix == ".mp4"
        assert script.done("info")["operation_status"][flag] is False
        assert "no recording" in script.failed(f"stop_video{ending}")
    videos = script.done("record_video_both", {})
    assert list(videos) == ["Video 1", "Video 2"]
    assert script.done("stop_video_both") == {key: {"Video": path, "Status": "Stopped"} for key, path in videos.items()}
    for camera, path in zip(BOTH, videos.values(), strict=True):
        taken(rig, camera, path)
    # the rest
    for name in ("start_triggered_capture", "stop_triggered_capture"):
        assert "do not exist here yet" in script.failed(name)
    assert script.done("switch_cameras") == "Active camera is now Camera 1 (simulated)"
    assert script.done("info")["active_camera"] == "Camera 1 (simulated)"
    taken(rig, "cam2", path_of(script.done("take_photo"), "Photo taken: "))
    assert script.done("switch_cameras") == "Active camera is now Camera 0 (simulated)"
    assert script.probed("CameraCfg().serverConfig.activeCamera") == [0]
    answer = script.get_new()
    assert answer.status_code == 200 and list(answer.json()) == ["access_token"]
    assert script.get("protected", token=answer.json()["access_token"]).status_code == 200


def test_a_recording_for_a_time_ends_by_itself_and_a_short_one_is_no_error(rig: webd.Rig, script: Script) -> None:
    for seconds in (0.1, 1):
        path = path_of(script.done("record_video", {"duration": seconds}), "Video recorded to ")
        waiting.until(lambda: not script.done("info")["operation_status"]["video_recording"], 20, "its end")
        taken(rig, "cam1", path)


def test_one_of_both_is_told_and_the_other_is_done(rig: webd.Rig, script: Script) -> None:
    path = path_of(script.done("record_video2", {"duration": None}), "Video recorded to ")
    told = script.failed("record_video_both", {"duration": 0})
    assert "recording runs already" in told["Video 2"] and told["Video 1"].endswith(".mp4")
    script.done("stop_video")
    told = script.failed("stop_video_both")
    assert "no recording" in told["Video 1"] and told["Video 2"] == {"Video": path, "Status": "Stopped"}


def test_cameras_are_not_switched_while_one_records(rig: webd.Rig, script: Script) -> None:
    for ending in ("", "2"):
        script.done(f"record_video{ending}", {})
        assert "records a video" in script.failed("switch_cameras")
        script.done(f"stop_video{ending}")
    assert script.done("info")["active_camera"] == "Camera 0 (simulated)"


def test_streams_follow_the_active_camera_also_over_a_restart(own: webd.Rig, own_script: Script) -> None:
    rig, script = own, own_script
    script.done("switch_cameras")
    assert rig.web.terminate() == 0
    rig.web.start()
    waiting.until(rig.all_reachable, 20, "webd to see its cameras")
    assert script.done("info")["active_camera"] == "Camera 1 (simulated)"
    with rig.web.browser() as browser:
        browser.log_in(webd.ADMINISTRATOR)
        with browser.stream("GET", "/video_feed") as stream:
            assert next(stream.iter_bytes())
            waiting.until(lambda: script.done("info")["operation_status"]["livestream_active"], 10, "somebody to look")
            assert not script.done("info")["operation_status"]["livestream2_active"]
            with rig.cameras["cam2"].connect() as daemon:
                assert daemon.report_status()["watched"] == ["lores"]
        assert browser.get("/photo_feed2").headers["content-type"] == "image/jpeg"


def test_switching_is_kept_and_forgets_cameras_that_are_gone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.open()
    try:
        settings = WebSettings(store)
        three = ActiveCameras(settings, ["a", "b", "c"])
        assert three.order() == ("a", "b", "c")
        assert three.switch() == ("b", "a") and three.order() == ("b", "a", "c")
        assert ActiveCameras(settings, ["a", "b", "c"]).order() == ("b", "a", "c")
        assert ActiveCameras(settings, ["c", "a"]).order() == ("a", "c")
        assert ActiveCameras(settings, ["c"]).order() == ("c",)
        with pytest.raises(CommandFailed, match="no other camera"):
            ActiveCameras(settings, ["c"]).switch()
        assert three.switch() == ("a", "b")
    finally:
        store.close()


def test_a_recording_needs_a_sensible_body(script: Script) -> None:
    bodies = (
        b"", b"x", b"[]", b'{"duration": "3"}', b'{"duration": -1}', b'{"duration": true}', b'{"duration": false}',
        b'{"duration": NaN}', b'{"duration": 1e9}', b"[" * 100_000, b'{"duration": "\\ud800"}', b'{"duration": [1]}', b"\xff",
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {script.access}"}
    for body in bodies:
        for name in ("record_video", "record_video2", "record_video_both"):
            answer = script.http.request("GET", f"/api/{name}", content=body, headers=headers)
            assert (answer.status_code, list(answer.json())) == (400, ["message"]), (name, body[:20])
    operation = script.done("info")["operation_status"]
    assert not operation["video_recording"] and not operation["video_recording2"]


# probe


def test_everything_in_the_documented_table_can_be_probed(script: Script) -> None:
    documented = re.findall(r"^\| `(Camera[^`]+)` \|", DOCS.read_text(), re.MULTILINE)
    fixed = [name for name in documented if ".controls." not in name or name in TABLE]
    assert sorted(fixed) == sorted(TABLE)
    values = dict(zip(documented, script.probed(*documented), strict=True))
    assert not [value for value in values.values() if str(value).startswith("Error")]
    assert values["CameraCfg().serverConfig.activeCameraInfo"] == "Camera 0 (simulated)"
    assert values["CameraCfg().liveViewConfig.stream_size"] == [64, 36]
    assert values["CameraCfg().cameraProperties.pixelArraySize"] == [2560, 1440]
    assert values["CameraCfg().cameraProperties.unitCellSize"] == [2000, 2000]
    assert values["CameraCfg().cameraProperties.hasFocus"] is True


def test_a_probed_control_is_what_holds(rig: webd.Rig, script: Script) -> None:
    names = ["CameraCfg().controls.exposureTime", "CameraCfg().controls.analogueGain", "CameraCfg().controls.awbMode"]
    with rig.cameras["cam1"].connect() as daemon:
        daemon.set_controls({"ExposureTime": 5000, "AnalogueGain": 2.0})
        assert script.probed(*names) == [5000, 2.0, 0]
        daemon.set_controls({"AeEnable": True})


def test_whatever_else_is_probed_is_refused(script: Script) -> None:
    """2.8.7: it instantiated and called whatever was named, and told the key of the tokens."""
    names = (
        "CameraCfg().secrets.jwtSecretKey", "CameraCfg()", "__import__('os').system('true')", "Camera().stopCameraSystem()",
        "CameraCfg().controls.__class__", "CameraCfg().controls.ExposureTime", "CameraCfg().controls.", "TABLE", "é",
        "CameraCfg().serverConfig", "CameraCfg().serverConfig.__class__", "'; DROP TABLE users",
    )  # fmt: skip
    *errors, number = script.probed(*names, "CameraCfg().serverConfig.activeCamera")
    for error in errors:
        assert error.startswith("Error: ") and "cannot be read here" in error
    assert number == 0
    (near,) = script.probed("CameraCfg().serverConfig.activeCamra")
    assert "activeCamera" in near


def test_a_probe_of_nothing_is_a_bad_request(script: Script) -> None:
    wrong: tuple[Any, ...] = (
        [], {}, {"properties": []}, {"properties": {}}, {"properties": ["x"]}, {"properties": [{"property": 7}]},
        {"properties": [{"property": "x" * 201}]}, {"properties": [{"property": "x"}] * 101}, {"properties": [{}]},
    )  # fmt: skip
    for body in wrong:
        answer = script.get("probe", body)
        assert (answer.status_code, list(answer.json())) == (400, ["message"]), str(body)[:50]


# cameras that are not there


def test_with_one_camera_there_is_no_second(tmp_path: Path) -> None:
    with webd.running(tmp_path, cameras_named=["cam1"]) as rig, Script(rig.web.url) as script:
        rig.web.administrator().close()
        script.log_in()
        before = len(list(rig.cameras["cam1"].output.glob("*.jpg")))
        for name in (
            "take_photo2", "take_photo_both", "take_raw_photo2", "take_raw_photo_both", "record_video2", "record_video_both",
            "stop_video2", "stop_video_both",
        ):  # fmt: skip
            assert "no second camera" in script.failed(name, {})
        assert "no other camera" in script.failed("switch_cameras")
        assert len(list(rig.cameras["cam1"].output.glob("*.jpg"))) == before, "nothing is done by halves"
        operation = script.done("info")["operation_status"]
        assert not {"livestream2_active", "video_recording2"} & set(operation)
        assert script.done("take_photo").startswith("Photo taken: ")


def test_without_a_camera(tmp_path: Path) -> None:
    with webd.alone(tmp_path) as web:
        with Script(web.url) as script:
            script.log_in()
            assert "no camera" in script.failed("take_photo")
            assert "no other camera" in script.failed("switch_cameras")
            assert (script.done("info")["active_camera"], script.done("info")["cameras"]) == ("", [])
            number, model = script.probed("Camera().camNum", "CameraCfg().cameraProperties.model")
            assert number == -1 and model.startswith("Error: ")


def test_a_camera_that_is_away_is_told_soon_and_the_other_works(own: webd.Rig, own_script: Script) -> None:
    script, camera = own_script, own.cameras["cam1"]
    path = path_of(script.done("record_video2", {}), "Video recorded to ")
    camera.kill()
    for name in ("take_photo", "take_raw_photo", "record_video", "stop_video"):
        began = time.monotonic()
        assert "cam1" in script.failed(name, {})
        assert time.monotonic() - began < 10, "and it does not hang"
    assert script.done("stop_video2") == {"Video": path, "Status": "Stopped"}
    told = script.failed("take_photo_both")
    assert "cam1" in told["Photo1"] and told["Photo2"].endswith(".jpg")
    one, two = script.done("info")["cameras"]
    assert one["status"].startswith("not reachable: ") and one["model"] == "simulated"
    assert two["status"] == "open - started"
    error, number = script.probed("CameraCfg().controls.exposureTime", "Camera().camNum")
    assert error.startswith("Error: ") and number == 0
    assert script.done("switch_cameras") == "Active camera is now Camera 1 (simulated)"
    assert script.done("take_photo").startswith("Photo taken: ")
    camera.start()
    waiting.until(own.all_reachable, 20, "webd to see it again")
    script.done("switch_cameras")
    assert script.done("take_photo").startswith("Photo taken: ")


def test_a_use_case_that_a_camera_does_not_have_fails_alone(tmp_path: Path) -> None:
    own = {"use_cases": {"live": cameras.FAST["use_cases"]["live"]}}
    with webd.running(tmp_path, cameras_named=["cam1"], camera_config=own) as rig, Script(rig.web.url) as script:
        rig.web.administrator().close()
        script.log_in()
        camera = rig.cameras["cam1"]
        camera.fault(refuse_open=True)  # then it has those of its config alone
        camera.kill()
        camera.run()
        waiting.until(rig.all_reachable, 20, "webd to see it again")
        size, *errors = script.probed(
            "CameraCfg().liveViewConfig.stream_size", "CameraCfg().rawConfig.stream_size", "CameraCfg().videoConfig.controls"
        )
        assert size == [64, 36]
        assert errors == ["Error: the camera has no use case raw", "Error: the camera has no use case video"]


def test_a_photo_that_fails_is_told(rig: webd.Rig, script: Script) -> None:
    output = rig.cameras["cam1"].output
    aside = output.rename(output.with_name("aside"))
    output.write_text("no folder")
    try:
        assert script.failed("take_photo")
        assert script.failed("record_video", {})
    finally:
        output.unlink()
        aside.rename(output)
    assert script.done("take_photo").startswith("Photo taken: ")


def test_who_does_it_stands_in_the_audit_of_the_camera(rig: webd.Rig, script: Script) -> None:
    script.done("take_photo")
    assert f"{webd.ADMINISTRATOR} (127.0.0.1)" in rig.cameras["cam1"].log.read_text()


def test_answers_come_fast_once_logged_in(script: Script) -> None:
    def took_s(answer: httpx.Response) -> float:
        assert answer.status_code == 200
        return answer.elapsed.total_seconds()

    assert min(took_s(script.get("protected")) for _ in range(10)) < 0.1
    assert min(took_s(script.get("info")) for _ in range(10)) < 0.1
