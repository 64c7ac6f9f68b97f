"""Photos and raw frames: what they carry, when they are taken, what they need of the camera."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import waiting
from cameras import Camerad

from observatory_common.errors import Blocked, CameraNotAcquiring, CommandFailed, InvalidArgument
from observatory_common.rpc.client import RemoteDaemon

LIVE_ON_MAIN = {"stream": "main", "size": [640, 360], "format": "RGB888"}
WIDE = {"stream": "main", "size": [2560, 1440], "format": "RGB888", "mode": 1}


@pytest.fixture(scope="module")
def camerad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camerad]:
    folder = tmp_path_factory.mktemp("shots")
    roots = folder / "elsewhere"
    roots.mkdir()
    running = Camerad(folder, roots=[str(roots)])
    running.start()
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()


@pytest.fixture
def camera(camerad: Camerad) -> Iterator[RemoteDaemon]:
    with camerad.connect() as connected:
        connected.reset_settings()
        yield connected
        connected.reset_settings()


def done(camera: RemoteDaemon, job: dict[str, Any], within_s: float = 30) -> dict[str, Any]:
    until = time.monotonic() + within_s
    while job["state"] == "running" and time.monotonic() < until:
        job = camera.wait(job["id"], 5)
    assert job["state"] == "succeeded", job
    result: dict[str, Any] = job["result"]
    return result


def test_a_photo_after_a_change_carries_the_new_value(camera: RemoteDaemon) -> None:
    for exposure_us, gain in [(2000, 1.0), (15000, 4.0), (500, 8.0), (30000, 2.0), (1000, 1.0)] * 3:
        camera.set_controls({"AeEnable": False, "ExposureTime": exposure_us, "AnalogueGain": gain}, 0.0)  # not waited for
        metadata = done(camera, camera.take_photo())["metadata"]
        assert metadata["ExposureTime"] == pytest.approx(exposure_us, abs=30)  # the sensor's lines
        assert metadata["AnalogueGain"] == pytest.approx(gain, abs=1 / 256)


def test_set_controls_says_what_took_effect_and_when(camera: RemoteDaemon) -> None:
    before = camera.frame("live")["number"]
    answer = camera.set_controls({"AeEnable": False, "ExposureTime": 4321})
    assert answer["complete"]
    assert answer["in_effect"] == {"AeEnable": None, "ExposureTime": 4321 // 29 * 29}
    assert answer["frame"] > before
    assert abs(datetime.fromisoformat(answer["date"]) - datetime.now(UTC)) < timedelta(seconds=10)


def test_jpeg_raw_and_metadata_of_a_shot_come_from_one_request(camera: RemoteDaemon, camerad: Camerad) -> None:
    result = done(camera, camera.take_photo("png", "fits"))
    stem = result["name"].removesuffix(".png")
    assert result["names"] == [f"{stem}.fits", f"{stem}.png"]
    beside = json.loads((camerad.output / f"{stem}.json").read_text())
    assert beside["SensorTimestamp"] // 1000 == result["metadata"]["SensorTimestamp_us"]
    from astropy.io import fits

    with fits.open(camerad.output / f"{stem}.fits") as opened:
        raw = opened[0].data
        assert opened[0].header["DATE-OBS"] + "Z" == beside["observatory"]["exposure_start"]
    picture = cv2.imread(str(camerad.output / f"{stem}.png"))
    # the same noise in both: the picture's green against the mean of the raw's greens, scaled alike
    greens = (raw[0::2, 1::2].astype(float) + raw[1::2, 0::2]) / 2
    assert np.corrcoef(greens.ravel(), picture[:, :, 1].ravel())[0, 1] > 0.5
    other = done(camera, camera.take_photo("png", "fits"))["name"].removesuffix(".png")
    with fits.open(camerad.output / f"{other}.fits") as opened:
        noise = opened[0].data.astype(float) - raw
    assert noise.std() > 3  # another frame is another one


def test_a_photo_needs_no_change_where_configurations_merge_and_a_stated_gap_where_not(camera: RemoteDaemon) -> None:
    gap_s = camera.report_status()["reconfiguration_gap_s"]
    assert done(camera, camera.take_photo())["name"]
    assert camera.report_status()["reconfiguration_gap_s"] == gap_s
    camera.set_use_case("live", LIVE_ON_MAIN)
    colours = _colours(camera.frame("live", camera.report_status()["boot_id"], camera.report_status()["frames"] + 6))
    camera.set_use_case("photo", {**WIDE, "controls": {"Saturation": 0.0}})
    assert camera.use_cases()["photo"]["running"] is False
    assert camera.use_cases()["live"]["running"] is True
    result = done(camera, camera.take_photo("png"))
    grey = result["name"]
    fetched = b"".join(_pieces(camera, grey))
    picture = cv2.imdecode(np.frombuffer(fetched, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (1440, 2560, 3)
    assert np.ptp(picture.astype(int), axis=2).max() <= 4  # its own controls were in force
    after = camera.frame("live", camera.report_status()["boot_id"], camera.report_status()["frames"] + 6)
    assert _colours(after) > 0.7 * colours  # which are in force no longer
    live = camera.frame("live", camera.report_status()["boot_id"], camera.report_status()["frames"])
    assert live["number"] and 0 < camera.report_status()["reconfiguration_gap_s"] < 5
    assert camera.report_status()["streams"]["main"]["size"] == [640, 360]  # as before


def _colours(frame: dict[str, Any]) -> float:
    """How far from grey its pixels are on average."""
    picture = cv2.imdecode(np.frombuffer(frame["data"], np.uint8), cv2.IMREAD_COLOR)
    return float(np.ptp(picture.astype(int), axis=2).mean())


def _pieces(camera: RemoteDaemon, name: str) -> Iterator[bytes]:
    offset = 0
    while True:
        piece = camera.read_file(name, offset)
        yield piece["data"]
        offset += len(piece["data"])
        if piece["eof"]:
            return


def test_the_controls_of_one_shot_are_not_in_the_picture_of_another(camera: RemoteDaemon) -> None:
    camera.set_controls({"AeEnable": False, "ExposureTime": 9000, "AnalogueGain": 2.0})
    camera.set_use_case("photo", {"controls": {"ExposureTime": 1000}})
    jobs = [camera.take_photo() if n % 3 == 0 else camera.take_raw() for n in range(12)]
    exposures = [round(done(camera, job)["metadata"]["ExposureTime"] / 1000) for job in jobs]
    assert exposures == [1 if n % 3 == 0 else 9 for n in range(12)]


def test_a_shot_that_needs_another_configuration_is_refused_while_a_recording_runs(camera: RemoteDaemon) -> None:
    camera.set_use_case("live", LIVE_ON_MAIN)
    camera.set_use_case("photo", WIDE)
    job = camera.start_video()
    waiting.until(lambda: (camera.report_status()["recording_s"] or 0) > 0, 10, "a picture")  # without one it fails
    refused = camera.wait(camera.take_photo()["id"])
    assert (refused["state"], refused["error"]["error"]) == ("failed", "Blocked")
    with pytest.raises(Blocked):
        camera.set_use_case("photo", {"size": [640, 360]})
    with pytest.raises(Blocked):
        camera.start_video()
    camera.stop_video()
    assert done(camera, camera.wait(job["id"]))["frames"] > 0
    with pytest.raises(CameraNotAcquiring):
        camera.stop_video()
    assert done(camera, camera.take_photo())["name"]


def test_a_photo_at_a_time(camera: RemoteDaemon, machine_lag) -> None:
    wanted = datetime.now(UTC) + timedelta(seconds=1)
    metadata = done(camera, camera.take_photo(at=wanted.isoformat().replace("+00:00", "Z")))["metadata"]["observatory"]
    began = datetime.fromisoformat(metadata["exposure_start"])
    assert abs((began - wanted).total_seconds()) < 1 / 30 + machine_lag.seconds  # under a frame
    assert metadata["after_at_us"] == pytest.approx((began - wanted).total_seconds() * 1e6, abs=2)


@pytest.mark.parametrize(
    "at", ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z", "tomorrow", 5, "2026-11-21T00:00:00+01:00", "", "Z", "NaN"]
)
def test_a_time_that_is_over_too_far_or_none(at, camera: RemoteDaemon) -> None:
    with pytest.raises(InvalidArgument, match="at is"):
        camera.take_photo(at=at)


def test_a_shot_can_be_cancelled_before_its_time(camera: RemoteDaemon) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    job = camera.take_photo(at=at)
    assert camera.cancel(job["id"])["state"] == "stopped"
    assert done(camera, camera.take_photo())["name"]


def test_a_folder_must_lie_inside_the_roots(camera: RemoteDaemon, camerad: Camerad) -> None:
    inside = camerad.folder / "elsewhere"
    (inside / "scan1").mkdir(exist_ok=True)
    name = done(camera, camera.take_photo(folder=str(inside / "scan1")))["name"]
    assert (inside / "scan1" / name).stat().st_size > 1000
    (inside / "way_out").unlink(missing_ok=True)
    (inside / "way_out").symlink_to(camerad.folder)
    for wrong in ("/etc", str(camerad.folder), f"{inside}/../", "scan1", f"{inside}/none", f"{inside}/way_out", "a\0b", 5, ""):
        with pytest.raises(InvalidArgument, match="folder is"):
            camera.take_photo(folder=wrong)
        with pytest.raises(InvalidArgument, match="folder is"):
            camera.start_video(folder=wrong)


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("take_photo", {"format": "gif"}),
        ("take_photo", {"format": "../x"}),
        ("take_photo", {"format": None}),
        ("take_photo", {"raw": "jpg"}),
        ("take_photo", {"format": "fits", "raw": "fits"}),
        ("take_raw", {"format": "jpg"}),
        ("start_sequence", {"count": -1}),
        ("start_sequence", {"count": 1.5}),
        ("start_sequence", {"count": 10**9}),
        ("start_sequence", {"count": 1, "interval_s": float("nan")}),
        ("start_sequence", {"count": 1, "format": "gif"}),
        ("start_video", {"duration_s": 0}),
        ("start_video", {"duration_s": float("inf")}),
        ("start_video", {"audio": 1}),
        ("start_video", {"format": "avi"}),
        ("set_exposure", {"exposure_s": 0}),
        ("set_exposure", {"exposure_s": "1"}),
        ("set_exposure", {"exposure_s": 1e9}),
        ("set_gain", {"gain": 0.5}),
        ("set_gain", {"gain": float("nan")}),
        ("set_crop", {"zoom": 0.5}),
        ("set_crop", {"zoom": 2, "centre": [0.5]}),
        ("set_crop", {"zoom": 2, "centre": [0.5, 1.5]}),
        ("set_crop", {"crop": [0, 0, 0, 0]}),
        ("set_crop", {"crop": [0, 0, 10**9, 10**9]}),
        ("set_crop", {"crop": [-2, 0, 100, 100]}),
        ("set_crop", {"crop": "all"}),
        ("set_use_case", {"name": "holiday", "use_case": {}}),
        ("set_use_case", {"name": "photo", "use_case": {}}),
        ("set_use_case", {"name": "photo", "use_case": {"size": [0, 0]}}),
        ("set_use_case", {"name": "photo", "use_case": {"size": [10**9, 10**9]}}),
        ("set_use_case", {"name": "photo", "use_case": {"size": [640]}}),
        ("set_use_case", {"name": "photo", "use_case": {"format": "JPEG"}}),
        ("set_use_case", {"name": "photo", "use_case": {"mode": 7}}),
        ("set_use_case", {"name": "photo", "use_case": {"mode": True}}),
        ("set_use_case", {"name": "photo", "use_case": {"stream": "fourth"}}),
        ("set_use_case", {"name": "photo", "use_case": {"buffer_count": 0}}),
        ("set_use_case", {"name": "photo", "use_case": {"controls": {"Nonsense": 1}}}),
        ("set_use_case", {"name": "photo", "use_case": {"siez": [640, 360]}}),
        ("configure", {"parameters": {"exposure": "long"}}),
        ("configure", {"parameters": {"speed": 1}}),
        ("configure", {"parameters": []}),
        ("configure", {"parameters": {"interval": -1}}),
        ("configure", {"parameters": {"folder": "/etc"}}),
        ("save_settings", {"name": ""}),
        ("save_settings", {"name": 5}),
        ("save_settings", {"name": "a\nb"}),
        ("save_settings", {"name": "a/b"}),
        ("save_settings", {"name": "."}),
        ("save_settings", {"name": ".."}),
        ("load_settings", {"name": "none such"}),
        ("delete_settings", {"name": "none such"}),
        ("histogram", {"stream": "fifth"}),
        ("packets", {"stream": "raw"}),
        ("packets", {"after": -1}),
        ("frame", {"timeout_s": 11}),
        ("frame", {"newer_than": -1}),
        ("delete_files", {"names": []}),
        ("delete_files", {"names": ["../x"]}),
        ("delete_files", {"names": "all"}),
        ("read_file", {"name": "x.jpg", "offset": -1}),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(call: str, arguments: dict[str, Any], camera: RemoteDaemon) -> None:
    before = (camera.use_cases(), camera.settings(), len(camera.files()))
    with pytest.raises((InvalidArgument, ValueError)) as refused:
        getattr(camera, call)(**arguments)
    assert len(str(refused.value)) > 10
    assert (camera.use_cases(), camera.settings(), len(camera.files())) == before


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"ExposureTime": 100_000}, "does not fit into frames of 33333 us"),
        ({"AeEnable": True, "ExposureTime": 5000, "AnalogueGain": 2.0}, "one or the other"),
        ({"AwbEnable": True, "ColourGains": [1.5, 1.5]}, "one or the other"),
        ({"AfMode": "Auto", "LensPosition": 2.0}, "with AfMode Manual"),
        ({"AfTrigger": "Start"}, "with AfMode Auto"),
        ({"ScalerCrop": [0, 0, 0, 10]}, "is empty"),
        ({"AfWindows": [[0, 0, 100, 100]]}, "with AfMetering Windows"),
        ({"AfMetering": "Windows", "AfWindows": [0, 0, 100, 100]}, "a list of 1 to 10, each a list of 4"),
    ],
)
def test_controls_that_would_have_no_effect_are_refused_with_what_they_need(values, says, camera: RemoteDaemon) -> None:
    camera.set_controls({"FrameDurationLimits": [33333, 33333], "AfMode": "Manual"})
    with pytest.raises(InvalidArgument, match=says):
        camera.set_controls(values)


def test_every_control_refuses_what_is_not_its_own(camera: RemoteDaemon) -> None:
    for name, info in camera.controls().items():
        wrong: list[Any] = [None, "nonsense", {}, [], float("nan"), float("inf"), [[1]]]
        if info["count"] == 1 and info["type"] != "bool":
            wrong += [True]
            wrong += [] if info["minimum"] is None else [info["minimum"] - 1 or -1]  # 0 is automatic for some
            wrong += [] if info["maximum"] is None else [info["maximum"] + 1]
        for value in wrong:
            with pytest.raises(InvalidArgument, match=name):
                camera.set_controls({name: value})


def test_autofocus_windows(camera: RemoteDaemon) -> None:
    windows = [[0, 0, 100, 100], [500, 400, 300, 200]]
    assert camera.set_controls({"AfMetering": "Windows", "AfWindows": windows})["controls"]["AfWindows"] == windows
    assert camera.settings()["controls"]["AfWindows"] == windows


def test_zoom_and_pan(camera: RemoteDaemon) -> None:
    assert camera.set_crop(zoom=2.0)["in_effect"]["ScalerCrop"] == [640, 360, 1280, 720]
    assert camera.set_crop(zoom=4.0, centre=[0.0, 1.0])["in_effect"]["ScalerCrop"] == [0, 1080, 640, 360]
    assert camera.set_crop(crop=[100, 200, 320, 180])["in_effect"]["ScalerCrop"] == [100, 200, 320, 180]
    assert camera.set_crop()["in_effect"]["ScalerCrop"] == [0, 0, 2560, 1440]


def test_autofocus_is_a_job(camera: RemoteDaemon) -> None:
    job = camera.autofocus()
    with pytest.raises(Blocked):
        camera.autofocus()
    result = done(camera, job)
    assert result["focused"] and result["LensPosition"] == pytest.approx(1.0, abs=0.15)
    assert camera.settings()["controls"]["AfMode"] == 0  # it stays there, whatever comes
    assert camera.settings()["controls"]["LensPosition"] == result["LensPosition"]
    cancelled = camera.autofocus()
    camera.cancel(cancelled["id"])
    assert camera.wait(cancelled["id"])["state"] == "stopped"


def test_histogram_of_a_picture_and_of_raw(camera: RemoteDaemon) -> None:
    picture = camera.histogram("photo")
    assert {name: sum(counts) for name, counts in picture["counts"].items()} == dict.fromkeys(
        ("red", "green", "blue", "luma"), 640 * 360
    )
    raw = camera.histogram("raw")
    assert {name: sum(counts) for name, counts in raw["counts"].items()} == dict.fromkeys(("R", "G1", "G2", "B"), 640 * 360)
    assert raw["largest"] == 4095


def test_settings_are_kept_over_a_restart_saved_loaded_and_reset(tmp_path: Path) -> None:
    camerad = Camerad(tmp_path)
    camerad.start()
    with camerad.connect() as camera:
        _set_save_and_load(camera)
    assert camerad.stop() == 0
    camerad.start()
    with camerad.connect() as again:
        assert again.settings()["controls"] == {"AeEnable": False, "ExposureTime": 2222, "Contrast": 1.5}
        assert again.use_cases()["video"]["size"] == [320, 180]
        assert done(again, again.take_photo())["metadata"]["ExposureTime"] == 2222 // 29 * 29
        assert again.report_status()["settings_changed"] is True
        again.delete_settings("night")
        again.reset_settings()
        nothing = {"version": 1, "changed": False, "use_cases": {}, "controls": {}, "saved": [], "saved_at": {}}
        assert again.settings() == nothing
    assert camerad.stop() == 0


def _set_save_and_load(camera: RemoteDaemon) -> None:
    camera.set_controls({"AeEnable": False, "ExposureTime": 2222, "Contrast": 1.5})
    camera.set_use_case("video", {"size": [320, 180]})
    camera.save_settings("night")
    camera.reset_settings()
    assert camera.settings()["changed"] is False
    assert camera.settings()["saved"] == ["night"]
    assert camera.use_cases()["video"]["size"] == [640, 360]
    camera.load_settings("night")


def test_a_use_case_that_the_camera_refuses_leaves_all_as_it_was(camera: RemoteDaemon) -> None:
    before = camera.use_cases()
    with pytest.raises((CommandFailed, InvalidArgument)):
        camera.set_use_case("photo", {"size": [2560, 1440], "mode": 0})  # more pixels than that mode has
    assert camera.use_cases() == before
    assert done(camera, camera.take_photo())["name"]
