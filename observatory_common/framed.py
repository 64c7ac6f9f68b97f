"""A result with bytes beside it, which cross the wire as they are, uncopied by the serializer (annotation FRAM)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Framed:
    """What a remote method returns instead of `value` when a picture or a piece of a file belongs to it.

    Our client hands out `value`, a dictionary, with the bytes under `data`; a bare Pyro5 client finds them in
    `current_context.response_annotations["FRAM"]`.
    """

    value: dict[str, Any]
    data: bytes | bytearray | memoryview
