"""Configurations by FTP for a camera of the real Picamera2."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import ftp_daemon
import pytest
import waiting
from cameras import Camerad, assert_picture
from ftp_daemon import FILE, config_text, upload

MAIN = {"stream": "main", "size": [640, 480], "format": "RGB888"}


@pytest.mark.skipif(
    importlib.util.find_spec("picamera2") is None,
    reason="needs the Picamera2 library (Raspberry Pi OS has it; elsewhere etc/make/picamera2-tests runs it)",
)
def test_dropped_configurations_on_picamera2(tmp_path: Path) -> None:
    """The example of the old service's page among good keys, then a file of which nothing can be had."""
    cases = {"live": MAIN, "photo": MAIN, "video": MAIN}
    camerad = Camerad(tmp_path / "camera", driver="picamera2", device=0, use_cases=cases)
    try:
        camerad.start()
        with ftp_daemon.daemon(tmp_path / "ftp", camerad.port) as ftpd, ftpd.ftp() as client:
            waiting.until((ftpd.drop / f"{FILE}.default").exists, 20, "the camera")
            notes = json.loads((ftpd.drop / f"{FILE}.default").read_text())["picamera_notes"]
            example = {"ExposureValue": -10, "AnalogueGain": 22}
            for number, exposure_us in enumerate((8000, 3000), 1):
                upload(client, FILE, config_text({**example, "AeEnable": False, "ExposureTime": exposure_us}))
                report = ftpd.report_of(number)
                assert (report["outcome"], report["error"]) == ("partly", None), report
                for name, value in example.items():
                    allowed = f"{name} is {value}, expected a number from {notes[name]['min']} to {notes[name]['max']}"
                    assert report["camera"]["refused"][name].startswith(allowed)
                assert report["camera"]["applied"] == {"AeEnable": False, "ExposureTime": exposure_us}
                assert report["exposure_s"] == pytest.approx(exposure_us / 1e6, rel=0.02)
                assert report["photo"] == f"test00{number - 1}.jpg" and report["photo"] in client.nlst()
                assert_picture(ftpd.drop / report["photo"])
            upload(client, FILE, config_text({"ExposureTime": -5, "Nonsense": 1}))
            report = ftpd.report_of(3)
            assert (report["outcome"], report["photo"]) == ("refused", None)
            assert "ExposureTime is -5" in report["error"] and "no control 'Nonsense'" in report["error"]
        with camerad.connect() as camera:
            assert camera.controls()["ExposureTime"]["value"] == 3000
    finally:
        camerad.end()
