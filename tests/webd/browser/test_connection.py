"""What a page does when its connections are many, are lost without a word, or are somebody else's now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import browsing
import webd
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

OTHER_PASSWORD = "another long password"
POST = """([path, body]) => fetch('/api/v1' + path, {method: 'POST', body: JSON.stringify(body), headers: {
    'Content-Type': 'application/json', 'X-CSRF-Token': document.querySelector('meta[name="csrf-token"]').content}})
    .then((answer) => answer.status)"""


class Wire:
    """The connections for the events of a new tab, which can go silent, or say what the server has not said."""

    def __init__(self, page: Page) -> None:
        self.connections: list[WebSocketRoute] = []
        self.silent: set[WebSocketRoute] = set()
        page.route_web_socket(re.compile(r"/api/v1/events/ws"), self._join)

    def fall_silent(self) -> None:
        """Let nothing through any more on what is connected now."""
        self.silent.update(self.connections)

    def _join(self, route: WebSocketRoute) -> None:
        self.connections.append(route)
        server = route.connect_to_server()
        server.on_message(lambda message: None if route in self.silent else route.send(message))


def test_eight_windows_leave_room_for_what_one_asks_for(visit: browsing.Visit) -> None:
    person = visit()
    pages = [person.page, *(person.open() for _ in range(7))]
    for page in pages:
        page.goto("/focus")
        expect(page.get_by_role("button", name="Stop all of focus1")).to_be_visible()
    for page in pages:
        assert page.evaluate(POST, ["/focusers/focus1/stop", {}]) == 200
    expect(pages[-1].locator("#connection")).to_be_hidden()


def test_shots_under_way_leave_room_for_what_else_is_asked_for(visit: browsing.Visit, site: webd.Rig) -> None:
    person = visit()
    with site.cameras["cam1"].connect() as camera:
        camera.set_exposure(4, 0)  # three clicks must fit in, on any machine
        try:
            cam1 = person.page.get_by_role("region", name="cam1", exact=True)
            asked: list[str] = []
            person.page.on("request", lambda request: asked.append(request.url))
            for _ in range(3):
                cam1.get_by_role("button", name="Photo", exact=True).click()
            expect(cam1.get_by_text("3 shots under way")).to_be_visible()
            expect(cam1.get_by_text("under way")).to_be_hidden(timeout=60_000)
            assert any("/jobs/" in url for url in asked) and not any("wait_s" in url for url in asked)
        finally:
            camera.set_controls({"AeEnable": True}, 0)


def test_a_login_anew_in_another_tab_goes_on_here(visit: browsing.Visit, site: webd.Rig) -> None:
    site.web.user("otto", "operator").close()
    person = visit(user="otto")
    person.allow_error("status of 403")
    page, tab = person.go("/gpio"), person.open()
    lamp = page.get_by_role("article", name="lamp")
    tab.goto("/account")
    expect(tab.get_by_role("region", name="You")).to_contain_text("operator")  # what it asks has its answer
    change = {"present": webd.PASSWORD, "new": OTHER_PASSWORD}
    assert tab.evaluate(POST, ["/password", change]) == 200
    with page.expect_response(lambda answer: answer.request.method == "POST" and answer.ok):
        lamp.get_by_role("button", name="Toggle: lamp").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert tab.evaluate("() => fetch('/api/v1/session').then((answer) => answer.status)") == 200
    login = {"user": webd.ADMINISTRATOR, "password": webd.PASSWORD}
    assert tab.evaluate(POST, ["/session", login]) == 200
    expect(page.get_by_role("banner").get_by_role("link", name=webd.ADMINISTRATOR)).to_be_visible()


def test_another_role_loads_the_page_anew_but_takes_no_text(visit: browsing.Visit, site: webd.Rig) -> None:
    site.web.user("rosa", "operator").close()
    person = visit(user="rosa")
    page, typing = person.go("/focus"), person.open()
    typing.goto("/focus")
    wanted = typing.get_by_role("region", name="Channel 1").get_by_label("Move to")
    wanted.fill("77")
    for one in (page, typing):
        expect(one.get_by_role("button", name="Move", exact=True).first).to_be_visible()
    with site.web.administrator() as administrator:
        administrator.post("/api/v1/users/rosa/role", json={"role": "viewer"}).raise_for_status()
    expect(page.get_by_role("button", name="Move", exact=True)).to_have_count(0)
    told = typing.get_by_role("status").filter(has_text="You are rosa (viewer) now")
    expect(told).to_be_visible()
    expect(wanted).to_have_value("77")
    person.check_accessible(typing)
    told.get_by_role("button", name="Reload").click()
    expect(typing.get_by_role("button", name="Move", exact=True)).to_have_count(0)


def test_a_connection_that_dies_silently_is_replaced(visit: browsing.Visit) -> None:
    page = visit().open()
    wire = Wire(page)
    page.clock.install()
    page.goto("/focus")
    moves = page.get_by_role("region", name="Channel 1").get_by_role("group", name="Move", exact=True)
    expect(moves).to_be_enabled()
    wire.fall_silent()
    page.clock.fast_forward(7_000)
    expect(page.get_by_text("Its last reading is old.")).to_be_visible()
    page.clock.fast_forward(7_000)
    expect(page.get_by_text("Its last reading is old.")).to_be_hidden()
    expect(moves).to_be_enabled()
    assert len(wire.connections) >= 2 and "last_event_id=" in wire.connections[1].url


def test_that_the_server_is_away_is_told_once(visit: browsing.Visit) -> None:
    page = visit().open()
    page.route_web_socket(re.compile(r"/api/v1/events/ws"), lambda route: None)  # nobody answers
    page.goto("/focus")
    expect(page.locator("#connection")).to_contain_text("The server is away")
    written = page.evaluate(
        """async () => {
          const { statuses } = await import("/static/kit/status.js");
          let written = 0;
          new MutationObserver((changes) => (written += changes.length))
            .observe(document.querySelector("#connection"), { childList: true, characterData: true, subtree: true });
          for (let looks = 0; looks < 3; looks += 1)
            await new Promise((looked) => statuses.addEventListener("connection", looked, { once: true }));
          return written;
        }"""
    )
    assert written == 0


def test_missed_events_are_told_of(visit: browsing.Visit) -> None:
    page = visit().open()
    wire = Wire(page)
    page.goto("/gpio")
    log = page.get_by_role("region", name="Events of gpio1")
    expect(page.get_by_role("button", name="Toggle: lamp")).to_be_enabled()
    wire.connections[0].send(json.dumps({"event": "lost", "id": None, "data": {"count": 7}}))
    expect(log.get_by_text("events were missed")).to_be_visible()
    expect(log.get_by_text("count 7")).to_be_visible()


def test_a_move_is_never_said_to_go_to_the_target_of_the_last(visit: browsing.Visit, site: webd.Rig) -> None:
    page = visit().open()
    wire = Wire(page)
    page.goto("/focus")
    card = page.get_by_role("region", name="Channel 2")
    expect(card.get_by_role("button", name="Move", exact=True)).to_be_enabled()
    card.get_by_label("Move to").fill("400")
    wire.fall_silent()  # soon its reading is old, and it moves no more
    card.get_by_role("button", name="Move", exact=True).click()
    expect(card.locator(".job-text")).to_have_text("Moving")
    with site.focusers["focus1"].connect() as focuser:
        focuser.stop_channel()


def test_a_shot_outlives_a_page_that_was_suspended(visit: browsing.Visit, site: webd.Rig) -> None:
    page = visit().page
    with site.cameras["cam1"].connect() as camera:
        camera.set_exposure(1.5, 0)
        try:
            photo = page.get_by_role("region", name="cam1", exact=True).get_by_role("button", name="Photo", exact=True)
            expect(photo).to_be_enabled()
            page.evaluate(  # the first request after more than a minute fails: the network is not yet back
                """() => {
                  const { fetch } = window;
                  const now = performance.now.bind(performance);
                  window.fetch = async (url, options) => {
                    if (!url.includes("/jobs/")) return fetch(url, options);
                    window.fetch = fetch;
                    performance.now = () => now() + 61_000;
                    document.body.dataset.suspended = "once";
                    throw new TypeError("Failed to fetch");
                  };
                }"""
            )
            photo.click()
            expect(page.locator("body[data-suspended]")).to_have_count(1)
            expect(page.locator("#notes")).to_contain_text(re.compile(r"cam1: camera-\d+\.jpg"), timeout=30_000)
            expect(page.get_by_role("alert")).to_have_count(0)
        finally:
            camera.set_controls({"AeEnable": True}, 0)


def test_a_shot_outlives_a_webd_that_is_killed(browser: Browser, tmp_path: Path) -> None:
    with webd.running(tmp_path, cameras_named=["cam1"]) as site, browsing.person(browser, site.web.url) as person:
        site.web.administrator().close()
        for part in ("ERR_", "WebSocket", "status of 50"):
            person.allow_error(part)
        page = person.log_in()
        cam1 = page.get_by_role("region", name="cam1", exact=True)
        with site.cameras["cam1"].connect() as camera:
            camera.set_exposure(4.0, 0)
        cam1.get_by_role("button", name="Photo", exact=True).click()
        expect(cam1.get_by_text("a shot under way")).to_be_visible()
        site.web.kill()
        site.web.start()
        told = page.locator("#notes").get_by_text(re.compile(r"^cam1: camera-"))
        expect(told).to_be_visible(timeout=60_000)
        found = re.search(r"camera-[\w-]+\.jpg", told.inner_text())
        assert found is not None
        last = cam1.get_by_role("region", name="Last shot of cam1")
        expect(last.get_by_role("link", name=found[0])).to_be_visible(timeout=30_000)
