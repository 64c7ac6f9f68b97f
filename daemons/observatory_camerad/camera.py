"""The remote object: what a client may ask of the camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from observatory_camerad import crop as crops
from observatory_camerad import wire
from observatory_camerad.acquisition.captures import Wish
from observatory_camerad.acquisition.use_cases import USE_CASES
from observatory_camerad.config import CameradConfig
from observatory_camerad.live.hub import LONGEST_WAIT_S
from observatory_camerad.live.looking import histogram, stream_of
from observatory_camerad.outputs.encoders import PHOTO_FORMATS, RAW_FORMATS
from observatory_camerad.parts import Parts
from observatory_camerad.scanner_calls import ScannerCalls
from observatory_camerad.status import status
from observatory_camerad.video.recordings import FORMATS as VIDEO_FORMATS
from observatory_common import arguments
from observatory_common.access import Caller, control, local, view
from observatory_common.errors import NotConnected, NotDisconnected
from observatory_common.framed import Framed
from observatory_common.service import Context

_LONGEST_SEQUENCE = 10_000_000
_LONGEST_INTERVAL_S = 86400.0 * 7
_FURTHEST_AT_S = 86400.0


class Camera(ScannerCalls):
    """One camera. Sizes are pixels, names and units of controls are libcamera's, exposures seconds."""

    def __init__(self, config: CameradConfig, context: Context) -> None:
        super().__init__("camerad", context.instance, context.boot_id, context.software_version)
        self._parts = Parts(config, context, self.jobs, lambda name, data: self.events_ring.publish("camerad", name, data))

    # a daemon's life

    @local
    def start(self) -> None:
        """Begin to open the camera; go on with a sequence that was under way."""
        self._parts.start()

    @local
    def last_progress(self) -> float:
        """When the camera's thread last showed life, on the monotonic clock."""
        return self._parts.worker.last_progress()

    @local
    def must_restart(self) -> str | None:
        """Why the daemon should end to be started again, or None."""
        return self._parts.worker.must_restart()

    @local
    def close(self, deadline_s: float) -> None:
        """Let go of the camera, write what was taken, end all threads."""
        self._parts.close(deadline_s)
        super().close(deadline_s)

    @view
    def report_status(self) -> dict[str, Any]:
        """Everything known now; keys are always there, what is unknown is None."""
        return {**self.common_status(), **status(self._parts)}

    @control
    def initialize(self, caller: Caller) -> dict[str, Any]:
        """Open the camera. Raises NotDisconnected if it is wanted open already."""
        if self._parts.worker.state != "offline":
            raise NotDisconnected("the camera is open already, or being opened")
        self._parts.worker.want(True)
        return {"state": self._parts.worker.state}

    @control
    def shutdown(self, caller: Caller) -> dict[str, Any]:
        """Let go of the camera, until `initialize`. Raises NotConnected if that is so already, CameraNotIdle in a sequence."""
        if self._parts.worker.state == "offline":
            raise NotConnected("the camera is shut down already")
        with self._parts.exclusive():
            self._parts.sequences.require_idle()
            self._parts.recordings.close()
            self._parts.worker.want(False)
        return {"state": self._parts.worker.state}

    # what it can do, what it is set to

    @view
    def capabilities(self) -> dict[str, Any]:
        """What this camera is and can do: model, sensor, modes, streams, features. Raises NotConnected."""
        return wire.capabilities(self._parts.found())

    @view
    def controls(self) -> dict[str, Any]:
        """The controls that this camera has: type, range, default, unit, names of values, value. Raises NotConnected."""
        return wire.controls(self._parts.found(), self._parts.settings.controls())

    @control
    def set_controls(self, caller: Caller, values: dict[str, Any], timeout_s: float = 2.0) -> dict[str, Any]:
        """Change controls, all or none, and wait up to `timeout_s` (0 to 10) seconds until a frame has them.

        Answers with `controls`, `in_effect` (what that frame's metadata say; None: nothing), `complete`, `frame`, `date`.
        Raises InvalidArgument, naming control, value and range; NotConnected.
        """
        timeout_s = arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S)
        self._parts.require_lens_free(values)
        return self._parts.adjust.set_controls(values, timeout_s)

    @control
    def set_exposure(self, caller: Caller, exposure_s: float, timeout_s: float = 2.0) -> dict[str, Any]:
        """Fix the exposure, in seconds; frames become as long as it takes. Raises CameraNotIdle in a sequence."""
        self._parts.sequences.require_idle()
        return self._parts.adjust.set_exposure(exposure_s, arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S))

    @control
    def set_gain(self, caller: Caller, gain: float, timeout_s: float = 2.0) -> dict[str, Any]:
        """Fix the analogue gain. Raises CameraNotIdle in a sequence."""
        self._parts.sequences.require_idle()
        return self._parts.adjust.set_gain(gain, arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S))

    @control
    def set_crop(
        self, caller: Caller, crop: list[int] | None = None, zoom: float | None = None, centre: list[float] | None = None
    ) -> dict[str, Any]:
        """Zoom and pan: to `crop` [x, y, width, height] on the sensor, or `zoom` (1 to 100) about `centre` (0 to 1 each way).

        Without any of them all of the picture is seen again. Answers as set_controls; ScalerCrop is what it became.
        Raises WindowOutsideSensor, InvalidArgument, CommandFailed for a camera that cannot.
        """
        found = self._parts.found()
        if crop is not None:
            wanted = crops.rectangle(crop, found)
        else:
            factor = 1.0 if zoom is None else arguments.number("zoom", zoom, 1, crops.LARGEST_ZOOM)
            middle = (0.5, 0.5) if centre is None else arguments.pair("centre", centre, 0, 1)
            wanted = crops.zoomed(factor, middle, found) if factor > 1 else crops.whole(found)
        return self._parts.adjust.set_controls({"ScalerCrop": list(wanted)}, 2.0)

    @control
    def autofocus(self, caller: Caller) -> dict[str, Any]:
        """Have the lens find its focus; moves it. Answers with a job, whose result has focused, LensPosition, FocusFoM."""
        return self._parts.autofocus.start(str(caller)).to_wire()

    @view
    def use_cases(self) -> dict[str, Any]:
        """What live, photo, raw and video are: stream, size, format, mode, buffers, controls, and whether they run merged."""
        running = self._parts.worker.wanted_configuration
        return {name: wire.use_case(case, running) for name, case in self._parts.settings.use_cases().items()}

    @control
    def set_use_case(self, caller: Caller, name: str, use_case: dict[str, Any]) -> dict[str, Any]:
        """Change a use case, or the keys of it that are given; the camera is configured anew, with a gap in the live view.

        Raises InvalidArgument, CommandFailed (the camera refuses; then nothing is changed), Blocked, CameraNotIdle.
        """
        chosen = arguments.choice("name", name, USE_CASES)
        with self._quiet():
            self._parts.adjust.set_use_case(chosen, use_case)
        return self.use_cases()

    @view
    def settings(self) -> dict[str, Any]:
        """What differs from the config: version, changed, use_cases, controls; the names and dates of saved settings."""
        return self._parts.settings.to_wire()

    @view
    def saved_settings(self, name: str) -> dict[str, Any]:
        """What was kept under a name: name, date, use_cases, controls. Raises InvalidArgument, CommandFailed."""
        return self._parts.settings.saved(name)

    @control
    def save_settings(self, caller: Caller, name: str) -> dict[str, Any]:
        """Keep use cases and controls as they are now under a name. Raises InvalidArgument."""
        self._parts.settings.save_set(name)
        return self.settings()

    @control
    def load_settings(self, caller: Caller, name: str) -> dict[str, Any]:
        """Set what was kept under a name. Raises InvalidArgument, and as set_use_case."""
        with self._quiet():
            self._parts.adjust.apply(*self._parts.settings.named_set(name))
        return self.settings()

    @control
    def apply_settings(self, caller: Caller, use_cases: dict[str, Any], controls: dict[str, Any]) -> dict[str, Any]:
        """Set these in place of all that was set, as `settings` or `saved_settings` of an equal camera told them.

        Raises InvalidArgument, NotConnected, and as set_use_case; then nothing is changed.
        """
        with self._quiet():
            self._parts.adjust.apply_plain(use_cases, controls)
        return self.settings()

    @control
    def delete_settings(self, caller: Caller, name: str) -> dict[str, Any]:
        """Forget what was kept under a name. Raises InvalidArgument."""
        self._parts.settings.delete_set(name)
        return self.settings()

    @control
    def reset_settings(self, caller: Caller) -> dict[str, Any]:
        """Everything as the config says; saved settings stay. Raises as set_use_case."""
        with self._quiet():
            self._parts.adjust.apply({}, {})
        return self.settings()

    # looking

    @view
    def metadata(self) -> dict[str, Any]:
        """The metadata of the latest frame; empty before the first."""
        return wire.metadata(self._parts.worker.metadata)

    @view
    def frame(self, stream: str = "live", boot_id: str | None = None, newer_than: int = 0, timeout_s: float = 10.0) -> Framed:
        """The latest frame of a stream (or of the use case `live`) as JPEG, once its number is above `newer_than`.

        Whoever names another boot_id is answered with any. After `timeout_s` (0 to 10) seconds the number is None and
        there are no bytes. Raises InvalidArgument, NotConnected after a shutdown.
        """
        hub = self._parts.hubs[stream_of(self._parts, stream)]
        timeout_s = arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S)
        number = arguments.whole_number("newer_than", newer_than, 0, 2**63)
        if self._parts.worker.state == "offline":
            raise NotConnected("the camera is shut down")
        found = hub.newer_than(number if boot_id == self.boot_id else 0, timeout_s)
        answer: dict[str, Any] = {"boot_id": self.boot_id, "stream": stream, "number": None, "date": None, "metadata": None}
        if found is None:
            return Framed(answer, b"")
        return Framed({**answer, "number": found.number, "date": found.date, "metadata": found.metadata}, found.jpeg)

    @view
    def packets(self, stream: str = "live", boot_id: str | None = None, after: int = 0, timeout_s: float = 10.0) -> Framed:
        """H.264 access units of a stream after number `after`, from a key frame on: packets, next, lost, codec, size.

        Encoding starts with the first call and ends 10 s after the last. Raises InvalidArgument.
        """
        return self._parts.videos[stream_of(self._parts, stream)].read(boot_id, after, timeout_s)

    @view
    def histogram(self, stream: str = "live") -> dict[str, Any]:
        """How the tones of the next frame are spread: 256 counts, mean, saturated share of each plane; `raw` too."""
        return histogram(self._parts, stream)

    # taking

    @control
    def take_photo(
        self,
        caller: Caller,
        format: str = "jpg",
        raw: str | None = None,
        at: str | None = None,
        folder: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Take a photo and write it with its metadata; answers with a job, whose result names the files.

        `format`: jpg, png, tiff, bmp, fits (luma); `raw` adds the raw frame of the same request as fits or dng. `at` is when
        its exposure starts (ISO 8601 UTC, within a day). `folder` is one inside the configured roots. It waits for controls
        that were changed before. A repeated `request_id` is answered with the first one's job. Raises NotConnected, NoRoom,
        InvalidArgument, CommandFailed.
        """
        if (known := self._repeated(request_id)) is not None:
            return known
        raw_format = None if raw is None else arguments.choice("raw", raw, RAW_FORMATS)
        wish = Wish(
            "photo",
            arguments.choice("format", format, PHOTO_FORMATS),
            raw_format,
            None if folder is None else self._parts.files.folder(folder),
            _at(at),
        )
        if raw_format == wish.format:
            raise arguments.refused("raw", raw, f"another format than the photo's, {format}")
        return self._parts.shoot(wish, str(caller), request_id)

    @control
    def take_raw(
        self,
        caller: Caller,
        format: str = "fits",
        at: str | None = None,
        folder: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Take a raw frame and write it as fits or dng (tiff: of a camera without raw) with its metadata; see take_photo."""
        if (known := self._repeated(request_id)) is not None:
            return known
        chosen = arguments.choice("format", format, (*RAW_FORMATS, "tiff"))
        where = None if folder is None else self._parts.files.folder(folder)
        return self._parts.shoot(Wish("raw", chosen, None, where, _at(at)), str(caller), request_id)

    @control
    def configure(self, caller: Caller, parameters: dict[str, Any]) -> dict[str, Any]:
        """Set up sequences wholly: exposure (s), gain, format, interval (s), folder; what is not given is the config's.

        Raises CameraNotIdle, InvalidArgument.
        """
        self._parts.sequences.require_idle()
        return self._parts.adjust.configure(parameters)

    @control
    def start_sequence(
        self,
        caller: Caller,
        count: int,
        interval_s: float | None = None,
        format: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Take `count` frames (0: until stopped), one each interval (0: as they come); answers with a job.

        `format`: fits, dng (raw), or jpg, png, tiff, bmp (photos). It outlasts a lost camera and a restart of the daemon.
        Raises CameraNotIdle, NotConnected, NoRoom, InvalidArgument, CommandFailed.
        """
        if (known := self._repeated(request_id)) is not None:
            return known
        count = arguments.whole_number("count", count, 0, _LONGEST_SEQUENCE)
        if interval_s is not None:
            interval_s = arguments.number("interval_s", interval_s, 0, _LONGEST_INTERVAL_S)
        if format is not None:
            arguments.choice("format", format, {*PHOTO_FORMATS, *RAW_FORMATS})
        with self._parts.exclusive():
            return self._parts.adjust.start_sequence(count, interval_s, format, str(caller), request_id)

    @control
    def stop_sequence(self, caller: Caller) -> dict[str, Any]:
        """End the sequence at once; a frame under way is not kept. Raises CameraNotAcquiring without one."""
        self._parts.sequences.stop()
        return {"state": "aborting"}

    @control
    def start_video(
        self,
        caller: Caller,
        duration_s: float | None = None,
        audio: bool = False,
        format: str = "mp4",
        folder: str | None = None,
        request_id: str | None = None,
    ) -> dict[str, Any]:
        """Record video as mp4 or h264 until stop_video or for `duration_s` seconds; answers with a job.

        `audio` adds the configured microphone. Raises NotConnected, Blocked, NoRoom, InvalidArgument, CommandFailed.
        """
        if (known := self._repeated(request_id)) is not None:
            return known
        chosen = arguments.choice("format", format, VIDEO_FORMATS)
        where = None if folder is None else self._parts.files.folder(folder)
        if duration_s is not None:
            duration_s = arguments.number("duration_s", duration_s, 0.1, 7 * 86400)
        audio = arguments.flag("audio", audio)
        with self._parts.exclusive():
            return self._parts.recordings.start(str(caller), duration_s, audio, chosen, where, request_id).to_wire()

    @control
    def stop_video(self, caller: Caller) -> dict[str, Any]:
        """End the recording; its job has the result soon. Raises CameraNotAcquiring without one."""
        self._parts.recordings.stop()
        return {"state": "stopping"}

    # files

    @view
    def files(self) -> list[dict[str, Any]]:
        """The files of this camera: name, size, modified_s."""
        return self._parts.files.list()

    @view
    def read_file(self, name: str, offset: int = 0) -> Framed:
        """Up to 1 MiB of a file from an offset; at its end also the SHA-256 of all of it."""
        return self._parts.files.read(name, arguments.whole_number("offset", offset, 0, 2**63))

    @control
    def delete_files(self, caller: Caller, names: list[str]) -> dict[str, Any]:
        """Delete pictures and what lies beside them; all of the names must be listed. Answers with deleted, freed_bytes."""
        return self._parts.files.delete(names)

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Around a change of use cases: not in a sequence or recording, and none begins meanwhile."""
        with self._parts.exclusive():
            self._parts.sequences.require_idle()
            self._parts.recordings.require_none()
            yield

    def _repeated(self, request_id: str | None) -> dict[str, Any] | None:
        """The job that this request has started before."""
        job = None if request_id is None else self.jobs.with_request(arguments.text("request_id", request_id))
        return None if job is None else job.to_wire()


def _at(at: Any) -> int | None:
    return None if at is None else arguments.moment_ns("at", at, _FURTHEST_AT_S)
