"""The Live page's life: from the first link to the first picture, a camera's daemon killed and back, a login that ends."""

from __future__ import annotations

import os
import re
from pathlib import Path

import browsing
import live_pages
import pytest
import webd
from playwright.sync_api import Browser, expect

_UNREACHABLE = "status of 503"  # what the browser says of calls to a daemon that is away


def test_from_the_first_link_to_the_first_picture(browser: Browser, tmp_path: Path) -> None:
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS)
    with running as site, browsing.person(browser, site.web.url) as person:
        page = person.go((site.web.state_folder / "first-administrator").read_text().strip())
        page.get_by_label("Name").fill("carla")
        page.get_by_label("Password", exact=True).fill(webd.PASSWORD)
        page.get_by_label("Password again").fill(webd.PASSWORD)
        page.get_by_role("button", name="Make the administrator").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Live")
        live_pages.expect_drawing(page, "cam1")
        expect(page.get_by_role("group", name="Cameras shown")).to_have_count(0)  # there is nothing to choose


def test_a_killed_camera_says_since_when_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    running = webd.running(tmp_path, cameras_named=["cam1", "cam2"], camera_config=live_pages.CAMERAS)
    with running as site, browsing.person(browser, site.web.url) as person:
        site.web.administrator().close()
        person.allow_error(_UNREACHABLE)
        page = person.log_in()
        for name in ("cam1", "cam2"):
            live_pages.expect_drawing(page, name)
        cam1, cam2 = (live_pages.panel(page, name) for name in ("cam1", "cam2"))
        away = cam1.locator(".away").first
        photo = cam1.get_by_role("button", name="Photo", exact=True)
        expect(away).to_be_hidden()

        site.cameras["cam1"].kill()
        expect(away).to_have_text(re.compile(r"^Not reachable since \d.*\d\d:\d\d"), timeout=30_000)
        expect(cam1.locator(".live-state")).to_have_text("stale", timeout=30_000)
        expect(photo).to_be_disabled()
        expect(cam1.get_by_role("button", name="Zoom in")).to_be_disabled()
        live_pages.expect_drawing(page, "cam2", more=10)
        expect(cam2.locator(".away").first).to_be_hidden()
        expect(cam2.get_by_role("button", name="Photo", exact=True)).to_be_enabled()
        person.check_accessible()
        person.shoot("live-away")

        site.cameras["cam1"].start()
        expect(away).to_be_hidden(timeout=30_000)
        expect(photo).to_be_enabled()
        live_pages.expect_drawing(page, "cam1", more=5)


def test_a_camera_that_is_not_there_is_not_used(browser: Browser, tmp_path: Path) -> None:
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS)
    with (
        running as site,
        site.cameras["cam1"].connect() as camera,
        browsing.person(browser, site.web.url) as person,
    ):
        site.web.administrator().close()
        page = person.log_in()
        cam1 = live_pages.panel(page, "cam1")
        live_pages.expect_drawing(page, "cam1")
        away, layer = cam1.locator(".away").first, cam1.locator(".live-layer")
        chosen = cam1.locator('[data-control="ExposureTime"] .control-state')
        guarded = [cam1.get_by_role("button", name=name, exact=True) for name in ("Photo", "Record", "Zoom in", "Save")]
        guarded.append(cam1.locator('[data-control="AnalogueGain"]').get_by_role("spinbutton"))
        live_pages.open_section(cam1, "Saved settings")
        cam1.get_by_role("radio", name="Zoom").check()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/crop") else None)

        def expect_use() -> None:
            expect(away).to_be_hidden(timeout=30_000)
            for one in guarded:
                expect(one).to_be_enabled()
            expect(layer).to_have_attribute("data-tool", "zoom")
            expect(chosen).to_have_text("Chosen by auto exposure.")

        def expect_no_use(why: str) -> None:
            expect(away).to_have_text(re.compile(why), timeout=30_000)
            for one in guarded:
                expect(one).to_be_disabled()
            expect(layer).to_have_attribute("data-tool", "")
            expect(chosen).to_be_hidden()  # nothing chooses it now
            cam1.locator(".live-picture").press("0")

        expect_use()
        camera.shutdown()
        expect_no_use(r"^The camera is shut down\.$")
        person.check_accessible()
        camera.initialize()
        expect_use()
        site.cameras["cam1"].fault(gone=True)
        expect_no_use(r"^The camera is not there: \w")
        site.cameras["cam1"].fault()
        expect_use()
        assert asked == []


