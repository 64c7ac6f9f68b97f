"""The library that encodes and writes video."""

from __future__ import annotations

from importlib.util import find_spec

from observatory_common.errors import CommandFailed


def require_library() -> None:
    """Raises CommandFailed where PyAV is not installed: everything but video works without it."""
    if find_spec("av") is None:
        raise CommandFailed("video needs PyAV, which is not installed here: python3 -m pip install av", value="av")
