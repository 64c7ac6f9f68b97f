"""From a wish to files: which frame is needed, what is taken of it, how it is encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observatory_camerad.acquisition.frames import Frame
from observatory_camerad.acquisition.shots import Shot
from observatory_camerad.acquisition.timing import Exposure, iso
from observatory_camerad.acquisition.use_cases import UseCase, satisfied
from observatory_camerad.acquisition.worker import Worker
from observatory_camerad.drivers.base import Capabilities
from observatory_camerad.outputs import disk
from observatory_camerad.outputs.encoders import picture_encoder, raw_encoder
from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.instrument import Instrument
from observatory_camerad.outputs.photos import Outcome, PhotoWriter, Taken
from observatory_camerad.outputs.retention import Retention
from observatory_camerad.settings import Settings
from observatory_common.errors import CommandFailed, ObservatoryError


@dataclass(frozen=True)
class Wish:
    """What a shot should become. `raw_format` adds the raw frame of the same request to a photo.

    `notes` go into the metadata's own section; `at_ns` is when the exposure should start, since 1970 (`at_boot_ns`: since the
    boot, whatever the time is set to). `named` is told in the camera's thread when it was, and gives the name for `folder` and
    further notes; it may raise CommandFailed.
    """

    kind: str
    format: str
    raw_format: str | None = None
    folder: Path | None = None
    at_ns: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    named: Callable[[Exposure], tuple[str, Mapping[str, Any]]] | None = None
    at_boot_ns: int | None = None


class Captures:
    """Takes shots with the camera that is open."""

    def __init__(
        self,
        worker: Worker,
        settings: Settings,
        files: FileStore,
        retention: Retention,
        writer: PhotoWriter,
        camera: str,
        software_version: str,
        site: Mapping[str, float],
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._files = files
        self._retention = retention
        self._writer = writer
        self._camera = camera
        self._software_version = software_version
        self._site = site

    def cases(self, wish: Wish) -> tuple[UseCase, ...]:
        """The use cases that a wish needs. Raises CommandFailed where the camera has none."""
        known = self._settings.use_cases()
        names = ["photo"] if wish.kind == "photo" else ["raw"]
        if wish.raw_format is not None:
            names.append("raw")
        if names == ["raw"] and "raw" not in known and wish.format == "tiff":
            names = ["photo"]  # what a USB camera gives untouched
        missing = [name for name in names if name not in known]
        if missing:
            raise CommandFailed(
                f"this camera has no use case {missing[0]}", value=missing[0], allowed=", ".join(known) or "none"
            )
        return tuple(known[name] for name in names)

    def is_ready_for(self, wish: Wish) -> bool:
        """Whether the camera runs as a wish needs it, so that its frame is the next. Raises CommandFailed as `cases`."""
        running = self._worker.wanted_configuration
        return running is not None and all(satisfied(running, case) and not case.controls for case in self.cases(wish))

    def require_room(self, wish: Wish) -> None:
        """Make room by the rules of retention. Raises CommandFailed, before the shutter, if there is none."""
        size = sum(case.size[0] * case.size[1] * (2 if case.stream == "raw" else 3) for case in self.cases(wish))
        if wish.named is not None and wish.folder is not None:
            disk.require_room(wish.folder, size)
            return
        self._retention.apply(size)
        self._files.require_room(size, wish.folder)

    def shoot(self, wish: Wish, outcome: Outcome, captured: Callable[[], None] = lambda: None) -> Shot:
        """Have it taken; `outcome` is told once. `captured` is told when the frame is there, and not yet written.

        Raises NotConnected, Blocked, CommandFailed.
        """
        cases = self.cases(wish)
        found = self._worker.require().capabilities

        def taken(frame: Frame) -> None:
            try:
                taken = self._take(wish, cases, frame, self._instrument(found, frame))
            except ObservatoryError as error:
                outcome.failed(error)
            else:
                self._writer.add(taken, outcome)
            captured()

        shot = Shot(cases, taken, outcome.failed, wish.at_ns, lambda: self._writer.has_room, at_boot_ns=wish.at_boot_ns)
        self._worker.take(shot)
        return shot

    def _take(self, wish: Wish, cases: tuple[UseCase, ...], frame: Frame, instrument: Instrument) -> Taken:
        """In the camera's thread: keep the pixels, encode later."""
        encoders: dict[str, Callable[[], bytes]] = {}
        for case in cases:
            is_raw = case.stream == "raw"
            ending = (wish.raw_format or wish.format) if is_raw else wish.format
            encoders[ending] = self._encoder(ending, case.stream, frame, instrument)
        if wish.raw_format is not None:  # the picture appears last
            encoders = dict(reversed(encoders.items()))
        times = frame.exposure
        stem, notes = (None, {}) if wish.named is None else wish.named(times)
        own = {
            "camera": self._camera,
            "model": instrument.camera,
            "driver": instrument.driver,
            "software_version": self._software_version,
            "exposure_start": iso(times.start_ns) + "Z",
            "exposure_end": iso(times.end_ns) + "Z",
            "time_source": times.source,
            "time_error_s": times.error_s,
            **wish.notes,
            **notes,
        }
        if wish.at_ns is not None:
            own["at"] = iso(wish.at_ns) + "Z"
            own["after_at_us"] = (times.start_ns - wish.at_ns) // 1000
        return Taken(wish.kind, times.start_ns, encoders, {**frame.metadata, "observatory": own}, wish.folder, stem)

    def _encoder(self, ending: str, stream: str, frame: Frame, instrument: Instrument) -> Callable[[], bytes]:
        actual = frame.configuration.streams[stream]
        pixels, metadata, times = frame.array(stream), frame.metadata, frame.exposure
        if stream == "raw":
            return raw_encoder(ending, pixels, actual, metadata, times, instrument)
        return picture_encoder(ending, pixels, actual.format, metadata, times, instrument)

    def _instrument(self, found: Capabilities, frame: Frame) -> Instrument:
        mode = found.mode_of(frame.configuration)
        return Instrument(
            camera=found.model,
            driver=found.driver,
            software_version=self._software_version,
            sensor_width=found.sensor_size[0],
            pixel_size_um=found.pixel_size_um,
            bayer_pattern=found.bayer_pattern,
            bit_depth=8 if mode is None else mode.bit_depth,
            site=self._site,
            binning=None if mode is None else max(round(mode.crop[2] / mode.size[0]), 1),
        )
