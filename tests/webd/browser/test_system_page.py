"""System: every daemon, version, machine, and who looks at which stream; all of it fresh by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import browsing
import pytest
import webd
from playwright.sync_api import Browser, Locator, Page, Route, expect

#: A page that shows a stream as raspiCamSrv's users do, until it is left.
SHOW_MJPEG = """path => new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = resolve;
    image.onerror = () => reject(new Error("no picture"));
    image.alt = "stream";
    image.src = path;
    document.body.append(image);
})"""
SHOW_LIVE = """async () => {
    const { LiveView } = await import("/static/kit/live.js");
    const canvas = document.createElement("canvas");
    document.body.append(canvas);
    const view = new LiveView(canvas, { camera: "cam2", codec: "jpeg" });
    await new Promise((resolve) => { view.addEventListener("frame", resolve, { once: true }); view.start(); });
}"""


def row_of(page: Page, table: str, name: str) -> Locator:
    """The row of a table that has a cell of this text."""
    cell = page.get_by_role("cell", name=name, exact=True)
    return page.get_by_role("table", name=table).get_by_role("row").filter(has=cell)


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_what_runs_where(visit: browsing.Visit, site: webd.Rig, phone: bool) -> None:
    person = visit(phone=phone)
    page = person.go("/system")
    with site.web.browser() as api:
        api.log_in(webd.ADMINISTRATOR)
        told = api.get("/api/v1/system").json()
    for daemon in told["daemons"]:
        row = row_of(page, "Daemons", daemon["name"])
        for text in (daemon["kind"], f"{daemon['host']}:{daemon['port']}", daemon["software_version"], daemon["boot_id"][:8]):
            expect(row).to_contain_text(text)
        expect(row.locator(".bad")).to_have_count(0)
        expect(row).to_contain_text(re.compile(r"\d [GT]B") if daemon["kind"] == "camera" else "-")
    assert [daemon["name"] for daemon in told["daemons"]] == ["cam1", "cam2", "focus1", "gpio1"]
    gateway = panel(page, "Gateway")
    for text in ("test", told["software_version"], told["boot_id"][:8]):
        expect(gateway).to_contain_text(text)
    expect(gateway.locator("dt", has_text="Streams without a login").locator("+ dd")).to_have_text("no")
    expect(row_of(page, "Machines", "LocalHost")).to_contain_text("127.0.0.1")
    expect(page.get_by_text("Not all have webd's version")).to_be_hidden()
    person.check_accessible()
    person.check_fits()


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_who_looks_is_seen_with_address_and_vanishes(visit: browsing.Visit, site: webd.Rig, phone: bool) -> None:
    person = visit(phone=phone)
    page = person.go("/system")
    viewers, streams = panel(page, "Viewers"), panel(page, "Streams")
    expect(viewers).to_contain_text("Nobody looks at a camera.")
    name = "viola.phone" if phone else "viola"
    site.web.user(name, "viewer").close()
    looking = visit(user=name)
    theirs = looking.go("/account")
    theirs.evaluate(SHOW_MJPEG, "/api/v1/cameras/cam1/streams/live/mjpeg")
    theirs.evaluate(SHOW_LIVE)
    rows = viewers.get_by_role("row").filter(has_text=name)
    expect(rows).to_have_count(2)
    for camera, transport in (("cam1", "MJPEG"), ("cam2", "WebSocket, JPEG")):
        row = rows.filter(has_text=f"{camera}, live")
        expect(row).to_contain_text("127.0.0.1")
        expect(row).to_contain_text(transport)
        expect(row.get_by_role("cell").nth(5)).to_have_text(re.compile(r"^[1-9]\d*\.\d$"))
        of_camera = streams.get_by_role("row").filter(has_text=camera)
        expect(of_camera.get_by_role("cell").nth(2)).to_have_text("1")
    person.check_accessible()
    person.check_fits()
    person.shoot(f"system-{'phone' if phone else 'desktop'}", full=phone)

    theirs.goto("/system")  # its page is another, so its streams end; who may only look is told no addresses
    expect(theirs.get_by_text("Who looks, and from where, is shown to operators.")).to_be_visible()
    expect(panel(theirs, "Viewers")).not_to_contain_text(name)
    expect(viewers).to_contain_text("Nobody looks at a camera.")
    expect(streams).to_contain_text("Nobody looks at a camera.")


def test_a_daemon_that_dies_is_away_with_since_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with (
        webd.running(tmp_path, cameras_named=["cam1"], focusers_named=["focus1"]) as rig,
        browsing.person(browser, rig.web.url) as person,
    ):
        rig.web.administrator().close()
        person.log_in()
        page = person.go("/system")
        gone, other = row_of(page, "Daemons", "cam1"), row_of(page, "Daemons", "focus1")
        expect(gone.locator(".bad")).to_have_count(0)
        since, others_since = gone.get_by_role("cell").nth(3), other.get_by_role("cell").nth(3)
        began, others_began = since.inner_text(), others_since.inner_text()
        run = gone.get_by_role("cell").nth(6).inner_text()
        rig.cameras["cam1"].kill()
        expect(gone.get_by_role("cell").nth(2)).to_have_text("away")
        expect(gone.get_by_role("cell").nth(8)).not_to_have_text("none")
        expect(since).not_to_have_text(began)
        expect(other.get_by_role("cell").nth(2)).not_to_have_text("away")
        person.check_accessible()
        person.shoot("system-away-desktop")
        rig.cameras["cam1"].start()
        expect(gone.locator(".bad")).to_have_count(0, timeout=30_000)
        expect(gone.get_by_role("cell").nth(6)).not_to_have_text(run)
        expect(others_since).to_have_text(others_began)


def test_versions_that_differ_are_marked(visit: browsing.Visit) -> None:
    def older(route: Route) -> None:
        told = route.fetch().json()
        for daemon in told["daemons"]:
            daemon["software_version"] = {"focus1": "0.0.1", "gpio1": None}.get(daemon["name"], daemon["software_version"])
            if daemon["name"] == "cam1":
                daemon.update(last_error="the disk is full", label="<b>cam</b>", names_users=False)
        route.fulfill(body=json.dumps(told), content_type="application/json")

    person = visit()
    person.page.route("**/api/v1/system", older)
    page = person.go("/system")
    expect(row_of(page, "Daemons", "focus1").locator(".warn")).to_contain_text("0.0.1 (webd has ")
    expect(page.get_by_text(re.compile(r"Not all have webd's version \S+: focus1 has 0\.0\.1\."))).to_be_visible()
    expect(row_of(page, "Daemons", "gpio1").get_by_role("cell").nth(5)).to_have_text("unknown")
    named = row_of(page, "Daemons", "<b>cam</b>")
    expect(named).to_contain_text("the disk is full")
    expect(named).to_contain_text("none of its gateway_machines")
    person.page.unroute("**/api/v1/system")
    expect(page.get_by_text("Not all have webd's version")).to_be_hidden()


def test_a_server_that_does_not_answer_is_told(visit: browsing.Visit) -> None:
    person = visit()
    person.allow_error("status of 503")
    page = person.go("/system")
    expect(row_of(page, "Daemons", "cam1")).to_be_visible()
    problem = json.dumps({"status": 503, "title": "busy", "detail": "too many calls wait"})
    page.route("**/api/v1/system", lambda route: route.fulfill(status=503, body=problem, content_type="application/json"))
    told = page.get_by_text(re.compile(r"The system cannot be read: too many calls wait\. What is shown is of \d"))
    expect(told).to_be_visible()
    expect(row_of(page, "Daemons", "cam1")).to_be_visible()
    page.unroute("**/api/v1/system")
    expect(told).to_be_hidden()
