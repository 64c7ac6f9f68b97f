"""The Live page: a site whose cameras have pictures worth looking at, and what a user finds on it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import webd
from playwright.sync_api import Locator, Page, expect

#: Large enough to be looked at, slow enough for machines with much else to do.
CAMERAS = {
    "use_cases": {
        "live": {"stream": "lores", "size": [480, 272], "format": "YUV420"},
        "photo": {"stream": "main", "size": [640, 360], "format": "RGB888", "mode": 0},
        "raw": {"stream": "raw", "size": [1280, 720], "format": "SRGGB12", "mode": 0},
        "video": {"stream": "main", "size": [640, 360], "format": "RGB888", "mode": 0},
    },
    "controls": {"FrameDurationLimits": [200000, 200000]},
}
SENSOR = (2560, 1440)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """Two cameras behind a webd, whose first administrator is made."""
    folder = tmp_path_factory.mktemp("live")
    with webd.running(folder, cameras_named=["cam1", "cam2"], camera_config=CAMERAS) as found:
        found.web.administrator().close()
        yield found


def panel(page: Page, name: str) -> Locator:
    """All of a camera."""
    return page.get_by_role("region", name=name, exact=True)


def open_section(panel: Locator, title: str) -> None:
    """Open a part of a panel that is closed."""
    panel.locator("summary").filter(has_text=re.compile(f"^{re.escape(title)}$")).click()


def picture(page: Page, name: str) -> Locator:
    """What a camera shows."""
    return panel(page, name).get_by_role("img", name=f"Live picture of {name}")


def frames(page: Page, name: str) -> int:
    """How many frames have been drawn."""
    return int(panel(page, name).locator(".live-picture").get_attribute("data-frames") or 0)


def is_blank(page: Page, name: str) -> bool:
    """Whether all of the canvas has one colour."""
    return picture(page, name).evaluate(
        """canvas => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const pixels = new Uint32Array(data.buffer);
            return pixels.every((pixel) => pixel === pixels[0]);
        }"""
    )


def expect_drawing(page: Page, name: str, more: int = 3) -> None:
    """The camera's picture is there, and `more` frames come."""
    expect(panel(page, name).locator(".live-state")).to_have_text("live", timeout=20_000)
    count = frames(page, name)
    page.wait_for_function(
        "([name, count]) => Number(document.querySelector(`[data-camera='${name}'] .live-picture`).dataset.frames) >= count",
        arg=[name, count + more],
        timeout=20_000,
    )
    assert not is_blank(page, name)
