"""A configuration is dropped, and a test photo comes back."""

from __future__ import annotations

import ftplib
import io
import json

import ftp_camera
import ftp_daemon
import pytest
import waiting
from ftp_daemon import FILE, GOOD, config_text, upload


def test_a_good_file_is_applied_and_a_photo_lies_there(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        assert upload(client, FILE, config_text(GOOD)).startswith("226")
        report = ftpd.report_of(1)
        assert (report["outcome"], report["photo"], report["error"]) == ("applied", "test000.jpg", None)
        assert (report["exposure_s"], report["gain"]) == (0.02, 4.0)
        assert set(client.nlst()) == {FILE, f"{FILE}.report", f"{FILE}.default", "test000.jpg"}
        photo = io.BytesIO()
        client.retrbinary("RETR test000.jpg", photo.write)
        assert photo.getvalue() == camera.photo
    assert camera.calls == [GOOD]
    assert (ftpd.drop / FILE).read_bytes() == config_text(GOOD)
    with ftpd.connect() as daemon:
        status, uploads = daemon.report_status(), daemon.uploads()
        job = daemon.wait(uploads[0]["job"], 10)
        events = [event["name"] for event in daemon.events(None, 0, 0)["events"]]
    assert (status["state"], status["last_error"], status["last_upload"]) == ("idle", None, uploads[-1])
    assert (job["state"], job["kind"]) == ("succeeded", "config")
    assert events == ["login", "upload", "applied", "photo"]


def test_active_transfers_and_text_mode(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        client.set_pasv(False)
        client.storlines(f"STOR {FILE}", io.BytesIO(b'{\n"picamera": {\n"AnalogueGain": 2.0\n}\n}'))
        assert ftpd.report_of(1)["outcome"] == "applied"
        assert b"\r" not in (ftpd.drop / FILE).read_bytes()
        assert "test000.jpg" in client.nlst()


def test_a_camera_of_another_version_is_a_failure_as_any_other(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    camera.answer = {"all": "well"}
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        assert "apply_controls is not understood" in ftpd.report_of(1)["error"]
        camera.answer = None
        upload(client, FILE, config_text(GOOD))
        assert ftpd.report_of(2)["outcome"] == "applied"


def test_what_the_camera_refuses_is_in_the_report_with_its_range(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text({"ExposureValue": -10, "AnalogueGain": 2.0}))
        report = ftpd.report_of(1)
        assert report["outcome"] == "partly" and report["photo"] == "test000.jpg"
        assert report["camera"]["refused"] == {"ExposureValue": "is -10, expected -8.0 to 8.0"}
        assert report["camera"]["applied"] == {"AnalogueGain": 2.0}
        upload(client, FILE, config_text({"AnalogueGain": 99}))
        report = ftpd.report_of(2)
        assert report["outcome"] == "refused" and report["photo"] is None
        assert "expected 1.0 to 16.0" in report["error"]
    assert camera.controls == {"AnalogueGain": 2.0} and len(camera.photos) == 1
    # The report may be read before the folder is on the disk, which comes before this.
    waiting.until(lambda: ftpd.status()["last_error"] == report["error"], 10, "the error in the status")


def test_strict_applies_nothing_of_a_file_with_one_wrong_key(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(strict=True)
    with ftpd.ftp() as client:
        upload(client, FILE, config_text({"Colour": 1, "AnalogueGain": 2.0}))
        assert ftpd.report_of(1)["outcome"] == "refused"
    assert camera.controls == {} and camera.photos == []


WRONG = {
    "half": (b'{"picamera": {"AnalogueGain": ', "ends too early"),
    "no JSON": (b"gain = 4", "is no JSON"),
    "empty": (b"", "ends too early"),
    "list": (b"[1]", "no JSON object"),
    "no section": (b'{"picamara": {}}', "but 'picamara'"),
    "section": (b'{"picamera": 5}', "expected an object"),
    "nan": (b'{"picamera": {"AnalogueGain": NaN}}', "NaN"),
    "huge": (b'{"picamera": {"AnalogueGain": 1e999}}', "too large"),
    "long": (b'{"picamera": {"AnalogueGain": ' + b"9" * 5000 + b"}}", "too long"),
    "deep": (b'{"picamera": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "nested"),
    "twice": (b'{"picamera": {"a": 1, "a": 2}}', "twice"),
    "large": (config_text({"a": "x" * 300_000}), "larger than 262144 characters"),
    "half a character": (b'{"picamera": {"AnalogueGain": "\\ud800"}}', "picamera.AnalogueGain holds \\ud800, which is half"),
    "half a key": (b'{"picamera": {"\\udfff": 1}}', "picamera has a key that holds \\udfff"),
    "latin": (b'{"picamera": {"\xe9": 1}}', "UTF-8"),
}


def test_a_wrong_file_changes_nothing_and_says_why(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        ftpd.report_of(1)
        for number, (data, why) in enumerate(WRONG.values(), 2):
            with pytest.raises(ftplib.error_perm, match="553") as refusal:
                upload(client, FILE, data)
            assert why in str(refusal.value)
            assert ftpd.report_of(number)["outcome"] == "refused"
            assert why in ftpd.report()["error"]
        assert upload(client, FILE, config_text(GOOD)).startswith("226")
    assert ftpd.report_of(len(WRONG) + 2)["outcome"] == "applied"
    assert camera.calls == [GOOD, GOOD]
    assert (ftpd.drop / FILE).read_bytes() == config_text(GOOD)


def test_the_template_is_there_from_the_start_and_when_the_camera_changes(start, camera_port: int) -> None:
    ftpd = start(section="scanner")
    template = ftpd.drop / f"{FILE}.default"
    assert not template.exists()
    with ftp_camera.serving(camera_port):
        waiting.until(template.exists, 20, "the template")
        made = json.loads(template.read_text())
    template.unlink()
    with ftp_camera.serving(camera_port, "boot-2"):
        waiting.until(template.exists, 20, "the template of the next camera")
        assert json.loads(template.read_text()) == made
    assert made["scanner"]["AnalogueGain"] == 1.0 and made["scanner_notes"]["AnalogueGain"] == {"min": 1.0, "max": 16.0}


def test_a_photo_is_taken_at_the_start_if_the_config_says_so(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(photo={"at_start": True, "format": "png"})
    waiting.until((ftpd.drop / "test.png").exists, 20, "the photo")
    assert (ftpd.drop / "test.png").read_bytes() == camera.photo


def test_a_photo_at_the_start_that_failed_is_taken_again(start, camera: ftp_camera.FakeCamera) -> None:
    camera.ends = ["failed"]
    ftpd = start(photo={"at_start": True})
    waiting.until((ftpd.drop / "test.jpg").exists, 20, "the photo")
    assert len(camera.photos) == 1


def test_a_photo_at_the_start_whose_file_is_gone_is_given_up(start, camera: ftp_camera.FakeCamera) -> None:
    camera.is_listed = camera.is_readable = False
    ftpd = start(photo={"at_start": True})
    error = waiting.until(lambda: ftpd.status()["last_error"], 20, "the complaint")
    camera.is_listed = camera.is_readable = True
    looks = camera.looks
    with ftpd.ftp() as client:
        for number in (1, 2):  # after the first it looks at once, and ends that before the second
            upload(client, FILE, config_text(GOOD))
            assert ftpd.report_of(number)["outcome"] == "applied"
            waiting.until(lambda: camera.looks > looks, 20, "another look at the camera")
        assert "test.jpg" not in client.nlst()
    assert len([request for request in camera.requests if "-start-" in request]) == 1
    assert "photo_1.jpg was taken, and is there no more" in error
    assert len([line for line in ftpd.log_lines() if error in line]) == 1


def test_a_photo_at_the_start_that_cannot_be_read_now_is_fetched_later(start, camera: ftp_camera.FakeCamera) -> None:
    camera.is_readable = False
    ftpd = start(photo={"at_start": True})
    assert "photo_1.jpg is there, but" in waiting.until(lambda: ftpd.status()["last_error"], 20, "the complaint")
    camera.is_readable = True
    waiting.until((ftpd.drop / "test.jpg").exists, 20, "the photo")
    assert len(camera.photos) == 1


def test_an_upload_whose_photo_is_gone_has_failed_but_is_not_refused(
    ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera
) -> None:
    camera.is_listed = camera.is_readable = False
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        report = ftpd.report_of(1)
    assert (report["outcome"], report["photo"], report["camera"]["applied"]) == ("failed", None, GOOD)
    assert "photo_1.jpg was taken, and is there no more" in report["error"]


def test_of_several_uploads_the_newest_wins(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    camera.go.clear()
    with ftpd.ftp() as client:
        for gain in (2.0, 3.0, 4.0, 5.0):
            upload(client, FILE, config_text({"AnalogueGain": gain}))
    camera.go.set()
    assert ftpd.report_of(4)["gain"] == 5.0
    with ftpd.connect() as daemon:
        uploads = daemon.uploads()
        jobs = [daemon.wait(upload["job"], 10)["state"] for upload in uploads]
    assert [upload["outcome"] for upload in uploads] == ["superseded"] * 3 + ["applied"]
    assert jobs == ["stopped"] * 3 + ["succeeded"]
    assert camera.controls == {"AnalogueGain": 5.0} and len(camera.photos) == 1


def test_a_camera_that_is_away_is_waited_for(start, camera_port: int) -> None:
    ftpd = start()
    with ftpd.ftp() as client:
        upload(client, FILE, config_text({"AnalogueGain": 2.0}))
        assert "cannot reach test_camera" in ftpd.report_of(1, "waiting")["error"]
        assert (ftpd.status()["state"], ftpd.status()["camera_reachable"]) == ("waiting", False)
        upload(client, FILE, config_text({"AnalogueGain": 3.0}))
        ftpd.report_of(2, "waiting")
    with ftp_camera.serving(camera_port) as camera:
        assert ftpd.report_of(2)["outcome"] == "applied"
        assert camera.calls == [{"AnalogueGain": 3.0}]
        assert ftpd.status()["camera_reachable"]


def test_a_camera_that_stays_away_is_given_up(start) -> None:
    ftpd = start(retry_for=0.5)
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
    assert ftpd.report_of(1)["outcome"] == "failed"
    assert ftpd.status()["state"] == "idle"


def test_an_unplugged_camera_is_waited_for(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    camera.is_away = True
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        assert "unplugged" in ftpd.report_of(1, "waiting")["error"]
    camera.is_away = False
    assert ftpd.report_of(1)["outcome"] == "applied"


def test_a_camera_that_is_lost_while_it_takes_the_photo(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    camera.ends = ["lost_device", "lost_device"]
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
        report = ftpd.report_of(1)
    assert (report["outcome"], report["photo"]) == ("applied", "test000.jpg")
    assert camera.calls == [GOOD] * 3 and len(camera.photos) == 1


def test_a_machine_that_the_camera_does_not_obey(start, camera_port: int) -> None:
    with ftp_camera.serving(camera_port, control_machines=()):
        ftpd = start()
        with ftpd.ftp() as client:
            upload(client, FILE, config_text(GOOD))
        report = ftpd.report_of(1)
    assert report["outcome"] == "failed" and "may not control" in report["error"]


def test_what_waits_for_the_camera_outlives_a_restart(start, camera_port: int) -> None:
    ftpd = start()
    with ftpd.ftp() as client:
        upload(client, FILE, config_text({"AnalogueGain": 2.0}))
        ftpd.report_of(1, "waiting")
    ftpd.kill()
    with ftp_camera.serving(camera_port) as camera:
        ftpd.start()
        assert ftpd.report_of(1)["outcome"] == "applied"
        assert camera.controls == {"AnalogueGain": 2.0}
        assert ftpd.terminate() == 0
        ftpd.start()
        waiting.until(lambda: ftpd.status()["camera_reachable"], 10, "the camera")
        assert len(camera.calls) == 1


def test_retry_applies_the_file_that_lies_there(ftpd: ftp_daemon.Ftpd, camera: ftp_camera.FakeCamera) -> None:
    with ftpd.connect() as daemon:
        with pytest.raises(RuntimeError, match=r"mandeye_config.json cannot be read: No such file"):
            daemon.retry()
        (ftpd.drop / FILE).write_bytes(config_text(GOOD))
        assert daemon.wait_for(daemon.retry(), timeout_s=10)["state"] == "succeeded"
    assert camera.calls == [GOOD]


def test_old_photos_make_room_for_new_ones(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(photo={"keep": 2})
    with ftpd.ftp() as client:
        for number in range(1, 5):
            upload(client, FILE, config_text(GOOD))
            ftpd.report_of(number)
        assert {name for name in client.nlst() if name.endswith("jpg")} == {"test002.jpg", "test003.jpg"}


def test_a_photo_larger_than_the_quota_allows_is_refused(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(quota_mb=8)
    camera.photo = bytes(4_500_000)
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(GOOD))
    report = ftpd.report_of(1)
    assert report["outcome"] == "failed" and "more than half of the quota" in report["error"]
    assert report["camera"]["applied"] == GOOD


def test_photos_leave_room_for_the_next_configuration(start, camera: ftp_camera.FakeCamera) -> None:
    ftpd = start(quota_mb=8)
    camera.photo = bytes(1_500_000)
    with ftpd.ftp() as client:
        for number in range(1, 8):
            upload(client, FILE, config_text(GOOD)[:-1] + b', "_note": "' + b"x" * 900_000 + b'"}')
            assert ftpd.report_of(number)["outcome"] == "applied"
        assert {name for name in client.nlst() if name.endswith("jpg")} == {"test004.jpg", "test005.jpg", "test006.jpg"}
        camera.photo = bytes(3_900_000)
        upload(client, "other", bytes(2_300_000))
        upload(client, FILE, config_text(GOOD))
        report = ftpd.report_of(8)
        assert report["outcome"] == "failed" and "does not fit" in report["error"]
        assert "test006.jpg" in client.nlst()  # nothing is deleted in vain
