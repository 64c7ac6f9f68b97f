"""The camera's part of the status."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from observatory_camerad.parts import Parts

_METADATA = (
    "ExposureTime",
    "FrameDuration",
    "AnalogueGain",
    "DigitalGain",
    "ColourTemperature",
    "LensPosition",
    "SensorTemperature",
    "ScalerCrop",
)


def status(parts: Parts) -> dict[str, Any]:
    """Everything but the common keys."""
    worker, sequence, recording = parts.worker, parts.sequences.state, parts.recordings.running
    frame_at, metadata, found = worker.frame_at, worker.metadata, worker.capabilities
    exposure_us = _exposure_us(parts)
    age_s = None if frame_at is None else time.monotonic() - frame_at
    state = worker.state
    if sequence is not None and state != "offline":
        state = "aborting" if parts.sequences.aborting else "acquiring"
    configuration, silent_s = worker.configuration, parts.files.silent_s
    exposing = age_s is not None and exposure_us is not None and worker.state == "idle"
    return {
        "state": state,
        "last_error": worker.last_error,
        "reading_age_s": None if age_s is None else round(age_s, 6),
        "driver": parts.config.driver,
        "model": None if found is None else found.model,
        "frames": worker.frames,
        "failures_in_a_row": worker.failures_in_a_row,
        "reconfiguration_gap_s": worker.gap_s,
        "use_cases_refused": worker.use_cases_refused,
        "controls_refused": worker.controls_refused,
        "exposure_time": None if exposure_us is None else exposure_us / 1e6,
        "exposure_progress": min(age_s, exposure_us / 1e6)
        if exposing and age_s is not None and exposure_us is not None
        else None,
        "sequence_frame_limit": None if sequence is None else sequence.limit,
        "sequence_frame_count": None if sequence is None else sequence.taken,
        "recording": None if recording is None else recording.path.name,
        "recording_s": None if recording is None else recording.duration_s,
        "streams": {}
        if configuration is None
        else {name: {"size": stream.size, "format": stream.format} for name, stream in configuration.streams.items()},
        "watched": sorted(name for name, hub in parts.hubs.items() if hub.watched),
        "unwritten": parts.writer.waiting,
        "output_path": str(parts.output),
        "free_bytes": parts.free_bytes,
        "disk_silent_s": None if silent_s is None else round(silent_s, 3),
        "settings_changed": parts.settings.to_wire()["changed"],
        "settings_revision": parts.settings.revision,
        **_scanner(parts),
        **{key: metadata.get(key) for key in _METADATA},
    }


def _scanner(parts: Parts) -> dict[str, Any]:
    """Of the controls file and the controller; None where they are not configured."""
    of_file, of_controller = parts.scanner.controls_file, parts.scanner.controller
    file = {} if of_file is None else of_file.status()
    report = file.get("report") or {}
    scan = {} if of_controller is None else of_controller.status()
    errors = [file.get(key) for key in ("error", "report_error", "template_error", "test_photo_error")]
    return {
        "controls_file": file.get("file"),
        "controls_file_state": file.get("state"),
        "controls_file_error": next((error for error in errors if error), None),
        "controls_file_date": report.get("date"),
        "controls_file_applied": report.get("applied"),
        "controls_file_refused": report.get("refused"),
        "controller_state": scan.get("state"),
        "controller_reason": scan.get("reason"),
        "controller_age_s": scan.get("age_s"),
        "controller_mode": scan.get("message", {}).get("mode"),
        "scan_folder": scan.get("folder"),
        "scan_photos": scan.get("photos"),
        "scan_failed": scan.get("failed"),
        "scan_missed": scan.get("missed"),
        "scan_last_error": scan.get("last_error"),
    }


def _exposure_us(parts: Parts) -> float | None:
    """Of the frame under way: a longer one that was asked for is in effect before a frame can say so."""
    last = parts.worker.metadata.get("ExposureTime")
    asked = parts.settings.controls().get("ExposureTime")
    return max(last, asked) if last is not None and asked else last
