"""H.264 as a stream of bytes (Annex B): what is in an access unit, and what its headers say."""

from __future__ import annotations

_START = b"\x00\x00\x01"
_PICTURE_TYPES = frozenset(range(1, 6))
_KEY, _SPS, _PPS = 5, 7, 8


class Headers:
    """The latest SPS and PPS of a stream; puts them before key frames that came without."""

    def __init__(self) -> None:
        self._sps = b""
        self._pps = b""

    @property
    def codec(self) -> str:
        """As WebCodecs and MIME types name it, such as avc1.42C01F; empty before the first SPS."""
        return f"avc1.{self._sps[1:4].hex().upper()}" if self._sps else ""

    def complete(self, data: bytes) -> tuple[bytes, bool]:
        """An access unit with the headers it needs, and whether it begins with a key frame; empty if it holds no picture."""
        sps, pps, picture = self._look_into(data)
        if picture is None:
            return b"", False
        key = picture == _KEY
        if key and not (sps and pps) and self._sps and self._pps:
            data = b"\x00" + _START + self._sps + b"\x00" + _START + self._pps + data
        return data, key

    def _look_into(self, data: bytes) -> tuple[bool, bool, int | None]:
        sps = pps = False
        at = data.find(_START)
        while 0 <= at < len(data) - 3:
            kind = data[at + 3] & 31
            if kind in _PICTURE_TYPES:
                return sps, pps, kind
            following = data.find(_START, at + 3)
            unit = data[at + 3 : following if following >= 0 else len(data)].rstrip(b"\x00")
            if kind == _SPS:
                sps, self._sps = True, unit
            elif kind == _PPS:
                pps, self._pps = True, unit
            at = following
        return sps, pps, None
