"""What different users do to one camera at the same time, and settings that do not fit it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import waiting
from cameras import Camerad

from observatory_common.errors import Blocked, CommandFailed, InvalidArgument, NotConnected
from observatory_common.rpc.client import RemoteDaemon
from observatory_common.storage import write_atomic

SMALL = {"stream": "main", "size": [640, 360], "format": "RGB888", "mode": 0}
LARGE = {"stream": "main", "size": [2560, 1440], "format": "RGB888", "mode": 1}
UNMERGED = {"live": SMALL, "photo": LARGE, "video": SMALL}


@pytest.fixture
def camerad(tmp_path: Path) -> Iterator[Callable[..., Camerad]]:
    made: list[Camerad] = []

    def start(**config: Any) -> Camerad:
        made.append(Camerad(tmp_path, **config))
        made[0].start()
        return made[0]

    yield start
    for running in made:
        if running.process is not None and running.process.poll() is None:
            assert running.stop() == 0
        assert "Traceback" not in running.log.read_text()


def ended(camera: RemoteDaemon, job: dict[str, Any], within_s: float = 30) -> dict[str, Any]:
    until = time.monotonic() + within_s
    while job["state"] == "running" and time.monotonic() < until:
        job = camera.wait(job["id"], 2)
    return job


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def test_a_recording_that_begins_while_a_photo_waits_in_another_configuration(camerad) -> None:
    with camerad(use_cases=UNMERGED).connect() as camera:
        photo = camera.take_photo(at=in_s(2.0))
        time_to_prepare = time.monotonic() + 0.7
        waiting.until(lambda: time.monotonic() > time_to_prepare, 2, "the camera to be prepared")
        video = camera.start_video(1.5)
        refused = ended(camera, photo)
        assert (refused["state"], refused["error"]["error"]) == ("failed", "Blocked")
        assert ended(camera, video)["state"] == "succeeded"
        later = [ended(camera, camera.take_photo()), ended(camera, camera.take_photo())]
        assert [job["state"] for job in later] == ["succeeded"] * 2


def test_a_recording_keeps_its_configuration_over_a_short_failure_of_the_camera(camerad) -> None:
    daemon = camerad(use_cases={**UNMERGED, "video": {**SMALL, "size": [320, 180]}})
    with daemon.connect() as camera:
        video = camera.start_video(4)
        waiting.until(lambda: (camera.report_status()["recording_s"] or 0) > 0.5, 10, "some pictures")
        daemon.fault(error="a short circuit")
        waiting.until(lambda: camera.report_status()["last_error"], 10, "the failure")
        daemon.fault()
        done = ended(camera, video)
        assert done["state"] == "succeeded" and done["result"]["duration_s"] > 3.5
        assert ended(camera, camera.take_photo())["state"] == "succeeded"  # and is let go again


def test_a_recording_that_is_asked_for_without_a_camera_holds_nothing(camerad) -> None:
    daemon = camerad(use_cases=UNMERGED)
    with daemon.connect() as camera:
        daemon.fault(gone=True)
        waiting.until(lambda: camera.report_status()["state"] == "initializing", 10, "the failure")
        with pytest.raises(NotConnected):
            camera.start_video()
        daemon.fault()
        waiting.until(lambda: camera.report_status()["state"] == "idle", 10, "the camera")
        taken = ended(camera, camera.take_photo())
        assert taken["state"] == "succeeded", taken


def test_a_recording_that_the_camera_refuses_holds_nothing_and_keeps_it_not_shut(camerad) -> None:
    with camerad(use_cases={**UNMERGED, "video": {**LARGE, "mode": 0}}).connect() as camera:
        with pytest.raises(CommandFailed, match="larger than sensor mode 0"):
            camera.start_video()
        camera.shutdown()
        assert camera.initialize()["state"] == "idle"
        taken = ended(camera, camera.take_photo())
        assert taken["state"] == "succeeded", taken


def test_a_photo_whose_time_comes_without_a_camera_is_lost(tmp_path: Path, camerad) -> None:
    folder = tmp_path / "state" / "observatory" / "camerad" / "cam"
    folder.mkdir(parents=True)
    write_atomic(folder / "failures.json", json.dumps({"in_a_row": 20}).encode())  # so that it is tried once a minute
    daemon = camerad()
    with daemon.connect() as camera:
        soon, later = camera.take_photo(at=in_s(1.5)), camera.take_photo(at=in_s(60))
        daemon.fault(gone=True)
        assert ended(camera, soon, 10)["state"] == "lost_device"
        assert camera.wait(later["id"], 0)["state"] == "running"  # the camera may be back
        daemon.fault()


@pytest.mark.parametrize(
    "state",
    [
        {"use_cases": {}, "controls": {"AnalogueGain": 1000.0, "Contrast": 1.5}},
        {"use_cases": {"photo": {**LARGE, "mode": 7, "buffer_count": 4, "controls": {}}}, "controls": {}},
        {"use_cases": {"live": {**SMALL, "format": "XRGB", "buffer_count": 4, "controls": {}}}, "controls": {"Nonsense": 1}},
        {"use_cases": [], "controls": {}},
        {"use_cases": {"photo": {"size": 5}}, "controls": {}},
        {"use_cases": {}, "controls": []},
    ],
)
def test_settings_that_do_not_fit_the_camera_never_keep_it_shut(state: dict[str, Any], tmp_path: Path, camerad) -> None:
    folder = tmp_path / "state" / "observatory" / "camerad" / "cam"
    folder.mkdir(parents=True)
    write_atomic(folder / "settings.json", json.dumps({"version": 1, **state, "sets": {}}).encode())
    with camerad().connect() as camera:
        status = camera.report_status()
        set_aside = (folder / "settings.unreadable").exists()
        assert status["use_cases_refused"] or status["controls_refused"] or set_aside or "mode" in str(state)
        if "Contrast" in str(state):
            assert list(status["controls_refused"]) == ["AnalogueGain"]
        camera.reset_settings()
        assert ended(camera, camera.take_photo())["state"] == "succeeded"
        assert camera.report_status()["use_cases_refused"] is None


def test_controls_of_the_config_that_do_not_fit_are_told_and_left_out(camerad) -> None:
    with camerad(controls={"AnalogueGain": "high", "Sharpness": 2.0, "Nonsens": 1}).connect() as camera:
        assert sorted(camera.report_status()["controls_refused"]) == ["AnalogueGain", "Nonsens"]
        assert ended(camera, camera.take_photo())["state"] == "succeeded"


def test_settings_can_be_reset_without_a_camera(tmp_path: Path, camerad) -> None:
    daemon = camerad()
    with daemon.connect() as camera:
        camera.set_controls({"Contrast": 2.0})
        camera.shutdown()
        assert camera.reset_settings()["changed"] is False
        camera.initialize()
        assert camera.controls()["Contrast"]["value"] is None


def test_saved_settings_of_another_camera_are_refused(camerad) -> None:
    daemon = camerad()
    with daemon.connect() as camera:
        camera.save_settings("other")
    assert daemon.stop() == 0
    state = json.loads((daemon.state_folder / "settings.json").read_text())
    state["sets"]["other"] = {"use_cases": {}, "controls": {"AnalogueGain": 500.0}}
    write_atomic(daemon.state_folder / "settings.json", json.dumps(state).encode())
    daemon.start()
    with daemon.connect() as camera:
        with pytest.raises(InvalidArgument, match="AnalogueGain"):
            camera.load_settings("other")
        assert camera.settings()["changed"] is False


def test_a_long_exposure_can_be_shortened_at_once(camerad) -> None:
    with camerad().connect() as camera:
        camera.set_exposure(60, 0.2)
        began = time.monotonic()
        camera.set_exposure(0.01, 10)
        job = ended(camera, camera.take_photo())
        assert job["result"]["metadata"]["ExposureTime"] == pytest.approx(10_000, abs=30)
        assert time.monotonic() - began < 8
        assert camera.report_status()["failures_in_a_row"] == 0


def test_a_change_that_another_takes_the_place_of_holds_nobody_up(camerad) -> None:
    daemon = camerad()
    with daemon.connect() as camera:
        camera.set_exposure(0.3)
        assert camera.set_exposure(0.5, 0)["complete"] is False
        camera.set_exposure(0.7, 0)
        began = time.monotonic()
        job = ended(camera, camera.take_photo())
        assert job["result"]["metadata"]["ExposureTime"] == pytest.approx(700_000, abs=60)
        assert time.monotonic() - began < 6 * 0.7 + 3
        with daemon.connect() as another:
            answers: dict[float, dict[str, Any]] = {}
            first = threading.Thread(target=lambda: answers.update({2.0: another.set_controls({"AnalogueGain": 2.0}, 8)}))
            first.start()
            answers[8.0] = camera.set_controls({"AnalogueGain": 8.0}, 8)
            first.join(20)
        for gain, answer in answers.items():  # whichever came first was not in effect, and is not said to have been
            assert answer["in_effect"]["AnalogueGain"] == pytest.approx(gain) or not answer["complete"]


def test_a_photo_has_the_controls_of_its_use_case_or_fails(camerad) -> None:
    cases = {"live": SMALL, "photo": {**SMALL, "controls": {"ExposureTime": 400_000}}}
    with camerad(use_cases=cases).connect() as camera:
        job = ended(camera, camera.take_photo())
        assert job["result"]["metadata"]["ExposureTime"] == pytest.approx(400_000, abs=60)
        number = camera.report_status()["frames"]
        live = camera.frame("live", camera.report_status()["boot_id"], number + 6)
        assert live["metadata"]["ExposureTime"] < 34_000
        assert live["metadata"]["FrameDuration"] < 40_000  # as before


def test_a_photo_whose_use_case_asks_for_nonsense_says_so(camerad) -> None:
    cases = {"live": SMALL, "photo": {**SMALL, "controls": {"Nonsense": 5, "AnalogueGain": 99}}}
    with camerad(use_cases=cases).connect() as camera:
        job = ended(camera, camera.take_photo())
        assert job["state"] == "failed"
        assert "Nonsense" in job["error"]["message"] and "AnalogueGain" in job["error"]["message"]


def test_a_control_that_is_set_while_a_photo_waits_with_its_own(camerad) -> None:
    cases = {"live": SMALL, "photo": {**SMALL, "controls": {"AnalogueGain": 2.0, "ExposureTime": 20_000}}}
    with camerad(use_cases=cases).connect() as camera:
        camera.set_controls({"AeEnable": False, "ExposureTime": 10_000, "AnalogueGain": 4.0})
        job = camera.take_photo(at=in_s(1.5))
        camera.set_controls({"AnalogueGain": 8.0}, 0)
        metadata = ended(camera, job)["result"]["metadata"]
        assert (metadata["AnalogueGain"], round(metadata["ExposureTime"] / 1000)) == (2.0, 20)
        waiting.until(lambda: camera.metadata().get("AnalogueGain") == 8.0, 10, "the gain that was asked for meanwhile")


def test_nothing_old_is_shown_as_live_after_a_shutdown(camerad) -> None:
    with camerad().connect() as camera:
        before = camera.frame("live")["number"]
        camera.shutdown()
        assert camera.report_status()["ExposureTime"] is None
        camera.initialize()
        assert camera.frame("live")["number"] > before


def test_a_shutdown_ends_what_waits_for_the_camera(camerad) -> None:
    with camerad().connect() as camera:
        focusing, later = camera.autofocus(), camera.take_photo(at=in_s(30))
        camera.shutdown()
        assert [ended(camera, job, 5)["state"] for job in (focusing, later)] == ["lost_device"] * 2
        camera.initialize()
        assert ended(camera, camera.autofocus())["state"] == "succeeded"


def test_a_burst_is_taken_whole(camerad) -> None:
    with camerad().connect() as camera:
        jobs = [camera.take_photo("png") for _ in range(30)]
        names = [ended(camera, job)["result"]["name"] for job in jobs]
        assert len(set(names)) == 30


def test_what_is_cancelled_leaves_no_file(camerad) -> None:
    with camerad().connect() as camera:
        jobs = [camera.take_photo("png") for _ in range(10)]
        states = [camera.cancel(job["id"])["state"] and ended(camera, job)["state"] for job in jobs]
        written = [file for file in camera.files() if file["name"].endswith(".png")]
        waiting.until(lambda: camera.report_status()["unwritten"] == 0, 10, "the writer")
        assert len(written) == states.count("succeeded")
        assert states.count("succeeded") + states.count("stopped") == 10


def test_auto_exposure_can_be_had_back(camerad) -> None:
    with camerad().connect() as camera:
        automatic = waiting.until(lambda: camera.metadata().get("AeState") == 2 and camera.metadata(), 10, "auto exposure")
        camera.set_exposure(0.2)
        camera.set_gain(4.0)
        camera.set_controls({"AeEnable": True})
        waiting.until(
            lambda: _brightness(camera.metadata()) == pytest.approx(_brightness(automatic), rel=0.1), 20, "the same again"
        )
        assert camera.metadata()["FrameDuration"] == automatic["FrameDuration"]


def _brightness(metadata: dict[str, Any]) -> float:
    return metadata["ExposureTime"] * metadata["AnalogueGain"] * metadata["DigitalGain"]


@pytest.mark.parametrize(
    ("name", "use_case"),
    [("live", {"stream": "raw"}), ("raw", {"stream": "main"}), ("photo", {"size": [2, 2]}), ("live", {"controls": None})],
)
def test_nonsense_is_no_use_case(name: str, use_case: dict[str, Any], camerad) -> None:
    with camerad().connect() as camera, pytest.raises(InvalidArgument):
        camera.set_use_case(name, use_case)


def test_a_use_case_with_pairs_among_its_controls_can_be_changed(camerad) -> None:
    cases = {"live": {**SMALL, "controls": {"FrameDurationLimits": [40_000, 40_000]}}}
    with camerad(use_cases=cases).connect() as camera:
        camera.set_use_case("live", {"size": [320, 180]})
        number, boot_id = camera.report_status()["frames"], camera.report_status()["boot_id"]
        assert camera.frame("live", boot_id, number + 6)["metadata"]["FrameDuration"] == 40_000


def test_a_repeated_request_starts_nothing_twice(camerad) -> None:
    with camerad().connect() as camera:
        first = camera.take_photo(request_id="one")
        assert camera.take_photo(request_id="one")["id"] == first["id"]
        sequence = camera.start_sequence(3, 0.1, "jpg", "two")
        assert camera.start_sequence(3, 0.1, "jpg", "two")["id"] == sequence["id"]
        assert ended(camera, sequence)["state"] == "succeeded"
        video = camera.start_video(0.5, request_id="three")
        assert camera.start_video(0.5, request_id="three")["id"] == video["id"]
        assert ended(camera, video)["state"] == "succeeded"


def test_use_cases_and_recordings_do_not_mix(camerad) -> None:
    with camerad().connect() as camera:
        job = camera.start_video()
        waiting.until(lambda: (camera.report_status()["recording_s"] or 0) > 0.2, 10, "some pictures")
        for call in (lambda: camera.set_use_case("live", {"size": [160, 90]}), camera.reset_settings):
            with pytest.raises(Blocked):
                call()
        camera.stop_video()
        assert ended(camera, job)["state"] == "succeeded"
        for _ in range(5):  # one after the other, without a pause between
            video = camera.start_video(0.3)
            done = ended(camera, video)
            assert done["state"] == "succeeded", done
            camera.set_use_case("video", {"size": [320, 180]})
            camera.reset_settings()
