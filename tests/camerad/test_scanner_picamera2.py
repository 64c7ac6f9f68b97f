"""A scanner's camera on the real Picamera2: a controls file at the start, photos while the controller scans."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import waiting
from cameras import Camerad, assert_picture, events_named
from scanner import Scanner
from scans import assert_none_lost_or_doubled, photos_in, worst_s

INTERVAL_S = 0.5
MAIN = {"stream": "main", "size": [640, 480], "format": "RGB888"}


@pytest.mark.skipif(
    importlib.util.find_spec("picamera2") is None,
    reason="needs the Picamera2 library (Raspberry Pi OS has it; elsewhere etc/make/picamera2-tests runs it)",
)
def test_a_controls_file_and_a_scan_on_picamera2(tmp_path: Path, machine_lag: Any) -> None:
    stick = tmp_path / "stick"
    folder = stick / "continousScanning_0001"
    folder.mkdir(parents=True)
    file = stick / "mandeye_config.json"
    file.write_text(json.dumps({"picamera": {"FrameDurationLimits": [50_000, 50_000], "ExposureTime": -5, "Nonsense": 1}}))
    with Scanner() as scanner:
        camerad = Camerad(
            tmp_path,
            driver="picamera2",
            device=0,
            use_cases={"live": MAIN, "photo": MAIN, "video": MAIN},
            roots=[str(stick)],
            controls_file={"path": str(file), "poll_s": 0.1, "test_photo": True},
            controller={"endpoints": [scanner.endpoint], "interval_s": INTERVAL_S},
        )
        try:
            camerad.start()
            with camerad.connect() as camera:
                report = waiting.until(lambda: camera.controls_file()["report"], 20, "the report")
                assert "Nonsense" in report["refused"] and "ExposureTime" in report["refused"], report
                assert report["applied"] == {"FrameDurationLimits": [50_000, 50_000]}, report
                waiting.until(lambda: camera.controls_file()["test_photo"] == "test.jpg", 20, "the photo at the start")
                assert json.loads((stick / "mandeye_config.json.report").read_text()) == report
                assert_picture(stick / "test.jpg")
                scanner.say("SCANNING", folder)
                waiting.until(lambda: camera.controller_status()["photos"] > 9, 20, "photos")
                scanner.say("IDLE")
                waiting.until(lambda: events_named(camera, "scan_ended"), 10, "the end of the scan")
                seen = camera.controller_status()
                assert (seen["failed"], seen["missed"], seen["last_error"]) == (0, 0, None)
            photos = photos_in(folder)
            assert len(photos) == seen["photos"] > 9
            assert_none_lost_or_doubled(photos)
            worst = worst_s(photos, INTERVAL_S)
            print(
                f"{len(photos)} photos, off by {worst * 1000:.1f} ms at worst; the machine by {machine_lag.seconds * 1000:.0f}"
            )
            assert worst <= 0.05 + machine_lag.seconds
            for photo in photos:
                assert photo.driver == "picamera2" and photo.path.name == f"photo_{photo.time_ns}.jpg"
        finally:
            camerad.end()
