"""Good and bad uploads before the real daemon of a simulated camera: what the camera does, and that it never stops."""

from __future__ import annotations

import ftplib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ftp_certificates
import ftp_daemon
import pytest
import waiting
from cameras import FAST, Camerad
from ftp_daemon import FILE, TOO_LARGE, config_text, refused_upload, timed_upload, upload

BY_HAND = {"AeEnable": False, "ExposureTime": 5000, "AnalogueGain": 2.0}


@pytest.fixture
def ftpd(tmp_path: Path, camerad: Camerad) -> Iterator[ftp_daemon.Ftpd]:
    """An ftpd before the simulated camera."""
    with ftp_daemon.daemon(tmp_path, camerad.port) as running:
        waiting.until((running.drop / f"{FILE}.default").exists, 20, "the camera")
        yield running


@pytest.mark.parametrize("protocol", ["ftp", "ftps"])
@pytest.mark.parametrize("config", [FAST, {"use_cases": {}}], ids=["small and fast", "as it comes"])
def test_the_photo_is_there_within_half_a_second_of_the_last_byte(
    config: dict[str, Any], protocol: str, tmp_path: Path, machine_lag: Any
) -> None:
    if protocol == "ftps" and shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    tls = ftp_certificates.make(tmp_path / "tls") if protocol == "ftps" else None
    camerad = Camerad(tmp_path / "camera", **config)
    took_s, busy_s = [], []
    try:
        camerad.start()
        with ftp_daemon.daemon(tmp_path / "ftp", camerad.port, tls=tls) as ftpd:
            waiting.until((ftpd.drop / f"{FILE}.default").exists, 20, "the camera")
            with ftpd.ftps() if tls else ftpd.ftp() as client:
                for number in range(1, 6):
                    text = config_text({**BY_HAND, "ExposureTime": 1000 * number})
                    before_s = camerad.vitals.waited_s() + ftpd.vitals.waited_s()
                    sent_s = timed_upload(client, FILE, text)
                    report = ftpd.report_of(number)
                    took_s.append(time.monotonic() - sent_s)
                    after_s = camerad.vitals.waited_s() + ftpd.vitals.waited_s()
                    busy_s.append(max(after_s - before_s, 0.0))  # a thread that ends takes its share along
                    assert report["exposure_s"] == pytest.approx(0.001 * number, rel=0.02)
                    assert report["photo"] in client.nlst()
    finally:
        camerad.end()
    print(*(f"{took:.3f} s, of it {busy:.3f} s without a processor" for took, busy in zip(took_s, busy_s, strict=True)))
    late_s = [took - busy for took, busy in zip(took_s, busy_s, strict=True)]
    assert max(late_s) < 0.5 + machine_lag.seconds, (took_s, busy_s)


def test_the_example_of_the_old_service_and_a_valid_key(ftpd: ftp_daemon.Ftpd) -> None:
    example = {"ExposureValue": -10, "AnalogueGain": 22}
    reasons = {
        "ExposureValue": "ExposureValue is -10, expected a number from -8.0 to 8.0 EV",
        "AnalogueGain": "AnalogueGain is 22, expected a number from 1.0 to 16.0",
    }
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(example))
        report = ftpd.report_of(1)
        assert (report["outcome"], report["photo"]) == ("refused", None)
        assert (report["camera"]["applied"], report["camera"]["refused"]) == ({}, reasons)
        upload(client, FILE, config_text({**example, "Brightness": 0.25}))
    report = ftpd.report_of(2)
    assert (report["outcome"], report["photo"]) == ("partly", "test000.jpg")
    assert (report["camera"]["applied"], report["camera"]["refused"]) == ({"Brightness": 0.25}, reasons)
    fates = [(key["key"], key["value"], key["fate"], key["reason"]) for key in report["camera"]["keys"]]
    assert fates == [
        ("ExposureValue", -10, "refused", reasons["ExposureValue"]),
        ("AnalogueGain", 22, "refused", reasons["AnalogueGain"]),
        ("Brightness", 0.25, "applied", None),
    ]
    ranges = {key["key"]: (key["minimum"], key["maximum"], key["default"], key["type"]) for key in report["camera"]["keys"]}
    assert ranges["AnalogueGain"] == (1.0, 16.0, 1.0, "float")
    template = json.loads((ftpd.drop / f"{FILE}.default").read_text())
    assert "AnalogueGain" in template["picamera"] and "AnalogueGain" in template["picamera_notes"]


