"""A browser and a site for each module: two cameras, a focuser and GPIO behind one webd."""

from __future__ import annotations

from collections.abc import Iterator

import browsing
import pytest
import webd
from playwright.sync_api import Browser, sync_playwright

CAMERAS = ("cam1", "cam2")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Not for the session: while Playwright is open, no test of this thread can run a loop of its own."""
    if browsing.program() is None:
        pytest.skip("chromium is not installed, so no page is looked at here")
    with sync_playwright() as playwright:
        found = browsing.launch(playwright)
        yield found
        found.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webd.Rig]:
    """All kinds of daemons behind one webd, whose first administrator is made."""
    with webd.running(
        tmp_path_factory.mktemp("site"), cameras_named=CAMERAS, focusers_named=["focus1"], gpios_named={"gpio1": webd.GPIO}
    ) as found:
        found.web.administrator().close()
        yield found


@pytest.fixture
def visit(browser: Browser, site: webd.Rig) -> Iterator[browsing.Visit]:
    """See browsing.visits."""
    with browsing.visits(browser, site.web.url) as visit:
        yield visit
