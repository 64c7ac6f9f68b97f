"""A real browser, Debian's Chromium, as a person uses it; it notes what a page should never do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import webd
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, expect

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
#: A name of this machine that browsers do not trust as they do localhost and 127.0.0.1: there no page is a secure context.
NAME = "our.example"
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
]
_SHOTS = Path(__file__).parents[2] / "dist" / "screenshots"
_SERIOUS = {"serious", "critical"}
_WITHIN_MS = 15_000
expect.set_options(timeout=_WITHIN_MS)


def program() -> str | None:
    """The browser of this machine."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright: Playwright) -> Browser:
    """Start it; the caller closes it."""
    return playwright.chromium.launch(executable_path=program(), args=_FLAGS)


class Person:
    """Somebody with a browser of their own: `page` is their tab, `open` another."""

    def __init__(self, context: BrowserContext, base_url: str) -> None:
        self.context = context
        self.base_url = base_url
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self._allowed: list[str] = []
        context.set_default_timeout(_WITHIN_MS)
        context.on("request", self._note_request)
        self.page = self.open()

    def open(self) -> Page:
        """Another tab."""
        page = self.context.new_page()
        page.on("console", self._note_console)
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        return page

    def go(self, path: str) -> Page:
        """Go to a page of webd."""
        self.page.goto(path)
        return self.page

    def log_in(self, user: str = webd.ADMINISTRATOR, password: str = webd.PASSWORD) -> Page:
        """Log in by the form, and see the first page."""
        page = self.go("/login")
        page.get_by_label("Name").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("navigation", name="Pages")).to_be_visible()
        return page

    def allow_error(self, part: str) -> None:
        """A console error with this in it is what the test brings about (the browser notes every failed request)."""
        self._allowed.append(part)

    def check(self) -> None:
        """No console error, no request to anybody else."""
        assert not self.strangers, f"asked others than webd: {self.strangers}"
        bad = [error for error in self.errors if not any(part in error for part in self._allowed)]
        assert not bad, "console errors:\n" + "\n".join(bad)

    def check_accessible(self, page: Page | None = None) -> None:
        """Nothing that axe calls serious."""
        found = Axe().run(page or self.page).response["violations"]
        bad = [
            f"{item['id']}: {item['help']}: " + ", ".join(str(node["target"]) for node in item["nodes"][:3])
            for item in found
            if item["impact"] in _SERIOUS
        ]
        assert not bad, "axe found:\n" + "\n".join(bad)

    def check_fits(self, page: Page | None = None) -> None:
        """The page is not wider than the screen."""
        wide = (page or self.page).evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{wide} px too wide"

    def shoot(self, name: str, page: Page | None = None, *, full: bool = False) -> None:
        """Keep a picture of the page under dist/screenshots."""
        _SHOTS.mkdir(parents=True, exist_ok=True)
        (_SHOTS / f"{name}.png").write_bytes((page or self.page).screenshot(full_page=full))  # by `path` it leaves threads

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.location.get('url', '')}: {message.text}")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != urlsplit(self.base_url).netloc:
            self.strangers.append(request.url)


@contextmanager
def person(browser: Browser, base_url: str, *, phone: bool = False, **options: Any) -> Iterator[Person]:
    """Somebody with a browser, on a desk or with a phone; what the page must never do is checked at the end."""
    size = PHONE if phone else DESKTOP
    more = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if phone else {}
    context = browser.new_context(base_url=base_url, viewport=size, accept_downloads=True, **{**more, **options})
    try:
        found = Person(context, base_url)
        yield found
        found.check()
    finally:
        context.close()


#: Somebody comes: `visit(user=ADMINISTRATOR, phone=False, **options)`, logged in; nobody is with user=None.
Visit = Callable[..., Person]


@contextmanager
def visits(browser: Browser, base_url: str) -> Iterator[Visit]:
    """Let people come to a webd; their browsers are looked at and closed at the end."""
    with ExitStack() as stack:

        def visit(user: str | None = webd.ADMINISTRATOR, **options: Any) -> Person:
            found = stack.enter_context(person(browser, base_url, **options))
            if user is not None:
                found.log_in(user)
            return found

        yield visit
