"""What is fetched of a stream: JPEG pictures or video packets, and whether the camera still lives when there are none."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from observatory_common.rpc.client import RemoteDaemon
from observatory_webd.streams.items import Format, Item

#: A fetch is held by camerad for so long at most, and answered after so long at the latest.
HELD_S = 1.0
_ANSWERED_S = 3.0
_CLOCKS_EVERY_S = 10.0
_EXPOSING = ("idle", "acquiring", "aborting")
_JPEG = Format("jpeg")


class Source(ABC):
    """One stream of one camerad. Belongs to one thread."""

    def __init__(self, stream: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._boot_id: str | None = None
        self._number = 0
        self._seen_at = clock()

    def next(self, camera: RemoteDaemon) -> tuple[list[Item], bool]:
        """What has come since the last call, after 1 s at the latest, and whether more is to be expected.

        A camera that exposes for a minute lives although nothing comes. Raises DaemonNotReachable, and what camerad refuses
        with: InvalidArgument for an unknown stream, NotConnected after a shutdown, InvalidControlIP.
        """
        items = self._fetch(camera)
        now = self._clock()
        if items:
            self._seen_at = now
            return items, True
        status = camera.invoke("report_status", timeout_s=_ANSWERED_S)
        frame_s = max(float(status.get("exposure_time") or 0.0), float(status.get("FrameDuration") or 0.0) / 1e6)
        # A fetch that was held to its end is no sign of life of a camera that takes less for a frame.
        return [], status.get("state") in _EXPOSING and now - self._seen_at <= 2 * frame_s + HELD_S / 2

    @abstractmethod
    def _fetch(self, camera: RemoteDaemon) -> list[Item]:
        """Ask once."""

    def _ask(self, camera: RemoteDaemon, method: str) -> dict[str, Any]:
        answer: dict[str, Any] = camera.invoke(
            method, self._stream, self._boot_id, self._number, HELD_S, timeout_s=HELD_S + _ANSWERED_S
        )
        if answer["boot_id"] != self._boot_id:
            self._boot_id, self._number = answer["boot_id"], 0
        return answer


class Pictures(Source):
    """The latest picture of the stream."""

    def _fetch(self, camera: RemoteDaemon) -> list[Item]:
        answer = self._ask(camera, "frame")
        if answer["number"] is None:
            return []
        self._number = answer["number"]
        stamp_us = answer["metadata"].get("FrameWallClock_us") or 0
        return [Item(answer["number"], stamp_us, True, answer["data"], _JPEG)]


class Packets(Source):
    """The video of the stream, packet by packet, from a key frame on."""

    def __init__(self, stream: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, clock)
        self._ahead_us: int | None = None  # of the camera's clock of frames, the time of day
        self._look_at = 0.0
        self._format = _JPEG  # none yet

    def _fetch(self, camera: RemoteDaemon) -> list[Item]:
        answer = self._ask(camera, "packets")
        self._number = answer["next"]
        if not answer["packets"]:
            return []
        format = Format(answer["codec"], answer["width"], answer["height"])
        if format != self._format:
            self._format = format
        ahead_us = self._time_of_day(camera)
        items, begin, data = [], 0, answer["data"]
        for packet in answer["packets"]:
            end = begin + packet["size"]
            stamp_us = 0 if ahead_us is None else packet["pts_us"] + ahead_us
            items.append(Item(packet["number"], stamp_us, packet["key"], data[begin:end], self._format))
            begin = end
        return items

    def _time_of_day(self, camera: RemoteDaemon) -> int | None:
        """Packets have the boot clock's time stamps; a frame's metadata have both clocks."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _CLOCKS_EVERY_S
            self._ahead_us = _ahead_us(camera.invoke("metadata", timeout_s=_ANSWERED_S))
        return self._ahead_us


def _ahead_us(metadata: Mapping[str, Any]) -> int | None:
    wall, boot = metadata.get("FrameWallClock_us"), metadata.get("SensorTimestamp_us")
    return None if wall is None or boot is None else int(wall) - int(boot)


SOURCES: Mapping[str, Callable[[str], Source]] = {"jpeg": Pictures, "h264": Packets}
