"""Numbered packets on a ring bounded in time and bytes: every reader can start at a key frame, nobody is waited for."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

from observatory_camerad.video.encoder import Packet, VideoFormat
from observatory_common import arguments
from observatory_common.framed import Framed

LONGEST_WAIT_S = 10.0
LONGEST_ANSWER = 1 << 20
_LOOKS_FOR_S = 10.0  # after its last call a viewer counts for so long


@dataclass(frozen=True)
class _Entry:
    number: int
    packet: Packet
    format: VideoFormat


class PacketRing:
    """The packets of the last `keep_s` seconds, from a key frame on, in at most `most_bytes`; numbered from 1. Thread safe."""

    def __init__(self, boot_id: str, keep_s: float = 3.0, most_bytes: int = 16 << 20) -> None:
        self.boot_id = boot_id
        self._keep_us = round(keep_s * 1e6)
        self._most_bytes = most_bytes
        self._entries: deque[_Entry] = deque()
        self._keys: deque[_Entry] = deque()
        self._size = 0
        self._last = 0
        self._wanted_until = 0.0
        self._closed = False
        self._changed = threading.Condition()

    @property
    def watched(self) -> bool:
        """Whether somebody has read in the last 10 s."""
        return time.monotonic() < self._wanted_until

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    @property
    def needs_key(self) -> bool:
        """Whether only a key frame would be kept now."""
        return not self._entries

    def append(self, packet: Packet, format: VideoFormat) -> None:
        """Add a packet. One that cannot be decoded, since no key frame before it is kept, is dropped."""
        with self._changed:
            if not (packet.key or self._entries):
                return
            self._last += 1
            entry = _Entry(self._last, packet, format)
            self._entries.append(entry)
            self._size += len(packet.data)
            if packet.key:
                self._keys.append(entry)
            while len(self._keys) > 1 and (
                packet.pts_us - self._keys[1].packet.pts_us >= self._keep_us or self._size > self._most_bytes
            ):
                self._drop_first_group()
            if self._size > self._most_bytes:  # without a key frame for long
                self._clear()
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget all packets; numbers go on."""
        with self._changed:
            self._clear()

    def read(self, boot_id: str | None, after: int, timeout_s: float) -> Framed:
        """Up to 1 MiB of packets numbered above `after`, in order, as soon as there is one, all of one format.

        Answers with `boot_id`, `next` (pass it as `after` the next time), `lost`, `codec`, `width`, `height`, `packets`
        (each with `number`, `size` in bytes, `key`, `pts_us`), and their bytes one after the other. Whoever names another
        boot_id (or None), or 0, begins at the latest key frame; so does a reader that fell behind what is kept, and `lost`
        counts what it missed. Without a packet in `timeout_s` (0 to 10) seconds `packets` is empty and codec and size are
        None. Raises InvalidArgument.
        """
        if boot_id is not None:
            arguments.text("boot_id", boot_id)
        timeout_s = arguments.number("timeout_s", timeout_s, 0, LONGEST_WAIT_S)
        with self._changed:
            after = arguments.whole_number("after", after, 0, 2**63 if boot_id != self.boot_id else self._last)
            newcomer = boot_id != self.boot_id or after == 0
            self._wanted_until = time.monotonic() + timeout_s + _LOOKS_FOR_S
            self._changed.wait_for(
                lambda: self._closed or (bool(self._entries) and (newcomer or self._last > after)), timeout_s
            )
            self._wanted_until = time.monotonic() + _LOOKS_FOR_S
            if not self._entries:
                return self._answer([], self._last, 0 if newcomer else self._last - after)
            oldest = self._entries[0].number
            restart = newcomer or after + 1 < oldest
            first = self._keys[-1].number if restart else after + 1
            found = self._group(first - oldest)
            return self._answer(found, found[-1].number if found else self._last, 0 if newcomer else first - after - 1)

    def close(self) -> None:
        """Wake everybody who waits, and let nobody wait from now on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _group(self, skipped: int) -> list[_Entry]:
        found: list[_Entry] = []
        size = 0
        for entry in islice(self._entries, skipped, None):
            size += len(entry.packet.data)
            if found and (size > LONGEST_ANSWER or entry.format != found[0].format):
                break
            found.append(entry)
        return found

    def _answer(self, found: list[_Entry], next: int, lost: int) -> Framed:
        format = found[0].format if found else None
        value: dict[str, Any] = {
            "boot_id": self.boot_id,
            "next": next,
            "lost": lost,
            "codec": None if format is None else format.codec,
            "width": None if format is None else format.width,
            "height": None if format is None else format.height,
            "packets": [
                {
                    "number": entry.number,
                    "size": len(entry.packet.data),
                    "key": entry.packet.key,
                    "pts_us": entry.packet.pts_us,
                }
                for entry in found
            ],
        }
        return Framed(value, b"".join(entry.packet.data for entry in found))

    def _drop_first_group(self) -> None:
        self._keys.popleft()
        following = self._keys[0].number
        while self._entries[0].number < following:
            self._size -= len(self._entries.popleft().packet.data)

    def _clear(self) -> None:
        self._entries.clear()
        self._keys.clear()
        self._size = 0
