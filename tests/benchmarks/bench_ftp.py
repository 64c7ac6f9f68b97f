"""From the end of an upload to the photo and the report in the drop folder, beside what the camera alone takes for it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftp_daemon
import waiting
from cameras import FAST, Camerad
from tables import Table

from observatory_common.rpc.client import RemoteDaemon

ROUNDS = 15
LONGEST_S = 0.5
OLD_SERVICE_S = 1.3


def run() -> list[Table]:
    """The table."""
    table = Table(
        "A configuration by FTP",
        "camerad alone: apply_controls + take_photo + read_file by one client in the same run",
        f"{ROUNDS} uploads of another exposure each and as many calls of the camera, in turn, on the fast simulated camera; "
        "medians. From the upload's last byte until the photo and the report are in the folder: the check, the replaced file "
        f"on the disk, the camera, the photo and the report on the disk (the old service: {OLD_SERVICE_S} s).",
    )
    alone_s, uploaded_s = [], []
    with tempfile.TemporaryDirectory() as folder:
        camerad = Camerad(Path(folder) / "camera", **FAST)
        camerad.start()
        try:
            with (
                ftp_daemon.daemon(Path(folder) / "ftp", camerad.port) as ftpd,
                camerad.connect() as camera,
                ftpd.ftp() as client,
            ):
                waiting.until((ftpd.drop / f"{ftp_daemon.FILE}.default").exists, 20, "the camera")
                for number in range(1, ROUNDS + 1):
                    alone_s.append(_alone(camera, _settings(number)))
                    sent_s = ftp_daemon.timed_upload(
                        client, ftp_daemon.FILE, ftp_daemon.config_text(_settings(number + ROUNDS))
                    )
                    report = ftpd.report_of(number)
                    uploaded_s.append(time.monotonic() - sent_s)
                    assert report["outcome"] == "applied" and (ftpd.drop / report["photo"]).exists(), report
        finally:
            camerad.end()
    baseline_s, median_s = statistics.median(alone_s), statistics.median(uploaded_s)
    table.add("camerad alone", _figure(alone_s), 1.0)
    table.add("by FTP", _figure(uploaded_s), median_s / baseline_s, 2.0)
    table.add(f"by FTP, the slowest against {LONGEST_S} s", _figure(uploaded_s), max(uploaded_s) / LONGEST_S, 1.0)
    return [table]


def _settings(number: int) -> Mapping[str, Any]:
    return {"AeEnable": False, "ExposureTime": 1000 + 100 * number, "AnalogueGain": 2.0}


def _alone(camera: RemoteDaemon, settings: Mapping[str, Any]) -> float:
    """The same three steps by one client; how long they took."""
    began_s = time.monotonic()
    assert camera.apply_controls(settings, False)["refused"] == {}
    job = camera.wait_for(camera.take_photo("jpg"), timeout_s=20)
    assert job["state"] == "succeeded", job
    name, size = job["result"]["name"], 0
    while True:
        piece = camera.read_file(name, size)
        size += len(piece["data"])
        if piece["eof"]:
            break
    return time.monotonic() - began_s


def _figure(took_s: list[float]) -> str:
    return f"{1000 * statistics.median(took_s):.0f} ms, slowest {1000 * max(took_s):.0f} ms"
