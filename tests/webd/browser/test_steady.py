"""Nothing that somebody is about to press moves when what a page asks for comes."""

from __future__ import annotations

from typing import Any

import browsing
import pytest
import waiting
import webd
from playwright.sync_api import Page, Route, WebSocketRoute, expect

#: Page, what it shows when all has come.
PAGES = {
    "live": ("/live?camera=cam1", ".controls-group"),
    "focus": ("/focus", ".channel"),
    "gpio": ("/gpio", ".device"),
    "files": ("/files?camera=cam2", ".shots li"),
    "cameras": ("/cameras", "[data-camera=cam2] .use-cases"),
}
_PRESSED = "a, button, summary, input, select, canvas"
_NOTE = f"""() => {{
  const all = [...document.querySelectorAll("{_PRESSED}")].filter((one) => one.checkVisibility({{ visibilityProperty: true }}));
  window.placed = new Map(all.map((one) => [one, one.getBoundingClientRect()]).filter(([, {{ top }}]) => top < innerHeight));
  return window.placed.size;
}}"""
_MOVED = """() => [...window.placed].flatMap(([one, { left, top }]) => {
  const now = one.getBoundingClientRect();
  const by = [now.left - left, now.top - top].map(Math.round);
  return by.some(Boolean) ? [[one.textContent.trim() || one.ariaLabel || one.tagName, ...by]] : [];
})"""


#: A page that is held for long must not say that the server is away: its clock stands still until it is let go.
_CLOCK = """(() => {
  const now = performance.now.bind(performance);
  const began = now();
  let goneBy = null;
  window.letClockGo = () => (goneBy = now() - began);
  performance.now = () => (goneBy === null ? began : now() - goneBy);
})()"""


class Held:
    """What a page asks the server for, and what it is told, is held until `release`."""

    def __init__(self, page: Page) -> None:
        self._is_held = True
        self._routes: list[Route] = []
        self._told: list[tuple[WebSocketRoute, Any]] = []
        self._page = page
        page.add_init_script(_CLOCK)
        page.route("**/api/v1/**", self._ask)
        page.route_web_socket("**/api/v1/events/ws*", self._listen)

    def release(self) -> None:
        """Let all of it come."""
        self._is_held = False
        for socket, message in self._told:
            socket.send(message)
        for route in self._routes:
            route.continue_()
        self._page.evaluate("letClockGo()")

    def _ask(self, route: Route) -> None:
        if self._is_held:
            self._routes.append(route)
        else:
            route.continue_()

    def _listen(self, socket: WebSocketRoute) -> None:
        def tell(message: Any) -> None:
            if self._is_held:
                self._told.append((socket, message))
            else:
                socket.send(message)

        socket.connect_to_server().on_message(tell)


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_what_comes_moves_nothing(visit: browsing.Visit, site: webd.Rig, name: str, phone: bool) -> None:
    if name == "files":
        with site.web.administrator() as administrator:
            administrator.post("/api/v1/cameras/cam2/photo", json={}).raise_for_status()
            waiting.until(
                lambda: administrator.get("/api/v1/cameras/cam2/files").json()["total"] > 0, 20, "a photo to be listed"
            )
    person = visit(phone=phone)
    page = person.page
    page.goto("about:blank")  # what it asks for yet is not held
    held = Held(page)
    path, last = PAGES[name]
    person.go(path)
    place = page.locator(f"#{name}")
    expect(place.locator("> *").first).to_be_attached()
    expect(page.locator("#theme")).to_be_visible()
    assert page.evaluate(_NOTE) > 5
    held.release()
    expect(place.locator(last)).not_to_have_count(0)
    if name == "live":
        expect(page.get_by_role("button", name="Zoom in")).to_be_enabled()
        expect(page.locator(".live-state")).to_have_text("live")
        expect(page.get_by_text("Autofocus windows", exact=True)).to_be_visible()
        expect(page.get_by_text("Nothing has been taken yet.")).to_be_visible()
    assert page.evaluate(_MOVED) == []


def test_the_header_has_its_room_before_the_scripts(visit: browsing.Visit) -> None:
    person = visit()
    page = person.page
    person.allow_error("net::ERR_FAILED")
    tops = []
    for action in ("abort", "continue"):
        page.goto("about:blank")
        page.route("**/frame.js", lambda route: route.abort() if action == "abort" else route.continue_())  # noqa: B023
        person.go("/account")
        if action == "continue":
            expect(page.locator("#theme")).to_be_visible()
        tops.append(page.evaluate("[document.querySelector('main').offsetTop, document.querySelector('.top-end').offsetLeft]"))
        page.unroute("**/frame.js")
    assert tops[0] == tops[1]
