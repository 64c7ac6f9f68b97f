"""A camera's folder of pictures, without the camera."""

from __future__ import annotations

from pathlib import Path

from observatory_camerad.outputs.files import FileStore
from observatory_camerad.outputs.names import FilePattern
from observatory_common.storage import StateFile


def opened(folder: Path, prefix: str | FilePattern = "cam", roots: tuple[Path, ...] = ()) -> FileStore:
    """The store of folder/pictures, its counter in folder."""
    return FileStore(folder / "pictures", prefix, StateFile(folder / "counter.json"), roots)


def names_in(folder: Path) -> list[str]:
    """All names, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def save_one(store: FileStore, data: bytes = b"picture") -> str:
    """Save a picture under the next name."""
    name = f"{store.next_stem()}.jpg"
    store.save(name, data, {"ExposureTime": 1})
    return name