def test_a_value_out_of_range_among_good_ones(ftpd: ftp_daemon.Ftpd) -> None:
    with ftpd.ftp() as client:
        upload(client, FILE, config_text(BY_HAND))
        assert ftpd.report_of(1)["outcome"] == "applied"
        upload(client, FILE, config_text({"AeEnable": False, "ExposureTime": 3000, "AnalogueGain": 99.0}))
    report = ftpd.report_of(2)
    assert report["outcome"] == "partly" and set(report["camera"]["refused"]) == {"AnalogueGain"}
    # The photo shows the good value, and the gain of before.
    assert report["exposure_s"] == pytest.approx(0.003, rel=0.02) and report["gain"] == pytest.approx(2.0, rel=0.02)
    assert (ftpd.drop / report["photo"]).read_bytes()[:2] == b"\xff\xd8"


def test_wrong_files_change_nothing_and_the_camera_never_stops(ftpd: ftp_daemon.Ftpd, camerad: Camerad) -> None:
    with camerad.connect() as camera, ftpd.ftp() as client:
        upload(client, FILE, config_text(BY_HAND))
        ftpd.report_of(1)
        before, boot_id = camera.settings(), camera.report_status()["boot_id"]
        first = camera.frame("live", None, 0, 5)["number"]
        wrong = {
            "Colour": ("red", "this camera has no control 'Colour'"),
            "ExposureTime": (10**12, "ExposureTime is 1000000000000, expected a whole number from 29 to 600000000 us"),
        }
        for number, (name, (value, why)) in enumerate(wrong.items(), 2):
            upload(client, FILE, config_text({name: value}))
            report = ftpd.report_of(number)
            assert (report["outcome"], report["photo"]) == ("refused", None)
            assert why in report["error"] and report["camera"]["refused"][name].startswith(why)
        for number, half, why in (
            (4, b'{"picamera": {"ExposureTime"', "ends too early"),
            (5, b'{"picamera": {"AnalogueGain": "\\ud800"}}', "half of a character"),
        ):
            with pytest.raises(ftplib.error_perm, match="553"):
                upload(client, FILE, half)
            assert why in ftpd.report_of(number)["error"]
        with client.transfercmd(f"STOR {FILE}") as connection:
            connection.sendall(config_text({"ExposureTime": 1000})[:-9])
            ftp_daemon.reset(connection)
        with pytest.raises(ftplib.error_temp, match="426"):
            client.voidresp()
        assert "connection was cut" in ftpd.report_of(6)["error"]
        with pytest.raises(ftplib.error_perm, match=r"553 .*\.\."):
            upload(client, f"../{FILE}", config_text({"ExposureTime": 1000}))
        assert not (ftpd.drop.parent / FILE).exists()
        assert "a path with .. is refused" in ftpd.report_of(7)["error"]
        for name in (FILE, "other"):
            with ftpd.ftp() as another:
                assert refused_upload(another, name, ftp_daemon.Endless(200_000_000)).startswith("552")
        assert TOO_LARGE in ftpd.report_of(8)["error"]
        assert (ftpd.drop / FILE).read_bytes() == config_text({"ExposureTime": 10**12})  # whole; the camera did not want it
        waiting.until(lambda: not any(name.startswith(".") for name in ftpd.names()), 10, "no rest of them")
        assert camera.settings()["controls"] == before["controls"]
        assert camera.frame("live", boot_id, first, 5)["number"] > first
        upload(client, FILE, config_text({**BY_HAND, "ExposureTime": 2000}))
        with ftpd.connect() as daemon:
            last = daemon.uploads()[-1]["number"]
        assert ftpd.report_of(last)["exposure_s"] == pytest.approx(0.002, rel=0.02)


def test_300_connections_are_all_answered_and_a_photo_is_taken_meanwhile(ftpd: ftp_daemon.Ftpd, camerad: Camerad) -> None:
    with camerad.connect() as camera, ftpd.ftp() as client:
        boot_id, number = camera.report_status()["boot_id"], camera.frame("live", None, 0, 5)["number"]
        socks = [ftpd.raw() for _ in range(300)]
        try:
            answers = [sock.recv(3) for sock in socks]
            assert answers.count(b"220") == 15 and answers.count(b"421") == 285
            upload(client, FILE, config_text(BY_HAND))
            assert ftpd.report_of(1)["outcome"] == "applied"
            assert camera.frame("live", boot_id, number, 5)["number"] > number
        finally:
            for sock in socks:
                sock.close()
