"""The photos of a scan, as they lie in its folders: whole, named right, one each interval."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cameras import assert_picture


@dataclass(frozen=True)
class Photo:
    """A photo of a scan, and what its metadata say."""

    path: Path
    boot_ns: int
    slot: int
    time_ns: int
    driver: str


def photos_in(*folders: Path) -> list[Photo]:
    """All of them, by the time of their exposure; each is whole."""
    found = []
    for folder in folders:
        names = sorted(path.name for path in folder.iterdir())
        assert [name for name in names if not name.startswith("photo_")] == []
        for name in names:
            if name.endswith(".json"):
                assert (folder / name).with_suffix(".jpg").exists(), name
                continue
            assert_picture(folder / name)
            metadata = json.loads((folder / name).with_suffix(".json").read_text())["observatory"]
            said = metadata["controller"]
            found.append(Photo(folder / name, said["boot_ns"], said["slot"], said["time_ns"], metadata["driver"]))
    return sorted(found, key=lambda photo: photo.boot_ns)


def worst_s(photos: list[Photo], interval_s: float) -> float:
    """By how much the exposures of a scan miss the interval, reckoned from its first."""
    first = photos[0].boot_ns / 1e9
    return max(abs(photo.boot_ns / 1e9 - first - photo.slot * interval_s) for photo in photos)


def assert_none_lost_or_doubled(photos: list[Photo]) -> None:
    """Each deadline of a scan, up to the last that was kept, has one photo."""
    assert [photo.slot for photo in photos] == list(range(len(photos)))