def test_a_login_that_ends_leads_to_the_login_and_back(browser: Browser, tmp_path: Path) -> None:
    login = {"absolute_hours": 30 / 3600}  # a busy machine takes a while to draw
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS, session=login)
    with running as site, browsing.person(browser, site.web.url) as person:
        site.web.administrator().close()
        person.allow_error("status of 401")
        person.allow_error("Unexpected response code: 401")
        person.allow_error("Unexpected response code: 403")
        page = person.log_in()
        person.go("/live?camera=cam1")
        live_pages.expect_drawing(page, "cam1")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible(timeout=60_000)
        page.get_by_label("Name").fill(webd.ADMINISTRATOR)
        page.get_by_label("Password").fill(webd.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(re.compile(r"/live\?camera=cam1$"))
        live_pages.expect_drawing(page, "cam1")


def test_a_camera_without_video_is_seen_in_pictures(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "sitecustomize.py").write_text("import sys\nsys.modules['av'] = None\n")  # as if not installed
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"), prepend=os.pathsep)
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS)
    with running as site, browsing.person(browser, site.web.url) as person:
        site.web.administrator().close()
        asked: list[str] = []
        person.page.on("websocket", lambda socket: asked.append(socket.url))
        page = person.log_in()
        live_pages.expect_drawing(page, "cam1")
        expect(live_pages.panel(page, "cam1").locator(".live-numbers")).to_have_text(re.compile(r", JPEG$"))
        assert [url[-4:] for url in asked if "/streams/" in url] == ["h264", "jpeg"]


def test_a_page_that_is_not_secure_sees_pictures(browser: Browser, tmp_path: Path) -> None:
    """By plain HTTP under a name there is no WebCodecs in a browser."""
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS, allowed_hosts=[browsing.NAME])
    with running as site, browsing.person(browser, f"http://{browsing.NAME}:{site.web.port}") as person:
        site.web.administrator().close()
        page = person.log_in()
        assert page.evaluate("[isSecureContext, typeof VideoDecoder]") == [False, "undefined"]
        live_pages.expect_drawing(page, "cam1")
        cam1 = live_pages.panel(page, "cam1")
        expect(cam1.locator(".live-numbers")).to_have_text(re.compile(r", JPEG$"))
        cam1.get_by_role("button", name="Photo", exact=True).click()
        expect(page.get_by_text(re.compile(r"^cam1: \S+\.jpg"))).to_be_visible()


def test_what_fills_the_screen_says_that_it_is_old(browser: Browser, tmp_path: Path) -> None:
    running = webd.running(tmp_path, cameras_named=["cam1"], camera_config=live_pages.CAMERAS)
    with running as site, browsing.person(browser, site.web.url) as person:
        site.web.administrator().close()
        person.allow_error(_UNREACHABLE)
        page = person.log_in()
        cam1 = live_pages.panel(page, "cam1")
        live_pages.expect_drawing(page, "cam1")
        cam1.get_by_role("button", name="Full screen", exact=True).click()
        alone = page.locator(":fullscreen")
        expect(alone.locator(".live-state")).to_have_text("live")
        expect(alone.locator(".live-state")).to_be_in_viewport(ratio=1)
        site.cameras["cam1"].kill()
        expect(alone.locator(".live-state")).to_have_text("stale", timeout=30_000)
        expect(alone.locator(".away")).to_have_text(re.compile(r"^Not reachable since \d"), timeout=30_000)
        for part in (".live-picture", ".away", ".live-leave"):
            expect(alone.locator(part)).to_be_in_viewport(ratio=1)
        box = alone.locator(".live-picture").bounding_box()
        assert box is not None and box["width"] / box["height"] == pytest.approx(480 / 272, rel=0.02), box
        person.shoot("live-full-screen-away")
        cam1.get_by_role("button", name="Leave full screen").click()
        expect(page.locator(".live-head .live-state")).to_be_visible()
        expect(page.locator(".live-panel > .away")).to_be_visible()
        site.cameras["cam1"].start()
        expect(cam1.locator(".away").first).to_be_hidden(timeout=30_000)
