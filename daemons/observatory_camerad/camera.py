"""The remote object: what a client may ask of the camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observatory_camerad import encoding, fits
from observatory_camerad.config import CameradConfig
from observatory_camerad.controls import checked
from observatory_camerad.drivers.base import CameraDriver, Capabilities, Request
from observatory_camerad.files import FileStore
from observatory_camerad.hub import LONGEST_WAIT_S, FrameHub
from observatory_camerad.photos import PhotoWriter, Shot, Taken
from observatory_camerad.simulator.focuser import Focuser
from observatory_camerad.timing import Clocks, exposure
from observatory_camerad.worker import Worker
from observatory_common import arguments, timestamps
from observatory_common.access import Caller, control, view
from observatory_common.errors import CommandFailed, NotConnected, NotDisconnected
from observatory_common.framed import Framed
from observatory_common.remote import RemoteDevice
from observatory_common.service import Context
from observatory_common.storage import StateFile

_STATUS_METADATA = ("ExposureTime", "AnalogueGain", "DigitalGain", "ColourTemperature", "LensPosition", "SensorTemperature")


class Camera(RemoteDevice):
    """One camera. Sizes are pixels, names and units of controls are libcamera's."""

    def __init__(self, config: CameradConfig, context: Context) -> None:
        super().__init__("camerad", context.instance, context.boot_id, context.software_version)
        self._config = config
        counter = StateFile(context.state_folder / "counter.json")
        self._output = Path(config.output_path) if config.output_path else context.state_folder / "pictures"
        self._focuser = None if config.focuser is None else Focuser(config.focuser, context.directory)
        self._files = FileStore(self._output, config.output_prefix, counter)
        self._hubs = {
            name: FrameHub(name, self._encode, timestamps.utc_now) for name in config.configuration.streams if name != "raw"
        }
        self._worker = Worker(_driver(config, self._focuser), config.configuration, self._hubs)
        self._writer = PhotoWriter(self._files, self.events_ring)

    # a daemon's life

    def start(self) -> None:
        """Begin to open the camera."""
        if self._focuser is not None:
            self._focuser.start()
        self._writer.start()
        self._worker.start()

    def last_progress(self) -> float:
        """When the camera's thread last showed life, on the monotonic clock."""
        return self._worker.last_progress()

    def close(self, deadline_s: float) -> None:
        """Let go of the camera, write what was taken, end all threads."""
        for hub in self._hubs.values():
            hub.close()
        self._worker.close(deadline_s / 2)
        self._writer.close(deadline_s / 2)
        if self._focuser is not None:
            self._focuser.close()
        super().close(deadline_s)

    # remote methods

    @view
    def report_status(self) -> dict[str, Any]:
        """Everything known now; keys are always there, what is unknown is None."""
        status = self.common_status()
        frame_at, metadata = self._worker.frame_at, self._worker.metadata
        status.update(
            state=self._worker.state,
            last_error=self._worker.last_error,
            reading_age_s=None if frame_at is None else round(time.monotonic() - frame_at, 6),
            driver=self._config.driver,
            model=self._worker.capabilities.model if self._worker.capabilities is not None else None,
            frames=self._worker.frames,
            output_path=str(self._output),
            streams={name: self._stream(name) for name in self._config.configuration.streams},
        )
        for key in _STATUS_METADATA:
            status[key] = metadata.get(key)
        return status

    @view
    def capabilities(self) -> dict[str, Any]:
        """What this camera is and can do: model, sensor, modes, streams, features. Raises NotConnected."""
        found = self._capabilities()
        return {
            "driver": found.driver,
            "model": found.model,
            "location": found.location,
            "sensor_size": found.sensor_size,
            "pixel_size_um": found.pixel_size_um,
            "bayer_pattern": found.bayer_pattern,
            "modes": [
                {
                    "size": mode.size,
                    "bit_depth": mode.bit_depth,
                    "format": mode.format,
                    "crop": mode.crop,
                    "shortest_frame_us": mode.shortest_frame_us,
                    "exposure_us": mode.exposure_us,
                }
                for mode in found.modes
            ],
            "streams": dict(found.streams),
            "features": sorted(found.features),
        }

    @view
    def controls(self) -> dict[str, Any]:
        """The controls that this camera has: type, range, default, unit, names of values. Raises NotConnected."""
        return {
            name: {
                "type": info.type,
                "count": info.count,
                "minimum": info.minimum,
                "maximum": info.maximum,
                "default": info.default,
                "unit": info.unit,
                "description": info.description,
                "values": dict(info.values),
            }
            for name, info in self._capabilities().controls.items()
        }

    @control
    def set_controls(self, caller: Caller, values: dict[str, Any]) -> dict[str, Any]:
        """Change controls, all or none. Raises InvalidArgument, naming control, value and range."""
        taken = checked(values, self._capabilities().controls)
        self._worker.change(taken)
        return {"controls": taken}

    @view
    def metadata(self) -> dict[str, Any]:
        """The metadata of the latest frame; empty before the first."""
        return dict(self._worker.metadata)

    @view
    def frame(self, stream: str, boot_id: str | None = None, newer_than: int = 0, timeout_s: float = 10.0) -> Framed:
        """The latest frame of a stream as JPEG, as soon as its number is above `newer_than`: number, date, metadata.

        Whoever names another boot_id is answered with any. After `timeout_s` (0 to 10) seconds the number is None and
        there are no bytes. Raises InvalidArgument.
        """
        hub = self._hubs[arguments.choice("stream", stream, self._hubs)]
        timeout_s = arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S)
        number = arguments.whole_number("newer_than", newer_than, 0, 2**63) if boot_id == self.boot_id else 0
        found = hub.newer_than(number, timeout_s)
        answer: dict[str, Any] = {"boot_id": self.boot_id, "stream": stream, "number": None, "date": None, "metadata": None}
        if found is None:
            return Framed(answer, b"")
        return Framed({**answer, "number": found.number, "date": found.date, "metadata": found.metadata}, found.jpeg)

    @control
    def take_photo(self, caller: Caller, format: str = "jpg", stream: str = "main") -> dict[str, Any]:
        """Take the next frame and write it with its metadata; answers with a job, whose result names the file."""
        file_format = arguments.choice("format", format, encoding.FORMATS)
        configuration = self._worker.configuration
        if configuration is None:
            raise self._not_connected()
        wanted = configuration.streams[arguments.choice("stream", stream, self._hubs)]
        self._files.require_room(wanted.size[0] * wanted.size[1] * 3)

        def take(request: Request) -> Taken:
            pixels = request.array(stream).copy()
            return Taken(file_format, lambda: encoding.encode(pixels, wanted.format, file_format), dict(request.metadata))

        return self._shoot("photo", caller, take)

    @control
    def take_raw(self, caller: Caller) -> dict[str, Any]:
        """Take the next raw frame and write it as FITS, 16 bits, with its metadata; answers with a job.

        Raises CommandFailed where no raw stream is configured, NotConnected.
        """
        configuration, found = self._worker.configuration, self._capabilities()
        if configuration is None:
            raise self._not_connected()
        if "raw" not in configuration.streams:
            raise CommandFailed("no raw stream is configured", allowed="a stream raw in the config")
        stream = configuration.streams["raw"]
        self._files.require_room(stream.size[0] * stream.size[1] * 2)
        instrument = fits.Instrument(
            camera=found.model,
            driver=found.driver,
            software_version=self.software_version,
            sensor_width=found.sensor_size[0],
            pixel_size_um=found.pixel_size_um,
            bayer_pattern=stream.format[1:5] if found.bayer_pattern is not None else None,
            bit_depth=next((mode.bit_depth for mode in found.modes if mode.size == stream.size), 16),
            site=self._config.site,
        )

        def take(request: Request) -> Taken:
            times, metadata = exposure(request.metadata, Clocks.now()), dict(request.metadata)
            pixels = request.array("raw")[: stream.size[1], : stream.size[0]].copy()
            return Taken("fits", lambda: fits.encode(pixels, metadata, times, instrument), metadata)

        return self._shoot("raw", caller, take)

    def _shoot(self, kind: str, caller: Caller, take: Callable[[Request], Taken]) -> dict[str, Any]:
        job = self.jobs.start(kind, str(caller), cancel=lambda: None)
        try:
            self._worker.capture(Shot(job, self._writer, take))
        except NotConnected as error:
            job.finish("lost_device", None, error)
        return job.to_wire()

    @view
    def files(self) -> list[dict[str, Any]]:
        """The files of this camera: name, size, modified_s."""
        return self._files.list()

    @view
    def read_file(self, name: str, offset: int = 0) -> Framed:
        """Up to 1 MiB of a file from an offset; at its end also the SHA-256 of all of it."""
        return self._files.read(name, arguments.whole_number("offset", offset, 0, 2**63))

    @control
    def initialize(self, caller: Caller) -> dict[str, Any]:
        """Open the camera. Raises NotDisconnected if it is wanted open already."""
        if self._worker.state != "offline":
            raise NotDisconnected("the camera is open already, or being opened")
        self._worker.want(True)
        return {"state": self._worker.state}

    @control
    def shutdown(self, caller: Caller) -> dict[str, Any]:
        """Let go of the camera, until `initialize`. Raises NotConnected if that is so already."""
        if self._worker.state == "offline":
            raise self._not_connected()
        self._worker.want(False)
        return {"state": self._worker.state}

    def _stream(self, name: str) -> dict[str, Any]:
        configuration = self._worker.configuration or self._config.configuration
        stream = configuration.streams[name]
        return {"size": stream.size, "format": stream.format}

    def _capabilities(self) -> Capabilities:
        found = self._worker.capabilities
        if found is None:
            raise self._not_connected()
        return found

    def _not_connected(self) -> NotConnected:
        why = self._worker.last_error
        return NotConnected("the camera is not there" + (f": {why}" if why else ""))

    def _encode(self, request: Request, stream: str) -> bytes:
        configuration = self._worker.configuration or self._config.configuration
        return encoding.encode(request.array(stream), configuration.streams[stream].format)


def _driver(config: CameradConfig, focuser: Focuser | None) -> CameraDriver:
    if config.driver == "picamera2":
        from observatory_camerad.drivers.picamera2 import Picamera2Driver

        return Picamera2Driver(config.device, config.tuning_file)
    from observatory_camerad.simulator.camera import SimulatedCamera, SimulatedOptics

    optics = SimulatedOptics(config.scene.seeing_sigma_pixels)
    if focuser is not None:
        optics.focuser_defocus = focuser.defocus_pixels
    return SimulatedCamera(config.scene, config.sensor, optics)
