"""What a page tells while something else is on top of it: a dialog, or a picture that fills the screen."""

from __future__ import annotations

import re

import browsing
import live_pages
import pytest
import webd
from playwright.sync_api import Page, expect

_TELL = "async (text) => (await import('/static/kit/dom.js')).note(text, 'bad')"

site = live_pages.site


@pytest.fixture(scope="module")
def shots(site: webd.Rig) -> list[str]:
    """Two photos of cam1, the newer one first: what their files' names begin with."""
    names = []
    with site.cameras["cam1"].connect() as camera:
        for _ in range(2):
            job = camera.wait(camera.take_photo()["id"], 10)
            assert job["state"] == "succeeded", job
            names.append(job["result"]["name"].partition(".")[0])
    return names[::-1]


def _open(page: Page, stem: str) -> None:
    page.locator(f'li[data-stem="{stem}"]').get_by_role("button").click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text(stem)


def _dismiss(page: Page, text: str) -> None:
    """Somebody sees it, is told it (what is not in the dialog has no role meanwhile), and can have it go."""
    told = page.get_by_role("alert").filter(has_text=text)
    expect(told).to_be_visible()
    expect(told).to_be_in_viewport(ratio=1)
    told.get_by_role("button", name="Dismiss").click()
    expect(told).to_have_count(0)


def test_what_is_told_over_dialogs_is_seen_and_stays_after_them(visit: browsing.Visit, shots: list[str]) -> None:
    person = visit()
    page = person.go("/files?camera=cam1")
    page.evaluate(_TELL, "told before")
    _open(page, shots[0])
    page.evaluate(_TELL, "told in the dialog")
    _dismiss(page, "told in the dialog")
    page.get_by_role("button", name="Delete", exact=True).click()
    question = page.get_by_role("dialog", name=re.compile("^Delete 1 shot"))
    page.evaluate(_TELL, "told over the question")
    _dismiss(page, "told over the question")
    person.check_accessible()
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    page.evaluate(_TELL, "told after the question")
    _dismiss(page, "told after the question")
    page.get_by_role("button", name="Close").click()
    _dismiss(page, "told before")


def test_another_role_is_told_over_a_dialog(visit: browsing.Visit, site: webd.Rig, shots: list[str]) -> None:
    site.web.user("rita", "operator").close()
    page = visit(user="rita").go("/files?camera=cam1")
    _open(page, shots[-1])
    with site.web.administrator() as administrator:
        administrator.post("/api/v1/users/rita/role", json={"role": "viewer"}).raise_for_status()
    told = page.get_by_role("dialog").get_by_role("alert").filter(has_text="You are rita (viewer) now")
    told.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#chosen")).to_be_visible()
    expect(page.get_by_role("button", name="Delete ...")).to_have_count(0)


def test_what_is_told_in_full_screen_is_seen(visit: browsing.Visit) -> None:
    page = visit().page
    cam1 = live_pages.panel(page, "cam1")
    cam1.get_by_role("button", name="Full screen", exact=True).click()
    page.wait_for_function("document.fullscreenElement?.classList.contains('live-view')")
    page.evaluate(_TELL, "told in full screen")
    _dismiss(page, "told in full screen")
    page.evaluate(_TELL, "told and kept")
    cam1.get_by_role("button", name="Leave full screen").click()
    page.wait_for_function("document.fullscreenElement === null")
    _dismiss(page, "told and kept")
